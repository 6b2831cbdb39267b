# Made of _async/files.py by scripts/unasync.py; changes belong there.
"""Files of configurations, one by one. A package as a whole is imported and exported by `configurations`."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, cast

from .._core.requests import encoded, given, matching
from ..schema import DirectoryMade, FileContent, FileEntry, FileListing, FileMoved, FileWritten
from .http import Http


class ConfigurationFiles:
    """Of a file that is there already a change must know the content: `etag` as a read or a write has told it."""

    def __init__(self, http: Http):
        self._http = http

    def page(self, workspace: str, configuration: str, token: str | None = None, **query: Any) -> FileListing:
        """`token`: `next_token` of the page before. Queries: `prefix`, `depth`, `sort`, `order`, `limit`."""
        query = {**query, "page_token": token}
        return cast(FileListing, self._http.json("GET", f"{_root(workspace, configuration)}/files", query))

    def list(self, workspace: str, configuration: str, **query: Any) -> Generator[FileEntry, None, None]:
        """All of them, page by page; it fails when files change meanwhile."""
        token: str | None = None
        while True:
            page = self.page(workspace, configuration, token, **query)
            for entry in page["entries"]:
                yield entry
            token = page["next_token"]
            if token is None:
                return

    def read(self, workspace: str, configuration: str, path: str) -> FileContent:
        """With the content as text, or in base64 where it is none."""
        query = {"format": "json"}
        return cast(FileContent, self._http.json("GET", _file(workspace, configuration, path), query))

    def download(self, workspace: str, configuration: str, path: str) -> bytes:
        return (self._http.send("GET", _file(workspace, configuration, path), {"format": "raw"})).content

    def write(
        self,
        workspace: str,
        configuration: str,
        path: str,
        content: str | bytes,
        *,
        etag: str | None = None,
        parents: bool | None = None,
    ) -> FileWritten:
        """A new file, or new content of the one whose `etag` is known. `parents`: makes directories for it."""
        headers = {"Content-Type": "application/octet-stream", **(matching(etag) or {"If-None-Match": "*"})}
        data = content.encode() if isinstance(content, str) else content
        sent: dict[str, Any] = {"content": data, "headers": headers}
        query = {"parents": parents}
        return cast(FileWritten, self._http.json("PUT", _file(workspace, configuration, path), query, **sent))

    def rename(
        self,
        workspace: str,
        configuration: str,
        path: str,
        to: str,
        *,
        etag: str | None = None,
        replacing: str | None = None,
    ) -> FileMoved:
        """Another path, at which nothing is, or the file whose `etag` is in `replacing`."""
        body = {"to": to, **given(overwrite=replacing and True, dest_if_match=replacing)}
        sent: dict[str, Any] = {"json": body, "headers": matching(etag)}
        return cast(FileMoved, self._http.json("PATCH", _file(workspace, configuration, path), **sent))

    def delete(self, workspace: str, configuration: str, path: str, *, etag: str) -> None:
        self._http.json("DELETE", _file(workspace, configuration, path), headers=matching(etag))

    def make_directory(self, workspace: str, configuration: str, path: str) -> DirectoryMade:
        place = f"{_root(workspace, configuration)}/directories/{encoded(path)}"
        return cast(DirectoryMade, self._http.json("PUT", place))

    def delete_directory(
        self, workspace: str, configuration: str, path: str, *, recursive: bool | None = None
    ) -> None:
        """`recursive`: with all that is in it."""
        place = f"{_root(workspace, configuration)}/directories/{encoded(path)}"
        self._http.json("DELETE", place, {"recursive": recursive})


def _root(workspace: str, configuration: str) -> str:
    return f"/workspaces/{workspace}/configurations/{configuration}"


def _file(workspace: str, configuration: str, path: str) -> str:
    return f"{_root(workspace, configuration)}/files/{encoded(path)}"
