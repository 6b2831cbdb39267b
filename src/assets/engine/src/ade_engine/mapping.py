"""Deciding which source column holds which field."""

import math
from numbers import Real
from typing import Any

from .cells import ErrorValue, Fault, Row, cell_name, column_name
from .config import Column, Config
from .errors import InputTooLarge
from .limits import MAX_TABLE_AREA
from .notices import Notices
from .scripts import Script
from .tables import Columns, MappedColumn, Table, UnmappedColumn

STAGE = "mapping"
THRESHOLD = 0.5
SAMPLE_SIZE = 200
MAX_HEADER = 100
ERRORS_OF_NO_FIELD = "{count} error values in columns of no field were left blank"


def map_table(table: Table, config: Config, shared: dict) -> None:
    """Assign columns to fields, best score first, and build the records."""
    table.settle()
    source = table.columns()
    indexes = source.used()
    check_area(table, len(indexes))
    winners = assign(score_columns(table, source, config.columns, shared))
    table.mapped = [describe_field(column, winners, table) for column in config.columns]
    taken = {column.index for column in table.mapped}
    prefix = config.manifest.writer.unmapped_prefix
    table.unmapped = [
        UnmappedColumn(header_text(table, index), index, f"{prefix}{index + 1}")
        for index in indexes
        if index not in taken
    ]
    table.records = build_records(table, config.columns)
    table.faults = field_faults(table, source, shared["logger"])
    warn_repeated_headers(table, shared["logger"])


def check_area(table: Table, width: int) -> None:
    """The output has a place for each row and column of a table, filled or not."""
    if len(table.rows) * width > MAX_TABLE_AREA:
        reason = f"is too large: a table of {len(table.rows):,} rows and {width:,} columns"
        raise table.sheet.document.error(reason, InputTooLarge)


def score_columns(
    table: Table, source: Columns, columns: list[Column], shared: dict
) -> list[tuple]:
    """All (score, field, column index) that reach the threshold."""
    candidates = []
    for index in source.used():
        arguments = column_arguments(table, index, source.values(index))
        for column in columns:
            score = score_column(column, arguments, shared)
            if score >= THRESHOLD:
                candidates.append((score, column.field.name, index))
    return candidates


def column_arguments(table: Table, index: int, values: list) -> dict:
    return {
        "header": header_text(table, index),
        "column_index": index,
        "column_values": values,
        "column_values_sample": sample(values),
        "table": table,
    }


def sample(values: list) -> list:
    """Up to SAMPLE_SIZE filled values, spread evenly over the column."""
    step = max(1, len(values) // SAMPLE_SIZE)
    filled = [value for value in values[::step] if value is not None]
    return filled[:SAMPLE_SIZE]


def score_column(column: Column, source: dict, shared: dict) -> float:
    field = column.field
    return sum(
        checked_score(
            detector,
            detector.call(STAGE, field_name=field.name, field_meta=field.meta, **source, **shared),
        )
        for detector in column.detectors
    )


def checked_score(detector: Script, score: object) -> float:
    if not isinstance(score, Real) or not math.isfinite(score):
        raise detector.bad_result(STAGE, "a finite number")
    return float(score)


def assign(candidates: list[tuple]) -> dict[str, tuple]:
    """Each field and each column at most once; ties go to the earlier column and field."""
    winners: dict[str, tuple] = {}
    taken = set()
    for score, field, index in sorted(candidates, key=lambda candidate: -candidate[0]):
        if field not in winners and index not in taken:
            winners[field] = (score, index)
            taken.add(index)
    return winners


def describe_field(column: Column, winners: dict[str, tuple], table: Table) -> MappedColumn:
    field = column.field
    score, index = winners.get(field.name, (0.0, -1))
    header = header_text(table, index) if index >= 0 else ""
    return MappedColumn(field.name, header, index, round(score, 4), field.required)


def header_text(table: Table, index: int) -> str:
    value = table.header.get(index)
    return "" if value is None else str(value).strip()


def build_records(table: Table, columns: list[Column]) -> list[dict[str, Any]]:
    """One record per row; faulty cells are blank in it."""
    found = [
        (mapped.field, mapped.index, column.field.type)
        for mapped, column in zip(table.mapped, columns, strict=True)
        if mapped.found
    ]
    blank = {column.field: None for column in table.mapped}
    records = []
    for row in table.rows:
        record = dict(blank)
        for name, index, kind in found:
            value = row.get(index)
            if not isinstance(value, Fault):
                record[name] = field_value(row, index, value, kind)
        records.append(record)
    return records


def field_faults(table: Table, source: Columns, logger: Any) -> dict[tuple[str, int], Fault]:
    """The faulty cells by field and row; those of no field are told here, as they have no issue."""
    fields = {column.index: column.field for column in table.mapped if column.found}
    faults, notices = {}, Notices()
    for index, row, fault in source.faults:
        if index in fields:
            faults[fields[index], row] = fault
        elif isinstance(fault, ErrorValue):
            notices.add(ERRORS_OF_NO_FIELD, cell_name(index, row))
    notices.report(table.sheet.label, logger)
    return faults


def field_value(row: Row, index: int, value: Any, kind: str | None) -> Any:
    """What a number format adds to a number (00123, M-0042) belongs to the value of a text."""
    style = row.format(index) if row.formats else None
    if style is None or kind not in (None, "string"):
        return value
    if kind == "string" or style.identifies(value):
        return style.shown(value) or value
    return value


def warn_repeated_headers(table: Table, logger: Any) -> None:
    """Columns of one header compete for one field; the values of the others are not in it."""
    used = {column.header.casefold(): column for column in table.mapped if column.header}
    notices = Notices()
    for column in table.unmapped:
        winner = used.get(column.header.casefold())
        if winner:
            notices.add(
                f'{{count}} more columns have the header "{winner.header[:MAX_HEADER]}" and are '
                f"not part of {winner.field}",
                column_name(column.index),
            )
    notices.report(table.sheet.label, logger)
