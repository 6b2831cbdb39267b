"""The events of streams, told apart by `type`. docs/EVENTS.md says what they mean.

Engines may emit types of their own, and what engines say is passed on as they wrote it: an `else` gets the former, and
no member of the latter's payloads is sure to be there.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict, Union

from . import schema


class Envelope(TypedDict):
    event_id: str
    # RFC 3339, UTC: when it was emitted.
    created_at: str
    # 1, 2, 3 ... without holes in its stream.
    sequence: int
    source: Literal["api", "engine", "builder", "executor", "scheduler"]
    workspace_id: str


class OfRun(Envelope):
    configuration_id: str | None
    run_id: str | None
    build_id: str | None
    engine_timestamp: str | None


class OfExecution(Envelope):
    execution_id: str
    workflow_id: str
    step_id: str | None
    # The key of an item, in a step that runs once for each.
    item: str | None


class _ConsoleLine(TypedDict):
    scope: Literal["build", "run"]
    stream: Literal["stdout", "stderr"]
    level: Literal["debug", "info", "warn", "error"]
    # May have ANSI escapes.
    message: str


class ConsoleLine(_ConsoleLine, total=False):
    phase: str
    logger: str
    details: dict[str, Any]
    truncated: bool
    # The line goes on in the next event.
    continued: bool


class RunQueuedEvent(OfRun):
    type: Literal["run.queued"]
    payload: schema.RunQueued


class RunWaitingEvent(OfRun):
    type: Literal["run.waiting"]
    payload: schema.RunWaiting


class RunStartedEvent(OfRun):
    type: Literal["run.started"]
    payload: schema.RunStarted


class RunPhaseStartedEvent(OfRun):
    type: Literal["run.phase.started"]
    payload: dict[str, Any]


class RunPhaseCompletedEvent(OfRun):
    type: Literal["run.phase.completed"]
    payload: dict[str, Any]


class RunTableSummaryEvent(OfRun):
    type: Literal["run.table.summary"]
    payload: dict[str, Any]


class RunValidationIssueEvent(OfRun):
    type: Literal["run.validation.issue"]
    payload: dict[str, Any]


class RunValidationSummaryEvent(OfRun):
    type: Literal["run.validation.summary"]
    payload: dict[str, Any]


class RunErrorEvent(OfRun):
    type: Literal["run.error"]
    payload: dict[str, Any]


class RunCancellingEvent(OfRun):
    type: Literal["run.cancelling"]
    payload: schema.RunCancelling


class RunCompletedEvent(OfRun):
    type: Literal["run.completed"]
    payload: schema.RunCompleted


class BuildCreatedEvent(OfRun):
    type: Literal["build.created"]
    payload: schema.BuildCreated


class BuildStartedEvent(OfRun):
    type: Literal["build.started"]
    payload: schema.BuildStarted


class BuildPhaseStartedEvent(OfRun):
    type: Literal["build.phase.started"]
    payload: schema.BuildPhaseStarted


class BuildPhaseCompletedEvent(OfRun):
    type: Literal["build.phase.completed"]
    payload: schema.BuildPhaseCompleted


class ConsoleLineEvent(OfRun):
    type: Literal["console.line"]
    payload: ConsoleLine


class BuildCompletedEvent(OfRun):
    type: Literal["build.completed"]
    payload: schema.BuildCompleted


class ExecutionStartedEvent(OfExecution):
    type: Literal["execution_started"]
    payload: schema.ExecutionStarted


class StepStartedEvent(OfExecution):
    type: Literal["step_started"]
    payload: schema.StepStarted


class StepProgressEvent(OfExecution):
    type: Literal["step_progress"]
    payload: schema.StepProgress


class LlmCallEvent(OfExecution):
    type: Literal["llm_call"]
    payload: schema.LlmCall


class StepRetryingEvent(OfExecution):
    type: Literal["step_retrying"]
    payload: schema.StepRetrying


class ClarificationNeededEvent(OfExecution):
    type: Literal["clarification_needed"]
    payload: schema.ClarificationNeeded


class ClarificationAnsweredEvent(OfExecution):
    type: Literal["clarification_answered"]
    payload: schema.ClarificationAnswered


class AcceptanceNeededEvent(OfExecution):
    type: Literal["acceptance_needed"]
    payload: schema.AcceptanceNeeded


class AcceptanceGivenEvent(OfExecution):
    type: Literal["acceptance_given"]
    payload: schema.AcceptanceGiven


class StepCompletedEvent(OfExecution):
    type: Literal["step_completed"]
    payload: schema.StepCompleted


class StepFailedEvent(OfExecution):
    type: Literal["step_failed"]
    payload: schema.StepFailed


class StepSkippedEvent(OfExecution):
    type: Literal["step_skipped"]
    payload: schema.StepEnded


class StepCancelledEvent(OfExecution):
    type: Literal["step_cancelled"]
    payload: schema.StepEnded


class CompleteEvent(OfExecution):
    type: Literal["complete"]
    payload: schema.ExecutionComplete


BuildEvent = Union[
    BuildCreatedEvent,
    BuildStartedEvent,
    BuildPhaseStartedEvent,
    BuildPhaseCompletedEvent,
    ConsoleLineEvent,
    BuildCompletedEvent,
]
# A run's stream has the events of the build that it waits for.
RunEvent = Union[
    BuildEvent,
    RunQueuedEvent,
    RunWaitingEvent,
    RunStartedEvent,
    RunPhaseStartedEvent,
    RunPhaseCompletedEvent,
    RunTableSummaryEvent,
    RunValidationIssueEvent,
    RunValidationSummaryEvent,
    RunErrorEvent,
    RunCancellingEvent,
    RunCompletedEvent,
]
ExecutionEvent = Union[
    ExecutionStartedEvent,
    StepStartedEvent,
    StepProgressEvent,
    LlmCallEvent,
    StepRetryingEvent,
    ClarificationNeededEvent,
    ClarificationAnsweredEvent,
    AcceptanceNeededEvent,
    AcceptanceGivenEvent,
    StepCompletedEvent,
    StepFailedEvent,
    StepSkippedEvent,
    StepCancelledEvent,
    CompleteEvent,
]
# What becomes of everything in a workspace; `payload["origin"]` says where it stands: {`stream`, `sequence`}.
FeedEvent = Union[
    RunQueuedEvent,
    RunStartedEvent,
    RunCompletedEvent,
    BuildCreatedEvent,
    BuildCompletedEvent,
]
AnyEvent = Union[RunEvent, ExecutionEvent, FeedEvent]
