"""The manifest of a configuration package, parsed strictly."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ConfigError

HOOK_STAGES = (
    "on_run_start",
    "on_after_extract",
    "on_after_mapping",
    "on_before_save",
    "on_run_end",
)
MISSING = object()
INVALID_SHEET_TITLE = re.compile(r"[\[\]:*?/\\]")


@dataclass(frozen=True)
class Field:
    """One column of the output."""

    name: str
    label: str
    module: str
    required: bool
    synonyms: tuple[str, ...]
    type: str | None

    @property
    def meta(self) -> dict:
        """What scripts receive as ``field_meta``."""
        return {
            "label": self.label,
            "required": self.required,
            "synonyms": list(self.synonyms),
            "type": self.type,
        }


@dataclass(frozen=True)
class Writer:
    """How the output workbook is laid out."""

    append_unmapped_columns: bool
    unmapped_prefix: str
    output_sheet: str


@dataclass(frozen=True)
class Reader:
    """What the input must hold."""

    allow_no_tables: bool


@dataclass(frozen=True)
class Manifest:
    """The whole manifest; ``fields`` are in output order."""

    version: str
    fields: tuple[Field, ...]
    hooks: dict[str, tuple[str, ...]]
    reader: Reader
    writer: Writer


class Section:
    """One JSON object of the manifest, read key by key; leftovers are errors."""

    def __init__(self, value: Any, where: str):
        if not isinstance(value, dict):
            raise ConfigError(f"manifest: {where or 'the document'} must be an object")
        self._values = dict(value)
        self._where = where

    def take(self, key: str, kind: type, default: Any = MISSING) -> Any:
        value = self._values.pop(key, default)
        if value is MISSING:
            raise ConfigError(f"manifest: {self._path(key)} is missing")
        if value is default:
            return value
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ConfigError(f"manifest: {self._path(key)} must be of type {kind.__name__}")
        return value

    def take_strings(self, key: str, default: Any = MISSING) -> tuple[str, ...]:
        values = self.take(key, list, default)
        if not all(isinstance(value, str) for value in values):
            raise ConfigError(f"manifest: {self._path(key)} must be a list of strings")
        return tuple(values)

    def take_section(self, key: str, default: Any = MISSING) -> "Section":
        return Section(self.take(key, dict, default), self._path(key))

    def keys(self) -> list[str]:
        return list(self._values)

    def finish(self) -> None:
        if self._values:
            names = ", ".join(self._path(key) for key in self._values)
            raise ConfigError(f"manifest: unknown key {names}")

    def _path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key


def load_manifest(path: Path) -> Manifest:
    """Read and check the manifest file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path.name} is missing from the configuration package") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path.name} is not valid JSON: {error}") from error
    return parse_manifest(document)


def parse_manifest(document: Any) -> Manifest:
    root = Section(document, "")
    version = root.take("version", str)
    root.take("schema", str)
    root.take("script_api_version", int)
    for key in ("name", "description", "extra"):
        root.take(key, object, None)
    manifest = Manifest(
        version=version,
        fields=parse_columns(root.take_section("columns")),
        hooks=parse_hooks(root.take_section("hooks", {})),
        reader=parse_reader(root.take_section("reader", {})),
        writer=parse_writer(root.take_section("writer", {})),
    )
    root.finish()
    return manifest


def parse_columns(section: Section) -> tuple[Field, ...]:
    order = section.take_strings("order")
    fields_section = section.take_section("fields")
    section.finish()
    names = fields_section.keys()
    if sorted(order) != sorted(names):
        differing = sorted(set(order) ^ set(names)) or ["a name twice"]
        raise ConfigError(
            "manifest: columns.order must list every field of columns.fields exactly once; "
            f"differs in {', '.join(differing)}"
        )
    return tuple(parse_field(name, fields_section.take_section(name)) for name in order)


def parse_field(name: str, section: Section) -> Field:
    field = Field(
        name=name,
        label=section.take("label", str),
        module=section.take("module", str),
        required=section.take("required", bool, False),
        synonyms=section.take_strings("synonyms", []),
        type=section.take("type", str, None),
    )
    section.finish()
    return field


def parse_hooks(section: Section) -> dict[str, tuple[str, ...]]:
    hooks = {stage: section.take_strings(stage, []) for stage in HOOK_STAGES}
    section.finish()
    return hooks


def parse_reader(section: Section) -> Reader:
    reader = Reader(allow_no_tables=section.take("allow_no_tables", bool, False))
    section.finish()
    return reader


def parse_writer(section: Section) -> Writer:
    writer = Writer(
        append_unmapped_columns=section.take("append_unmapped_columns", bool, True),
        unmapped_prefix=section.take("unmapped_prefix", str, "raw_"),
        output_sheet=section.take("output_sheet", object, None) or "Normalized",
    )
    section.finish()
    check_sheet_title(writer.output_sheet)
    return writer


def check_sheet_title(title: Any) -> None:
    if not isinstance(title, str) or len(title) > 31 or INVALID_SHEET_TITLE.search(title):
        raise ConfigError(
            "manifest: writer.output_sheet must be a sheet title "
            r"(at most 31 characters, none of []:*?/\)"
        )
