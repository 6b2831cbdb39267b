"""When to come back, and whether at all."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal


class Backoff:
    """Seconds, throughout."""

    def __init__(self, base: float = 1.0, longest: float = 30.0, chance: Callable[[], float] = random.random):
        self._base = base
        self._longest = longest
        self._chance = chance
        self._attempt = 0

    def hint(self, seconds: float) -> None:
        """The server's `retry:`, which has jitter already."""
        self._base = min(seconds, self._longest)

    def progressed(self) -> None:
        """Something has arrived, so the next loss is a new one."""
        self._attempt = 0

    def next(self, retry_after: float = 0.0) -> float:
        """The pause before the next attempt: at first the base, then doubled each time, half of it by chance."""
        doubled = min(self._base * 2.0**self._attempt, self._longest)
        pause = doubled if self._attempt == 0 else doubled * (0.5 + self._chance() / 2)
        self._attempt = min(self._attempt + 1, 30)
        return max(pause, min(retry_after, 10 * self._longest))


# What becomes of a reader that got this answer: `over` means that there will never be more.
Answer = Literal["read", "over", "again", "refused"]


def answer_of(status: int, content_type: str, wanted: str) -> Answer:
    if status == 204:
        return "over"
    if status == 200:
        # A page that a proxy shows instead is no answer of the service.
        return "read" if content_type.lower().startswith(wanted) else "again"
    return "again" if is_passing(status) else "refused"


def is_passing(status: int) -> bool:
    """Statuses of what passes: the same request may succeed later."""
    return status in (408, 425, 429) or status >= 500


def seconds_of(retry_after: str | None) -> float:
    try:
        return max(float(retry_after or 0), 0.0)
    except ValueError:
        return 0.0
