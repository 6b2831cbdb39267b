"""Running the hooks of the configuration."""

from typing import Any

from .config import Config
from .errors import HookError, describe
from .scripts import SCRIPT_FAILURES


class Hooks:
    """Calls the hooks of each stage with what that stage offers."""

    def __init__(self, config: Config, shared: dict):
        self._hooks = config.hooks
        self._shared = shared

    def run(self, hook_stage: str, **offered: Any) -> None:
        for script in self._hooks[hook_stage]:
            try:
                script.function(**offered, **self._shared)
            except SCRIPT_FAILURES as error:
                message = f"hook {script.label} ({hook_stage}) failed: {describe(error)}"
                raise HookError(message) from error
