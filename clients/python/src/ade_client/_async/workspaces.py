"""Workspaces, configurations and input documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from .._core.requests import given
from .._core.upload import Archive, Content, archive, upload
from ..events import FeedEvent
from ..schema import Configuration, Document, Workspace
from .common import AsyncListing, following
from .follow import AsyncFollow
from .http import AsyncHttp


class AsyncWorkspaces:
    def __init__(self, http: AsyncHttp):
        self._http = http

    async def create(self, name: str, slug: str | None = None) -> Workspace:
        return cast(Workspace, await self._http.json("POST", "/workspaces", json=given(name=name, slug=slug)))

    async def get(self, workspace: str) -> Workspace:
        return cast(Workspace, await self._http.json("GET", f"/workspaces/{workspace}"))

    def list(self, **query: Any) -> AsyncListing[Workspace]:
        return AsyncListing(self._http, "/workspaces", query)

    def follow(self, workspace: str, **options: Any) -> AsyncFollow[FeedEvent]:
        """The feed: what becomes of every run and build of the workspace. It has no end."""
        return following(self._http, [workspace], **options)


class AsyncConfigurations:
    def __init__(self, http: AsyncHttp):
        self._http = http

    async def create(self, workspace: str, display_name: str, *, clone: str | None = None) -> Configuration:
        """From a template, unless another configuration is to be copied."""
        source = {"type": "template", "template_id": "default"}
        if clone:
            source = {"type": "clone", "configuration_id": clone}
        body = {"display_name": display_name, "source": source}
        return cast(Configuration, await self._http.json("POST", _path(workspace), json=body))

    async def import_(self, workspace: str, package: Archive, display_name: str | None = None) -> Configuration:
        """From a zip archive of a package, or from its directory."""
        sent = {"files": archive(package), "data": given(display_name=display_name)}
        return cast(Configuration, await self._http.json("POST", f"{_path(workspace)}/import", **sent))

    async def get(self, workspace: str, configuration: str) -> Configuration:
        return cast(Configuration, await self._http.json("GET", _path(workspace, configuration)))

    def list(self, workspace: str, **query: Any) -> AsyncListing[Configuration]:
        return AsyncListing(self._http, _path(workspace), query)

    async def activate(self, workspace: str, configuration: str) -> Configuration:
        """The configuration that the workspace uses from now on."""
        return cast(Configuration, await self._http.json("POST", f"{_path(workspace, configuration)}/activate"))

    async def export(self, workspace: str, configuration: str) -> tuple[bytes, str]:
        """The zip archive, and its `ETag`, which `replace` needs."""
        response = await self._http.send("GET", f"{_path(workspace, configuration)}/export")
        return response.content, response.headers["etag"]

    async def replace(self, workspace: str, configuration: str, package: Archive, *, etag: str) -> Configuration:
        """Puts another package in its place, unless somebody else was faster."""
        sent: dict[str, Any] = {"files": archive(package), "headers": {"If-Match": etag}}
        return cast(Configuration, await self._http.json("PUT", f"{_path(workspace, configuration)}/import", **sent))


class AsyncDocuments:
    """Input files. What workflows write is in `workflow_documents`."""

    def __init__(self, http: AsyncHttp):
        self._http = http

    async def upload(self, workspace: str, file: Content, name: str | None = None, **metadata: Any) -> Document:
        """A path, or bytes with a name."""
        sent = upload(file, name, metadata)
        return cast(Document, await self._http.json("POST", f"/workspaces/{workspace}/documents", **sent))

    async def get(self, workspace: str, document: str) -> Document:
        return cast(Document, await self._http.json("GET", f"/workspaces/{workspace}/documents/{document}"))

    def list(self, workspace: str, **query: Any) -> AsyncListing[Document]:
        return AsyncListing(self._http, f"/workspaces/{workspace}/documents", query)

    async def download(self, workspace: str, document: str, target: str | Path) -> Path:
        response = await self._http.send("GET", f"/workspaces/{workspace}/documents/{document}/download")
        path = Path(target)
        path.write_bytes(response.content)
        return path


def _path(workspace: str, configuration: str | None = None) -> str:
    return f"/workspaces/{workspace}/configurations" + (f"/{configuration}" if configuration else "")
