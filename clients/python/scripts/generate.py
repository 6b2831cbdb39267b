"""Writes src/ade_client/schema.py: the types of what the service takes and answers, from its OpenAPI document.

python scripts/generate.py <openapi.json> [--check]
"""

import json
import keyword
import re
import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src/ade_client/schema.py"
HEAD = '''"""Written by scripts/generate.py from docs/openapi.json; changes belong there."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict
'''
# No errors (they are `ProblemError`), and no parameters of lists.
LEFT_OUT = re.compile(r"Problem$|_filters$|^Event$|(?<!Console)(?<!Audit)Page$|Slice$")
PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def annotation(schema: dict) -> str:
    """The type of a value, as it is written in an annotation."""
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[1]
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return f"Literal[{', '.join(repr(value) for value in values)}]"
    for members in ("oneOf", "anyOf"):
        if members in schema:
            return " | ".join(dict.fromkeys(annotation(member) for member in schema[members]))
    if len(schema.get("allOf", [])) == 1:
        return annotation(schema["allOf"][0])
    kinds = schema.get("type", "any")
    return " | ".join(plain(kind, schema) for kind in (kinds if isinstance(kinds, list) else [kinds]))


def plain(kind: str, schema: dict) -> str:
    if kind == "array":
        return f"list[{annotation(schema.get('items', {}))}]"
    if kind == "object":
        values = schema.get("additionalProperties", {})
        return f"dict[str, {annotation(values) if isinstance(values, dict) else 'Any'}]"
    return PLAIN.get(kind, "Any")


def bases(schema: dict) -> tuple[list[str], dict, set]:
    """What an object takes over, and what it has of its own."""
    parts = schema.get("allOf", [schema])
    refs = [annotation(part) for part in parts if "$ref" in part]
    properties, required = {}, set()
    for part in parts:
        properties |= part.get("properties", {})
        required |= set(part.get("required", []))
    return refs, properties, required


def definition(name: str, schema: dict, is_object: dict[str, bool]) -> str:
    comment = "".join(f"# {line}\n" for line in schema.get("description", "").splitlines())
    if not is_object[name]:
        return f'{comment}{name}: TypeAlias = "{annotation(schema)}"\n'
    refs, properties, required = bases(schema)
    refs = [ref for ref in refs if is_object[ref]]
    must = {key: value for key, value in properties.items() if key in required}
    may = {key: value for key, value in properties.items() if key not in required}
    if must and may:
        first = typed_dict(f"_{name}", refs, must, "")
        return f"{first}\n\n{comment}{typed_dict(name, [f'_{name}'], may, ', total=False')}"
    return comment + typed_dict(name, refs, must or may, ", total=False" if may else "")


def typed_dict(name: str, refs: list[str], properties: dict, total: str) -> str:
    if any(keyword.iskeyword(key) or not key.isidentifier() for key in properties):
        # No attribute can have such a name, so that it is written as a call; that takes nothing over.
        assert not refs and not name.startswith("_"), name
        members = ", ".join(f'"{key}": "{annotation(value)}"' for key, value in properties.items())
        return f'{name} = TypedDict("{name}", {{{members}}}{total})\n'
    parents = ", ".join(refs) or "TypedDict"
    lines = [f"    {key}: {annotation(value)}" for key, value in properties.items()]
    return "\n".join([f"class {name}({parents}{total}):", *(lines or ["    pass"])]) + "\n"


def ordered(names: list[str], schemas: dict, is_object: dict[str, bool]) -> list[str]:
    """Those that others take over come first; annotations are not evaluated, so that everything else may come later."""
    done: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        if is_object[name]:
            for ref in bases(schemas[name])[0]:
                visit(ref)
        done.append(name)

    for name in names:
        visit(name)
    return done


def main() -> int:
    schemas = json.loads(Path(sys.argv[1]).read_text("utf-8"))["components"]["schemas"]
    schemas = {name: schema for name, schema in schemas.items() if not LEFT_OUT.search(name)}
    is_object = {
        name: "properties" in schema or any("properties" in part for part in schema.get("allOf", []))
        for name, schema in schemas.items()
    }
    parts = [definition(name, schemas[name], is_object) for name in ordered(sorted(schemas), schemas, is_object)]
    text = HEAD + "".join(f"\n\n{part}" for part in parts)
    if "--check" not in sys.argv:
        TARGET.write_text(text, "utf-8")
    elif TARGET.read_text("utf-8") != text:
        print("schema.py is not what docs/openapi.json says: python scripts/generate.py ../../docs/openapi.json")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
