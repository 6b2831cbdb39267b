# Made of _async/system.py by scripts/unasync.py; changes belong there.
"""The service itself: for admins, but for its health and whether it takes new work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import List, cast

from .._core.requests import given
from ..schema import Actors, ApiKey, AuditPage, Health, MaintenanceReport, NewApiKey, Node, Role, SafeMode
from .http import Http


class ApiKeys:
    def __init__(self, http: Http):
        self._http = http

    def create(
        self, name: str, role: Role, *, workspaces: Sequence[str] | None = None, expires_at: str | None = None
    ) -> NewApiKey:
        """`key` is in this answer and never again."""
        body = given(name=name, role=role, workspaces=workspaces, expires_at=expires_at)
        return cast(NewApiKey, self._http.json("POST", "/api-keys", json=body))

    def list(self) -> List[ApiKey]:
        return cast("List[ApiKey]", (self._http.json("GET", "/api-keys"))["items"])

    def get(self, key: str) -> ApiKey:
        return cast(ApiKey, self._http.json("GET", f"/api-keys/{key}"))

    def revoke(self, key: str) -> None:
        self._http.json("DELETE", f"/api-keys/{key}")


class System:
    def __init__(self, http: Http):
        self._http = http

    def health(self) -> Health:
        return cast(Health, self._http.json("GET", "/health"))

    def actors(self) -> Actors:
        """What is at work, and how far it has come."""
        return cast(Actors, self._http.json("GET", "/system/actors"))

    def nodes(self) -> List[Node]:
        """Which nodes share the database, and which of them are at work."""
        return cast("List[Node]", (self._http.json("GET", "/system/nodes"))["items"])

    def maintain(self) -> MaintenanceReport:
        return cast(MaintenanceReport, self._http.json("POST", "/system/maintenance"))

    def safe_mode(self) -> SafeMode:
        return cast(SafeMode, self._http.json("GET", "/system/safe-mode"))

    def set_safe_mode(self, enabled: bool, detail: str | None = None) -> SafeMode:
        """While it is on no new work is taken."""
        body = {"enabled": enabled, **given(detail=detail)}
        return cast(SafeMode, self._http.json("PUT", "/system/safe-mode", json=body))

    def audit(self, after: int = 0, limit: int = 100) -> AuditPage:
        """Who has changed what, oldest first, behind the sequence `after`."""
        return cast(AuditPage, self._http.json("GET", "/audit", {"after_sequence": after, "limit": limit}))
