"""Files that are sent."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

Content = Union[str, Path, bytes]
Archive = Union[str, Path, bytes]
_LEFT_OUT = {"__pycache__", ".git", ".venv", "node_modules"}


def upload(file: Content, name: str | None, metadata: Mapping[str, Any]) -> dict[str, Any]:
    content = file if isinstance(file, bytes) else Path(file).read_bytes()
    shown = name or ("file" if isinstance(file, bytes) else Path(file).name)
    data = {"metadata": json.dumps(dict(metadata))} if metadata else {}
    return {"files": {"file": (shown, content)}, "data": data}


def archive(package: Archive) -> dict[str, tuple[str, bytes]]:
    content = package if isinstance(package, bytes) else _packed(Path(package))
    return {"file": ("configuration.zip", content)}


def _packed(path: Path) -> bytes:
    if path.is_file():
        return path.read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for file in sorted(path.rglob("*")):
            if file.is_file() and not _LEFT_OUT & set(file.relative_to(path).parts):
                target.write(file, file.relative_to(path).as_posix())
    return packed.getvalue()
