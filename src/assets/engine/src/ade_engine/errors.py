"""The ways a run can fail, each with the code that its result reports."""

from typing import Any


class EngineError(Exception):
    """A failure with a stable code, the stage in which it happened, and details as data."""

    code = "unknown_error"

    def __init__(self, message: str, stage: str, details: dict[str, Any] | None = None):
        super().__init__(message)
        self.message = message
        self.stage = stage
        self.details = details or {}

    def as_dict(self) -> dict:
        return {
            "code": self.code,
            "stage": self.stage,
            "message": self.message,
            "details": self.details,
        }


class ConfigError(EngineError):
    """The configuration package is missing, broken or contradicts itself."""

    code = "config_error"

    def __init__(self, message: str, stage: str = "load_config"):
        super().__init__(message, stage)


class InputError(EngineError):
    """An input file is missing, unreadable or lacks a requested sheet."""

    code = "input_error"

    def __init__(
        self, message: str, stage: str = "extracting", details: dict[str, Any] | None = None
    ):
        super().__init__(message, stage, details)


class InputTooLarge(InputError):
    """An input file is larger than the engine reads, or is built to exhaust it."""

    code = "input_too_large"


class NoTablesFound(InputError):
    """The input was read and holds no table."""

    code = "no_tables_found"


class HookError(EngineError):
    """A hook of the configuration raised."""

    code = "hook_error"

    def __init__(self, message: str, stage: str = "hooks"):
        super().__init__(message, stage)


class PipelineError(EngineError):
    """A detector, transform or validator raised or returned nonsense."""

    code = "pipeline_error"


def describe(error: BaseException) -> str:
    """One line that names the exception and what it says."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
