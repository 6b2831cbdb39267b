"""A page of events as its text, cut into the lines of the log as they are: long numbers and escapes stay."""

from __future__ import annotations

import json
from typing import NamedTuple

_ITEMS = '"items":['


class EventPage(NamedTuple):
    lines: list[str]
    next_after_sequence: int
    last_sequence: int
    # The stream has ended.
    closed: bool

    @property
    def is_last(self) -> bool:
        return self.next_after_sequence >= self.last_sequence


def parse_page(text: str) -> EventPage:
    begin = at = text.index(_ITEMS) + len(_ITEMS)
    decoder = json.JSONDecoder()
    lines = []
    while text[at] != "]":
        if text[at] == ",":
            at += 1
        _, end = decoder.raw_decode(text, at)
        lines.append(text[at:end])
        at = end
    rest = json.loads(text[:begin] + text[at:])
    return EventPage(lines, rest["next_after_sequence"], rest["last_sequence"], rest["closed"])
