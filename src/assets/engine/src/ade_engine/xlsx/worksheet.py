"""The rows of one worksheet, read as a stream: memory follows the filled cells."""

import re
from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise
from operator import attrgetter
from typing import Any

from ..cells import Row, Shapes, cell_name
from ..limits import MAX_ROW_CELLS, MAX_TEXT_CHARACTERS
from ..notices import Notices
from .styles import Styles
from .values import CellValues
from .xml import LocalNames, Refused, XmlFault, deeper, parse

TWICE = "{count} cells are given twice; the last value was read"
MERGED = "{count} merged ranges span several rows; only the first row of each has the value"
DIGITS = "0123456789"
TEXTS = ("v", "t")
MAX_ROW_DIGITS = 9
SHEET_DATA = re.compile(rb"<(?:\w+:)?sheetData[\s/>]")


class RowBuilder:
    """The cells of the row that is being read; they may come without position or out of order."""

    def __init__(self, notices: Notices):
        self._notices = notices
        self._columns = Shapes()
        self._formats = Shapes()
        self._letters: dict[str, int] = {}
        self.number = 0
        self._start()

    def _start(self) -> None:
        self._cells: list[tuple[int, Any, Any]] = []
        self._ordered = True
        self._special = False
        self.column = -1

    def open(self, reference: str | None) -> None:
        self.number = row_number(reference) or self.number + 1
        self._start()

    def place(self, reference: str | None) -> None:
        """Go to the column of a cell: that of its reference, else the next one."""
        letters = reference.rstrip(DIGITS) if reference else ""
        index = self._letters.get(letters)
        if index is None:
            index = column_index(letters)
            if index is not None:
                self._letters[letters] = index
        if index is None:
            index = self.column + 1
        self._ordered = self._ordered and index > self.column
        self.column = index

    def cell_name(self) -> str:
        return cell_name(self.column, self.number)

    def add(self, value: Any, shown: Any) -> None:
        self._special = self._special or shown is not None
        self._cells.append((self.column, value, shown))
        if len(self._cells) > MAX_ROW_CELLS:
            raise XmlFault(f"its row {self.number} has more than {MAX_ROW_CELLS:,} cells")

    def close(self) -> Row | None:
        cells = self._cells if self._ordered else self._sorted()
        if not cells:
            return None
        columns, filled, formats = zip(*cells, strict=True)
        shape = self._columns.shared(columns)
        return Row(
            self.number,
            shape,
            list(filled),
            None,
            self._formats.shared(formats) if self._special else None,
        )

    def _sorted(self) -> list[tuple[int, Any, Any]]:
        by_column = {cell[0]: cell for cell in self._cells}
        for _ in range(len(self._cells) - len(by_column)):
            self._notices.add(TWICE, f"row {self.number}")
        return [by_column[column] for column in sorted(by_column)]


