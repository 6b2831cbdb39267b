"""The member's family name."""

from ade_config.shared import clean_text, header_score, share


def detect_header(*, header, field_meta, **_):
    return header_score(header, field_meta)


def detect_values(*, column_values_sample, **_):
    """Names hold no digits; a column full of digits is none."""
    return -0.5 * share(column_values_sample, has_digit)


def transform(*, value, **_):
    """Trim; names typed all in capitals or all in small letters get a capital first letter."""
    text = clean_text(value)
    if text and (text.isupper() or text.islower()):
        text = text.title()
    return {"last_name": text}


def has_digit(value):
    return any(character.isdigit() for character in str(value))
