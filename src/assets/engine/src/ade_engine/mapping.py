"""Deciding which source column holds which field."""

import math
from numbers import Real

from .config import Column, Config
from .scripts import Script
from .tables import MappedColumn, Table, UnmappedColumn

STAGE = "mapping"
THRESHOLD = 0.5
SAMPLE_SIZE = 200


def map_table(table: Table, config: Config, shared: dict) -> None:
    """Assign columns to fields, best score first, and build the records."""
    indexes = used_columns(table)
    winners = assign(score_columns(table, indexes, config.columns, shared))
    table.mapped = [describe_field(column, winners, table) for column in config.columns]
    taken = {column.index for column in table.mapped}
    prefix = config.manifest.writer.unmapped_prefix
    table.unmapped = [
        UnmappedColumn(header_text(table, index), index, f"{prefix}{index + 1}")
        for index in indexes
        if index not in taken
    ]
    table.records = build_records(table)


def score_columns(
    table: Table, indexes: list[int], columns: list[Column], shared: dict
) -> list[tuple]:
    """All (score, field, column index) that reach the threshold."""
    candidates = []
    for index in indexes:
        source = column_arguments(table, index)
        for column in columns:
            score = score_column(column, source, shared)
            if score >= THRESHOLD:
                candidates.append((score, column.field.name, index))
    return candidates


def column_arguments(table: Table, index: int) -> dict:
    values = table.column_values(index)
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


def used_columns(table: Table) -> list[int]:
    """Columns with a header or any value."""
    return [
        index
        for index, header in enumerate(table.header)
        if header is not None or any(row[index] is not None for row in table.rows)
    ]


def header_text(table: Table, index: int) -> str:
    value = table.header[index]
    return "" if value is None else str(value).strip()


def build_records(table: Table) -> list[dict]:
    found = [(column.field, column.index) for column in table.mapped if column.found]
    blank = {column.field: None for column in table.mapped}
    return [blank | {name: row[index] for name, index in found} for row in table.rows]
