"""Which character separates the values: the one that gives consistent rows."""

import re
from io import StringIO
from itertools import pairwise

from .records import Lines, Records, TooLong, TooManyOpenMarks

DELIMITERS = "\t;|,"
SAMPLE_LINES = 200
SAMPLE_CHARACTERS = 256 * 1024
DECLARED = re.compile(r'\s*"?sep=(?P<delimiter>[^"\r\n]|\\t)"?\s*', re.IGNORECASE)


def declared_delimiter(line: str) -> str | None:
    """The delimiter that a first line ``sep=;`` declares."""
    match = DECLARED.fullmatch(line.rstrip("\r\n"))
    return match and match["delimiter"].replace("\\t", "\t")


def find_delimiter(sample: str) -> str:
    """The best of the candidates; a comma when none of them separates most of the records."""
    scores = {delimiter: score(sample, delimiter) for delimiter in DELIMITERS}
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] > (0, 0, 0) else ","


def score(sample: str, delimiter: str) -> tuple[float, float, int]:
    """The share of records that are as wide as the one above, then what speaks for it among equals.

    A character that is mostly used as texts use it counts half, unless all records agree, the
    header too: with decimal commas and addresses, rows can agree by chance.
    """
    widths = [width for width in record_widths(sample, delimiter) if width]
    several = sum(width > 1 for width in widths)
    if several * 2 < len(widths) or not widths:
        return 0.0, 0.0, 0
    agreeing = sum(above == below > 1 for above, below in pairwise(widths))
    weight = 0.5 if prose_share(sample, delimiter) > 0.5 else 1.0
    share = agreeing / max(1, len(widths) - 1)
    return share if share == 1 else share * weight, weight * several / len(widths), max(widths)


def record_widths(sample: str, delimiter: str) -> list[int]:
    """The number of values in each record; 0 for a blank line."""
    records = Records(Lines(StringIO(sample, newline="").readline), delimiter, lambda *_: None)
    try:
        return [len(values) if any(map(str.strip, values)) else 0 for values in records]
    except (TooLong, TooManyOpenMarks):
        return []


def prose_share(sample: str, delimiter: str) -> float:
    """The share of a character's uses that a text makes of it: before a space, between digits."""
    total = sample.count(delimiter)
    if not total or delimiter == "\t":
        return 0.0
    mark = re.escape(delimiter)
    return len(re.findall(rf"{mark} |(?<=\d){mark}(?=\d)", sample)) / total
