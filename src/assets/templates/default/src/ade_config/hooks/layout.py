"""Before saving: keep the header in view and give the columns room."""

from openpyxl.utils import get_column_letter

WIDTHS = {"email": 32, "member_id": 14, "start_date": 12, "amount": 12}


def run(*, sheet, manifest, **_):
    sheet.freeze_panes = "A2"
    for position, field in enumerate(manifest.fields, start=1):
        sheet.column_dimensions[get_column_letter(position)].width = WIDTHS.get(field.name, 18)
