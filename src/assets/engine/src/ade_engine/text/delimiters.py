"""Which character separates the values: the one that gives consistent rows, not the most frequent one."""

import re
from io import StringIO
from itertools import pairwise

from .records import Lines, Records, TooManyOpenQuotes

DELIMITERS = "\t;|,"
SAMPLE_LINES = 200
SAMPLE_CHARACTERS = 256 * 1024
DECLARED = re.compile(r'\s*"?sep=(?P<delimiter>[^"\r\n]|\\t)"?\s*', re.IGNORECASE)


def declared_delimiter(line: str) -> str | None:
    """The delimiter that a first line ``sep=;`` declares."""
    match = DECLARED.fullmatch(line.rstrip("\r\n"))
    return match and match["delimiter"].replace("\\t", "\t")


def find_delimiter(sample: str) -> str:
    """The best of the candidates; a comma when none of them separates anything."""
    scores = {delimiter: score(sample, delimiter) for delimiter in DELIMITERS}
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] > (0, 0) else ","


def score(sample: str, delimiter: str) -> tuple[float, float]:
    """How many records are as wide as the one above them, less what looks like prose; then the width."""
    widths = [width for width in record_widths(sample, delimiter) if width]
    agreeing = sum(1 for above, below in pairwise(widths) if above == below > 1)
    share = agreeing / (len(widths) - 1) if len(widths) > 1 else 0.0
    width = max(widths, default=0)
    return round(share * (1 - 0.5 * prose_share(sample, delimiter)), 3), width if width > 1 else 0


def record_widths(sample: str, delimiter: str) -> list[int]:
    """The number of values in each record; 0 for a blank line."""
    records = Records(Lines(StringIO(sample, newline="").readline), delimiter, lambda *_: None)
    try:
        return [len(values) if any(map(str.strip, values)) else 0 for values in records]
    except TooManyOpenQuotes:
        return []


def prose_share(sample: str, delimiter: str) -> float:
    """The share of a character's uses that a text makes of it: before a space, between digits."""
    total = sample.count(delimiter)
    if not total or delimiter == "\t":
        return 0.0
    mark = re.escape(delimiter)
    return len(re.findall(rf"{mark} |(?<=\d){mark}(?=\d)", sample)) / total
