"""Writing the normalized workbook."""

import datetime as dt
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cells import Fault, Row
from .errors import PipelineError
from .manifest import Manifest
from .notices import Notices
from .tables import Table

STAGE = "writing_output"
FILE_NAME = "normalized.xlsx"
MAX_SHEET_ROWS = 1_048_576
# What a workbook cannot hold: characters that XML forbids, texts that look like its escapes, more
# text than fits into a cell, whole numbers beyond those that a double holds exactly.
ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
LOOKS_ESCAPED = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
MAX_CELL_CHARACTERS = 32_767
EXACT_INTEGER = 2**53
CUT = (
    "{count} values are longer than the 32,767 characters that a cell can hold and were cut, "
    "in these rows of the output"
)


def write_output(
    folder: Path, tables: list[Table], manifest: Manifest, before_save: Callable, notices: Notices
) -> tuple[Path, int]:
    """Write all tables into one sheet; returns the file and its number of data rows."""
    from openpyxl import Workbook

    row_count = sum(len(table.records) for table in tables)
    if row_count >= MAX_SHEET_ROWS:
        raise PipelineError(f"{row_count} rows do not fit into one sheet", STAGE)
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet(manifest.writer.output_sheet)
    before_save(workbook=workbook, sheet=sheet)
    to_cell = CellFactory(sheet, notices)
    for number, row in enumerate(output_rows(tables, manifest), start=1):
        sheet.append([None if value is None else to_cell(value, number) for value in row])
    return save(workbook, folder / FILE_NAME), row_count


def save(workbook: Any, path: Path) -> Path:
    """Save under another name first, so that the output is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    workbook.save(partial)
    os.replace(partial, path)
    return path


def output_rows(tables: list[Table], manifest: Manifest) -> Iterator[list[Any]]:
    """The header, then the rows of all tables in reading order."""
    fields = [field.name for field in manifest.fields]
    extra = unmapped_columns(tables) if manifest.writer.append_unmapped_columns else {}
    yield fields + list(extra.values())
    for table in tables:
        table.settle()
        present = {column.index for column in table.unmapped}
        places = {index: place for place, index in enumerate(extra) if index in present}
        for record, row in zip(table.records, table.rows, strict=True):
            yield [record[field] for field in fields] + unmapped_values(row, places, len(extra))


def unmapped_values(row: Row, places: dict[int, int], width: int) -> list[Any]:
    """The cells of the columns that no field claimed, each at its place."""
    values: list[Any] = [None] * width
    for position, (index, value) in enumerate(zip(row.columns, row.filled, strict=True)):
        place = places.get(index)
        if place is not None and not isinstance(value, Fault):
            style = row.formats[position] if row.formats else None
            values[place] = as_shown(value, style) if style else value
    return values


def as_shown(value: Any, style: Any) -> Any:
    """An identifier becomes the text that its cell shows; other numbers keep their format."""
    if style.identifies(value):
        return style.shown(value) or value
    return Formatted(value, style.code)


@dataclass(frozen=True)
class Formatted:
    """A number with the format under which the source shows it."""

    value: int | float
    code: str


def unmapped_columns(tables: list[Table]) -> dict[int, str]:
    """Output headers of all unmapped columns by column index, in column order."""
    columns = {c.index: c.output_header for table in tables for c in table.unmapped}
    return dict(sorted(columns.items()))


class CellFactory:
    """Makes values safe for a workbook."""

    def __init__(self, sheet: Any, notices: Notices):
        self._sheet = sheet
        self._notices = notices

    def __call__(self, value: Any, row: int) -> Any:
        if isinstance(value, str):
            return self._text(value, row)
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            return value if abs(value) <= EXACT_INTEGER else self._text(str(value), row)
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, (dt.date, dt.time, dt.timedelta)):
            return moment(value)
        if isinstance(value, Formatted):
            return self._formatted(value)
        return self._text(str(value), row)

    def _text(self, value: str, row: int) -> Any:
        value = ILLEGAL.sub("", value)
        if "_x" in value:
            value = LOOKS_ESCAPED.sub("_x005F_", value)
        if len(value) > MAX_CELL_CHARACTERS:
            self._notices.add(CUT, str(row))
            value = value[:MAX_CELL_CHARACTERS]
        return self._literal(value) if value[:1] in ("=", "#") else value

    def _literal(self, value: str) -> Any:
        """Text from the input must become neither a formula nor an error."""
        from openpyxl.cell import WriteOnlyCell

        cell = WriteOnlyCell(self._sheet, value)
        cell.data_type = "s"
        return cell

    def _formatted(self, number: Formatted) -> Any:
        from openpyxl.cell import WriteOnlyCell

        cell = WriteOnlyCell(self._sheet, number.value)
        cell.number_format = number.code
        return cell


def moment(value: Any) -> Any:
    """Dates as a workbook can hold them: without zone, whole days without time."""
    if isinstance(value, (dt.datetime, dt.time)):
        value = value.replace(tzinfo=None)
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        value = value.date()
    if isinstance(value, dt.date) and value.year < 1900:
        return value.isoformat()
    return value
