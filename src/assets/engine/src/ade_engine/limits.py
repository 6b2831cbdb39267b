"""How much one run reads. Beyond it the run fails with a clear error instead of the machine."""

from typing import Any

from .errors import InputTooLarge

MAX_CELLS = 25_000_000
MAX_CHARACTERS = 500_000_000
MAX_ROW_CELLS = 65_536
MAX_TABLES = 20_000
MAX_TABLE_AREA = 1_000_000_000

# Of one part of a workbook, unpacked. Real sheets pack ten to fifty times smaller; what packs
# better than MAX_RATIO is built to exhaust memory.
MAX_PART_BYTES = 4 * 1024**3
FREE_PART_BYTES = 64 * 1024**2
MAX_RATIO = 250
MAX_UNPACKED_BYTES = 8 * 1024**3  # of all parts of a workbook, as often as they are read
MAX_PARTS = 65_534

MAX_XML_TOKEN_BYTES = 16 * 1024**2
MAX_XML_DEPTH = 100
MAX_TEXT_CHARACTERS = 16 * 1024**2
MAX_LINE_CHARACTERS = 16 * 1024**2


class Budget:
    """The filled cells, and the characters in them, that a run may still read.

    A shared string counts wherever it is used: each cell's value may become a text of its own.
    """

    def __init__(self) -> None:
        self._cells = MAX_CELLS
        self._characters = MAX_CHARACTERS

    def take(self, values: list[Any], label: str) -> None:
        self._cells -= len(values)
        self._characters -= sum(len(value) for value in values if isinstance(value, str))
        if self._cells < 0:
            raise InputTooLarge(f"{label}: more than {MAX_CELLS:,} filled cells in one run")
        if self._characters < 0:
            raise InputTooLarge(f"{label}: more than {MAX_CHARACTERS:,} characters in one run")
