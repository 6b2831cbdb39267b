"""Finding tables: which rows are headers, which are data."""

from numbers import Real
from typing import Any

from .scripts import Script
from .tables import Sheet, Table

STAGE = "extracting"
HEADER_THRESHOLD = 0.6
DATA_THRESHOLD = 0.5
MAX_LISTED_ROWS = 10


def find_tables(sheet: Sheet, detectors: list[Script], shared: dict) -> list[Table]:
    """A header row opens a table; data rows below it belong to it until the next header."""
    tables: list[Table] = []
    for number, values in enumerate(sheet.rows, start=1):
        if not values:
            continue
        header_score, data_score = score_row(detectors, number, values, shared)
        if header_score >= HEADER_THRESHOLD:
            tables.append(Table(sheet, len(tables), header_row=number, header=values))
        elif not tables:
            continue
        elif data_score >= DATA_THRESHOLD:
            tables[-1].row_numbers.append(number)
            tables[-1].rows.append(values)
        else:
            tables[-1].skipped_rows.append(number)
    for table in tables:
        table.pad()
    report_leftovers(sheet, tables, shared["logger"])
    return tables


def score_row(detectors: list[Script], number: int, values: list, shared: dict) -> tuple:
    totals = {"header": 0.0, "data": 0.0}
    for detector in detectors:
        result = detector.call(STAGE, row_index=number, row_values=values, **shared)
        for label, score in row_scores(detector, result, number).items():
            if label in totals:
                totals[label] += score
    return totals["header"], totals["data"]


def row_scores(detector: Script, result: Any, number: int) -> dict:
    scores = result.get("scores") if isinstance(result, dict) else None
    if not isinstance(scores, dict) or not all(isinstance(n, Real) for n in scores.values()):
        raise detector.bad_result(STAGE, '{"scores": {"header" or "data": number}}', number)
    return scores


def report_leftovers(sheet: Sheet, tables: list[Table], logger: Any) -> None:
    if not tables and any(sheet.rows):
        logger.warning("%s: no table found", sheet.label)
    for table in tables:
        if table.skipped_rows:
            listed = ", ".join(map(str, table.skipped_rows[:MAX_LISTED_ROWS]))
            more = " ..." if len(table.skipped_rows) > MAX_LISTED_ROWS else ""
            logger.warning(
                "%s: rows below the header in row %d do not look like data and were left out: %s%s",
                sheet.label,
                table.header_row,
                listed,
                more,
            )
