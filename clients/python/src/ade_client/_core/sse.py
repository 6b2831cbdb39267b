"""Server-sent events, as the HTML standard reads them: only CR, LF and both together end a line."""

from __future__ import annotations

import re

from .frames import Alive, Control, Event, Frame, Lost, Moved, Retry

# Far beyond the longest line of the service (1 MiB), far below what would hurt.
_LONGEST = 16 << 20
_ENDS = re.compile(rb"\r\n|\n|\r")


class Decoder:
    """The frames of one response, from chunks that are cut anywhere."""

    def __init__(self) -> None:
        # Of a line whose end has not come; joined only then, since it may come in many pieces.
        self._rest: list[bytes] = []
        self._size = 0
        self._is_first = True
        self._id: str | None = None
        self._name = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Frame]:
        frames: list[Frame] = []
        for line in self._lines(chunk):
            if frame := self._line(line):
                frames.append(frame)
        return frames

    def _lines(self, chunk: bytes) -> list[bytes]:
        has_end = b"\n" in chunk or b"\r" in chunk or (self._rest and self._rest[-1].endswith(b"\r"))
        self._rest.append(chunk)
        self._size += len(chunk)
        if self._size > _LONGEST and not has_end:
            raise Lost("a line is too long")
        if not has_end:
            return []
        text = b"".join(self._rest)
        # A CR at the end may be the first half of both together.
        text, held = (text[:-1], b"\r") if text.endswith(b"\r") else (text, b"")
        lines = _ENDS.split(text) if b"\r" in text else text.split(b"\n")
        self._rest = [lines.pop() + held]
        self._size = len(self._rest[0])
        return lines

    def _line(self, line: bytes) -> Frame | None:
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._dispatch()
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if not field:
            return Alive()
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            return Retry(int(value) / 1000)
        return None

    def _dispatch(self) -> Frame | None:
        position, name, data = self._id, self._name, self._data
        self._id, self._name, self._data = None, "", []
        if not data:
            return Moved(position) if position else None
        text = "\n".join(data)
        return Event(position, text) if position else Control(name, text)
