# Made of _async/client.py by scripts/unasync.py; changes belong there.
"""Everything that the service offers, by kind."""

from __future__ import annotations

import os
from typing import Any, cast

import httpx

from ..events import AnyEvent
from ..schema import Session, StreamTicket
from .common import following
from .executions import Executions, WorkflowDocuments, Workflows
from .files import ConfigurationFiles
from .follow import Follow
from .http import Http
from .members import Members
from .runs import Builds, Runs
from .system import ApiKeys, System
from .workspaces import Configurations, Documents, Workspaces

_URL = "http://127.0.0.1:8000"


class AdeClient:
    """Without arguments: `ADE_URL` and `ADE_API_KEY`, else the address at which a service is by default, and no key."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        retries: int = 6,
        http_client: httpx.Client | None = None,
    ):
        """`retries`: how often a request that may be repeated is. `http_client`: for proxies and certificates."""
        url = url or os.environ.get("ADE_URL") or _URL
        self._http = Http(url, key or os.environ.get("ADE_API_KEY"), retries, http_client)
        self.workspaces = Workspaces(self._http)
        self.configurations = Configurations(self._http)
        self.configuration_files = ConfigurationFiles(self._http)
        self.documents = Documents(self._http)
        self.runs = Runs(self._http)
        self.builds = Builds(self._http)
        self.executions = Executions(self._http)
        self.workflows = Workflows(self._http)
        self.workflow_documents = WorkflowDocuments(self._http)
        self.members = Members(self._http)
        self.api_keys = ApiKeys(self._http)
        self.system = System(self._http)

    def follow(self, *streams: str, **options: Any) -> Follow[AnyEvent]:
        """Any stream by its id; several, up to 100, on one connection.

        Options: `after` (a sequence to begin behind), `tail` (begin at the n-th event from the end), `types`, `scope`,
        `level`, `contains` (a filter), `transport` (`auto`, `sse`, `poll`), `silence` (seconds after which a connection
        without a sign of life is given up), `ticket`.
        """
        return following(self._http, streams, **options)

    def request(self, method: str, path: str, query: dict[str, Any] | None = None, **sent: Any) -> Any:
        """Whatever else is below `/api/v1`; an answer of 400 and above is a `ProblemError`."""
        return self._http.json(method, path, query, **sent)

    def session(self) -> Session:
        """Who the caller is, and what it may do."""
        return cast(Session, self._http.json("GET", "/session"))

    def ticket(self, stream: str) -> StreamTicket:
        """Lets somebody read the events of one stream; to be used within a minute, then good for twelve hours."""
        return cast(StreamTicket, self._http.json("POST", "/stream-tickets", json={"stream": stream}))

    def etag(self, path: str, **query: Any) -> str:
        """What a change of a resource has to show, such as of `/documents/doc_...`."""
        response = self._http.send("HEAD", path, query)
        return str(response.headers["etag"])

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> AdeClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
