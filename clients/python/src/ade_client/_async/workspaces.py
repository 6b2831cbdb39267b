"""Workspaces, configurations and input documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, cast

from .._core.requests import given
from .._core.upload import Archive, Content, archive, upload
from ..events import FeedEvent
from ..schema import ChosenWorkspace, Configuration, ConfigurationValidation, Document, Sheet, Workspace
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

    async def change(self, workspace: str, *, name: str | None = None, slug: str | None = None) -> Workspace:
        """What is left out stays as it is."""
        body = given(name=name, slug=slug)
        return cast(Workspace, await self._http.json("PATCH", f"/workspaces/{workspace}", json=body))

    async def delete(self, workspace: str) -> None:
        """With everything in it, unless something there is still at work."""
        await self._http.json("DELETE", f"/workspaces/{workspace}")

    async def choose(self, workspace: str) -> ChosenWorkspace:
        """The one that this caller means from now on when it names none."""
        return cast(ChosenWorkspace, await self._http.json("PUT", f"/workspaces/{workspace}/default"))

    async def log(self, workspace: str) -> bytes:
        """The stored lines of the feed (NDJSON), as they are."""
        return (await self._http.send("GET", f"/workspaces/{workspace}/events/download")).content

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

    async def rename(self, workspace: str, configuration: str, display_name: str) -> Configuration:
        body = {"display_name": display_name}
        return cast(Configuration, await self._http.json("PATCH", _path(workspace, configuration), json=body))

    async def delete(self, workspace: str, configuration: str) -> None:
        """Its runs and builds stay."""
        await self._http.json("DELETE", _path(workspace, configuration))

    async def publish(self, workspace: str, configuration: str) -> Configuration:
        """From now on it is not edited any more; a clone of it can be."""
        return cast(Configuration, await self._http.json("POST", f"{_path(workspace, configuration)}/publish"))

    async def activate(self, workspace: str, configuration: str) -> Configuration:
        """The configuration that the workspace uses from now on."""
        return cast(Configuration, await self._http.json("POST", f"{_path(workspace, configuration)}/activate"))

    async def deactivate(self, workspace: str, configuration: str) -> Configuration:
        """The workspace has no active one any more."""
        return cast(Configuration, await self._http.json("POST", f"{_path(workspace, configuration)}/deactivate"))

    async def validate(self, workspace: str, configuration: str) -> ConfigurationValidation:
        """What is wrong with its files, as far as that can be seen without running them."""
        path = f"{_path(workspace, configuration)}/validate"
        return cast(ConfigurationValidation, await self._http.json("POST", path))

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

    async def change(self, workspace: str, document: str, **change: Any) -> Document:
        """`tags`, `metadata`, `expires_at`: what is left out stays as it is."""
        path = f"/workspaces/{workspace}/documents/{document}"
        return cast(Document, await self._http.json("PATCH", path, json=change))

    async def delete(self, workspace: str, document: str) -> None:
        """Runs that have finished show it as before."""
        await self._http.json("DELETE", f"/workspaces/{workspace}/documents/{document}")

    async def sheets(self, workspace: str, document: str) -> List[Sheet]:
        """Of a workbook its sheets, of a text file one."""
        path = f"/workspaces/{workspace}/documents/{document}/sheets"
        return cast("List[Sheet]", await self._http.json("GET", path))

    async def download(self, workspace: str, document: str, target: str | Path) -> Path:
        response = await self._http.send("GET", f"/workspaces/{workspace}/documents/{document}/download")
        path = Path(target)
        path.write_bytes(response.content)
        return path


def _path(workspace: str, configuration: str | None = None) -> str:
    return f"/workspaces/{workspace}/configurations" + (f"/{configuration}" if configuration else "")
