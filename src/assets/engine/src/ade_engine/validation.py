"""Running the validators and counting what they find."""

from collections import Counter
from typing import Any

from .cells import Fault
from .config import Column
from .events import EventLog
from .normalizing import call_per_row
from .scripts import Script
from .tables import Table

STAGE = "validating"
SEVERITIES = ("info", "warning", "error", "critical")
MAX_ISSUE_EVENTS = 1000
MAX_MESSAGE = 1000


class IssueCounts:
    """Counts of issues by severity, by code and by field."""

    def __init__(self) -> None:
        self._issues: Counter[tuple[str, str, str]] = Counter()

    def add(self, severity: str, code: str, field: str) -> None:
        self._issues[severity, code, field] += 1

    def merge(self, other: "IssueCounts") -> None:
        self._issues.update(other._issues)

    @property
    def total(self) -> int:
        return self._issues.total()

    def summary(self) -> dict:
        fields = dict.fromkeys(field for _, _, field in self._issues)
        severities = self._grouped(0)
        return {
            **self._totals(),
            "issues_by_field": {field: self._of_field(field)._totals() for field in fields},
            "max_severity": max(severities, key=SEVERITIES.index, default=None),
        }

    def _totals(self) -> dict:
        return {
            "issues_total": self.total,
            "issues_by_severity": self._grouped(0),
            "issues_by_code": self._grouped(1),
        }

    def _grouped(self, position: int) -> dict[str, int]:
        groups: Counter[str] = Counter()
        for key, count in self._issues.items():
            groups[key[position]] += count
        return dict(groups)

    def _of_field(self, field: str) -> "IssueCounts":
        part = IssueCounts()
        part._issues.update({key: n for key, n in self._issues.items() if key[2] == field})
        return part


class Validator:
    """Validates table after table; announces issues up to a limit per run."""

    def __init__(self, columns: list[Column], events: EventLog, shared: dict):
        self._columns = columns
        self._events = events
        self._shared = shared
        self.counts = IssueCounts()
        self._announced = 0

    def validate(self, table: Table) -> IssueCounts:
        counts = IssueCounts()
        for column, mapped in zip(self._columns, table.mapped, strict=True):
            name = column.field.name
            derived = any(record[name] is not None for record in table.records)
            if mapped.required and not mapped.found and not derived:
                self._record(counts, table, missing_column(column, table))
            else:
                self._report_faults(counts, table, name)
                if column.validate and (mapped.found or derived):
                    self._validate_column(counts, table, column)
        self.counts.merge(counts)
        return counts

    def _validate_column(self, counts: IssueCounts, table: Table, column: Column) -> None:
        script, name = column.validate, column.field.name
        for row, record, issues in call_per_row(table, column, script, STAGE, self._shared):
            if not issues or (record[name] is None and is_error(table.faults.get((name, row)))):
                continue  # that the cell holds an error is said already
            for issue in issues:
                checked = check_issue(script, issue, row)
                self._record(counts, table, {**checked, "field": name, "row": row})

    def _report_faults(self, counts: IssueCounts, table: Table, name: str) -> None:
        for (field, row), fault in table.faults.items():
            if field == name:
                issue = {"severity": fault.severity, "code": fault.code, "message": fault.message()}
                self._record(counts, table, {**issue, "field": name, "row": row})

    def _record(self, counts: IssueCounts, table: Table, issue: dict) -> None:
        counts.add(issue["severity"], issue["code"], issue["field"])
        issue = {**issue, "message": shortened(issue["message"])}
        self._announced += 1
        if self._announced <= MAX_ISSUE_EVENTS:
            self._events.emit("run.validation.issue", {**issue, "table_id": table.table_id})
        elif self._announced == MAX_ISSUE_EVENTS + 1:
            self._shared["logger"].warning(
                "only the first %d validation issues are listed; all are counted", MAX_ISSUE_EVENTS
            )


def missing_column(column: Column, table: Table) -> dict:
    return {
        "severity": "error",
        "code": "required_column_missing",
        "message": f"No column was found for the required field {column.field.label}",
        "field": column.field.name,
        "row": table.header_row,
    }


def is_error(fault: Fault | None) -> bool:
    return fault is not None and fault.severity == "error"


def shortened(text: str) -> str:
    """Messages quote values, which may be of any length."""
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]} ..."


def check_issue(script: Script, issue: Any, row: int) -> dict:
    valid = (
        isinstance(issue, dict)
        and issue.get("severity") in SEVERITIES
        and all(isinstance(issue.get(key), str) for key in ("code", "message"))
    )
    if not valid:
        shape = f"a list of {{code, severity, message}} with severity {', '.join(SEVERITIES)}"
        raise script.bad_result(STAGE, shape, row)
    return issue
