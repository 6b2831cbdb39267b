"""Runs and builds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, List, cast

from .._core.requests import creation, encoded, given
from ..events import BuildEvent, RunEvent
from ..schema import Build, ConsolePage, Output, Run, RunDiagnostics, RunSummary
from .common import AsyncListing, AsyncWorks


class AsyncRuns(AsyncWorks[Run, RunEvent]):
    _collection = "runs"

    async def create(
        self,
        configuration: str,
        document_ids: Sequence[str] = (),
        *,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Run:
        """Options: `dry_run`, `validate_only`, `force_rebuild`, `input_sheet_names`, `log_level`, `metadata`."""
        body = creation({"options": {"document_ids": list(document_ids), **options}}, idempotency_key)
        return cast(Run, await self._http.json("POST", f"/configurations/{configuration}/runs", **body))

    async def retry(self, run: str, *, idempotency_key: str | None = None) -> Run:
        """A new run with the options of one that has ended."""
        return cast(Run, await self._http.json("POST", f"/runs/{run}/retry", **creation({}, idempotency_key)))

    def list(
        self, *, workspace: str | None = None, configuration: str | None = None, **query: Any
    ) -> AsyncListing[Run]:
        """Of a workspace or of a configuration; docs/LISTS.md has the parameters."""
        owner = f"/workspaces/{workspace}" if workspace else f"/configurations/{configuration}"
        return AsyncListing(self._http, f"{owner}/runs", query)

    async def summary(self, run: str) -> RunSummary:
        return cast(RunSummary, await self._http.json("GET", f"/runs/{run}/summary"))

    async def diagnostics(self, run: str) -> RunDiagnostics:
        return cast(RunDiagnostics, await self._http.json("GET", f"/runs/{run}/diagnostics"))

    async def outputs(self, run: str) -> List[Output]:
        return cast("List[Output]", (await self._http.json("GET", f"/runs/{run}/outputs"))["files"])

    async def download(self, run: str, target: str | Path, output: str = "normalized.xlsx") -> Path:
        """Writes an output into a file, or into a directory under its own name."""
        path = Path(target)
        path = path / Path(output).name if path.is_dir() else path
        # In memory: an output is a workbook.
        path.write_bytes((await self._http.send("GET", f"/runs/{run}/outputs/{encoded(output)}")).content)
        return path

    async def console(self, run: str, after: int = 0, limit: int = 1000) -> ConsolePage:
        """A page of console lines behind `after`."""
        query = {"after_id": after, "limit": limit}
        return cast(ConsolePage, await self._http.json("GET", f"/runs/{run}/logs", query))


class AsyncBuilds(AsyncWorks[Build, BuildEvent]):
    _collection = "builds"

    async def create(
        self, workspace: str, configuration: str, *, force: bool | None = None, wait: bool | None = None
    ) -> Build:
        """The build that a run would use: one that is there, one that is under way, or a new one."""
        path = f"/workspaces/{workspace}/configurations/{configuration}/builds"
        return cast(Build, await self._http.json("POST", path, json={"options": given(force=force, wait=wait)}))

    def list(self, workspace: str, configuration: str | None = None, **query: Any) -> AsyncListing[Build]:
        """Of one configuration, or of the whole workspace."""
        of = f"/configurations/{configuration}" if configuration else ""
        return AsyncListing(self._http, f"/workspaces/{workspace}{of}/builds", query)

    async def console(self, build: str, after: int = 0, limit: int = 1000) -> ConsolePage:
        query = {"after_id": after, "limit": limit}
        return cast(ConsolePage, await self._http.json("GET", f"/builds/{build}/logs", query))
