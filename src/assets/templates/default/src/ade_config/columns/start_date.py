"""The day on which the membership began."""

import re
from datetime import date, datetime, timedelta

from ade_config.shared import clean_text, header_score, issue, missing, share

ISO = re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})(?:[T ].*)?")
DOTTED = re.compile(r"(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.\s?(?P<year>\d{4})")
SLASHED = re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})")

# Most spreadsheets count days from here, those of old Macs from 1904.
EXCEL_EPOCH = date(1899, 12, 30)
PLAUSIBLE = (date(1954, 10, 3), date(2119, 1, 11))


def detect_header(*, header, field_meta, **_):
    return header_score(header, field_meta)


def detect_values(*, column_values_sample, table=None, **_):
    """Dates confirm a header; alone they could be any date."""
    epoch = epoch_of(table)
    return 0.3 * share(column_values_sample, lambda value: parse_date(value, epoch) is not None)


def transform(*, value, table=None, **_):
    """Text that is no date stays as it is, so that validate can report it."""
    parsed = parse_date(value, epoch_of(table))
    return {"start_date": clean_text(value) if parsed is None else parsed}


def validate(*, value, field_meta, **_):
    if value is None:
        return missing(field_meta)
    if not isinstance(value, date):
        return [issue("bad_date", f"{value!r} is not a date")]
    return []


def epoch_of(table):
    """The day from which the workbook counts, where the engine tells."""
    return getattr(getattr(table, "sheet", None), "epoch", EXCEL_EPOCH)


def parse_date(value, epoch=EXCEL_EPOCH):
    """Dates, 2024-03-31, 31.3.2024, 3/31/2024 and a spreadsheet's day numbers; else None."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, (int, float)):
        return from_day_number(value, epoch)
    if isinstance(value, str):
        return from_text(value.strip(), epoch)
    return None


def from_text(text, epoch):
    if text.isascii() and text.isdigit() and len(text) == 5:
        return from_day_number(int(text), epoch)
    match = ISO.fullmatch(text) or DOTTED.fullmatch(text) or SLASHED.fullmatch(text)
    if not match:
        return None
    try:
        return date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:  # for example 31.2.2024
        return None


def from_day_number(number, epoch):
    if not 0 <= number < 100_000:
        return None
    day = epoch + timedelta(days=int(number))
    return day if PLAUSIBLE[0] <= day < PLAUSIBLE[1] else None
