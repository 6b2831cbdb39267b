"""How far work is, as a bar: in a notebook as HTML, in a terminal as one line, elsewhere as a line for each step.

run = client.runs.create(configuration, [document])
watch(client.runs.follow(run["id"]))["payload"]["status"]
"""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from ._async.follow import AsyncFollow
from ._sync.follow import Follow

_BUILD = ["create_venv", "upgrade_pip", "install_engine", "install_config", "verify_imports", "collect_metadata"]
_RUN = ["extracting", "mapping", "normalizing", "validating", "writing_output"]
_ENDS = {"run.completed", "build.completed", "complete"}
_BAD = {"failed", "cancelled"}


class Progress:
    """What events add up to. No output here."""

    def __init__(self) -> None:
        self.fraction = 0.0
        self.text = "waiting"
        self.lines = 0
        self.status: str | None = None
        self._steps: list[str] = []
        self._done: set[str] = set()

    def take(self, event: Mapping[str, Any]) -> None:
        kind, payload = event["type"], event["payload"]
        if kind == "console.line":
            self.lines += 1
        elif kind == "build.created":
            self._plan(_BUILD)
        elif kind == "run.started":
            self._done |= set(_BUILD) & set(self._steps)
            self._plan(_RUN)
            self.text = "started"
        elif kind in ("build.phase.started", "run.phase.started"):
            self.text = str(payload.get("phase", "")).replace("_", " ")
        elif kind in ("build.phase.completed", "run.phase.completed"):
            self._done.add(str(payload.get("phase")))
        elif kind == "run.waiting":
            position = payload.get("position")
            self.text = f"waiting for {payload['reason']}" + (f", number {position}" if position else "")
        else:
            self._take_of_execution(kind, event)
        self.fraction = len(self._done & set(self._steps)) / len(self._steps) if self._steps else 0.0
        if kind in _ENDS and not (kind == "build.completed" and event.get("run_id")):
            self._end(payload)

    def _take_of_execution(self, kind: str, event: Mapping[str, Any]) -> None:
        payload, step = event["payload"], str(event.get("step_id"))
        if kind == "execution_started":
            self._plan(payload["steps"])
        elif kind == "step_started":
            self.text = step
        elif kind in ("step_completed", "step_skipped", "step_failed", "step_cancelled") and event.get("item") is None:
            self._done.add(step)
        elif kind == "clarification_needed":
            self.text = f"{step} asks {len(payload['questions'])} questions"
        elif kind == "acceptance_needed":
            self.text = f"{step} waits for a decision"

    def _plan(self, steps: list[str]) -> None:
        self._steps += [step for step in steps if step not in self._steps]

    def _end(self, payload: Mapping[str, Any]) -> None:
        self.status = str(payload["status"])
        self.text = self.status
        error = payload.get("failure") or payload.get("error")
        if error:
            self.text += f": {error.get('message')}"
        if self.status not in _BAD:
            self.fraction = 1.0


class Display(Protocol):
    def show(self, progress: Progress, state: str) -> None: ...

    def close(self) -> None: ...


class Terminal:
    """One line that is written over, or lines where that is not possible."""

    def __init__(self, out: TextIO | None = None):
        self._out = out or sys.stderr
        self._is_terminal = self._out.isatty()
        self._start = time.monotonic()
        self._last = ""

    def show(self, progress: Progress, state: str) -> None:
        full = int(progress.fraction * 30)
        bar = "#" * full + "." * (30 - full)
        note = f" ({state})" if state == "reconnecting" else ""
        told = f"{progress.text}{note}"
        if self._is_terminal:
            seconds = int(time.monotonic() - self._start)
            self._out.write(f"\r\033[K[{bar}] {told[:60]}  {progress.lines} lines  {seconds} s")
        elif told != self._last:
            self._out.write(f"{progress.fraction:4.0%} {told}\n")
        self._last = told
        self._out.flush()

    def close(self) -> None:
        if self._is_terminal:
            self._out.write("\n")


class Notebook:
    """A bar in the output of the cell."""

    def __init__(self) -> None:
        from IPython.display import HTML, display  # type: ignore[import-not-found,unused-ignore]

        self._html = HTML
        self._handle = display(HTML(""), display_id=True)

    def show(self, progress: Progress, state: str) -> None:
        note = f" ({state})" if state == "reconnecting" else ""
        text = html.escape(f"{progress.text}{note} · {progress.lines} lines")
        bar = f'<progress max="1" value="{progress.fraction:.3f}" style="width: 20em"></progress>'
        self._handle.update(self._html(f"<div>{bar} <span>{text}</span></div>"))

    def close(self) -> None:
        pass


class _Bar:
    """Shows at most ten times a second: consoles may have thousands of lines in that time."""

    def __init__(self, display: Display | None):
        self._display = display or _fitting()
        self._progress = Progress()
        self._next = 0.0

    def take(self, event: Mapping[str, Any], state: str) -> None:
        self._progress.take(event)
        if event["type"] != "console.line" or time.monotonic() >= self._next:
            self.show(state)

    def show(self, state: str) -> None:
        self._next = time.monotonic() + 0.1
        self._display.show(self._progress, state)

    def close(self) -> None:
        self._display.close()


def _fitting() -> Display:
    try:
        from IPython import get_ipython  # type: ignore[import-not-found,unused-ignore]

        shell = get_ipython()  # type: ignore[no-untyped-call,unused-ignore]
    except ImportError:
        shell = None
    return Notebook() if shell is not None and "IPKernelApp" in shell.config else Terminal()


def watch(follow: Follow[Any], display: Display | None = None) -> dict[str, Any]:
    """Follows to the end with a bar; gives the terminal event."""
    bar, last = _Bar(display), {}
    follow.on_state(bar.show)
    for event in follow:
        last = event
        bar.take(event, follow.state)
    bar.close()
    return last


async def watch_async(follow: AsyncFollow[Any], display: Display | None = None) -> dict[str, Any]:
    bar, last = _Bar(display), {}
    follow.on_state(bar.show)
    async for event in follow:
        last = event
        bar.take(event, follow.state)
    bar.close()
    return last
