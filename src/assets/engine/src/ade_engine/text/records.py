"""Splitting delimited text into records.

A quotation mark opens a value only where the value begins, and only when it is closed before a delimiter or a line
end. One that is not closed so is an ordinary character of its value: it never swallows the lines below it.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator

from ..limits import MAX_LINE_CHARACTERS, MAX_TEXT_CHARACTERS

MAX_OPEN_QUOTES = 100
AS_TEXT = re.compile(r'="([^"]*)"')


class TooLong(Exception):
    """A line or a value beyond the limits; says which line."""


class TooManyOpenQuotes(Exception):
    """This text is not quoted as delimited text is."""


class Lines:
    """The physical lines of a text with their numbers; lines that were looked at can be put back."""

    def __init__(self, readline: Callable[[int], str]):
        self._readline = readline
        self._returned: deque[str] = deque()
        self.number = 0

    def next(self) -> str | None:
        line = (
            self._returned.popleft() if self._returned else self._readline(MAX_LINE_CHARACTERS + 1)
        )
        if not line:
            return None
        self.number += 1
        if len(line) > MAX_LINE_CHARACTERS:
            raise TooLong(f"line {self.number} is longer than {MAX_LINE_CHARACTERS:,} characters")
        return line

    def put_back(self, lines: list[str]) -> None:
        self._returned.extendleft(reversed(lines))
        self.number -= len(lines)


class Records:
    """Iterates over the records of a text as lists of values."""

    def __init__(self, lines: Lines, delimiter: str, report: Callable[[str, int], None]):
        self._lines = lines
        self._delimiter = delimiter
        self._report = report
        self._closing = re.compile(rf'"[ ]*(?={re.escape(delimiter)}|[\r\n]|\Z)')
        self._opening = re.compile('[ ]*"')
        self._open_quotes = 0
        self._expected = 0

    def __iter__(self) -> Iterator[list[str]]:
        while (line := self._lines.next()) is not None:
            values = self._split(line)
            self._expected = self._expected or len(values) - 1
            yield values

    def _split(self, line: str) -> list[str]:
        if '"' not in line:
            return line.rstrip("\r\n").split(self._delimiter)
        values: list[str] = []
        position: int | None = 0
        while position is not None:
            value, line, position = self._value(line, position)
            values.append(value)
        return values

    def _value(self, line: str, start: int) -> tuple[str, str, int | None]:
        """The value that begins there, the line to go on with, and where in it; None at its end."""
        opening = self._opening.match(line, start)
        quoted = self._quoted(line, opening.end()) if opening else None
        if quoted:
            value, line, end = quoted
        else:
            end = line.find(self._delimiter, start)
            end = len(line.rstrip("\r\n")) if end < 0 else end
            value = line[start:end]
        if match := AS_TEXT.fullmatch(value):
            value = match[1]
        return value, line, end + 1 if line.startswith(self._delimiter, end) else None

    def _quoted(self, line: str, start: int) -> tuple[str, str, int] | None:
        """A quoted value, or None when its quotation mark is not closed."""
        number = self._lines.number
        end = self._close(line, start)
        if end is not None:
            closing = self._closing.match(line, end)
            return self._unquoted(line[start:end], number), line, closing.end()
        parts, taken = [line[start:]], []
        size = len(line)
        while (more := self._lines.next()) is not None:
            taken.append(more)
            size += len(more)
            end = self._first_quote(more)
            if end is not None or size > MAX_TEXT_CHARACTERS:
                break
            parts.append(more)
        closing = self._closing.match(more, end) if more is not None and end is not None else None
        if closing is None or self._swallows(parts[1:]):
            self._lines.put_back(taken)
            self._note_open_quote(number)
            return None
        value = self._unquoted("".join([*parts, more[:end]]), number)
        return value, more, closing.end()

    def _close(self, line: str, start: int) -> int | None:
        """Where the value is closed in its own line; a mark in the middle of it does not close it."""
        position = line.find('"', start)
        while position >= 0:
            if line.startswith('""', position):
                position += 2
            elif self._closing.match(line, position):
                return position
            else:
                position += 1
            position = line.find('"', position)
        return None

    def _first_quote(self, line: str) -> int | None:
        position = line.find('"')
        while position >= 0 and line.startswith('""', position):
            position = line.find('"', position + 2)
        return None if position < 0 else position

    def _swallows(self, whole_lines: list[str]) -> bool:
        """Lines with as many delimiters as a record has are records, not text inside a value."""
        expected = self._expected
        return expected > 0 and any(line.count(self._delimiter) == expected for line in whole_lines)

    def _unquoted(self, text: str, number: int) -> str:
        if '"' not in text:
            return text
        if '"' in text.replace('""', ""):
            self._report(
                "{count} values hold single quotation marks; they were kept, in lines", number
            )
        return text.replace('""', '"')

    def _note_open_quote(self, number: int) -> None:
        self._open_quotes += 1
        if self._open_quotes > MAX_OPEN_QUOTES:
            raise TooManyOpenQuotes(f"more than {MAX_OPEN_QUOTES} quotation marks are never closed")
        self._report(
            "{count} quotation marks open a value and are never closed; they were read as part of the "
            "value, in lines",
            number,
        )
