"""A whole run, from the first event to the result."""

import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from . import engine_version
from .config import Config, load_config
from .detection import find_tables
from .errors import EngineError, InputError, describe
from .events import EventLog, script_logger
from .hooks import Hooks
from .mapping import map_table
from .normalizing import normalize_table
from .reading import collect_files, read_sheets
from .tables import Table
from .validation import IssueCounts, Validator
from .writing import write_output


@dataclass
class Options:
    """What the command line asks for."""

    config_package: str
    events_path: Path
    inputs: list[Path] = field(default_factory=list)
    input_dir: Path | None = None
    output_dir: Path | None = None
    input_sheets: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


class Run:
    """One execution of the engine."""

    def __init__(self, options: Options, events: EventLog):
        self._options = options
        self._events = events
        self.output_paths: list[str] = []
        self.processed_files: list[str] = []

    def validate(self) -> None:
        """Load everything, process nothing."""
        load_config(self._options.config_package)

    def execute(self) -> None:
        config = load_config(self._options.config_package)
        files = collect_files(self._options.inputs, self._options.input_dir)
        shared = self._shared(config, files)
        hooks = Hooks(config, shared)
        hooks.run("on_run_start")
        tables = self._extract(config, files, shared, hooks)
        self._map(tables, config, shared, hooks)
        self._normalize(tables, config, shared)
        self._validate(tables, config, shared)
        self._write(tables, config, hooks)
        self.processed_files = [str(path) for path in files]
        hooks.run("on_run_end", tables=tables, output_paths=list(self.output_paths))

    def _shared(self, config: Config, files: list[Path]) -> dict:
        """Arguments that every script receives."""
        run = SimpleNamespace(
            metadata=dict(self._options.metadata),
            input_files=files,
            output_dir=self._options.output_dir,
        )
        logger = script_logger(self._events)
        return {"run": run, "state": {}, "manifest": config.manifest, "logger": logger}

    def _extract(
        self, config: Config, files: list[Path], shared: dict, hooks: Hooks
    ) -> list[Table]:
        with self._events.phase("extracting", "Reading the input and finding tables") as metrics:
            tables: list[Table] = []
            for sheet in read_sheets(files, self._options.input_sheets):
                tables += find_tables(sheet, config.row_detectors, shared)
            metrics.update(file_count=len(files), **sizes(tables))
            hooks.run("on_after_extract", tables=tables)
        return tables

    def _map(self, tables: list[Table], config: Config, shared: dict, hooks: Hooks) -> None:
        with self._events.phase("mapping", "Mapping columns to fields") as metrics:
            for table in tables:
                map_table(table, config, shared)
            metrics.update(
                mapped_column_count=sum(c.found for table in tables for c in table.mapped),
                unmapped_column_count=sum(len(table.unmapped) for table in tables),
            )
            hooks.run("on_after_mapping", tables=tables)

    def _normalize(self, tables: list[Table], config: Config, shared: dict) -> None:
        with self._events.phase("normalizing", "Transforming values") as metrics:
            for table in tables:
                normalize_table(table, config.columns, shared)
            metrics.update(sizes(tables))

    def _validate(self, tables: list[Table], config: Config, shared: dict) -> None:
        validator = Validator(config.columns, self._events, shared)
        with self._events.phase("validating", "Validating values") as metrics:
            for table in tables:
                counts = validator.validate(table)
                self._events.emit("run.table.summary", table_summary(table, counts))
            metrics.update(issues_total=validator.counts.total)
        self._events.emit("run.validation.summary", validator.counts.summary())

    def _write(self, tables: list[Table], config: Config, hooks: Hooks) -> None:
        def before_save(**offered: object) -> None:
            hooks.run("on_before_save", tables=tables, **offered)

        with self._events.phase("writing_output", "Writing the output workbook") as metrics:
            path, row_count = write_output(
                self._options.output_dir, tables, config.manifest, before_save
            )
            self.output_paths = [str(path.absolute())]
            metrics.update(row_count=row_count, byte_size=path.stat().st_size)


def perform(options: Options, work: str) -> dict:
    """Do ``execute`` or ``validate`` with its events; never raises for a failed run."""
    events = EventLog(options.events_path)
    events.emit("run.started", {"status": "in_progress", "engine_version": engine_version()})
    run = Run(options, events)
    error = None
    try:
        getattr(run, work)()
    except Exception as failure:
        error = report_failure(events, failure)
    result = {
        "status": "failed" if error else "succeeded",
        "output_paths": run.output_paths,
        "processed_files": run.processed_files,
        "error": error,
    }
    events.emit("run.completed", result)
    events.close()
    return result


def report_failure(events: EventLog, failure: Exception) -> dict:
    """Tell of a failure in the stream and, unless the input is to blame, on stderr."""
    if not isinstance(failure, InputError):
        traceback.print_exception(failure, file=sys.stderr)
    if isinstance(failure, EngineError):
        error = failure.as_dict()
    else:
        stage = events.current_phase or "initialization"
        error = {"code": "unknown_error", "stage": stage, "message": describe(failure)}
    details = {"stage": error["stage"]}
    place = {"stage": "run", "phase": events.current_phase}
    told = {"code": error["code"], "message": error["message"]}
    events.emit("run.error", {**place, **told, "details": details})
    return error


def sizes(tables: list[Table]) -> dict:
    return {"table_count": len(tables), "row_count": sum(len(table.rows) for table in tables)}


def table_summary(table: Table, counts: IssueCounts) -> dict:
    sheet = table.sheet
    return {
        "table_id": table.table_id,
        "source_file": str(sheet.file),
        "source_sheet": sheet.name,
        "file_index": sheet.file_index,
        "sheet_index": sheet.sheet_index,
        "table_index": table.table_index,
        "row_count": len(table.rows),
        "column_count": len(table.header),
        "mapping": mapping_summary(table),
        "validation": counts.summary(),
        "metadata": {
            "header_row": table.header_row,
            "first_data_row": min(table.row_numbers, default=None),
            "last_data_row": max(table.row_numbers, default=None),
        },
    }


def mapping_summary(table: Table) -> dict:
    return {
        "mapped_columns": [
            {
                "field": column.field,
                "header": column.header,
                "source_column_index": column.index,
                "score": column.score,
                "is_required": column.required,
                "is_satisfied": column.found,
            }
            for column in table.mapped
        ],
        "unmapped_columns": [
            {
                "header": column.header,
                "source_column_index": column.index,
                "output_header": column.output_header,
            }
            for column in table.unmapped
        ],
    }
