"""Everything that the service offers, by kind."""

from __future__ import annotations

import os
from typing import Any, cast

import httpx

from ..events import AnyEvent
from ..schema import Session, StreamTicket
from .common import following
from .executions import AsyncExecutions, AsyncWorkflowDocuments, AsyncWorkflows
from .files import AsyncConfigurationFiles
from .follow import AsyncFollow
from .http import AsyncHttp
from .members import AsyncMembers
from .runs import AsyncBuilds, AsyncRuns
from .system import AsyncApiKeys, AsyncSystem
from .workspaces import AsyncConfigurations, AsyncDocuments, AsyncWorkspaces

_URL = "http://127.0.0.1:8000"


class AsyncAdeClient:
    """Without arguments: `ADE_URL` and `ADE_API_KEY`, else the address at which a service is by default, and no key."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        retries: int = 6,
        http_client: httpx.AsyncClient | None = None,
    ):
        """`retries`: how often a request that may be repeated is. `http_client`: for proxies and certificates."""
        url = url or os.environ.get("ADE_URL") or _URL
        self._http = AsyncHttp(url, key or os.environ.get("ADE_API_KEY"), retries, http_client)
        self.workspaces = AsyncWorkspaces(self._http)
        self.configurations = AsyncConfigurations(self._http)
        self.configuration_files = AsyncConfigurationFiles(self._http)
        self.documents = AsyncDocuments(self._http)
        self.runs = AsyncRuns(self._http)
        self.builds = AsyncBuilds(self._http)
        self.executions = AsyncExecutions(self._http)
        self.workflows = AsyncWorkflows(self._http)
        self.workflow_documents = AsyncWorkflowDocuments(self._http)
        self.members = AsyncMembers(self._http)
        self.api_keys = AsyncApiKeys(self._http)
        self.system = AsyncSystem(self._http)

    def follow(self, *streams: str, **options: Any) -> AsyncFollow[AnyEvent]:
        """Any stream by its id; several, up to 100, on one connection.

        Options: `after` (a sequence to begin behind), `tail` (begin at the n-th event from the end), `types`, `scope`,
        `level`, `contains` (a filter), `transport` (`auto`, `sse`, `poll`), `silence` (seconds after which a connection
        without a sign of life is given up), `ticket`.
        """
        return following(self._http, streams, **options)

    async def request(self, method: str, path: str, query: dict[str, Any] | None = None, **sent: Any) -> Any:
        """Whatever else is below `/api/v1`; an answer of 400 and above is a `ProblemError`."""
        return await self._http.json(method, path, query, **sent)

    async def session(self) -> Session:
        """Who the caller is, and what it may do."""
        return cast(Session, await self._http.json("GET", "/session"))

    async def ticket(self, stream: str) -> StreamTicket:
        """Lets somebody read the events of one stream; to be used within a minute, then good for twelve hours."""
        return cast(StreamTicket, await self._http.json("POST", "/stream-tickets", json={"stream": stream}))

    async def etag(self, path: str, **query: Any) -> str:
        """What a change of a resource has to show, such as of `/documents/doc_...`."""
        response = await self._http.send("HEAD", path, query)
        return str(response.headers["etag"])

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> AsyncAdeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
