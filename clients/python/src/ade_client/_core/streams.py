"""What a stream is by its id: where its events are, and which one is the last."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NamedTuple


class _Facts(NamedTuple):
    collection: str
    # Nothing follows it. The feed of a workspace has none.
    terminal: str | None


_FACTS = {
    "run": _Facts("runs", "run.completed"),
    "build": _Facts("builds", "build.completed"),
    "exec": _Facts("executions", "complete"),
    "ws": _Facts("workspaces", None),
}
_TYPE = re.compile(r'\{"type":"([^"\\]*)"')
_CREATED_AT = re.compile(r'"created_at":"([^"]*)"')


def _facts_of(stream: str) -> _Facts:
    prefix, _, rest = stream.partition("_")
    if not rest or prefix not in _FACTS:
        raise ValueError(f"not the id of a run, a build, an execution or a workspace: {stream!r}")
    return _FACTS[prefix]


def is_feed(stream: str) -> bool:
    return _facts_of(stream).terminal is None


def events_path(stream: str) -> str:
    return f"/{_facts_of(stream).collection}/{stream}/events"


def terminal_of(stream: str) -> str | None:
    """The type of the last event; the feed of a workspace has none."""
    return _facts_of(stream).terminal


def is_terminal(stream: str, line: str) -> bool:
    terminal = terminal_of(stream)
    return terminal is not None and type_of(line) == terminal


def type_of(line: str) -> str:
    """The type of an event; it is the first key of its line, so that nothing else needs to be read."""
    found = _TYPE.match(line)
    return found[1] if found else str(json.loads(line)["type"])


def created_at(line: str) -> str | None:
    """When an event was emitted."""
    found = _CREATED_AT.search(line, 0, 1000)
    return found[1] if found else None


def parse_positions(text: str) -> dict[str, int]:
    """The position in each of several streams, as the ids of their common connection have it."""
    pairs = [part.rpartition(":") for part in text.split(",")]
    return {stream: int(sequence) for stream, _, sequence in pairs}


def print_positions(positions: Iterable[tuple[str, int]]) -> str:
    return ",".join(f"{stream}:{sequence}" for stream, sequence in positions)
