"""Executions of workflows, workflows, and the documents that they write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, List, cast

from .._core.requests import creation, given
from ..events import ExecutionEvent
from ..schema import (
    CallPrompt,
    Execution,
    ExecutionCosts,
    Step,
    UsageSummary,
    Workflow,
    WorkflowDocument,
    WorkflowDocumentItem,
    WorkflowItem,
    WorkflowStats,
)
from .common import AsyncListing, AsyncWorks
from .http import AsyncHttp


class AsyncExecutions(AsyncWorks[Execution, ExecutionEvent]):
    _collection = "executions"

    async def create(
        self,
        workflow_id: str,
        *,
        scope_type: str,
        scope_id: str,
        input: Mapping[str, Any] | None = None,
        workspace_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Execution:
        """`input`: documents by their types."""
        body = given(
            workflow_id=workflow_id, scope_type=scope_type, scope_id=scope_id, input=input, workspace_id=workspace_id
        )
        return cast(Execution, await self._http.json("POST", "/executions", **creation(body, idempotency_key)))

    async def retry(self, execution: str, *, idempotency_key: str | None = None) -> Execution:
        """A new execution that keeps what the old one has completed."""
        body = creation({}, idempotency_key)
        return cast(Execution, await self._http.json("POST", f"/executions/{execution}/retry", **body))

    def list(self, **query: Any) -> AsyncListing[Execution]:
        """Of the default workspace unless `workspace_id` is told; docs/LISTS.md has the parameters."""
        return AsyncListing(self._http, "/executions", query)

    async def steps(self, execution: str) -> List[Step]:
        return cast("List[Step]", await self._http.json("GET", f"/executions/{execution}/steps"))

    async def answer(
        self,
        execution: str,
        step: str,
        answers: Mapping[str, Any],
        *,
        item: str | None = None,
        clarification_id: str | None = None,
    ) -> Any:
        """Answers the questions of a step; the same answers again are fine."""
        body = given(answers=dict(answers), item=item, clarification_id=clarification_id)
        return await self._http.json("POST", f"/executions/{execution}/steps/{step}/clarification", json=body)

    async def decide(
        self, execution: str, step: str, accepted: bool, *, comment: str | None = None, item: str | None = None
    ) -> Any:
        """Accepts or rejects the document of a step."""
        body = given(accepted=accepted, comment=comment, item=item)
        return await self._http.json("POST", f"/executions/{execution}/steps/{step}/acceptance", json=body)

    async def prompt(self, execution: str, call: str) -> CallPrompt:
        """What a model was asked in a call, by the id of its `llm_call`; 404 where that is not kept."""
        return cast(CallPrompt, await self._http.json("GET", f"/executions/{execution}/calls/{call}/prompt"))

    async def costs(self, execution: str) -> ExecutionCosts:
        return cast(ExecutionCosts, await self._http.json("GET", f"/telemetry/executions/{execution}/costs"))


class AsyncWorkflows:
    """Queries: `workspace_id`, else the default workspace."""

    def __init__(self, http: AsyncHttp):
        self._http = http

    async def create(self, definition: Mapping[str, Any], **query: Any) -> Workflow:
        return cast(Workflow, await self._http.json("POST", "/workflows", query, json=dict(definition)))

    async def list(self, **query: Any) -> List[WorkflowItem]:
        return cast("List[WorkflowItem]", (await self._http.json("GET", "/workflows", query))["workflows"])

    async def get(self, workflow: str, **query: Any) -> Workflow:
        return cast(Workflow, await self._http.json("GET", f"/workflows/{workflow}", query))

    async def replace(self, workflow: str, definition: Mapping[str, Any], *, etag: str, **query: Any) -> Workflow:
        """A new revision, unless somebody else was faster; `etag` as `client.etag` gives it."""
        sent = {"json": dict(definition), "headers": {"If-Match": etag}}
        return cast(Workflow, await self._http.json("PUT", f"/workflows/{workflow}", query, **sent))

    async def delete(self, workflow: str, **query: Any) -> None:
        await self._http.json("DELETE", f"/workflows/{workflow}", query)

    async def schema(self, workflow: str, step: str, **query: Any) -> Any:
        """What the output of a step must look like, as JSON Schema."""
        return await self._http.json("GET", f"/workflows/{workflow}/schema/{step}", query)

    async def stats(self, workflow: str, **query: Any) -> WorkflowStats:
        return cast(WorkflowStats, await self._http.json("GET", f"/telemetry/workflows/{workflow}/stats", query))

    async def usage(self, *, start: str | None = None, end: str | None = None, **query: Any) -> UsageSummary:
        """What language models have cost, by day, workflow and model; days are UTC, such as `2026-01-31`."""
        query = {**query, "start": start, "end": end}
        return cast(UsageSummary, await self._http.json("GET", "/telemetry/summary", query))


class AsyncWorkflowDocuments:
    """What workflows write, version by version."""

    def __init__(self, http: AsyncHttp):
        self._http = http

    async def create(self, document: Mapping[str, Any]) -> WorkflowDocument:
        return cast(WorkflowDocument, await self._http.json("POST", "/documents", json=dict(document)))

    async def get(self, document: str) -> WorkflowDocument:
        return cast(WorkflowDocument, await self._http.json("GET", f"/documents/{document}"))

    def list(self, **query: Any) -> AsyncListing[WorkflowDocumentItem]:
        return AsyncListing(self._http, "/documents", query)

    async def change(self, document: str, change: Mapping[str, Any], *, etag: str) -> WorkflowDocument:
        """A new version, unless somebody else was faster; `etag` as `client.etag` gives it."""
        sent = {"json": dict(change), "headers": {"If-Match": etag}}
        return cast(WorkflowDocument, await self._http.json("PUT", f"/documents/{document}", **sent))

    def versions(self, document: str, **query: Any) -> AsyncListing[WorkflowDocumentItem]:
        return AsyncListing(self._http, f"/documents/{document}/versions", query)
