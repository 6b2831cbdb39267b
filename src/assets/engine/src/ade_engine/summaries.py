"""What the stream says of a table."""

from .tables import Table
from .validation import IssueCounts

MAX_UNMAPPED = 1000
MAX_HEADER = 100


def table_summary(table: Table, counts: IssueCounts) -> dict:
    sheet = table.sheet
    return {
        "table_id": table.table_id,
        "source_file": str(sheet.file),
        "source_sheet": sheet.name,
        "file_index": sheet.file_index,
        "sheet_index": sheet.sheet_index,
        "table_index": table.table_index,
        "row_count": len(table.rows),
        "column_count": len(table.header),
        "mapping": mapping_summary(table),
        "validation": counts.summary(),
        "metadata": {
            "header_row": table.header_row,
            "first_data_row": min(table.row_numbers, default=None),
            "last_data_row": max(table.row_numbers, default=None),
        },
    }


def mapping_summary(table: Table) -> dict:
    """The unmapped columns up to a number, so that the event stays a line of bearable length."""
    omitted = len(table.unmapped) - MAX_UNMAPPED
    return {
        "mapped_columns": [
            {
                "field": column.field,
                "header": column.header[:MAX_HEADER],
                "source_column_index": column.index,
                "score": column.score,
                "is_required": column.required,
                "is_satisfied": column.found,
            }
            for column in table.mapped
        ],
        "unmapped_columns": [
            {
                "header": column.header[:MAX_HEADER],
                "source_column_index": column.index,
                "output_header": column.output_header,
            }
            for column in table.unmapped[:MAX_UNMAPPED]
        ],
        **({"unmapped_columns_omitted": omitted} if omitted > 0 else {}),
    }