class WorksheetReader:
    """Turns the events of a sheet's XML into rows."""

    def __init__(self, values: CellValues, styles: Styles, notices: Notices):
        self._values = values
        self._styles = styles
        self._notices = notices
        self._names = LocalNames()
        self._row = RowBuilder(notices)
        self._depth = 0
        self._inside = self._in_row = self._in_cell = False
        self._formula = self._phonetic = self._in_text = self._text_open = False
        self._kind = self._source = ""
        self._texts: list[str] = []
        self._size = 0
        self.rows: list[Row] = []
        self.begun = self.complete = False
        self.take: Callable[[list], None] = lambda values: None

    # Most elements are c and v. They and rows cannot nest, so only the others' depth is counted.

    def start(self, name: str, attributes: dict) -> None:
        kind = self._names[name]
        if not self._inside:
            self._start_outside(kind, attributes)
        elif kind == "c":
            self._open_cell(attributes)
        elif kind in TEXTS:
            self._open_text(kind)
        elif kind == "row":
            self._open_row(attributes)
        else:
            self._depth = deeper(self._depth)
            if kind == "f":
                self._formula = True
            elif kind == "rPh":
                self._phonetic = True
            elif kind == "is" and self._in_cell and self._kind == "inlineStr":
                self._texts, self._source = [], "is"

    def end(self, name: str) -> None:
        kind = self._names[name]
        if kind in TEXTS:
            self._in_text = self._text_open = False
        elif not self._inside:
            self._depth -= 1
        elif kind == "c":
            self._close_cell()
        elif kind == "row":
            self._close_row()
        elif kind == "sheetData":
            self._end_data()
        else:
            self._depth -= 1
            self._phonetic = self._phonetic and kind != "rPh"

    def text(self, data: str) -> None:
        if self._inside and self._text_open:
            self._texts.append(data)
            self._size += len(data)
            if self._size > MAX_TEXT_CHARACTERS:
                raise XmlFault(f"a text is longer than {MAX_TEXT_CHARACTERS:,} characters")

    def _start_outside(self, kind: str, attributes: dict) -> None:
        if kind == "sheetData" and not self.complete:
            self._inside = self.begun = True
        elif kind in TEXTS:
            self._open_text(kind)
        else:
            self._depth = deeper(self._depth)
            if kind == "mergeCell":
                self._note_merged(attributes.get("ref", ""))

    def _end_data(self) -> None:
        self._inside, self.complete = False, True
        self.rows = in_order(self.rows)

    def _open_row(self, attributes: dict) -> None:
        if self._in_row:
            raise XmlFault("it has a row inside a row")
        self._in_row = True
        self._row.open(attributes.get("r"))

    def _close_row(self) -> None:
        self._in_row = False
        row = self._row.close()
        if row:
            self.take(row.filled)
            self.rows.append(row)

    def _open_cell(self, attributes: dict) -> None:
        if self._in_cell or not self._in_row:
            raise XmlFault("it has a cell outside of a row")
        self._in_cell = True
        self._formula = self._phonetic = self._text_open = False
        self._source = ""
        self._texts = []
        self._size = 0
        self._kind = attributes.get("t", "n")
        self._style = self._styles.format(attributes.get("s"))
        self._row.place(attributes.get("r"))

    def _open_text(self, kind: str) -> None:
        """A cell may have both a value and inline text; its type says which one counts."""
        if self._in_text:
            raise XmlFault("it has a text inside a text")
        self._in_text = True
        if kind == "t":
            self._text_open = self._in_cell and self._source != "v" and not self._phonetic
        elif self._in_cell and self._source != "is":
            self._texts, self._source, self._text_open = [], "v", True

    def _close_cell(self) -> None:
        self._in_cell = False
        texts = self._texts
        if not texts and not self._formula and self._kind == "n":
            return
        style, row = self._style, self._row
        text = texts[0] if len(texts) == 1 else "".join(texts)
        value = self._values.value(self._kind, text, style, self._lacks_result(), row.cell_name)
        if value is not None:
            shown = style if style.pattern and type(value) in (int, float) else None
            row.add(value, shown)

    def _lacks_result(self) -> bool:
        """A formula's empty value is no result, but for a text, which may be empty."""
        return self._formula and not (self._kind == "str" and self._source == "v")

    def _note_merged(self, reference: str) -> None:
        first, _, last = reference.partition(":")
        top, bottom = row_number(first), row_number(last)
        column = column_index(first.rstrip(DIGITS))
        if top and bottom and column is not None and top < bottom:
            position = bisect_left(self.rows, top, key=attrgetter("number"))
            row = self.rows[position] if position < len(self.rows) else None
            if row and row.number == top and row.get(column) is not None:
                self._notices.add(MERGED, reference)


def read_worksheet(
    new_reader: Callable[[], WorksheetReader], open_stream: Callable[[], Any]
) -> list[Row]:
    """All rows. What stands before and after the data (views, validations) decides nothing."""
    reader = new_reader()
    try:
        with open_stream() as stream:
            parse(stream, reader.start, reader.end, reader.text)
    except XmlFault as fault:
        if not reader.begun and not isinstance(fault, Refused):
            return read_data(new_reader(), open_stream)
        if not reader.complete:
            raise
    return reader.rows


def read_data(reader: WorksheetReader, open_stream: Callable[[], Any]) -> list[Row]:
    """The rows of a sheet that is damaged before its data."""
    try:
        with open_stream() as stream:
            parse(DataOnly(stream), reader.start, reader.end, reader.text)
    except XmlFault:
        if not reader.complete:
            raise
    return reader.rows


class DataOnly:
    """A sheet's stream from ``sheetData`` on, for one that is damaged before it."""

    def __init__(self, stream: Any):
        self._stream = stream
        self._found = False

    def read(self, size: int) -> bytes:
        """The first chunk alone is searched: what precedes the data is short."""
        chunk = self._stream.read(size)
        start = None if self._found else SHEET_DATA.search(chunk)
        self._found = True
        return chunk[start.start() :] if start else chunk


def in_order(rows: list[Row]) -> list[Row]:
    """Sorted by number; rows that are given in pieces are joined."""
    if all(above.number < below.number for above, below in pairwise(rows)):
        return rows
    joined: dict[int, Row] = {}
    for row in sorted(rows, key=attrgetter("number")):
        known = joined.get(row.number)
        joined[row.number] = join_rows(known, row) if known else row
    return list(joined.values())


def join_rows(first: Row, second: Row) -> Row:
    cells: dict[int, tuple] = {}
    for row in (first, second):
        formats = row.formats or (None,) * len(row.columns)
        cells.update(zip(row.columns, zip(row.filled, formats, strict=True), strict=True))
    columns = tuple(sorted(cells))
    return Row(
        first.number,
        columns,
        [cells[column][0] for column in columns],
        None,
        tuple(cells[column][1] for column in columns),
    )


def row_number(reference: str | None) -> int | None:
    """The number at the end of a reference: 12 of B12."""
    digits = reference[len(reference.rstrip(DIGITS)) :] if reference else ""
    return int(digits) or None if 0 < len(digits) <= MAX_ROW_DIGITS else None


def column_index(letters: str) -> int | None:
    """A is 0; None for what is no column."""
    if not (letters.isascii() and letters.isalpha() and len(letters) <= 3):
        return None
    index = 0
    for letter in letters.upper():
        index = index * 26 + ord(letter) - 64
    return index - 1
