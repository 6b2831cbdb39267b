"""A whole run, from the first event to the result."""

import logging
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from . import engine_version
from .config import Config, load_config
from .detection import Survey, find_tables
from .documents import Document, collect_documents
from .errors import EngineError, InputError, InputTooLarge, describe
from .events import EventLog, script_logger
from .hooks import Hooks
from .mapping import map_table
from .normalizing import normalize_table
from .notices import Notices
from .reading import read_sheets
from .summaries import table_summary
from .tables import Table
from .validation import Validator
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
        options = self._options
        documents = collect_documents(options.inputs, options.input_dir, options.metadata)
        shared = self._shared(config, documents)
        hooks = Hooks(config, shared)
        hooks.run("on_run_start")
        tables = self._extract(config, documents, shared, hooks)
        self._map(tables, config, shared, hooks)
        self._normalize(tables, config, shared)
        self._validate(tables, config, shared)
        self._write(tables, config, hooks, shared["logger"])
        self.processed_files = [str(document.path) for document in documents]
        hooks.run("on_run_end", tables=tables, output_paths=list(self.output_paths))

    def _shared(self, config: Config, documents: list[Document]) -> dict:
        """Arguments that every script receives."""
        run = SimpleNamespace(
            metadata=dict(self._options.metadata),
            input_files=[document.path for document in documents],
            document_names=[document.name for document in documents],
            output_dir=self._options.output_dir,
        )
        logger = script_logger(self._events)
        return {"run": run, "state": {}, "manifest": config.manifest, "logger": logger}

    def _extract(
        self, config: Config, documents: list[Document], shared: dict, hooks: Hooks
    ) -> list[Table]:
        with self._events.phase("extracting", "Reading the input and finding tables") as metrics:
            tables: list[Table] = []
            survey = Survey(documents)
            for sheet in read_sheets(documents, self._options.input_sheets, shared["logger"]):
                found = find_tables(sheet, config.row_detectors, shared)
                survey.note(sheet, found)
                tables += found
            metrics.update(file_count=len(documents), **sizes(tables))
            survey.check(config, shared["logger"])
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

    def _write(
        self, tables: list[Table], config: Config, hooks: Hooks, logger: logging.Logger
    ) -> None:
        def before_save(**offered: object) -> None:
            hooks.run("on_before_save", tables=tables, **offered)

        with self._events.phase("writing_output", "Writing the output workbook") as metrics:
            notices = Notices()
            path, row_count = write_output(
                self._options.output_dir, tables, config.manifest, before_save, notices
            )
            notices.report(path.name, logger)
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
    if not isinstance(failure, (InputError, MemoryError)):
        traceback.print_exception(failure, file=sys.stderr)
    error = as_engine_error(failure, events.current_phase or "initialization").as_dict()
    place = {"stage": "run", "phase": events.current_phase}
    told = {"code": error["code"], "message": error["message"]}
    events.emit(
        "run.error", {**place, **told, "details": {"stage": error["stage"], **error["details"]}}
    )
    return error


def as_engine_error(failure: Exception, stage: str) -> EngineError:
    if isinstance(failure, EngineError):
        return failure
    if isinstance(failure, MemoryError):
        return InputTooLarge("the input needs more memory than the engine may use", stage)
    return EngineError(describe(failure), stage)


def sizes(tables: list[Table]) -> dict:
    return {"table_count": len(tables), "row_count": sum(len(table.rows) for table in tables)}
