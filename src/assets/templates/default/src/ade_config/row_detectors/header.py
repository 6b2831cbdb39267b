"""Which rows are headers. A score of 0.6 or more makes a row the header of a table."""

from ade_config.shared import filled_values, known_headers, plain


def detect_known_headers(*, row_values, manifest, state, **_):
    """Two cells that hold known headers are enough."""
    if "headers" not in state:
        state["headers"] = set().union(
            *(known_headers(field.label, field.synonyms) for field in manifest.fields)
        )
    texts = {
        plain(value)
        for value in filled_values(row_values)
        if isinstance(value, str) and len(value) < 60
    }
    return {"scores": {"header": min(1.0, 0.3 * len(texts & state["headers"]))}}


def detect_numbers(*, row_values, **_):
    """Headers are words: numbers and dates speak against one."""
    filled = filled_values(row_values)
    numbers = sum(1 for value in filled if not isinstance(value, str))
    return {"scores": {"header": -0.5 * numbers / len(filled)}}
