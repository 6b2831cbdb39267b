"""Finding tables: which rows are headers, which are data."""

from numbers import Real
from typing import Any

from .cells import Row
from .config import Config
from .documents import Document
from .errors import InputTooLarge, NoTablesFound
from .limits import MAX_TABLES
from .scripts import Script
from .tables import Sheet, Table

STAGE = "extracting"
HEADER_THRESHOLD = 0.6
DATA_THRESHOLD = 0.5
MAX_LISTED_ROWS = 10


def find_tables(sheet: Sheet, detectors: list[Script], shared: dict) -> list[Table]:
    """A header row opens a table; data rows below it belong to it until the next header."""
    tables: list[Table] = []
    for row in sheet.rows:
        header_score, data_score = score_row(detectors, row, shared)
        if header_score >= HEADER_THRESHOLD:
            tables.append(Table(sheet, len(tables), header_row=row.number, header=row))
        elif not tables:
            continue
        elif data_score >= DATA_THRESHOLD:
            tables[-1].row_numbers.append(row.number)
            tables[-1].rows.append(row)
        else:
            tables[-1].skipped_rows.append(row.number)
    report_leftovers(sheet, tables, shared["logger"])
    for table in tables:
        table.settle()
    return tables


def score_row(detectors: list[Script], row: Row, shared: dict) -> tuple[float, float]:
    totals = {"header": 0.0, "data": 0.0}
    number = row.number
    for detector in detectors:
        result = detector.call(STAGE, row_index=number, row_values=row, **shared)
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
    if not tables and sheet.rows:
        logger.warning("%s: no table found", sheet.label)
    for table in tables:
        place = f"{sheet.label}: rows below the header in row {table.header_row}"
        if table.skipped_rows:
            text = "%s do not look like data and were left out: %s"
            logger.warning(text, place, listed(table.skipped_rows))
        elif not table.rows:
            logger.warning("%s: no rows below the header in row %d", sheet.label, table.header_row)
        uneven = uneven_rows(table) if sheet.is_text else []
        if uneven:
            text = "%s have more or fewer values than it; check the delimiters in them: %s"
            logger.warning(text, place, listed(uneven))


def uneven_rows(table: Table) -> list[int]:
    return [row.number for row in table.rows if row.width != table.header.width]


def listed(numbers: list[int]) -> str:
    more = f" ... ({len(numbers)} in all)" if len(numbers) > MAX_LISTED_ROWS else ""
    return ", ".join(map(str, numbers[:MAX_LISTED_ROWS])) + more


class Survey:
    """What was found in which document, to tell of those in which nothing was."""

    def __init__(self, documents: list[Document]):
        self._documents = documents
        self._found: dict[int, int] = dict.fromkeys(range(len(documents)), 0)
        self._sheets: list[dict] = []
        self._rows = 0
        self._skipped = 0

    def note(self, sheet: Sheet, tables: list[Table]) -> None:
        self._found[sheet.file_index] += len(tables)
        if sum(self._found.values()) > MAX_TABLES:
            reason = f"has too many tables: there are more than {MAX_TABLES:,} in this run"
            raise sheet.document.error(reason, InputTooLarge)
        self._rows += sum(len(table.rows) for table in tables)
        self._skipped += sum(len(table.skipped_rows) for table in tables)
        if not tables and len(self._sheets) < MAX_LISTED_ROWS:
            place = {"document": sheet.document.name, "file_index": sheet.file_index}
            self._sheets.append({**place, "sheet": sheet.name, "filled_rows": len(sheet.rows)})

    def check(self, config: Config, logger: Any) -> None:
        """No table is a failure, unless the manifest allows it or nothing looks for tables."""
        looks_for_tables = config.row_detectors and not config.manifest.reader.allow_no_tables
        if looks_for_tables and not any(self._found.values()):
            raise NoTablesFound(self._reason(), STAGE, {"sheets": self._sheets})
        if looks_for_tables and not self._rows and self._skipped:
            reason = (
                f"a header was found, but none of the {self._skipped} rows below looks like data"
            )
            raise NoTablesFound(reason, STAGE)
        for index, count in self._found.items():
            if not count:
                logger.error("%s: no table found in this document", self._documents[index].label)

    def _reason(self) -> str:
        names = ", ".join(document.label for document in self._documents[:MAX_LISTED_ROWS])
        if not any(sheet["filled_rows"] for sheet in self._sheets):
            read = "in the sheets that were read; hidden sheets are read only when they are named"
            return f"no table found: {names} has no filled cells {read}"
        return f"no table found: no row of {names} looks like the header of a table"
