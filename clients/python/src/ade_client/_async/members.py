"""What keys and people may do in single workspaces, besides what they may anyway."""

from __future__ import annotations

from typing import List, cast

from .._core.requests import given
from ..schema import Member, MemberRole, Person
from .http import AsyncHttp


class AsyncMembers:
    def __init__(self, http: AsyncHttp):
        self._http = http

    async def list(self, workspace: str) -> List[Member]:
        return cast("List[Member]", (await self._http.json("GET", f"/workspaces/{workspace}/members"))["items"])

    async def get(self, workspace: str, member: str) -> Member:
        return cast(Member, await self._http.json("GET", f"/workspaces/{workspace}/members/{member}"))

    async def add(
        self, workspace: str, role: MemberRole, *, member: str | None = None, subject: str | None = None
    ) -> Member:
        """A key or a person by its id, or a person by its `subject`."""
        body = given(role=role, member=member, subject=subject)
        return cast(Member, await self._http.json("POST", f"/workspaces/{workspace}/members", json=body))

    async def change(self, workspace: str, member: str, role: MemberRole) -> Member:
        path = f"/workspaces/{workspace}/members/{member}"
        return cast(Member, await self._http.json("PUT", path, json={"role": role}))

    async def remove(self, workspace: str, member: str) -> None:
        await self._http.json("DELETE", f"/workspaces/{workspace}/members/{member}")

    async def people(self) -> List[Person]:
        """Whom a provider of OpenID Connect has named, who came last first."""
        return cast("List[Person]", (await self._http.json("GET", "/people"))["items"])
