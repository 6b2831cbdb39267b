"""An amount of money; the currency itself is not kept."""

import re

from ade_config.shared import clean_text, header_score, issue, missing, share

CURRENCY = re.compile(r"[$€£¥]|\b(?:USD|EUR|GBP|CHF|CAD|AUD)\b", re.IGNORECASE)
GROUPING = re.compile(r"[\s'’]")
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
COMMA_GROUPS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")
DOT_GROUPS = re.compile(r"[+-]?\d{1,3}(\.\d{3}){2,}")


def detect_header(*, header, field_meta, **_):
    return header_score(header, field_meta)


def detect_values(*, column_values_sample, **_):
    """Numbers confirm a header; alone they could be anything."""
    return 0.2 * share(column_values_sample, lambda value: parse_amount(value) is not None)


def transform(*, value, **_):
    """Text that is no amount stays as it is, so that validate can report it."""
    parsed = parse_amount(value)
    return {"amount": clean_text(value) if parsed is None else parsed}


def validate(*, value, field_meta, **_):
    if value is None:
        return missing(field_meta)
    if isinstance(value, str):
        return [issue("bad_amount", f"{value!r} is not an amount")]
    return []


def parse_amount(value):
    """Numbers, '$1,234.50', '1.234,50 €', "CHF 1'234.50" and '(12.00)' for -12; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, str):
        return None
    text = GROUPING.sub("", CURRENCY.sub("", value))
    if text.startswith("(") and text.endswith(")"):
        text = f"-{text[1:-1]}"
    text = with_decimal_point(text)
    return float(text) if NUMBER.fullmatch(text) else None


def with_decimal_point(text):
    """'1,234.50', '1.234,50' and '1234,50' all become '1234.50'."""
    if "," in text and "." in text:
        thousands = "," if text.rindex(",") < text.rindex(".") else "."
        return text.replace(thousands, "").replace(",", ".")
    if COMMA_GROUPS.fullmatch(text):
        return text.replace(",", "")
    if DOT_GROUPS.fullmatch(text):
        return text.replace(".", "")
    return text.replace(",", ".")
