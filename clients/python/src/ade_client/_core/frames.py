"""What arrives on a connection, and what one ends with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True)
class Event:
    id: str
    data: str


@dataclass(frozen=True)
class Moved:
    """The position moves without an event: a filter has left out what was before it."""

    id: str


@dataclass(frozen=True)
class Retry:
    """When to come back after the connection is lost."""

    seconds: float


@dataclass(frozen=True)
class Alive:
    """The service has nothing to send, and says so."""


@dataclass(frozen=True)
class Control:
    """About the connection: `stream.draining`, `stream.degraded`."""

    name: str
    data: str


@dataclass(frozen=True)
class Over:
    """There will never be more."""


Frame = Union[Event, Moved, Retry, Alive, Control, Over]


class Lost(Exception):
    """The connection has ended, and the reader is to come back, not before so many seconds."""

    def __init__(self, why: str, pause: float = 0.0):
        super().__init__(why)
        self.pause = pause


class Silent(Lost):
    """Nothing has arrived for too long."""
