"""The shared strings of a workbook, and the text that a cell or string element holds."""

import re

from ..clean import clean_text
from ..limits import MAX_TEXT_CHARACTERS
from .package import Package
from .xml import LocalNames, XmlFault, deeper, parse

ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class CleanedText(str):
    """Text from which invisible characters were removed."""


def cell_text(raw: str) -> str:
    """What a text means: escapes resolved, invisible characters removed."""
    if "_x" in raw:
        raw = unescape(raw)
    text = clean_text(raw)
    return CleanedText(text) if len(text) < len(raw.replace("\r\n", "\n")) else text


def unescape(raw: str) -> str:
    """``_x000D_`` is a carriage return; ``_x005F_`` keeps the underscore of such a text."""
    text = ESCAPE.sub(lambda match: chr(int(match[1], 16)), raw)
    text = SURROGATES.sub(
        lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text
    )
    return LONE_SURROGATE.sub("\ufffd", text)


class StringsReader:
    """Reads ``si`` elements; phonetic runs (``rPh``) are hints for reading aloud, not text."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self._names = LocalNames()
        self._parts: list[str] | None = None
        self._inside_text = False
        self._skipping = 0
        self._depth = 0
        self._size = 0

    def start(self, name: str, _: dict) -> None:
        kind = self._names[name]
        self._depth = deeper(self._depth)
        if kind == "si":
            self._parts, self._size = [], 0
        elif kind == "rPh" or self._skipping:
            self._skipping += 1
        elif kind == "t":
            self._inside_text = self._parts is not None

    def end(self, name: str) -> None:
        kind = self._names[name]
        self._depth -= 1
        if self._skipping:
            self._skipping -= 1
        elif kind == "t":
            self._inside_text = False
        elif kind == "si" and self._parts is not None:
            self.strings.append(cell_text("".join(self._parts)))
            self._parts = None

    def text(self, data: str) -> None:
        if self._inside_text and self._parts is not None:
            self._parts.append(data)
            self._size += len(data)
            if self._size > MAX_TEXT_CHARACTERS:
                raise XmlFault(f"a text is longer than {MAX_TEXT_CHARACTERS:,} characters")


def read_strings(package: Package, part: str | None) -> list[str]:
    """All shared strings; none when the workbook has no such part."""
    reader = StringsReader()
    if part and part in package:
        with package.open(part) as stream:
            parse(stream, reader.start, reader.end, reader.text)
    return reader.strings
