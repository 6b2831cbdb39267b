"""Reading a delimited text file into a sheet."""

from collections.abc import Iterable
from typing import TextIO

from ..cells import Row, Shapes
from ..clean import cell_value, clean_text
from ..documents import Document
from ..errors import InputTooLarge
from ..filetypes import text_kind
from ..limits import Budget
from ..notices import INVISIBLE_REMOVED, Notices
from ..tables import Sheet
from .delimiters import SAMPLE_CHARACTERS, SAMPLE_LINES, declared_delimiter, find_delimiter
from .encoding import Encoding, find_encoding
from .records import Lines, Records, TooLong, TooManyOpenMarks


def read_text(document: Document, budget: Budget) -> Sheet:
    """The one sheet of a text file."""
    notices = Notices()
    encoding = find_encoding(document)
    if encoding.warning:
        notices.add(encoding.warning)
    with open_text(document, encoding) as text:
        sample = take_sample(text)
    kind = text_kind(sample)
    if kind:
        raise document.error(f"is {kind}, not a table of values")
    with open_text(document, encoding) as text:
        reader = RowReader(document, notices, budget)
        rows = reader.read(Lines(text.readline), sample)
    return Sheet(document, None, 0, rows, notices=notices, is_text=True)


def open_text(document: Document, encoding: Encoding) -> TextIO:
    """Line ends of all kinds end lines and are kept."""
    return open(document.path, encoding=encoding.name, errors=encoding.errors, newline="")


def take_sample(text: TextIO) -> str:
    lines: list[str] = []
    size = 0
    while len(lines) < SAMPLE_LINES and size < SAMPLE_CHARACTERS:
        line = text.readline(SAMPLE_CHARACTERS)
        if not line:
            break
        lines.append(line)
        size += len(line)
    return "".join(lines)


class RowReader:
    """Makes rows of a document's records."""

    def __init__(self, document: Document, notices: Notices, budget: Budget):
        self._document = document
        self._notices = notices
        self._budget = budget
        self._shapes = Shapes()

    def read(self, lines: Lines, sample: str) -> list[Row]:
        declared = declared_delimiter(first_line(sample))
        if declared:
            lines.next()
        records = Records(lines, declared or find_delimiter(sample), self._report)
        try:
            return self._rows(records, 2 if declared else 1)
        except TooLong as error:
            raise self._document.error(f"cannot be read: {error}", InputTooLarge) from error
        except TooManyOpenMarks as error:
            raise self._document.error(f"cannot be read as CSV: {error}") from error

    def _rows(self, records: Iterable[list[str]], first: int) -> list[Row]:
        rows = (self._row(number, texts) for number, texts in enumerate(records, start=first))
        return [row for row in rows if row.columns]

    def _row(self, number: int, texts: list[str]) -> Row:
        columns, filled = [], []
        for index, text in enumerate(texts):
            value = cell_value(self._clean(text, number)) if text else None
            if value is not None:
                columns.append(index)
                filled.append(value)
        self._budget.take(filled, self._document.label)
        return Row(number, self._shapes.shared(tuple(columns)), filled, len(texts))

    def _clean(self, text: str, number: int) -> str:
        cleaned = clean_text(text)
        if len(cleaned) < len(text) and cleaned != text.replace("\r\n", "\n"):
            self._notices.add(INVISIBLE_REMOVED, f"row {number}")
        return cleaned

    def _report(self, message: str, line: int) -> None:
        self._notices.add(message, str(line))


def first_line(sample: str) -> str:
    return sample.lstrip("\ufeff").replace("\r", "\n").partition("\n")[0]
