"""The member's email address."""

import re

from ade_config.shared import clean_text, header_score, issue, missing, share

EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;.]+(\.[^@\s,;.]+)+")


def detect_header(*, header, field_meta, **_):
    return header_score(header, field_meta)


def detect_values(*, column_values_sample, **_):
    """A column of addresses is recognised even when its header says nothing."""
    return 0.6 * share(column_values_sample, is_email)


def transform(*, value, **_):
    """Lower case, without spaces around it and without 'mailto:'."""
    text = clean_text(value)
    return {"email": text.lower().removeprefix("mailto:") if text else None}


def validate(*, value, field_meta, **_):
    if value is None:
        return missing(field_meta)
    if not is_email(value):
        return [issue("bad_email", f"{value!r} is not an email address")]
    return []


def is_email(value):
    return isinstance(value, str) and bool(EMAIL.fullmatch(value.strip()))
