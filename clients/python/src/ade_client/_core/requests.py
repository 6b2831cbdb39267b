"""What requests are made of."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..errors import ProblemError
from .backoff import is_passing

API = "/api/v1"


def credentials(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def listed(query: Mapping[str, Any]) -> dict[str, Any]:
    """As they stand in a URL: `filters` as JSON, several keys of `sort` with commas, what is None left out."""
    shown: dict[str, Any] = {}
    for name, value in query.items():
        if name == "filters" and value is not None:
            value = json.dumps(value)
        elif name == "sort" and isinstance(value, (list, tuple)):
            value = ",".join(value)
        elif isinstance(value, bool):
            value = "true" if value else "false"
        if value is not None:
            shown[name] = value
    return shown


def creation(body: Any, idempotency_key: str | None) -> dict[str, Any]:
    """Under one key there is one piece of work, so that a lost answer can be asked for again."""
    return {"json": body, "headers": {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}}


def encoded(path: str) -> str:
    """A path of files, for the end of a URL."""
    return quote(path, safe="/")


def matching(etag: str | None) -> dict[str, str]:
    """Of what is changed: the content that is known of it."""
    return {} if etag is None else {"If-Match": etag}


def given(**members: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def is_repeatable(method: str, headers: Mapping[str, str] | None, problem: ProblemError | None) -> bool:
    """Whether the same request can be sent again without doing something twice."""
    if problem and problem.code == "builds_unavailable":
        return False
    # Refused before it began.
    if problem and problem.status in (429, 503):
        return True
    if problem and not is_passing(problem.status):
        return False
    return method in ("GET", "HEAD") or "Idempotency-Key" in (headers or {})
