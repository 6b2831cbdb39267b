"""Workbooks written part by part, so that tests can have them as no library would write them."""

import zipfile
from xml.sax.saxutils import escape

TRANSITIONAL = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
PACKAGE_RELATIONSHIPS = "http://schemas.openxmlformats.org/package/2006/relationships"
HEADER = ["Member ID", "First Name", "Last Name", "Email", "Start Date", "Amount"]
# Styles: 0 General, then these.
FORMATS = [
    "00000",
    '"M-"0000',
    "yyyy-mm-dd",
    "h:mm",
    "[h]:mm",
    "0%",
    '0.00" EUR"',
    "000-00-0000",
    "#,##0.00",
]
PLAIN_STYLES = (
    "<fonts><font><sz val='11'/></font></fonts><fills><fill><patternFill patternType='none'/></fill></fills><borders><border/></borders>"
    "<cellStyleXfs><xf numFmtId='14'/></cellStyleXfs>"
)


def text(value):
    """A cell with inline text."""
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def number(value, style=0):
    return f'<c s="{style}"><v>{value}</v></c>'


def error(value="#N/A"):
    return f'<c t="e"><v>{value}</v></c>'


def row(*cells, attributes=""):
    """Cells that are no XML yet are texts; None is a blank cell."""
    made = [
        "<c/>" if cell is None else cell if cell.startswith("<") else text(cell) for cell in cells
    ]
    return f"<row{attributes}>{''.join(made)}</row>"


def person(index, **changed):
    values = {
        "id": f"M-{1000 + index}",
        "first": "Ann",
        "last": "Lee",
        "email": f"ann{index}@example.com",
        "date": number(45292 + index, 3),
        "amount": number(index + 0.5),
        **changed,
    }
    return row(*values.values())


def roster(count=3, **changed):
    return "".join([row(*HEADER), *(person(index, **changed) for index in range(1, count + 1))])


def worksheet(data, namespace=TRANSITIONAL, before="", after=""):
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><worksheet xmlns="{namespace}">{before}'
        f"<sheetData>{data}</sheetData>{after}</worksheet>"
    )


def styles(rest=PLAIN_STYLES):
    formats = "".join(
        f"<numFmt numFmtId='{164 + index}' formatCode=\"{escape(code, {chr(34): '&quot;'})}\"/>"
        for index, code in enumerate(FORMATS)
    )
    uses = "".join(f"<xf numFmtId='{164 + index}'/>" for index in range(len(FORMATS)))
    return (
        f'<styleSheet xmlns="{TRANSITIONAL}"><numFmts>{formats}</numFmts>{rest}'
        f"<cellXfs><xf/>{uses}</cellXfs></styleSheet>"
    )


def relationships(*targets, strict=False):
    """Pairs of type and target, with the ids rId1, rId2 ..."""
    base = (
        "http://purl.oclc.org/ooxml/officeDocument/relationships"
        if strict
        else "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    )
    made = "".join(
        f'<Relationship Id="rId{index}" Type="{base}/{kind}" Target="{target}"/>'
        for index, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="{PACKAGE_RELATIONSHIPS}">{made}</Relationships>'


def workbook_part(sheets, strict=False, properties=""):
    """``sheets`` are pairs of name and state."""
    made = "".join(
        f'<sheet name="{name}" sheetId="{index}" state="{state}" r:id="rId{index}"/>'
        for index, (name, state) in enumerate(sheets, start=1)
    )
    namespace = STRICT if strict else TRANSITIONAL
    return (
        f'<workbook xmlns="{namespace}" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/'
        f'relationships">{properties}<sheets>{made}</sheets></workbook>'
    )


def content_types(kinds, shared):
    parts = [("workbook.xml", "sheet.main"), ("styles.xml", "styles")]
    parts += [(f"worksheets/sheet{n}.xml", kind) for n, kind in enumerate(kinds, start=1)]
    parts += [("sharedStrings.xml", "sharedStrings")] if shared else []
    base = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    made = "".join(
        f'<Override PartName="/xl/{part}" ContentType="{base}.{kind}+xml"/>' for part, kind in parts
    )
    return (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{made}</Types>'
    )


def parts_of(sheets, strict=False, properties="", kinds=None, shared=None):
    """All parts of a workbook: ``sheets`` maps a name, or name and state, to a worksheet's XML."""
    named = [(key, "visible") if isinstance(key, str) else key for key in sheets]
    kinds = kinds or ["worksheet"] * len(named)
    targets = [(kind, f"worksheets/sheet{index}.xml") for index, kind in enumerate(kinds, start=1)]
    targets.append(("styles", "styles.xml"))
    if shared is not None:
        targets.append(("sharedStrings", "sharedStrings.xml"))
    parts = {
        "[Content_Types].xml": content_types(kinds, shared is not None),
        "_rels/.rels": relationships(("officeDocument", "xl/workbook.xml"), strict=strict),
        "xl/workbook.xml": workbook_part(named, strict, properties),
        "xl/_rels/workbook.xml.rels": relationships(*targets, strict=strict),
        "xl/styles.xml": styles(),
    }
    if shared is not None:
        items = "".join(
            item if item.startswith("<") else f"<si><t>{item}</t></si>" for item in shared
        )
        parts["xl/sharedStrings.xml"] = f'<sst xmlns="{TRANSITIONAL}">{items}</sst>'
    for index, data in enumerate(sheets.values(), start=1):
        parts[f"xl/worksheets/sheet{index}.xml"] = data
    return parts


def write(path, parts, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path
