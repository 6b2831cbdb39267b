"""Functions that the configuration package contributes."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from .errors import ConfigError, EngineError, PipelineError, describe

# A script that calls sys.exit() must fail the run, not end it silently.
SCRIPT_FAILURES = (Exception, SystemExit)


@dataclass(frozen=True)
class Script:
    """A user function and the name under which errors mention it."""

    label: str
    function: Callable

    def call(self, stage: str, **arguments: Any) -> Any:
        try:
            return self.function(**arguments)
        except SCRIPT_FAILURES as error:
            raise self.failure(error, stage) from error

    def failure(self, error: BaseException, stage: str, row: int | None = None) -> EngineError:
        place = "" if row is None else f" at row {row}"
        return PipelineError(f"{self.label} failed{place}: {describe(error)}", stage)

    def bad_result(self, stage: str, expected: str, row: int | None = None) -> EngineError:
        place = "" if row is None else f" at row {row}"
        return PipelineError(f"{self.label} must return {expected}{place}", stage)


def find_script(module: ModuleType, name: str) -> Script | None:
    """The function of that name, checked, or None when the module has none."""
    function = getattr(module, name, None)
    if function is None:
        return None
    script = Script(f"{module.__name__}.{name}", function)
    check_signature(script)
    return script


def find_detectors(module: ModuleType) -> list[Script]:
    """All ``detect_*`` functions in the order in which they are written."""
    names = [name for name in vars(module) if name.startswith("detect_")]
    return [find_script(module, name) for name in names]


def check_signature(script: Script) -> None:
    """Scripts take keyword arguments only and swallow those they do not use."""
    if not inspect.isfunction(script.function):
        raise ConfigError(f"{script.label} must be a function")
    parameters = inspect.signature(script.function).parameters.values()
    kinds = {parameter.kind for parameter in parameters}
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        raise ConfigError(f"{script.label} must accept further keyword arguments (**_)")
    if kinds - {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}:
        raise ConfigError(f"{script.label} must take keyword-only parameters (start with *)")
