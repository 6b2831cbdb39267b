"""The day on which the membership began."""

import re
from datetime import date, datetime, timedelta

from ade_config.shared import clean_text, header_score, issue, missing, share

ISO = re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})(?:[T ].*)?")
DOTTED = re.compile(r"(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.\s?(?P<year>\d{4})")
SLASHED = re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})")

# A spreadsheet counts days from here; the limits stand for the years 1954 and 2119.
EXCEL_EPOCH = date(1899, 12, 30)
EXCEL_DAYS = range(20_000, 80_000)


def detect_header(*, header, field_meta, **_):
    return header_score(header, field_meta)


def detect_values(*, column_values_sample, **_):
    """Dates confirm a header; alone they could be any date."""
    return 0.3 * share(column_values_sample, lambda value: parse_date(value) is not None)


def transform(*, value, **_):
    """Text that is no date stays as it is, so that validate can report it."""
    parsed = parse_date(value)
    return {"start_date": clean_text(value) if parsed is None else parsed}


def validate(*, value, field_meta, **_):
    if value is None:
        return missing(field_meta)
    if not isinstance(value, date):
        return [issue("bad_date", f"{value!r} is not a date")]
    return []


def parse_date(value):
    """Dates, 2024-03-31, 31.3.2024, 3/31/2024 and Excel's day numbers; else None."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, (int, float)):
        return from_day_number(value)
    if isinstance(value, str):
        return from_text(value.strip())
    return None


def from_text(text):
    if text.isascii() and text.isdigit() and len(text) == 5:
        return from_day_number(int(text))
    match = ISO.fullmatch(text) or DOTTED.fullmatch(text) or SLASHED.fullmatch(text)
    if not match:
        return None
    try:
        return date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:  # for example 31.2.2024
        return None


def from_day_number(number):
    days = int(number)
    return EXCEL_EPOCH + timedelta(days=days) if days in EXCEL_DAYS else None
