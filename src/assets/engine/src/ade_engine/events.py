"""The event stream of a run, one JSON object per line."""

import json
import logging
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

LEVELS = {"WARNING": "warn", "CRITICAL": "error"}


class EventLog:
    """Appends events to an unbuffered file, so that every event is exactly one write."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "ab", buffering=0)
        self.current_phase: str | None = None

    def emit(self, event_type: str, payload: dict) -> None:
        event = {"type": event_type, "created_at": timestamp(), "payload": payload}
        line = json.dumps(event, ensure_ascii=False, allow_nan=False, default=str)
        self._file.write(line.encode("utf-8", "replace") + b"\n")

    @contextmanager
    def phase(self, name: str, message: str):
        """Frame one phase; the block fills the yielded metrics."""
        self.current_phase = name
        self.emit("run.phase.started", {"phase": name, "message": message})
        started, status, metrics = time.monotonic(), "failed", {}
        try:
            yield metrics
            status = "succeeded"
        finally:
            duration = round((time.monotonic() - started) * 1000)
            self.emit(
                "run.phase.completed",
                {"phase": name, "status": status, "duration_ms": duration, "metrics": metrics},
            )
        self.current_phase = None

    def close(self) -> None:
        self._file.close()


class ConsoleHandler(logging.Handler):
    """Turns log records into ``console.line`` events."""

    def __init__(self, events: EventLog):
        super().__init__()
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._events.emit("console.line", self._payload(record))
        except (TypeError, ValueError):
            self.handleError(record)

    def _payload(self, record: logging.LogRecord) -> dict:
        payload = {
            "scope": "run",
            "stream": "stdout",
            "level": LEVELS.get(record.levelname, record.levelname.lower()),
            "message": self.format(record),
            "logger": record.name,
        }
        if self._events.current_phase:
            payload["phase"] = self._events.current_phase
        return payload


def script_logger(events: EventLog) -> logging.Logger:
    """The logger that scripts of the configuration receive."""
    logger = logging.getLogger("ade")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [ConsoleHandler(events)]
    return logger


def timestamp() -> str:
    now = datetime.now(UTC)
    return now.isoformat(timespec="microseconds").replace("+00:00", "Z")
