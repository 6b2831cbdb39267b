"""Which rows below a header are data. A score of 0.5 or more makes a row data."""

from ade_config.shared import filled_values

TOTALS = ("total", "subtotal", "sub-total", "grand total", "sum")


def detect_filled_cells(*, row_values, **_):
    """One lonely cell is a note or a title, not a record."""
    filled = len(filled_values(row_values))
    return {"scores": {"data": 0.7 if filled >= 2 else 0.2}}


def detect_totals(*, row_values, **_):
    """A row that begins with 'Total' sums up the data but is none."""
    first = next(iter(filled_values(row_values)), None)
    is_total = isinstance(first, str) and first.strip(" :").lower() in TOTALS
    return {"scores": {"data": -0.6 if is_total else 0.0}}
