"""The service itself: for admins, but for its health and whether it takes new work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import List, cast

from .._core.requests import given
from ..schema import Actors, ApiKey, AuditPage, Health, MaintenanceReport, NewApiKey, Node, Role, SafeMode
from .http import AsyncHttp


class AsyncApiKeys:
    def __init__(self, http: AsyncHttp):
        self._http = http

    async def create(
        self, name: str, role: Role, *, workspaces: Sequence[str] | None = None, expires_at: str | None = None
    ) -> NewApiKey:
        """`key` is in this answer and never again."""
        body = given(name=name, role=role, workspaces=workspaces, expires_at=expires_at)
        return cast(NewApiKey, await self._http.json("POST", "/api-keys", json=body))

    async def list(self) -> List[ApiKey]:
        return cast("List[ApiKey]", (await self._http.json("GET", "/api-keys"))["items"])

    async def get(self, key: str) -> ApiKey:
        return cast(ApiKey, await self._http.json("GET", f"/api-keys/{key}"))

    async def revoke(self, key: str) -> None:
        await self._http.json("DELETE", f"/api-keys/{key}")


class AsyncSystem:
    def __init__(self, http: AsyncHttp):
        self._http = http

    async def health(self) -> Health:
        return cast(Health, await self._http.json("GET", "/health"))

    async def actors(self) -> Actors:
        """What is at work, and how far it has come."""
        return cast(Actors, await self._http.json("GET", "/system/actors"))

    async def nodes(self) -> List[Node]:
        """Which nodes share the database, and which of them are at work."""
        return cast("List[Node]", (await self._http.json("GET", "/system/nodes"))["items"])

    async def maintain(self) -> MaintenanceReport:
        return cast(MaintenanceReport, await self._http.json("POST", "/system/maintenance"))

    async def safe_mode(self) -> SafeMode:
        return cast(SafeMode, await self._http.json("GET", "/system/safe-mode"))

    async def set_safe_mode(self, enabled: bool, detail: str | None = None) -> SafeMode:
        """While it is on no new work is taken."""
        body = {"enabled": enabled, **given(detail=detail)}
        return cast(SafeMode, await self._http.json("PUT", "/system/safe-mode", json=body))

    async def audit(self, after: int = 0, limit: int = 100) -> AuditPage:
        """Who has changed what, oldest first, behind the sequence `after`."""
        return cast(AuditPage, await self._http.json("GET", "/audit", {"after_sequence": after, "limit": limit}))
