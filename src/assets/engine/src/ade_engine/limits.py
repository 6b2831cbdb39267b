"""How much one run reads. Beyond it the run fails with a clear error instead of the machine."""

from .errors import InputTooLarge

MAX_CELLS = 25_000_000
MAX_TABLE_AREA = 1_000_000_000

# Of one part of a workbook, unpacked. Real sheets pack ten to fifty times smaller; what packs better than
# MAX_RATIO is built to exhaust memory.
MAX_PART_BYTES = 4 * 1024**3
FREE_PART_BYTES = 64 * 1024**2
MAX_RATIO = 250
MAX_PARTS = 65_534

MAX_XML_TOKEN_BYTES = 16 * 1024**2
MAX_XML_DEPTH = 100
MAX_TEXT_CHARACTERS = 16 * 1024**2
MAX_LINE_CHARACTERS = 16 * 1024**2


class Budget:
    """The filled cells that a run may still read."""

    def __init__(self, cells: int = MAX_CELLS):
        self._total = cells
        self._left = cells

    def take(self, cells: int, label: str) -> None:
        self._left -= cells
        if self._left < 0:
            raise InputTooLarge(f"{label}: more than {self._total:,} filled cells in one run")
