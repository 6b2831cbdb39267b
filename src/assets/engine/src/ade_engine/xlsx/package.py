"""The zip archive of a workbook: its parts by name, each within limits."""

import lzma
import zipfile
import zlib
from contextlib import contextmanager
from posixpath import dirname, join, normpath
from typing import Any

from ..documents import Document
from ..errors import InputTooLarge, describe
from ..limits import (
    FREE_PART_BYTES,
    MAX_PART_BYTES,
    MAX_PARTS,
    MAX_RATIO,
    MAX_UNPACKED_BYTES,
)
from .xml import XmlFault, visit_elements

READ_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    lzma.LZMAError,
)


class Damaged(Exception):
    """A part cannot be read; says why."""


class Package:
    """The parts of an open archive."""

    def __init__(self, archive: zipfile.ZipFile, document: Document):
        self._archive = archive
        self._document = document
        self._unpacked = 0
        self._parts: dict[str, zipfile.ZipInfo] = {}
        for info in archive.infolist():
            self._parts.setdefault(part_key(info.filename), info)

    def __contains__(self, name: str) -> bool:
        return part_key(name) in self._parts

    def names(self) -> list[str]:
        return list(self._parts)

    @contextmanager
    def open(self, name: str) -> Any:
        """A part as a stream; what goes wrong while it is read is ``Damaged``."""
        info = self._parts.get(part_key(name))
        if info is None:
            raise Damaged(f"its part {name[:100]} is missing")
        self._check_size(info)
        try:
            with self._archive.open(info) as stream:
                yield stream
        except READ_FAULTS as error:
            raise Damaged(
                f"its part {name[:100]} cannot be read ({describe(error)[:200]})"
            ) from error

    def _check_size(self, info: zipfile.ZipInfo) -> None:
        """The archive module reads no more than the size that is declared here."""
        size, packed = info.file_size, max(info.compress_size, 1)
        self._unpacked += size
        if self._unpacked > MAX_UNPACKED_BYTES:
            reason = f"is too large: its parts unpack to more than {MAX_UNPACKED_BYTES:,} bytes"
            raise self._document.error(reason, InputTooLarge)
        if size > MAX_PART_BYTES or (size > FREE_PART_BYTES and size / packed > MAX_RATIO):
            raise self._document.error(
                f"is too large: its part {info.filename[:100]} unpacks from {packed:,} "
                f"to {size:,} bytes",
                InputTooLarge,
            )

    def relationships(self, part: str) -> dict[str, tuple[str, str]]:
        """Type (its last word) and target part by id; what is damaged in them is left out."""
        found: dict[str, tuple[str, str]] = {}

        def visit(path: tuple[str, ...], attributes: dict) -> None:
            if path[-1] == "Relationship" and attributes.get("TargetMode") != "External":
                kind = attributes.get("Type", "").rpartition("/")[2]
                found[attributes.get("Id", "")] = (
                    kind,
                    target_part(part, attributes.get("Target", "")),
                )

        folder, _, name = part.rpartition("/")
        try:
            with self.open(join(folder, "_rels", f"{name}.rels")) as stream:
                visit_elements(stream, visit)
        except (Damaged, XmlFault):
            pass
        return found


def part_key(name: str) -> str:
    """Names are compared without case; some programs write them as paths of Windows."""
    return name.replace("\\", "/").lstrip("/").lower()


def target_part(source: str, target: str) -> str:
    target = target.replace("\\", "/")
    return normpath(target if target.startswith("/") else join(dirname(source), target)).lstrip("/")


@contextmanager
def open_package(document: Document) -> Any:
    """The document as an archive; says what it is when it is none."""
    check_directory(document)
    try:
        archive = zipfile.ZipFile(document.path)
    except (*READ_FAULTS, ValueError) as error:
        raise damaged(document, describe(error)) from error
    with archive:
        yield Package(archive, document)


def damaged(document: Document, reason: str) -> Exception:
    return document.error(
        f"cannot be read as a workbook, it may be damaged or password-protected ({reason})"
    )


def check_directory(document: Document) -> None:
    """The directory is held in memory, so its size must be that of a workbook's."""
    with open(document.path, "rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 65_557))
        end = file.read()
    position = end.rfind(b"PK\x05\x06")
    if position >= 0 and int.from_bytes(end[position + 10 : position + 12], "little") > MAX_PARTS:
        raise document.error(
            f"is too large: its archive has more than {MAX_PARTS:,} parts", InputTooLarge
        )
