"""Writing the normalized workbook."""

import datetime as dt
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .errors import PipelineError
from .manifest import Manifest
from .tables import Table

STAGE = "writing_output"
FILE_NAME = "normalized.xlsx"
MAX_SHEET_ROWS = 1_048_576
PLAIN_TYPES = (int, bool, type(None))


def write_output(
    folder: Path, tables: list[Table], manifest: Manifest, before_save: Callable
) -> tuple[Path, int]:
    """Write all tables into one sheet; returns the file and its number of data rows."""
    from openpyxl import Workbook

    row_count = sum(len(table.records) for table in tables)
    if row_count >= MAX_SHEET_ROWS:
        raise PipelineError(f"{row_count} rows do not fit into one sheet", STAGE)
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet(manifest.writer.output_sheet)
    before_save(workbook=workbook, sheet=sheet)
    to_cell = CellFactory(sheet)
    for row in output_rows(tables, manifest):
        sheet.append([to_cell(value) for value in row])
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
        present = {column.index for column in table.unmapped}
        indexes = [index if index in present else None for index in extra]
        for record, row in zip(table.records, table.rows, strict=True):
            unmapped = [None if index is None else row[index] for index in indexes]
            yield [record[field] for field in fields] + unmapped


def unmapped_columns(tables: list[Table]) -> dict[int, str]:
    """Output headers of all unmapped columns by column index, in column order."""
    columns = {c.index: c.output_header for table in tables for c in table.unmapped}
    return dict(sorted(columns.items()))


class CellFactory:
    """Makes values safe for a workbook."""

    def __init__(self, sheet: Any):
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

        self._sheet = sheet
        self._illegal = ILLEGAL_CHARACTERS_RE

    def __call__(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, PLAIN_TYPES):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, (dt.date, dt.time, dt.timedelta)):
            return moment(value)
        return self._text(str(value))

    def _text(self, value: str) -> Any:
        value = self._illegal.sub("", value)
        return self._literal(value) if value.startswith("=") else value

    def _literal(self, value: str) -> Any:
        """Text from the input must not become a formula."""
        from openpyxl.cell import WriteOnlyCell

        cell = WriteOnlyCell(self._sheet, value)
        cell.data_type = "s"
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
