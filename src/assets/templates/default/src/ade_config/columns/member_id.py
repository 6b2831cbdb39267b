"""The member's number, for example M-1001."""

import re

from ade_config.shared import clean_text, header_score, issue, missing, share

MEMBER_ID = re.compile(r"[A-Za-z]{1,4}[- ]?\d{3,10}")


def detect_header(*, header, field_meta, **_):
    return header_score(header, field_meta)


def detect_values(*, column_values_sample, **_):
    """Looking like a member number helps, but is not enough on its own."""
    return 0.3 * share(column_values_sample, looks_like_id)


def transform(*, value, **_):
    """' m-1001 ' becomes 'M-1001'; numbers that a spreadsheet made of ids become text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = clean_text(value)
    return {"member_id": text.upper() if text else None}


def validate(*, value, row_index, table, field_meta, state, **_):
    """Every member needs a number, and no number may appear twice in a run."""
    if value is None:
        return missing(field_meta)
    here = (table.sheet.label, row_index)
    first = state.setdefault("member_ids", {}).setdefault(value, here)
    if first != here:
        return [issue("duplicate_member_id", f"{value} already appears in row {first[1]}")]
    return []


def looks_like_id(value):
    return bool(MEMBER_ID.fullmatch(str(value).strip()))
