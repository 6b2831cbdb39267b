"""The encoding of a text file.

UTF-8, UTF-16 and UTF-32 show in the bytes. Other text is read as Windows-1252, which is told, or
refused.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..documents import Document

CHUNK = 1024 * 1024
HEAD = 64 * 1024
FALLBACK = "ade-windows-1252"
SURVEY = "ade-windows-1252-survey"
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")
# Western text has its accented letters one by one; a run of them is another alphabet.
FOREIGN = re.compile(rb"[\xa1-\xff]{4,}")


def windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are no UTF-8, each as a character of Windows-1252; five bytes have none there."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252"), error.end


codecs.register_error(FALLBACK, windows_1252)


@dataclass(frozen=True)
class Encoding:
    """How to open the file, and what to say about it."""

    name: str
    errors: str = "strict"
    warning: str | None = None


def find_encoding(document: Document) -> Encoding:
    with open(document.path, "rb") as file:
        head = file.read(HEAD)
    name = marked(head) or unmarked_wide(head) or "utf-8"
    if "32" not in name and "16" not in name and len(CONTROL.findall(head)) > len(head) // 5:
        raise document.error("is a binary file of an unknown kind, not text")
    fault = first_fault(document, name)
    if fault is None:
        return Encoding(name)
    if not name.startswith("utf-8"):
        raise document.error(f"begins like {name.upper()} but is damaged: {fault}")
    return legacy(document, name)


def marked(head: bytes) -> str | None:
    for mark, name in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return name
    return None


def unmarked_wide(head: bytes) -> str | None:
    """UTF-16 and UTF-32 without a mark: half or three quarters of plain text are NUL bytes."""
    zeros = head.count(0)
    if zeros >= 0.6 * len(head) and len(head) % 4 == 0 and head[:4].count(0) == 3:
        return "utf-32-be" if head[0] == 0 else "utf-32-le"
    odd = head[1::2].count(0)
    if zeros >= 2 and odd >= 0.95 * zeros and ends_lines(head, b"\n\0", b"\r\0"):
        return "utf-16-le"
    if zeros >= 2 and odd <= 0.05 * zeros and ends_lines(head, b"\0\n", b"\0\r"):
        return "utf-16-be"
    return None


def ends_lines(head: bytes, newline: bytes, carriage: bytes) -> bool:
    """Whether the line ends are as wide as the encoding's; without any, most of it must be NUL."""
    lines = head.count(b"\n") + head.count(b"\r")
    if not lines:
        return head.count(0) >= 0.3 * len(head)
    return head.count(newline) + head.count(carriage) >= 0.9 * lines


def first_fault(document: Document, name: str) -> str | None:
    """What is wrong with the file as text of that encoding."""
    decoder = codecs.getincrementaldecoder(name)()
    try:
        for chunk in chunks(document):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeError as error:
        return getattr(error, "reason", str(error))
    return None


def legacy(document: Document, name: str) -> Encoding:
    """Text that is no UTF-8: it must be Windows-1252 wherever it is not UTF-8."""
    survey = Survey()
    codecs.register_error(SURVEY, survey)
    decoder = codecs.getincrementaldecoder("utf-8")(SURVEY)
    try:
        for chunk in chunks(document):
            decoder.decode(chunk)
            survey.lines += chunk.count(b"\n")
        decoder.decode(b"", final=True)
    except UnicodeError:
        line = survey.lines + 1
        reason = f"is neither UTF-8 nor Windows-1252 text (about line {line}); save it as UTF-8"
        raise document.error(reason, line=line) from None
    return Encoding(
        name,
        FALLBACK,
        f"is not valid UTF-8: {survey.count} bytes, the first in line {survey.first_line}, were "
        "read as Windows-1252. Check the accented letters, or save the file as UTF-8",
    )


class Survey:
    """An error handler that counts the bytes which need the fallback."""

    def __init__(self) -> None:
        self.count = 0
        self.lines = 0
        self.first_line = 0

    def __call__(self, error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)
        around = error.object[max(0, error.start - 3) : error.end + 3]
        if FOREIGN.search(around):
            raise error
        self.count += error.end - error.start
        if not self.first_line:
            self.first_line = self.lines + error.object.count(b"\n", 0, error.start) + 1
        return windows_1252(error)


def chunks(document: Document) -> Iterator[bytes]:
    with open(document.path, "rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
