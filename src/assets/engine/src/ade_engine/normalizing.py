"""Running the transforms and, for both scripts per value, the loop over the rows."""

from collections.abc import Iterator
from typing import Any

from .config import Column
from .scripts import SCRIPT_FAILURES, Script
from .tables import Table

STAGE = "normalizing"


def normalize_table(table: Table, columns: list[Column], shared: dict) -> None:
    """Apply each column's transform to every row, in manifest order."""
    for column in columns:
        if column.transform:
            apply_transform(table, column, shared)


def apply_transform(table: Table, column: Column, shared: dict) -> None:
    script, width = column.transform, len(table.mapped)
    for number, record, updates in call_per_row(table, column, script, STAGE, shared):
        if updates is None:
            continue
        if not isinstance(updates, dict):
            raise script.bad_result(STAGE, "a dict of field values or None", number)
        record.update(updates)
        if len(record) != width:
            raise script.bad_result(STAGE, "only fields of the manifest", number)


def call_per_row(
    table: Table, column: Column, script: Script, stage: str, shared: dict
) -> Iterator[tuple[int, dict, Any]]:
    """Call a script for each row of a table; yields row number, record and result."""
    name, function = column.field.name, script.function
    constants = {"field_name": name, "field_meta": column.field.meta, "table": table, **shared}
    for number, record in zip(table.row_numbers, table.records, strict=True):
        try:
            result = function(value=record[name], row=record, row_index=number, **constants)
        except SCRIPT_FAILURES as error:
            raise script.failure(error, stage, number) from error
        yield number, record, result
