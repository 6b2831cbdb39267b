# Made of _async/common.py by scripts/unasync.py; changes belong there.
"""What all kinds of resources have in common."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Generic, Literal, TypeVar, cast

from .._core.place import Place
from .._core.reader import Filter, Transport
from .._core.requests import given
from .._core.streams import terminal_of
from .follow import SILENCE, Follow, Options
from .http import Http

T = TypeVar("T")
E = TypeVar("E")


class Listing(Generic[T]):
    """A list that is read part by part as it is iterated, or page by page."""

    def __init__(self, http: Http, path: str, query: dict[str, Any]):
        self._http = http
        self._path = path
        self._query = query

    def page(self, page: int) -> dict[str, Any]:
        """`items`, `page`, `perPage`, `pageCount` and `total`."""
        return cast("dict[str, Any]", self._http.json("GET", self._path, {**self._query, "page": page}))

    def __iter__(self) -> Generator[T, None, None]:
        """Rows that come meanwhile change nothing about what follows."""
        cursor: str | None = ""
        while cursor is not None:
            part = self._http.json("GET", self._path, {**self._query, "cursor": cursor})
            for item in part["items"]:
                yield item
            cursor = part["next_cursor"]

    def first(self, count: int) -> list[T]:
        items: list[T] = []
        for item in self:
            items.append(item)
            if len(items) >= count:
                break
        return items


def following(
    http: Http,
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
) -> Follow[Any]:
    places = [Place(stream, after, tail) for stream in streams]
    return Follow(http, places, Options(Filter(types, scope, level, contains), transport, silence, ticket))


class Works(Generic[T, E]):
    """Runs, builds and executions."""

    _collection: str

    def __init__(self, http: Http):
        self._http = http

    def get(self, id: str) -> T:
        return cast(T, self._http.json("GET", f"/{self._collection}/{id}"))

    def cancel(self, id: str, reason: str | None = None) -> T:
        """What has ended as cancelled before is answered as it is; what ended otherwise is a `ProblemError`."""
        body = given(reason=reason)
        return cast(T, self._http.json("POST", f"/{self._collection}/{id}/cancel", json=body))

    def log(self, id: str) -> bytes:
        """The stored lines of its log (NDJSON), as they are."""
        return (self._http.send("GET", f"/{self._collection}/{id}/events/download")).content

    def follow(self, id: str, **options: Any) -> Follow[E]:
        """Its events; options as for `follow` of the client."""
        return following(self._http, [id], **options)

    def wait(self, id: str, **options: Any) -> T:
        """Waits for the end of the work, over lost connections and restarts of the service."""
        ends = self.follow(id, **options, types=[terminal_of(id)], tail=1)
        for _ in ends:
            pass
        return self.get(id)
