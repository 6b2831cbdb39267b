"""A reader of one stream, or of several on one connection, without its connection.

Law: of each stream `take` gives every event once, in order, whatever arrives and however often the connection is lost;
what comes behind a gap is never given. `request` always begins where `take` has stopped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple

from ..errors import ProtocolError
from .backoff import Answer, Backoff, answer_of, seconds_of
from .frames import Alive, Control, Event, Frame, Lost, Moved, Over, Retry, Silent
from .page import EventPage
from .phase import Phase
from .place import Place
from .streams import created_at, events_path, parse_positions, print_positions

SSE = "text/event-stream"
JSON = "application/json"
PAGE = 500
# Seconds; the service holds an empty answer for at most 30.
WAIT = 25
_MUTE = 2

Transport = Literal["auto", "sse", "poll"]


class Line(NamedTuple):
    """An event as the line of the log that it is."""

    stream: str
    sequence: int
    # Where a reader stands that has seen it; what `Last-Event-ID` takes on the connection that it came on.
    id: str
    data: str


@dataclass(frozen=True)
class Filter:
    # Only these, such as `["run.*", "console.line"]`; the terminal event always comes.
    types: Sequence[str] | None = None
    scope: Literal["build", "run"] | None = None
    # Console lines of at least this level.
    level: Literal["debug", "info", "warn", "error"] | None = None
    # Console lines in which this stands, in letters of any case; 1 to 500 bytes.
    contains: str | None = None

    def query(self) -> dict[str, str]:
        types = ",".join(self.types or ())
        pairs = {"types": types, "scope": self.scope, "level": self.level, "contains": self.contains}
        return {name: value for name, value in pairs.items() if value}


@dataclass(frozen=True)
class Asked:
    path: str
    query: dict[str, str | list[str]]
    headers: dict[str, str] = field(default_factory=dict)


class Reader:
    def __init__(self, places: Sequence[Place], only: Filter, transport: Transport = "auto", ticket: str | None = None):
        self.places = {place.stream: place for place in places}
        self.phase = Phase()
        self.degraded = False
        self.polls = transport == "poll"
        self.backoff = Backoff()
        self._several = len(self.places) > 1
        self._only = only.query()
        self._may_poll = transport == "auto" and not self._several
        self._ticket = {} if ticket is None else {"ticket": ticket}
        # Behind which event something was missing, on this connection and on the one before.
        self._missing: tuple[str, int] | None = None
        self._gap: tuple[str, int] | None = None
        self._mute = 0
        self._expected: int | None = None

    @property
    def ended(self) -> bool:
        return all(place.ended for place in self.places.values())

    @property
    def _one(self) -> Place:
        return next(iter(self.places.values()))

    def request(self, wait: int = 0) -> Asked:
        if self.polls:
            more = {"limit": str(PAGE), "wait": str(wait)}
            return Asked(events_path(self._one.stream), {**self._where(), **more}, {"Accept": JSON})
        if not self._several:
            path = f"{events_path(self._one.stream)}/stream"
            return Asked(path, {**self._where(), "event_names": "constant"}, {"Accept": SSE})
        known = [(place.stream, place.position) for place in self.places.values()]
        headers = {"Last-Event-ID": print_positions((stream, at) for stream, at in known if at is not None)}
        tail = next((place.query() for place in self.places.values() if "tail" in place.query()), {})
        query: dict[str, str | list[str]] = {
            "stream": list(self.places),
            **self._only,
            **tail,
            "event_names": "constant",
        }
        return Asked("/events/stream", query, {"Accept": SSE, **{name: text for name, text in headers.items() if text}})

    def ahead(self) -> Asked:
        """A page that says where the end is."""
        return Asked(events_path(self._one.stream), {"tail": "0", "limit": "1", **self._ticket}, {"Accept": JSON})

    def expect(self, last_sequence: int) -> None:
        """Whoever has seen this is where things happen now."""
        self._expected = last_sequence
        self._arrive()

    def _arrive(self) -> None:
        if self._expected is not None and (self._one.position or 0) >= self._expected:
            self._expected = None
            self.phase.quiet()

    def _where(self) -> dict[str, str | list[str]]:
        return {**self._one.query(), **self._only, **self._ticket}

    def answered(self, status: int, headers: dict[str, str]) -> Answer:
        """What to do with an answer; raises Lost when it is to be asked for again."""
        answer = answer_of(status, headers.get("content-type", ""), JSON if self.polls else SSE)
        if answer == "again":
            raise Lost(f"answered {status}", seconds_of(headers.get("retry-after")))
        # Each page of a poll is an answer of its own.
        if answer == "read" and not (self.polls and self.phase.state in ("catching up", "live")):
            self.phase.opened(_date(headers.get("date")))
        return answer

    def take_page(self, page: EventPage) -> list[Line]:
        frames: list[Frame] = [Event(str(json.loads(line)["sequence"]), line) for line in page.lines]
        frames.append(Moved(str(page.next_after_sequence)))
        if page.is_last:
            frames.append(Over() if page.closed else Alive())
        return self.take(frames)

    def take(self, frames: Sequence[Frame]) -> list[Line]:
        """What is new, up to where something is missing; `check` then says so."""
        lines: list[Line] = []
        for frame in frames:
            self._mute = 0
            if isinstance(frame, Event):
                lines += self._event(frame)
            else:
                self._note(frame)
            if self._missing:
                break
        if lines and self.phase.state == "catching up":
            self.phase.event(_moment(created_at(lines[-1].data)))
        self._arrive()
        return lines

    def check(self) -> None:
        """Raises Lost when something is missing, but not a second time at the same place."""
        missing, self._missing = self._missing, None
        if missing and missing == self._gap:
            raise ProtocolError(f"the event after {missing[1]} of {missing[0]} is missing")
        if missing:
            self._gap = missing
            raise Lost("an event is missing")

    def _event(self, frame: Event) -> list[Line]:
        self.backoff.progressed()
        place, sequence = self._place_of(frame)
        before = place.position
        verdict = place.take(sequence, 0 if self._only else sequence - 1, frame.data)
        if verdict == "gap":
            self._missing = (place.stream, before or 0)
        return [Line(place.stream, sequence, frame.id, frame.data)] if verdict == "new" else []

    def _place_of(self, frame: Event) -> tuple[Place, int]:
        if not self._several:
            return self._one, int(frame.id)
        positions = parse_positions(frame.id)
        changed = [p for p in self.places.values() if (p.position or 0) < positions.get(p.stream, 0)]
        # A feed that was begun without a position has none before its first entry.
        known = [place for place in changed if place.position is not None]
        workspace = json.loads(frame.data)["workspace_id"] if len(changed) > 1 and not known else None
        found = next(iter(known or [p for p in changed if workspace in (None, p.stream)] or [self._one]))
        return found, positions[found.stream]

    def _note(self, frame: Frame) -> None:
        if isinstance(frame, Retry):
            self.backoff.hint(frame.seconds)
        elif isinstance(frame, Alive):
            self.backoff.progressed()
            self.phase.quiet()
        elif isinstance(frame, Moved) and self._several:
            for stream, sequence in parse_positions(frame.id).items():
                self.places[stream].moved(sequence)
        elif isinstance(frame, Moved):
            self._one.moved(int(frame.id))
        elif isinstance(frame, Control) and frame.name == "stream.degraded":
            self.degraded = True
        elif isinstance(frame, Over):
            self.over()

    def over(self) -> None:
        """There will be no more: everything was given, or the log has failed."""
        for place in self.places.values():
            place.ended = True

    def lost(self, lost: Lost) -> float:
        """Seconds to wait before coming back."""
        self.phase.lost()
        self._expected = None
        if isinstance(lost, Silent):
            self._mute += 1
            # Something between keeps streams back, as some proxies do.
            self.polls = self.polls or (self._may_poll and self._mute >= _MUTE)
        return self.backoff.next(lost.pause)


def _date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


def _moment(text: str | None) -> datetime | None:
    try:
        # Python 3.10 reads no `Z`.
        return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
    except ValueError:
        return None
