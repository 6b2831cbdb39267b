"""What all kinds of resources have in common."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Generic, Literal, TypeVar, cast

from .._core.place import Place
from .._core.reader import Filter, Transport
from .._core.requests import given
from .._core.streams import terminal_of
from .follow import SILENCE, AsyncFollow, Options
from .http import AsyncHttp

T = TypeVar("T")
E = TypeVar("E")


class AsyncListing(Generic[T]):
    """A list that is read part by part as it is iterated, or page by page."""

    def __init__(self, http: AsyncHttp, path: str, query: dict[str, Any]):
        self._http = http
        self._path = path
        self._query = query

    async def page(self, page: int) -> dict[str, Any]:
        """`items`, `page`, `perPage`, `pageCount` and `total`."""
        return cast("dict[str, Any]", await self._http.json("GET", self._path, {**self._query, "page": page}))

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        """Rows that come meanwhile change nothing about what follows."""
        cursor: str | None = ""
        while cursor is not None:
            part = await self._http.json("GET", self._path, {**self._query, "cursor": cursor})
            for item in part["items"]:
                yield item
            cursor = part["next_cursor"]

    async def first(self, count: int) -> list[T]:
        items: list[T] = []
        async for item in self:
            items.append(item)
            if len(items) >= count:
                break
        return items


def following(
    http: AsyncHttp,
    streams: Sequence[str],
    *,
    after: int | None = None,
    tail: int | None = None,
    types: Sequence[str] | None = None,
    scope: Literal["build", "run"] | None = None,
    level: Literal["debug", "info", "warn", "error"] | None = None,
    contains: str | None = None,
    transport: Transport = "auto",
    silence: float = SILENCE,
    ticket: str | None = None,
) -> AsyncFollow[Any]:
    places = [Place(stream, after, tail) for stream in streams]
    return AsyncFollow(http, places, Options(Filter(types, scope, level, contains), transport, silence, ticket))


class AsyncWorks(Generic[T, E]):
    """Runs, builds and executions."""

    _collection: str

    def __init__(self, http: AsyncHttp):
        self._http = http

    async def get(self, id: str) -> T:
        return cast(T, await self._http.json("GET", f"/{self._collection}/{id}"))

    async def cancel(self, id: str, reason: str | None = None) -> T:
        """What has ended as cancelled before is answered as it is; what ended otherwise is a `ProblemError`."""
        body = given(reason=reason)
        return cast(T, await self._http.json("POST", f"/{self._collection}/{id}/cancel", json=body))

    async def log(self, id: str) -> bytes:
        """The stored lines of its log (NDJSON), as they are."""
        return (await self._http.send("GET", f"/{self._collection}/{id}/events/download")).content

    def follow(self, id: str, **options: Any) -> AsyncFollow[E]:
        """Its events; options as for `follow` of the client."""
        return following(self._http, [id], **options)

    async def wait(self, id: str, **options: Any) -> T:
        """Waits for the end of the work, over lost connections and restarts of the service."""
        ends = self.follow(id, **options, types=[terminal_of(id)], tail=1)
        async for _ in ends:
            pass
        return await self.get(id)
