"""The data that travels through a run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Sheet:
    """The cells of one sheet (or one CSV file); blank cells are None."""

    file: Path
    name: str | None
    file_index: int
    sheet_index: int
    rows: list[list[Any]]

    @property
    def label(self) -> str:
        return f"{self.file}, sheet {self.name}" if self.name else str(self.file)


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
    header: list[Any]
    row_numbers: list[int] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    skipped_rows: list[int] = field(default_factory=list)
    mapped: list[MappedColumn] = field(default_factory=list)
    unmapped: list[UnmappedColumn] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def table_id(self) -> str:
        sheet = self.sheet
        return f"tbl_{sheet.file_index}_{sheet.sheet_index}_{self.table_index}"

    def pad(self) -> None:
        """Give the header and all rows the same width."""
        width = max(map(len, [self.header, *self.rows]))
        for row in [self.header, *self.rows]:
            row.extend([None] * (width - len(row)))

    def column_values(self, index: int) -> list[Any]:
        return [row[index] for row in self.rows]
