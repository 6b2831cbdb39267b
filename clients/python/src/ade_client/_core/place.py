"""A reader's place in one stream: what has been seen, and what a line that arrives is.

Law: `take` lets each sequence through once, in order, and none after the terminal event.
"""

from __future__ import annotations

from typing import Literal

from .streams import is_feed, is_terminal

# `gap`: something is missing before it, so it must not be shown.
Verdict = Literal["new", "repeated", "gap"]


class Place:
    def __init__(self, stream: str, after: int | None = None, tail: int | None = None):
        self.stream = stream
        self.ended = False
        self.tail = tail if after is None else None
        # A feed begins with what is left of it; everything else begins at 1.
        begin = 0 if self.tail is None and not is_feed(stream) else None
        # The last sequence that was seen, or that a filter has left out.
        self.position = begin if after is None else after

    def judge(self, sequence: int, previous: int) -> Verdict:
        """`previous`: up to where what is before the line is known to be complete."""
        if self.ended:
            return "repeated"
        if self.position is None:
            return "new"
        if sequence <= self.position:
            return "repeated"
        return "new" if previous <= self.position else "gap"

    def take(self, sequence: int, previous: int, line: str) -> Verdict:
        """Judges a line, and moves behind it when it is new."""
        verdict = self.judge(sequence, previous)
        if verdict == "new":
            self.position = sequence
            self.ended = is_terminal(self.stream, line)
        return verdict

    def moved(self, sequence: int) -> None:
        """What a filter has left out is seen too."""
        if self.position is None or sequence > self.position:
            self.position = sequence

    def query(self) -> dict[str, str]:
        """Where the next request is to begin."""
        if self.position is not None:
            return {"after_sequence": str(self.position)}
        return {} if self.tail is None else {"tail": str(self.tail)}
