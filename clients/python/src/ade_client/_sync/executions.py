# Made of _async/executions.py by scripts/unasync.py; changes belong there.
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
from .common import Listing, Works
from .http import Http


class Executions(Works[Execution, ExecutionEvent]):
    _collection = "executions"

    def create(
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
        return cast(Execution, self._http.json("POST", "/executions", **creation(body, idempotency_key)))

    def retry(self, execution: str, *, idempotency_key: str | None = None) -> Execution:
        """A new execution that keeps what the old one has completed."""
        body = creation({}, idempotency_key)
        return cast(Execution, self._http.json("POST", f"/executions/{execution}/retry", **body))

    def list(self, **query: Any) -> Listing[Execution]:
        """Of the default workspace unless `workspace_id` is told; docs/LISTS.md has the parameters."""
        return Listing(self._http, "/executions", query)

    def steps(self, execution: str) -> List[Step]:
        return cast("List[Step]", self._http.json("GET", f"/executions/{execution}/steps"))

    def answer(
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
        return self._http.json("POST", f"/executions/{execution}/steps/{step}/clarification", json=body)

    def decide(
        self, execution: str, step: str, accepted: bool, *, comment: str | None = None, item: str | None = None
    ) -> Any:
        """Accepts or rejects the document of a step."""
        body = given(accepted=accepted, comment=comment, item=item)
        return self._http.json("POST", f"/executions/{execution}/steps/{step}/acceptance", json=body)

    def prompt(self, execution: str, call: str) -> CallPrompt:
        """What a model was asked in a call, by the id of its `llm_call`; 404 where that is not kept."""
        return cast(CallPrompt, self._http.json("GET", f"/executions/{execution}/calls/{call}/prompt"))

    def costs(self, execution: str) -> ExecutionCosts:
        return cast(ExecutionCosts, self._http.json("GET", f"/telemetry/executions/{execution}/costs"))


class Workflows:
    """Queries: `workspace_id`, else the default workspace."""

    def __init__(self, http: Http):
        self._http = http

    def create(self, definition: Mapping[str, Any], **query: Any) -> Workflow:
        return cast(Workflow, self._http.json("POST", "/workflows", query, json=dict(definition)))

    def list(self, **query: Any) -> List[WorkflowItem]:
        return cast("List[WorkflowItem]", (self._http.json("GET", "/workflows", query))["workflows"])

    def get(self, workflow: str, **query: Any) -> Workflow:
        return cast(Workflow, self._http.json("GET", f"/workflows/{workflow}", query))

    def replace(self, workflow: str, definition: Mapping[str, Any], *, etag: str, **query: Any) -> Workflow:
        """A new revision, unless somebody else was faster; `etag` as `client.etag` gives it."""
        sent = {"json": dict(definition), "headers": {"If-Match": etag}}
        return cast(Workflow, self._http.json("PUT", f"/workflows/{workflow}", query, **sent))

    def delete(self, workflow: str, **query: Any) -> None:
        self._http.json("DELETE", f"/workflows/{workflow}", query)

    def schema(self, workflow: str, step: str, **query: Any) -> Any:
        """What the output of a step must look like, as JSON Schema."""
        return self._http.json("GET", f"/workflows/{workflow}/schema/{step}", query)

    def stats(self, workflow: str, **query: Any) -> WorkflowStats:
        return cast(WorkflowStats, self._http.json("GET", f"/telemetry/workflows/{workflow}/stats", query))

    def usage(self, *, start: str | None = None, end: str | None = None, **query: Any) -> UsageSummary:
        """What language models have cost, by day, workflow and model; days are UTC, such as `2026-01-31`."""
        query = {**query, "start": start, "end": end}
        return cast(UsageSummary, self._http.json("GET", "/telemetry/summary", query))


class WorkflowDocuments:
    """What workflows write, version by version."""

    def __init__(self, http: Http):
        self._http = http

    def create(self, document: Mapping[str, Any]) -> WorkflowDocument:
        return cast(WorkflowDocument, self._http.json("POST", "/documents", json=dict(document)))

    def get(self, document: str) -> WorkflowDocument:
        return cast(WorkflowDocument, self._http.json("GET", f"/documents/{document}"))

    def list(self, **query: Any) -> Listing[WorkflowDocumentItem]:
        return Listing(self._http, "/documents", query)

    def change(self, document: str, change: Mapping[str, Any], *, etag: str) -> WorkflowDocument:
        """A new version, unless somebody else was faster; `etag` as `client.etag` gives it."""
        sent = {"json": dict(change), "headers": {"If-Match": etag}}
        return cast(WorkflowDocument, self._http.json("PUT", f"/documents/{document}", **sent))

    def versions(self, document: str, **query: Any) -> Listing[WorkflowDocumentItem]:
        return Listing(self._http, f"/documents/{document}/versions", query)
