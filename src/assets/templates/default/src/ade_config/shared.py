"""Helpers for the column modules and row detectors."""

import re
from datetime import datetime, time

SEPARATORS = re.compile(r"[\W_]+")


def plain(text):
    """Lower case, words separated by single spaces: 'E-Mail  address:' -> 'e mail address'."""
    return SEPARATORS.sub(" ", str(text)).strip().lower()


def known_headers(label, synonyms):
    """All spellings under which a field's header is known."""
    return {plain(name) for name in [label, *synonyms]}


def header_score(header, field_meta):
    """0.9 for a known header, 0.5 for one that contains a known header of several words."""
    text = plain(header)
    known = known_headers(field_meta["label"], field_meta["synonyms"])
    if text in known:
        return 0.9
    if any(" " in name and f" {name} " in f" {text} " for name in known):
        return 0.5
    return 0.0


def filled_values(row_values):
    """The values that are not blank, without a look at each cell where the row knows them."""
    known = getattr(row_values, "filled", row_values)
    return [value for value in known if value is not None]


def share(values, matches):
    """The share of values, 0 to 1, for which ``matches`` holds."""
    return sum(1 for value in values if matches(value)) / len(values) if values else 0.0


def clean_text(value):
    """Text without spaces around it and without repeated spaces in it; blank becomes None."""
    if value is None:
        return None
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    return " ".join(str(value).split()) or None


def issue(code, message, severity="error"):
    """One validation issue; severity is info, warning, error or critical."""
    return {"code": code, "severity": severity, "message": message}


def missing(field_meta):
    """The issues of a blank value: one when the field is required, else none."""
    if field_meta["required"]:
        return [issue("missing_required", f"{field_meta['label']} is missing")]
    return []
