"""Rows of cells, and the cells that have no usable value."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any


class Fault(str):
    """A cell whose value is lost; as text it is what the source shows there.

    A fault never becomes a value of the output: a mapped field is blank there and has an issue.
    """

    code = "unreadable_value"
    severity = "error"

    def message(self) -> str:
        return "the value cannot be read"


class ErrorValue(Fault):
    """An error such as #N/A that a formula produced."""

    code = "error_value"

    def message(self) -> str:
        return f"the cell holds the error {self[:40]}"


class MissingResult(Fault):
    """A formula whose result is not stored in the file."""

    code = "formula_without_value"
    severity = "warning"

    def message(self) -> str:
        return "the formula has no stored value"


class LostText(Fault):
    """A reference to a shared string that the file does not hold."""

    code = "missing_text"

    def message(self) -> str:
        return "the text of the cell is missing from the file"


class Row(Sequence):
    """One row, stored by its filled cells, so that memory follows these and not the width.

    ``columns`` and ``formats`` are shared by rows of the same shape. A row reads like a list of
    ``width`` values in which blank cells are None.
    """

    __slots__ = ("columns", "filled", "formats", "number", "width")

    def __init__(
        self,
        number: int,
        columns: tuple[int, ...],
        filled: list[Any],
        width: int | None = None,
        formats: tuple | None = None,
    ):
        self.number = number
        self.columns = columns
        self.filled = filled
        self.formats = formats
        last = columns[-1] + 1 if columns else 0
        self.width = last if width is None else width

    @classmethod
    def of(cls, number: int, values: list[Any]) -> "Row":
        """A row of a dense list."""
        columns = tuple(index for index, value in enumerate(values) if value is not None)
        return cls(number, columns, [values[index] for index in columns])

    def get(self, index: int) -> Any:
        """The value in a column, or None."""
        position = self._position(index)
        return None if position is None else self.filled[position]

    def format(self, index: int) -> Any:
        """The number format of a cell, or None when it shows the value as it is."""
        position = self._position(index)
        return self.formats[position] if self.formats and position is not None else None

    def _position(self, index: int) -> int | None:
        columns = self.columns
        position = bisect_left(columns, index)
        return position if position < len(columns) and columns[position] == index else None

    def __len__(self) -> int:
        return self.width

    def __iter__(self) -> Iterator[Any]:
        reached = 0
        for column, value in zip(self.columns, self.filled, strict=True):
            yield from repeat(None, column - reached)
            yield value
            reached = column + 1
        yield from repeat(None, self.width - reached)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return list(self)[index]
        return self.get(self._checked(index))

    def __setitem__(self, index: int, value: Any) -> None:
        """For hooks that mend a cell."""
        index = self._checked(index)
        position = bisect_left(self.columns, index)
        if self._position(index) is None:
            self.columns = (*self.columns[:position], index, *self.columns[position:])
            self.filled.insert(position, value)
            if self.formats:
                self.formats = (*self.formats[:position], None, *self.formats[position:])
        else:
            self.filled[position] = value

    def _checked(self, index: int) -> int:
        position = index + self.width if index < 0 else index
        if not 0 <= position < self.width:
            raise IndexError("row index out of range")
        return position

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return f"Row({self.number}, {list(self)!r})"


class Shapes:
    """Keeps one copy of each tuple of columns or formats."""

    def __init__(self) -> None:
        self._known: dict[tuple, tuple] = {}

    def shared(self, shape: tuple) -> tuple:
        return self._known.setdefault(shape, shape)


def column_name(index: int) -> str:
    """0 is A, 26 is AA."""
    name = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        name = chr(65 + letter) + name
    return name


def cell_name(index: int, row: int) -> str:
    return f"{column_name(index)}{row}"
