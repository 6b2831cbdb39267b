"""Dates and times, which a workbook stores as days since its epoch."""

import datetime as dt
import re

EPOCH_1900 = dt.date(1899, 12, 30)
EPOCH_1904 = dt.date(1904, 1, 1)
MILLISECONDS = 86_400_000
LAST_DAY = 2_958_466
ISO_TIME = re.compile(r"\d\d:\d\d:\d\d(\.\d{1,6})?")
ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?Z?")


def moment(serial: float, kind: str, epoch: dt.date) -> object | None:
    """The date, time or duration of a serial number; None when it stands for none."""
    if abs(serial) > LAST_DAY:
        return None
    milliseconds = round(serial * MILLISECONDS)
    if kind == "duration":
        return dt.timedelta(milliseconds=milliseconds)
    if serial < 0:
        return None
    day, rest = divmod(milliseconds, MILLISECONDS)
    if day == 0 and (kind == "time" or (epoch == EPOCH_1900 and rest)):
        return (dt.datetime.min + dt.timedelta(milliseconds=rest)).time()
    date = calendar_day(day, epoch)
    if date is None:
        return None
    return dt.datetime.combine(date, dt.time()) + dt.timedelta(milliseconds=rest)


def calendar_day(day: int, epoch: dt.date) -> dt.date | None:
    """Days of 1900 count a 29 February that never was; day 0 is how a blank date is stored."""
    if epoch == EPOCH_1900:
        if day in (0, 60):
            return None
        day += day < 60
    try:
        return epoch + dt.timedelta(days=day)
    except OverflowError:
        return None


def iso_moment(text: str) -> dt.datetime | dt.time | None:
    """A date or time that is stored as text of ISO 8601."""
    kind = dt.datetime if ISO.fullmatch(text) else dt.time if ISO_TIME.fullmatch(text) else None
    try:
        return kind.fromisoformat(text.removesuffix("Z")) if kind else None
    except ValueError:
        return None
