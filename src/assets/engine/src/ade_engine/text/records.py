"""Splitting delimited text into records.

A quotation mark opens a value only where the value begins, and only when it is closed before a
delimiter or a line end. One that is not closed so is an ordinary character of its value: it never
swallows the lines below it.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator

from ..limits import MAX_LINE_CHARACTERS, MAX_ROW_CELLS, MAX_TEXT_CHARACTERS

MAX_OPEN_MARKS = 100
AS_TEXT = re.compile(r'="([^"]*)"')


class TooLong(Exception):
    """A line or a value beyond the limits; says which line."""


class TooManyOpenMarks(Exception):
    """This text is not quoted as delimited text is."""


class Lines:
    """The physical lines of a text with their numbers; they can be put back."""

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
        self._open_marks = 0
        self._expected = 0

    def __iter__(self) -> Iterator[list[str]]:
        while (line := self._lines.next()) is not None:
            values = self._split(line)
            self._expected = self._expected or len(values) - 1
            yield values

    def _split(self, line: str) -> list[str]:
        if '"' not in line:
            return self._checked(line.rstrip("\r\n").split(self._delimiter, MAX_ROW_CELLS))
        values: list[str] = []
        position: int | None = 0
        while position is not None:
            value, line, position = self._value(line, position)
            self._checked(values).append(value)
        return values

    def _checked(self, values: list[str]) -> list[str]:
        if len(values) > MAX_ROW_CELLS:
            raise TooLong(f"line {self._lines.number} has more than {MAX_ROW_CELLS:,} values")
        return values

    def _value(self, line: str, start: int) -> tuple[str, str, int | None]:
        """The value that begins there, the line to go on with, and where in it; None at its end."""
        opening = self._opening.match(line, start)
        quoted = self._quoted(line, opening.end()) if opening else None
        value, line, end = quoted or self._plain(line, start)
        if match := AS_TEXT.fullmatch(value):
            value = match[1]
        return value, line, end + 1 if line.startswith(self._delimiter, end) else None

    def _plain(self, line: str, start: int) -> tuple[str, str, int]:
        end = line.find(self._delimiter, start)
        if end < 0:
            end = len(line.rstrip("\r\n"))
        return line[start:end], line, end

    def _quoted(self, line: str, start: int) -> tuple[str, str, int] | None:
        """A quoted value, or None when its quotation mark is not closed."""
        number = self._lines.number
        end = self._close(line, start)
        if end is None:
            return self._quoted_lines(line[start:], number)
        return self._unquoted(line[start:end], number), line, self._after(line, end)

    def _quoted_lines(self, first: str, number: int) -> tuple[str, str, int] | None:
        """A value of several lines: the next single mark must close it."""
        whole: list[str] = []
        size = len(first)
        while (line := self._lines.next()) is not None and size <= MAX_TEXT_CHARACTERS:
            end = self._first_mark(line)
            if end is not None:
                break
            whole.append(line)
            size += len(line)
        else:
            end = None
        if line is not None and end is not None:
            if self._closing.match(line, end) and not self._swallows(whole):
                value = self._unquoted("".join([first, *whole, line[:end]]), number)
                return value, line, self._after(line, end)
        self._lines.put_back([*whole, line] if line is not None else whole)
        self._note_open_mark(number)
        return None

    def _after(self, line: str, mark: int) -> int:
        """The place behind a closing mark and the spaces that follow it."""
        end = mark + 1
        while line.startswith(" ", end):
            end += 1
        return end

    def _close(self, line: str, start: int) -> int | None:
        """Where the value is closed in its own line; a mark in its middle does not close it."""
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

    def _first_mark(self, line: str) -> int | None:
        position = line.find('"')
        while position >= 0 and line.startswith('""', position):
            position = line.find('"', position + 2)
        return None if position < 0 else position

    def _swallows(self, whole_lines: list[str]) -> bool:
        """Lines with as many delimiters each as a record has are records, not text."""
        delimiter, expected = self._delimiter, self._expected
        counts = {line.count(delimiter) - line.count(f"{delimiter} ") for line in whole_lines}
        return expected > 0 and counts == {expected}

    def _unquoted(self, text: str, number: int) -> str:
        if '"' not in text:
            return text
        if '"' in text.replace('""', ""):
            self._report(
                "{count} values hold single quotation marks, which were kept, in lines", number
            )
        return text.replace('""', '"')

    def _note_open_mark(self, number: int) -> None:
        self._open_marks += 1
        if self._open_marks > MAX_OPEN_MARKS:
            raise TooManyOpenMarks(f"more than {MAX_OPEN_MARKS} quotation marks are never closed")
        self._report(
            "{count} quotation marks open a value and are never closed; they were read as part of "
            "the value, in lines",
            number,
        )
