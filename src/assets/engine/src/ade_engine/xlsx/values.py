"""The value of a cell from its type, its text and its number format."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from ..cells import ErrorValue, LostText, MissingResult
from ..clean import cell_value
from ..notices import INVISIBLE_REMOVED, Notices
from .moments import iso_moment, moment
from .numberformat import NumberFormat
from .strings import CleanedText, cell_text

MOMENTS = ("date", "time", "duration")
MISSING_RESULTS = (
    "{count} formulas have no stored result and were read as blank; "
    "open and save the file in a spreadsheet program"
)
LOST_TEXTS = "the texts of {count} cells are missing from the file; they were read as blank"
BAD_DATES = "{count} numbers with a date format stand for no date and were read as numbers"
TRUTHS = {"1": True, "true": True, "0": False, "false": False}

Place = Callable[[], str]


class CellValues:
    """Makes values; notes what is lost or changed on the way."""

    def __init__(self, strings: list[str], epoch: dt.date, notices: Notices):
        self._strings = strings
        self._epoch = epoch
        self._notices = notices

    def value(self, kind: str, text: str, style: NumberFormat, unsolved: bool, place: Place) -> Any:
        """None when the cell is blank; ``unsolved`` if no text means a formula without result."""
        if not text and kind != "e":
            return self._blank(unsolved, place)
        if kind == "n":
            return self._number(text, style, place)
        if kind == "s":
            return self._shared(text, place)
        if kind == "b":
            return TRUTHS.get(text.strip().lower(), text)
        if kind == "e":
            return ErrorValue(text.strip() or "#ERROR!")
        return self._iso(text, place) if kind == "d" else self._text(cell_text(text), place)

    def _blank(self, unsolved: bool, place: Place) -> Any:
        if not unsolved:
            return None
        self._notices.add(MISSING_RESULTS, place)
        return MissingResult()

    def _shared(self, text: str, place: Place) -> Any:
        try:
            index = int(text)
            if index >= 0:
                return self._text(self._strings[index], place)
        except (ValueError, IndexError):
            pass
        self._notices.add(LOST_TEXTS, place)
        return LostText(f"(text {text[:20]})")

    def _text(self, text: str, place: Place) -> Any:
        if type(text) is CleanedText:
            self._notices.add(INVISIBLE_REMOVED, place)
            text = str(text)
        return cell_value(text)

    def _iso(self, text: str, place: Place) -> Any:
        found = iso_moment(text.strip())
        return self._text(cell_text(text), place) if found is None else found

    def _number(self, text: str, style: NumberFormat, place: Place) -> Any:
        number = parse_number(text)
        if number is None:
            return self._iso(text, place)
        if style.kind not in MOMENTS:
            return number
        found = moment(number, style.kind, self._epoch)
        if found is None:
            if number != 0:
                self._notices.add(BAD_DATES, place)
            return number
        return found


def parse_number(text: str) -> int | float | None:
    """Whole numbers are exact, whatever their size."""
    try:
        number = float(text)
    except ValueError:
        return None
    if "_" in text or number - number != 0:  # not finite
        return None
    if text.isdecimal() or (text[0] in "+-" and text[1:].isdecimal()):
        return int(text)
    return number
