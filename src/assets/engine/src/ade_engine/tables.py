"""The data that travels through a run."""

import datetime as dt
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .cells import Fault, Row
from .documents import Document
from .notices import Notices

EPOCH = dt.date(1899, 12, 30)


@dataclass
class Sheet:
    """The filled rows of one sheet (or one text file); blank rows and cells are left out.

    ``epoch`` is the day that the serial number 0 stands for.
    """

    document: Document
    name: str | None
    sheet_index: int
    rows: list[Row]
    notices: Notices = field(default_factory=Notices)
    epoch: dt.date = EPOCH
    is_text: bool = False

    @property
    def file(self) -> Path:
        return self.document.path

    @property
    def file_index(self) -> int:
        return self.document.index

    @property
    def label(self) -> str:
        label = self.document.label
        return f"{label}, sheet {self.name}" if self.name else label


@dataclass
class MappedColumn:
    """Which source column a field was found in; index -1 when in none."""

    field: str
    header: str
    index: int
    score: float
    required: bool

    @property
    def found(self) -> bool:
        return self.index >= 0


@dataclass
class UnmappedColumn:
    """A source column that no field claimed."""

    header: str
    index: int
    output_header: str


@dataclass
class Table:
    """One table of a sheet; all rows are as wide as the table."""

    sheet: Sheet
    table_index: int
    header_row: int
    header: Row
    row_numbers: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    skipped_rows: list[int] = field(default_factory=list)
    mapped: list[MappedColumn] = field(default_factory=list)
    unmapped: list[UnmappedColumn] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[tuple[str, int], Fault] = field(default_factory=dict)

    @property
    def table_id(self) -> str:
        sheet = self.sheet
        return f"tbl_{sheet.file_index}_{sheet.sheet_index}_{self.table_index}"

    def settle(self) -> None:
        """Give the header and all rows the same width; hooks may have added rows as lists."""
        self.header = as_row(self.header, self.header_row)
        self.rows = [
            as_row(row, number) for row, number in zip(self.rows, self.row_numbers, strict=True)
        ]
        width = max(row.width for row in (self.header, *self.rows))
        for row in (self.header, *self.rows):
            row.width = width

    def columns(self) -> "Columns":
        return Columns(self)


def as_row(values: Any, number: int) -> Row:
    return values if isinstance(values, Row) else Row.of(number, list(values))


class Columns:
    """The rows of a table by column, made once: a sparse table has few cells but many places.

    ``faults`` are the faulty cells as column, row number and fault.
    """

    def __init__(self, table: Table):
        self.faults: list[tuple[int, int, Fault]] = []
        self._count = len(table.rows)
        self._cells: dict[int, tuple[array, list]] = {
            column: (array("L"), []) for column in table.header.columns
        }
        for position, row in enumerate(table.rows):
            for column, value in zip(row.columns, row.filled, strict=True):
                if column not in self._cells:
                    self._cells[column] = (array("L"), [])
                positions, values = self._cells[column]
                positions.append(position)
                values.append(value)
                if isinstance(value, Fault):
                    self.faults.append((column, row.number, value))

    def used(self) -> list[int]:
        """Columns with a header or any value, from left to right."""
        return sorted(self._cells)

    def values(self, column: int) -> list[Any]:
        """The value in each row; None where the cell is blank or faulty."""
        dense = [None] * self._count
        for position, value in zip(*self._cells[column], strict=True):
            if not isinstance(value, Fault):
                dense[position] = value
        return dense
