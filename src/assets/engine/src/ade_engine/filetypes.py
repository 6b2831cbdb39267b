"""What a file is by its content; its name only suggests it."""

import re

from .documents import Document

HEAD_BYTES = 64 * 1024
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
OLD_EXCEL = "an old Excel workbook (.xls); save it as .xlsx"
MAGIC = {
    b"%PDF-": "a PDF document",
    b"\x09\x08": OLD_EXCEL,
    b"\x09\x00\x04\x00": OLD_EXCEL,
    b"\x09\x02\x06\x00": OLD_EXCEL,
    b"\x09\x04\x06\x00": OLD_EXCEL,
    b"{\\rtf": "an RTF document",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"II*\x00": "a TIFF image",
    b"MM\x00*": "a TIFF image",
    b"PAR1": "a Parquet file",
    b"SQLite format 3\x00": "an SQLite database",
    b"\x7fELF": "a program",
    b"ID;P": "a SYLK file; save it as .xlsx or .csv",
}
HTML_TAGS = "!doctype\\s+html|html|head|body|meta|table|title|script|style|div"
TEXT_PATTERNS = (
    (
        r"(<\?xml.{0,2000})?<(ss:)?workbook\b[^>]*urn:schemas-microsoft-com:office",
        "an XML Spreadsheet 2003; save it as .xlsx",
    ),
    (r"(<\?xml.{0,2000})?<office:document\b", "a flat OpenDocument file; save it as .xlsx"),
    (rf"(<!--.{{0,2000}}?-->\s*|<\?xml[^>]*>\s*)*<({HTML_TAGS})\b", "an HTML page"),
    (r"<\?xml\b|<!doctype\b|<!--", "an XML document"),
    (r"<([a-z_][\w.-]*:)?[a-z_][\w.-]*(\s[^<>]*)?>(?=.*</)", "an XML document"),
    (
        r"((from|date|subject|content-type):\s.{0,2000}\b)?mime-version:\s",
        "a web archive or mail (MIME)",
    ),
    (r"%!PS", "a PostScript document"),
    (r"\{\s*(\"|\})|\[\s*[\{\[]", "a JSON document"),
    (r"TABLE\s*\r?\n0,1\s*\r?\n", "a DIF file; save it as .xlsx or .csv"),
)
TEXT_KINDS = [
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), kind) for pattern, kind in TEXT_PATTERNS
]


def is_workbook(document: Document) -> bool:
    """True for a zip archive, False for what may be text; whatever else is told by its name."""
    with open(document.path, "rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise document.error("is empty: it holds 0 bytes")
    if head.startswith(ZIP_MAGIC):
        return True
    if head.startswith(OLE_MAGIC):
        raise document.error(f"is {ole_kind(document)}")
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            raise document.error(f"is {kind}, not a spreadsheet that can be read")
    return False


def ole_kind(document: Document) -> str:
    """Which of the formats that share one container; its directory names the streams."""
    names = {"EncryptedPackage": "a password-protected workbook; remove the password first",
             "Workbook": OLD_EXCEL, "Book": OLD_EXCEL,
             "WordDocument": "a Word document", "PowerPoint Document": "a PowerPoint presentation",
             "__properties_version1.0": "an Outlook message"}  # fmt: skip
    directory = ole_directory(document)
    for name, kind in names.items():
        if name.encode("utf-16-le") + b"\0\0" in directory:
            return kind
    return "an old Office document or installer (OLE), not a spreadsheet that can be read"


def ole_directory(document: Document) -> bytes:
    """The first sectors of the directory, found from the header."""
    with open(document.path, "rb") as file:
        header = file.read(512)
        shift = int.from_bytes(header[30:32], "little")
        first = int.from_bytes(header[48:52], "little")
        file.seek((first + 1) << min(shift, 12))
        return file.read(HEAD_BYTES)


def text_kind(sample: str) -> str | None:
    """What the beginning of a text is, when it is no table of values."""
    start = sample.lstrip("\ufeff\x00 \t\r\n")[:4096]
    for pattern, kind in TEXT_KINDS:
        if pattern.match(start):
            return kind
    return None
