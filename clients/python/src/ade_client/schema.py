"""Written by scripts/generate.py from docs/openapi.json; changes belong there."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict


class _AcceptanceGiven(TypedDict):
    accepted: bool
    document_id: DocumentId
    version: int


# `acceptance_given`.
class AcceptanceGiven(_AcceptanceGiven, total=False):
    comment: str | None
    decided_by: Caller | None


# A version of a document that a step has read or written.
class DocumentRef(TypedDict):
    document_id: DocumentId
    document_type: str
    version: int


# `acceptance_needed`; the version is stored already.
class AcceptanceNeeded(DocumentRef):
    accepted_by: list[str]
    content_digest: str


# The observable state of the actors of one piece of work: its session's, and its stream's.
class ActorState(TypedDict):
    id: str
    kind: str
    stream: StreamState
    work: WorkState | None


# The form of [`Observed`], whose kinds are data.
class WorkAndActors(TypedDict):
    actors: list[ActorState]
    builds: int
    executions: int
    runs: int


# What is running, and what each actor of the service is doing.
class Actors(WorkAndActors):
    maintenance: MaintenanceState | None


AnswerType: TypeAlias = "Literal['free_text', 'single_choice', 'multi_choice', 'yes_no', 'number', 'date', 'uuid', 'json_object']"


class _Answers(TypedDict):
    answers: dict[str, Any]


class Answers(_Answers, total=False):
    clarification_id: ClarificationId | None
    item: str | None


class ApiKey(TypedDict):
    created_at: str
    created_by: str
    expires_at: str | None
    id: KeyId
    last_used_at: str | None
    name: str
    object: str
    revoked_at: str | None
    role: Role
    workspaces: list[WorkspaceId] | None


class ApiKeyList(TypedDict):
    items: list[ApiKey]
    total: int


class _ApiKeyToMake(TypedDict):
    name: str
    role: Role


class ApiKeyToMake(_ApiKeyToMake, total=False):
    expires_at: str | None
    workspaces: list[WorkspaceId] | None


# Who has asked.
class AuditActor(TypedDict):
    issuer: str | None
    key_id: str | None
    name: str
    role: str
    subject: str | None


# A request that was to change something, and what came of it.
class AuditRecord(TypedDict):
    actor: AuditActor
    address: str | None
    at: str
    method: str
    path: str
    request_id: str
    status: int


# A record in its place.
class AuditEntry(AuditRecord):
    sequence: int


# Entries behind a position.
class AuditPage(TypedDict):
    items: list[AuditEntry]
    last_sequence: int
    next_after_sequence: int


# The build, as its row has it.
class Build(TypedDict):
    completed_at: str | None
    config_version: str | None
    configuration_id: ConfigurationId
    content_digest: str
    created_at: str
    duration_ms: int | None
    engine_spec: str
    engine_version: str | None
    error: BuildError | None
    exit_code: int | None
    fingerprint: str
    id: BuildId
    last_sequence: int
    links: BuildLinks
    log_degraded: bool
    node_id: NodeId
    object: str
    python_interpreter: str
    python_version: str | None
    reason: BuildReason
    reused_build_id: BuildId | None
    started_at: str | None
    status: BuildStatus
    summary: str | None
    venv_present: bool
    workspace_id: WorkspaceId


class _BuildCompleted(TypedDict):
    env: VenvChoice
    status: BuildStatus


# `build.completed`, the one terminal event of a build's stream.
class BuildCompleted(_BuildCompleted, total=False):
    duration_ms: int | None
    error: BuildErrorDetails | None
    exit_code: int | None
    metadata: VenvMetadata | None
    summary: str | None


class _BuildCreated(TypedDict):
    engine_spec: str
    fingerprint: str
    python_bin: str
    reason: BuildReason
    should_build: bool


# `build.created`, always the first event of a build.
class BuildCreated(_BuildCreated, total=False):
    engine_version_hint: str | None


class BuildError(TypedDict):
    code: BuildErrorCode
    message: str


BuildErrorCode: TypeAlias = "Literal['venv_create_failed', 'pip_upgrade_failed', 'engine_install_failed', 'config_install_failed', 'import_check_failed', 'dependency_conflict', 'metadata_failed', 'build_timeout', 'build_cancelled', 'safe_mode', 'interrupted', 'venvs_dir_unwritable', 'orchestration_error']"


class _BuildErrorContext(TypedDict):
    last_lines: list[str]


class BuildErrorContext(_BuildErrorContext, total=False):
    exit_code: int | None


# `error` of a build that did not become active.
class BuildErrorDetails(TypedDict):
    code: BuildErrorCode
    details: BuildErrorContext
    message: str


BuildId: TypeAlias = "str"


# Where the events of some work are.
class EventLinks(TypedDict):
    events: str
    events_download: str
    events_stream: str


class BuildLinks(EventLinks):
    cancel: str
    logs: str
    self: str


class _BuildPhaseCompleted(TypedDict):
    duration_ms: int
    phase: Phase
    status: PhaseStatus


# `build.phase.completed`.
class BuildPhaseCompleted(_BuildPhaseCompleted, total=False):
    exit_code: int | None
    message: str | None


# `build.phase.started`.
class BuildPhaseStarted(TypedDict):
    message: str
    phase: Phase


BuildReason: TypeAlias = "Literal['force_rebuild', 'cache_miss', 'cache_hit', 'manual']"


# `build.started`.
class BuildStarted(TypedDict):
    reason: BuildReason


BuildStatus: TypeAlias = "Literal['queued', 'building', 'active', 'failed', 'cancelled']"


CallId: TypeAlias = "str"


# A call's request, without what only its connection needs: keys and addresses are in none.
class CallPrompt(TypedDict):
    attempt: int
    call_id: CallId
    item: str | None
    left_out_bytes: int
    max_tokens: int
    messages: list[PromptMessage]
    model: str
    provider: str
    step_id: str
    temperature: float | None


class _Caller(TypedDict):
    name: str


# Who asked for something.
class Caller(_Caller, total=False):
    issuer: str | None
    key_id: KeyId | None
    subject: str | None


class Cancellation(TypedDict, total=False):
    reason: str | None


class Choice(TypedDict):
    label: str
    value: str


class ChosenWorkspace(TypedDict):
    is_default: bool
    workspace_id: WorkspaceId


# The last questions that it asked.
class Clarification(TypedDict):
    answers: dict[str, Any] | None
    clarification_id: ClarificationId
    deadline: str | None
    questions: list[Question]


class _ClarificationAnswered(TypedDict):
    answers: dict[str, Any]
    clarification_id: ClarificationId


# `clarification_answered`.
class ClarificationAnswered(_ClarificationAnswered, total=False):
    answered_by: Caller | None


ClarificationId: TypeAlias = "str"


class _ClarificationNeeded(TypedDict):
    clarification_id: ClarificationId
    questions: list[Question]


# `clarification_needed`.
class ClarificationNeeded(_ClarificationNeeded, total=False):
    deadline: str | None


class Component(TypedDict):
    detail: str | None
    name: str
    status: str


class Configuration(TypedDict):
    activated_at: str | None
    active_build_id: BuildId | None
    content_digest: str
    created_at: str
    display_name: str
    id: ConfigurationId
    object: str
    published_at: str | None
    status: ConfigurationStatus
    updated_at: str
    workspace_id: WorkspaceId


class ConfigurationChange(TypedDict):
    display_name: str


ConfigurationId: TypeAlias = "str"


class ConfigurationIssue(TypedDict):
    message: str
    path: str


ConfigurationSource: TypeAlias = "dict[str, Any]"


ConfigurationStatus: TypeAlias = "Literal['draft', 'published', 'active', 'inactive']"


# What is wrong with a configuration.
class ConfigurationValidation(TypedDict):
    content_digest: str
    id: ConfigurationId
    issues: list[ConfigurationIssue]
    status: ConfigurationStatus
    workspace_id: WorkspaceId


# An engine may send console lines of its own: whatever can be read of them is shown.
class ConsoleLine(TypedDict):
    level: Any
    message: Any
    scope: Any
    stream: Any


class ConsoleEntry(ConsoleLine):
    created_at: str
    id: int


class ConsolePage(TypedDict):
    entries: list[ConsoleEntry]
    next_after_id: int


class _Decision(TypedDict):
    accepted: bool


class Decision(_Decision, total=False):
    comment: str | None
    item: str | None


class DirectoryMade(TypedDict):
    created: bool
    path: str


class Document(TypedDict):
    byte_size: int
    content_type: str
    created_at: str
    expires_at: str | None
    id: DocumentId
    last_run: LastRun | None
    last_run_at: str | None
    links: DocumentLinks
    metadata: dict[str, Any]
    name: str
    object: str
    sha256: str
    status: Literal['uploaded', 'processing', 'processed', 'failed']
    tags: list[str]
    updated_at: str
    workspace_id: WorkspaceId


class DocumentChange(TypedDict, total=False):
    expires_at: str | None
    metadata: dict[str, Any] | None
    tags: list[str] | None


DocumentId: TypeAlias = "str"


class DocumentLinks(TypedDict):
    download: str
    self: str
    sheets: str


DocumentStatus: TypeAlias = "Literal['draft', 'active', 'stale', 'archived']"


EndReason: TypeAlias = "Literal['dependency_failed', 'execution_failed', 'execution_cancelled', 'duration_limit', 'execution_ended']"


EventId: TypeAlias = "str"


# The execution, as its row has it.
class Execution(TypedDict):
    completed_at: str | None
    created_at: str
    created_by: str
    current_steps: list[str]
    execution_id: ExecutionId
    failure: ExecutionFailure | None
    last_sequence: int
    links: ExecutionLinks
    log_degraded: bool
    object: str
    pending: list[Pending]
    retry_of_execution_id: ExecutionId | None
    revision: int
    scope_id: str
    scope_type: str
    started_at: str | None
    status: ExecutionStatus
    totals: Totals
    workflow_id: str
    workspace_id: WorkspaceId


class _ExecutionComplete(TypedDict):
    documents: list[Product]
    status: ExecutionStatus
    totals: Totals


# `complete`, the one terminal event of an execution.
class ExecutionComplete(_ExecutionComplete, total=False):
    failure: ExecutionFailure | None


# What an execution took, whole and by step.
class ExecutionCosts(TypedDict):
    cache_read_tokens: int
    cache_write_tokens: int
    calls: int
    errors: int
    execution_id: ExecutionId
    input_tokens: int
    latency_ms: int
    output_tokens: int
    steps: list[StepCosts]
    total_cost_usd: MicroUsd
    unpriced_calls: int
    workflow_id: str
    workspace_id: WorkspaceId


class ExecutionCounts(TypedDict):
    total: int


# `failure` of an execution that did not complete.
class ExecutionFailure(TypedDict):
    code: ExecutionFailureCode
    item: str | None
    message: str
    step_id: str | None


ExecutionFailureCode: TypeAlias = "Literal['step_failed', 'cost_limit', 'duration_limit', 'execution_cancelled', 'interrupted', 'orchestration_error', 'log_unavailable']"


ExecutionId: TypeAlias = "str"


class ExecutionLinks(EventLinks):
    cancel: str
    costs: str
    retry: str
    self: str
    steps: str


class _ExecutionStarted(TypedDict):
    revision: int
    scope_id: str
    scope_type: str
    steps: list[str]
    workflow_id: str


# `execution_started`, always the first event of an execution.
class ExecutionStarted(_ExecutionStarted, total=False):
    kept: list[Kept]
    retry_of_execution_id: ExecutionId | None
    started_by: Caller | None


ExecutionStatus: TypeAlias = "Literal['pending', 'running', 'waiting_clarification', 'waiting_acceptance', 'completed', 'failed', 'cancelled']"


# One place of a request that is wrong.
class FieldError(TypedDict):
    code: str
    message: str
    path: str


class _FieldInfo(TypedDict):
    field: str


# A field of a manifest.
class FieldInfo(_FieldInfo, total=False):
    label: str | None
    required: bool


class FileCapabilities(TypedDict):
    can_create: bool
    can_delete: bool
    can_rename: bool
    editable: bool


# A file with its content, for clients that accept JSON rather than the bytes themselves.
class FileContent(TypedDict):
    content: str
    content_type: str
    encoding: str
    etag: str
    mtime: str
    path: str
    size: int


# Of all that was asked for, on whatever page.
class FileCounts(TypedDict):
    directories: int
    files: int


class FileEntry(TypedDict):
    content_type: str
    depth: int
    etag: str | None
    has_children: bool
    kind: str
    mtime: str
    name: str
    parent: str
    path: str
    size: int | None


class FileLimits(TypedDict):
    asset_max_bytes: int
    code_max_bytes: int


class FileListing(TypedDict):
    capabilities: FileCapabilities
    configuration_id: ConfigurationId
    count: int
    depth: str
    entries: list[FileEntry]
    fileset_hash: str
    generated_at: str
    limits: FileLimits
    next_token: str | None
    prefix: str
    root: str
    status: ConfigurationStatus
    summary: FileCounts
    workspace_id: WorkspaceId


# A file that has another path now.
FileMoved = TypedDict("FileMoved", {"content_digest": "str", "etag": "str", "from": "str", "mtime": "str", "size": "int", "to": "str"})


# A file that was written.
class FileWritten(TypedDict):
    content_digest: str
    created: bool
    etag: str
    mtime: str
    path: str
    size: int


# What is wrong with a reply, or with a document: where (a JSON pointer, empty for the whole), what, and by which rule.
class Finding(TypedDict):
    code: str
    message: str
    path: str


class Health(TypedDict):
    components: list[Component]
    status: str
    timestamp: str


HolderId: TypeAlias = "str"


class _Kept(TypedDict):
    step_id: str


# A step, or an item of one, that an earlier execution has completed.
class Kept(_Kept, total=False):
    document: Product | None
    item: str | None
    items: list[str] | None


KeyId: TypeAlias = "str"


Label: TypeAlias = "str"


class LastRun(TypedDict):
    message: str | None
    run_at: str
    run_id: RunId
    status: RunStatus


# Paths that are not in a list of paths.
class LeftOutPaths(TypedDict):
    output_paths: int
    processed_files: int


class Liveness(TypedDict):
    status: str


class _LlmCall(TypedDict):
    attempt: int
    cache_read_tokens: int
    cache_write_tokens: int
    call_id: CallId
    input_tokens: int
    latency_ms: int
    model: str
    output_tokens: int
    provider: str


# `llm_call`, written when the reply is stored; a retry is a call of its own.
class LlmCall(_LlmCall, total=False):
    content_digest: str | None
    cost_usd: MicroUsd | None
    error: str | None
    error_message: str | None
    stop_reason: str | None


LogLevel: TypeAlias = "Literal['DEBUG', 'INFO', 'WARNING', 'ERROR']"


class LogPosition(TypedDict):
    bytes: int
    closed: bool
    last_sequence: int


# One round.
class MaintenanceReport(TypedDict):
    duration_ms: int
    started_at: str
    tasks: list[TaskReport]


# The observable state of the actor that makes rounds.
class MaintenanceState(TypedDict):
    generation: int
    waiting: int
    working: bool


class Member(TypedDict):
    added_at: str
    added_by: str
    id: HolderId
    kind: str
    name: str
    object: str
    role: MemberRole


class MemberChange(TypedDict):
    role: MemberRole


class MemberList(TypedDict):
    items: list[Member]
    total: int


MemberRole: TypeAlias = "Literal['viewer', 'operator']"


class _MemberToAdd(TypedDict):
    role: MemberRole


class MemberToAdd(_MemberToAdd, total=False):
    member: HolderId | None
    subject: str | None


# What a caller may do in one workspace.
class Membership(TypedDict):
    role: MemberRole
    workspace_id: WorkspaceId


MicroUsd: TypeAlias = "str"


# A key with its secret.
class NewApiKey(ApiKey):
    key: str


class NewBuild(TypedDict, total=False):
    options: NewBuildOptions
    stream: bool


class NewBuildOptions(TypedDict, total=False):
    force: bool
    wait: bool


class NewConfiguration(TypedDict):
    display_name: str
    source: ConfigurationSource


class _NewExecution(TypedDict):
    scope_id: str
    scope_type: str
    workflow_id: str


class NewExecution(_NewExecution, total=False):
    input: dict[str, Any]
    stream: bool
    workspace_id: WorkspaceId | None


class NewRun(TypedDict, total=False):
    options: NewRunOptions
    stream: bool


class NewRunOptions(TypedDict, total=False):
    document_ids: list[DocumentId]
    dry_run: bool
    force_rebuild: bool
    input_document_id: DocumentId | None
    input_sheet_name: str | None
    input_sheet_names: list[str]
    log_level: LogLevel | None
    metadata: dict[str, str]
    validate_only: bool


class _NewWorkflowDocument(TypedDict):
    content: dict[str, Any] | list[Any] | str | float | bool
    document_type: str
    scope_id: str
    scope_type: str


class NewWorkflowDocument(_NewWorkflowDocument, total=False):
    status: DocumentStatus
    summary: str | None
    title: str | None
    workspace_id: WorkspaceId | None


class _NewWorkspace(TypedDict):
    name: str


class NewWorkspace(_NewWorkspace, total=False):
    slug: str | None


class Node(TypedDict):
    address: str | None
    alive: bool
    is_self: bool
    name: str
    node_id: NodeId
    object: str
    seen_at: str
    started_at: str
    state: NodeState
    version: str


NodeId: TypeAlias = "str"


class NodeList(TypedDict):
    items: list[Node]
    total: int


NodeState: TypeAlias = "Literal['serving', 'draining', 'stopped', 'lost']"


class Output(TypedDict):
    byte_size: int
    content_type: str
    download_url: str
    kind: str | None
    name: str


class OutputList(TypedDict):
    files: list[Output]
    left_out: int


# Something that waits for a person.
class Pending(TypedDict):
    accepted_by: list[str] | None
    clarification_id: ClarificationId | None
    deadline: str | None
    document: DocumentRef | None
    item: str | None
    kind: PendingKind
    questions: list[Question] | None
    step_id: str


PendingKind: TypeAlias = "Literal['clarification', 'acceptance']"


class Person(TypedDict):
    denied_at: str | None
    id: PersonId
    issuer: str
    name: str
    object: str
    role: Role
    signed_in_at: str
    subject: str
    workspaces: list[WorkspaceId] | None


PersonId: TypeAlias = "str"


class PersonList(TypedDict):
    items: list[Person]


Phase: TypeAlias = "Literal['create_venv', 'upgrade_pip', 'install_engine', 'install_config', 'verify_imports', 'collect_metadata']"


PhaseStatus: TypeAlias = "Literal['succeeded', 'failed', 'skipped']"


Priority: TypeAlias = "Literal['must', 'should', 'could']"


# When the run's process ran; a run that never got so far has neither start nor exit code.
class ProcessTimes(TypedDict, total=False):
    completed_at: str | None
    duration_ms: int | None
    exit_code: int | None
    started_at: str | None


class _Product(DocumentRef):
    content_digest: str
    step_id: str


# A version that a step has written.
class Product(_Product, total=False):
    item: str | None


ProgressKind: TypeAlias = "Literal['text_delta', 'note']"


class PromptMessage(TypedDict):
    role: PromptRole
    text: str


PromptRole: TypeAlias = "Literal['system', 'user', 'assistant']"


class Provider(TypedDict):
    begin: str
    name: str


class Providers(TypedDict):
    items: list[Provider]


# One question of a set; `required` is what counts, the rest helps the person who answers.
class Question(TypedDict):
    answer_type: AnswerType
    blocking: bool
    choices: list[Choice] | None
    default: Any
    id: str
    intent: str
    priority: Priority
    references: list[Reference] | None
    required: bool
    text: str


class Readiness(TypedDict):
    components: list[Component]
    status: str


# What a question speaks of.
class Reference(TypedDict):
    kind: str
    ref: str


class _Rename(TypedDict):
    to: str


class Rename(_Rename, total=False):
    dest_if_match: str | None
    op: Literal['move']
    overwrite: bool


# A body that says nothing but how the answer is wanted.
class Repetition(TypedDict, total=False):
    stream: bool


RetryReason: TypeAlias = "Literal['validation', 'provider', 'rejection']"


Role: TypeAlias = "Literal['viewer', 'operator', 'admin']"


# The run, as its row has it.
class Run(TypedDict):
    attempt: int
    build_id: BuildId | None
    completed_at: str | None
    config_version: str | None
    configuration_id: ConfigurationId
    created_at: str
    duration_ms: int | None
    engine_version: str | None
    env_reason: str | None
    env_reused: bool | None
    events_path: str
    exit_code: int | None
    failure_code: Label | None
    failure_message: str | None
    failure_stage: Label | None
    id: RunId
    input: RunInput
    last_sequence: int
    links: RunLinks
    log_degraded: bool
    max_validation_severity: str | None
    mode: RunMode
    node_id: NodeId
    object: str
    output: RunOutput
    output_paths: list[str]
    retry_of_run_id: RunId | None
    row_count: int | None
    started_at: str | None
    status: RunStatus
    table_count: int | None
    workspace_id: WorkspaceId


class _RunArtifacts(TypedDict):
    events_path: str
    output_paths: list[str]


# What the run left behind; paths are relative to its directory.
class RunArtifacts(_RunArtifacts, total=False):
    processed_files: list[str]
    truncated: LeftOutPaths | None


class _RunCancelling(TypedDict):
    grace_seconds: int


# `run.cancelling`.
class RunCancelling(_RunCancelling, total=False):
    requested_by: Caller | None


class _RunCompleted(TypedDict):
    artifacts: RunArtifacts
    execution: ProcessTimes
    status: RunStatus


# `run.completed`, the one terminal event of a run.
class RunCompleted(_RunCompleted, total=False):
    failure: RunFailure | None
    summary: Any


class RunDiagnostics(TypedDict):
    engine: Any
    last_lines: list[dict[str, Any]]
    log: LogPosition
    phases: list[dict[str, Any]]
    phases_left_out: int
    run_id: RunId


# `failure` of a run that did not succeed.
class RunFailure(TypedDict):
    code: Label
    message: str
    stage: Label


RunId: TypeAlias = "str"


class RunInput(TypedDict):
    document_ids: list[DocumentId]
    input_file_count: int
    input_sheet_count: int | None
    input_sheet_names: list[str]


class RunLinks(EventLinks):
    cancel: str
    diagnostics: str
    logfile: str
    logs: str
    outputs: str
    self: str
    summary: str


RunMode: TypeAlias = "Literal['execute', 'validate_only', 'dry_run']"


# What the caller asked for, as accepted.
class RunOptions(TypedDict, total=False):
    document_ids: list[DocumentId]
    dry_run: bool
    force_rebuild: bool
    input_sheet_names: list[str]
    log_level: LogLevel | None
    metadata: dict[str, str]
    validate_only: bool


class RunOutput(TypedDict):
    has_outputs: bool
    output_count: int
    processed_files: list[str]


class _RunQueued(TypedDict):
    mode: RunMode
    options: RunOptions


# `run.queued`, always the first event of a run.
class RunQueued(_RunQueued, total=False):
    queued_by: Caller | None


class _RunStarted(TypedDict):
    env: VenvChoice
    mode: RunMode


# `run.started`; the versions are those that the build found in its venv.
class RunStarted(_RunStarted, total=False):
    config_version: str | None
    engine_version: str | None
    fields: list[FieldInfo]
    fields_left_out: int


RunStatus: TypeAlias = "Literal['queued', 'building', 'running', 'succeeded', 'failed', 'cancelled']"


# `ade.run_summary/v1`: what was read, tables and their columns, and what was wrong with them.
RunSummary: TypeAlias = "dict[str, Any]"


class _RunWaiting(TypedDict):
    reason: WaitReason


# `run.waiting`.
class RunWaiting(_RunWaiting, total=False):
    build_id: BuildId | None
    position: int | None


class SafeMode(TypedDict):
    detail: str | None
    enabled: bool


class _SafeModeSwitch(TypedDict):
    enabled: bool


class SafeModeSwitch(_SafeModeSwitch, total=False):
    detail: str | None


class Service(TypedDict):
    api: str
    health: list[str]
    service: str
    version: str


class Session(TypedDict):
    csrf_token: str | None
    idle_timeout_seconds: int | None
    issuer: str | None
    key_id: KeyId | None
    memberships: list[Membership]
    name: str
    object: str
    role: Role
    sign_in: bool
    subject: str | None
    via: str
    workspaces: list[WorkspaceId] | None


# A sheet of a workbook, or the one that a text file is.
class Sheet(TypedDict):
    index: int
    is_active: bool
    kind: str
    name: str
    state: str


class SignIn(TypedDict, total=False):
    key: str | None


Source: TypeAlias = "Literal['api', 'engine', 'builder', 'executor', 'scheduler']"


# A step, or one item of it.
class Step(TypedDict):
    attempt: int
    clarification: Clarification | None
    completed_at: str | None
    cost_usd: MicroUsd
    document_id: DocumentId | None
    error: StepError | None
    item: str | None
    kept: bool
    started_at: str | None
    status: StepStatus
    step_id: str
    version: int | None


class _StepCompleted(TypedDict):
    document_type: str
    duration_ms: int


# `step_completed`. A step that runs once for each has no document itself: its items have.
class StepCompleted(_StepCompleted, total=False):
    content_digest: str | None
    document_id: DocumentId | None
    version: int | None


# What calls add up to, wherever it is shown.
class Usage(TypedDict):
    cache_read_tokens: int
    cache_write_tokens: int
    calls: int
    cost_usd: MicroUsd
    errors: int
    input_tokens: int
    output_tokens: int
    unpriced_calls: int


class StepCosts(Usage):
    latency_ms: int
    model: str
    provider: str
    step_id: str


# `step_skipped` and `step_cancelled`.
class StepEnded(TypedDict):
    reason: EndReason


# `error` of a step that failed.
class StepError(TypedDict):
    code: StepErrorCode
    findings: list[Finding]
    message: str


StepErrorCode: TypeAlias = "Literal['input_missing', 'input_too_large', 'collection_invalid', 'item_failed', 'validation_failed', 'provider_error', 'rejected', 'clarification_expired', 'step_timeout', 'cost_limit', 'orchestration_error']"


# `step_failed`.
class StepFailed(TypedDict):
    error: StepError


# `step_progress`.
class StepProgress(TypedDict):
    kind: ProgressKind
    text: str


# `step_retrying`.
class StepRetrying(TypedDict):
    attempt: int
    findings: list[Finding]
    reason: RetryReason


class _StepStarted(TypedDict):
    attempt: int
    inputs: list[DocumentRef]
    model: str
    role: str


# `step_started`. A step that runs once for each begins with one that names its items, and each item with its own.
class StepStarted(_StepStarted, total=False):
    items: list[str] | None


StepStatus: TypeAlias = "Literal['pending', 'running', 'waiting_clarification', 'waiting_acceptance', 'completed', 'failed', 'skipped', 'cancelled']"


class StreamState(TypedDict):
    bytes: int
    is_closed: bool
    sequence: int
    subscribers: int


class StreamTicket(TypedDict):
    events_stream: str
    expires_at: str
    first_use_seconds: int
    object: str
    stream: str
    ticket: str


class StreamTicketToMake(TypedDict):
    stream: str


# One task of a round.
class TaskReport(TypedDict):
    bytes_freed: int
    done: int
    errors: list[str]
    failed: int
    name: str
    skipped: int
    unfinished: bool


# What calls have used.
class Totals(TypedDict):
    cache_read_tokens: int
    cache_write_tokens: int
    calls: int
    cost_usd: MicroUsd
    duration_ms: int
    input_tokens: int
    output_tokens: int
    unpriced_calls: int


class UsageAverages(TypedDict):
    cost_per_call: MicroUsd | None
    cost_per_execution: MicroUsd | None
    latency_ms: int | None


class UsageOfExecutions(Usage):
    executions: int


class UsageOfDay(UsageOfExecutions):
    date: str


class UsageOfModel(UsageOfExecutions):
    model: str
    provider: str


class UsageOfWorkflow(UsageOfExecutions):
    workflow_id: str


# A range of days, whole and in its parts.
class UsageSummary(TypedDict):
    averages: UsageAverages
    by_day: list[UsageOfDay]
    by_model: list[UsageOfModel]
    by_workflow: list[UsageOfWorkflow]
    end: str
    start: str
    success_rate: float | None
    totals: UsageOfExecutions


# Why this venv: `reason` names the decision (`reuse_ok`, or the reason of the build), `reused` its outcome.
class VenvChoice(TypedDict):
    reason: str
    reused: bool


# Versions in a finished venv, and what its engine can do beyond running.
class VenvMetadata(TypedDict, total=False):
    capabilities: list[str] | None
    config_version: str | None
    engine_version: str | None
    python_version: str | None


WaitReason: TypeAlias = "Literal['build', 'capacity', 'safe_mode']"


# The observable state of a piece of work.
class WorkState(TypedDict):
    generation: int
    inbox: int
    stage: str
    stopping: str | None


# May be sent back as it is.
class Workflow(TypedDict):
    created_at: str
    links: WorkflowLinks
    object: str
    revision: int
    updated_at: str
    workspace_id: WorkspaceId


# A workflow's definition, as docs/WORKFLOWS.md tells it.
WorkflowDefinition: TypeAlias = "dict[str, Any]"


# As lists show it: without the content.
class WorkflowDocumentItem(TypedDict):
    attempt: int | None
    content_digest: str
    created_at: str
    created_by: str
    document_id: DocumentId
    document_type: str
    execution_id: ExecutionId | None
    is_latest: bool
    item: str | None
    links: WorkflowDocumentLinks
    object: str
    scope_id: str
    scope_type: str
    status: DocumentStatus
    step_id: str | None
    summary: str | None
    title: str
    version: int
    workspace_id: WorkspaceId


# With its content.
class WorkflowDocument(WorkflowDocumentItem):
    content: Any


class WorkflowDocumentChange(TypedDict, total=False):
    content: dict[str, Any] | list[Any] | str | float | bool
    status: DocumentStatus | None
    summary: str | None
    title: str | None


class WorkflowDocumentLinks(TypedDict):
    latest: str
    self: str
    versions: str


class WorkflowItem(TypedDict):
    description: str
    name: str
    revision: int
    step_count: int
    workflow_id: str


class WorkflowLinks(TypedDict):
    self: str


# All workflows of a workspace.
class WorkflowList(TypedDict):
    total: int
    workflows: list[WorkflowItem]


# What became of the executions of a workflow.
class WorkflowStats(TypedDict):
    avg_cost_usd: MicroUsd | None
    avg_duration_ms: int | None
    clarification_rate: float | None
    executions: ExecutionCounts
    p50_duration_ms: int | None
    p95_duration_ms: int | None
    retry_rate: float | None
    total_cost_usd: MicroUsd
    unpriced_calls: int
    workflow_id: str
    workspace_id: WorkspaceId


class Workspace(TypedDict):
    created_at: str
    id: WorkspaceId
    is_default: bool
    name: str
    object: str
    slug: str


class WorkspaceChange(TypedDict, total=False):
    name: str | None
    slug: str | None


WorkspaceId: TypeAlias = "str"
