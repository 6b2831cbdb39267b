"""Streaming XML without what can be turned against its reader."""

from collections.abc import Callable
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

from ..limits import MAX_XML_DEPTH, MAX_XML_TOKEN_BYTES

CHUNK = 256 * 1024
MAX_REMEMBERED_NAMES = 4096


class XmlFault(Exception):
    """The XML is damaged or is not read on purpose."""


class Refused(XmlFault):
    """XML that only harms its reader."""


class LocalNames(dict):
    """Names without prefix: strict and transitional files differ in namespaces, not in names."""

    def __missing__(self, name: str) -> str:
        local = name.rpartition(":")[2]
        if len(self) < MAX_REMEMBERED_NAMES:
            self[name] = local
        return local


def parse(
    stream: Any,
    start: Callable[[str, dict], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Feed a stream of bytes to handlers, which get names with their prefixes."""
    parser = ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = CHUNK
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = refuse_entity
    parser.ExternalEntityRefHandler = refuse_entity
    try:
        feed(parser, stream)
    except (ExpatError, LookupError, ValueError) as error:  # the last two: unknown encodings
        raise XmlFault(f"its XML is damaged: {error}") from error


def feed(parser: Any, stream: Any) -> None:
    fed = 0
    while chunk := stream.read(CHUNK):
        if not fed:
            chunk = chunk.lstrip(b" \t\r\n")  # some programs begin with an empty line
        parser.Parse(chunk, False)
        fed += len(chunk)
        if fed - max(parser.CurrentByteIndex, 0) > MAX_XML_TOKEN_BYTES:
            raise XmlFault("its XML has an endless tag")
    parser.Parse(b"", True)


def refuse_entity(*_: Any) -> int:
    raise Refused("its XML declares entities, which are not read")


def deeper(depth: int) -> int:
    """One level more; the parser keeps memory for each, so there must be an end to them."""
    if depth >= MAX_XML_DEPTH:
        raise XmlFault("its XML is nested too deeply")
    return depth + 1


class Elements:
    """Collects what small parts hold: calls ``visit(path, attributes)`` for each element."""

    def __init__(self, visit: Callable[[tuple[str, ...], dict], None]):
        self._visit = visit
        self._names = LocalNames()
        self._path: tuple[str, ...] = ()

    def start(self, name: str, attributes: dict) -> None:
        deeper(len(self._path))
        self._path = (*self._path, self._names[name])
        self._visit(self._path, {self._names[key]: value for key, value in attributes.items()})

    def end(self, _: str) -> None:
        self._path = self._path[:-1]


def visit_elements(stream: Any, visit: Callable[[tuple[str, ...], dict], None]) -> None:
    elements = Elements(visit)
    parse(stream, elements.start, elements.end)
