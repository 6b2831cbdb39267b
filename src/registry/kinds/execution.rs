//! Executions of workflows: they go on after a crash, and people answer them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value, json};

use super::Ports;
use crate::depot::{FileToKeep, OpenError};
use crate::domain::execution::{Execution, ExecutionState};
use crate::domain::id::NodeId;
use crate::domain::principal::{Principal, Scope};
use crate::domain::progress::{DocumentRef, ExecutionFailureCode, Progress};
use crate::domain::sequence::Start;
use crate::domain::status::ExecutionStatus;
use crate::domain::time::micros;
use crate::domain::work::Work as _;
use crate::domain::workflow_document::{Chain, DocumentDraft, StepAttempt, WorkScope, WorkflowDocument};
use crate::domain::{DocumentId, ExecutionId, StreamKey, WorkspaceId};
use crate::event::payload::Caller;
use crate::event::payload::execution::Kept;
use crate::event::{Draft, Identity};
use crate::registry::core::Core;
use crate::registry::error::{
    AnswerExecutionError, CreateError, ExecutionRefusal, ExecutionRetryRefusal, LaunchError, ReadError,
};
use crate::registry::kind::{Assignment, Cause, Creatable, Next, Sessions, WorkKind};
use crate::registry::reading;
use crate::store::{Store, StoreError};
use crate::stream::{Follow, StreamHandle, Tail};
use crate::supervision::Policy;
use crate::worker::execution::event_writer::{fold, fold_so_far};
use crate::worker::execution::ports::{Answer as PortAnswer, KeptReply};
use crate::worker::execution::{
    ExecutionJob, ExecutionPorts, Unavailable, conclude_execution, drive, end_of_execution,
};
use crate::worker::inbox::{Answer, AnswerError};
use crate::workflow::Workflow;
use crate::workflow::user_input::{InputOutcome, Refusal, apply};

/// An execution that a caller asks for.
#[derive(Debug, Clone)]
pub struct NewExecution {
    pub workspace_id: WorkspaceId,
    pub workflow_id: String,
    pub scope: WorkScope,
    /// By document type.
    pub input: Map<String, Value>,
}

/// An execution before it has an id.
pub struct WantedExecution {
    workspace_id: WorkspaceId,
    workflow_id: String,
    revision: u64,
    scope: WorkScope,
    input: Option<Value>,
    retry_of_execution_id: Option<ExecutionId>,
    /// What that one has completed.
    kept: Arc<[Kept]>,
}

pub struct ExecutionStart {
    workflow: Arc<Workflow>,
    /// Of the execution that this one retries; once it has started, its own log has it.
    kept: Arc<[Kept]>,
}

impl WorkKind for Execution {
    type Start = ExecutionStart;
    type Place = ();

    /// It goes on where its log ends, unless it does nothing but panic.
    const RESTARTS: Policy = Policy::Retry { times: 3, within: Duration::from_secs(60) };
    /// Calls in progress are dropped at once.
    const CANCEL_WAIT: Option<Duration> = Some(Duration::from_secs(10));

    fn identity(&self) -> Identity {
        Identity::of_execution(self.workspace_id, self.id, &self.workflow_id)
    }

    fn opening(&self, _: Option<&Caller>) -> Option<Draft> {
        None
    }

    fn sessions(core: &Core, assignment: Assignment<Self>, start: ExecutionStart) -> Sessions {
        let Assignment { work, stream, signal, stage, by, span } = assignment;
        let job = ExecutionJob {
            execution: Arc::new(work),
            workflow: start.workflow,
            stream,
            signal,
            stage,
            span,
            closing: core.services.admission.watch(),
            ports: Arc::new(Ports(core.clone())),
            models: core.services.models.clone(),
            context: core.services.work.clone(),
            started_by: by,
            kept: start.kept,
        };
        Box::new(move |answers| Box::pin(drive(job.clone(), answers)))
    }

    async fn conclude(&self, _: &Core, stream: &StreamHandle, _: Cause, message: &str) -> ExecutionState {
        conclude_execution(stream, ExecutionFailureCode::OrchestrationError, message).await
    }

    async fn terminal_event(&self, stream: &StreamHandle) -> Draft {
        end_of_execution(self, &fold_so_far(stream).await.unwrap_or_default())
    }

    fn enlist_again(&self, _: &Core) {}

    /// It goes on where its log ends, unless what it needs for that is lost, which nothing can mend. Once it has started
    /// its own log has what it took over, and the log of the one that it retries may be deleted.
    async fn after_crash(
        &self,
        core: &Core,
        last_line: Option<&[u8]>,
        (): (),
    ) -> Result<Next<ExecutionStart>, LaunchError> {
        let lost = |message| Next::End { cause: Cause::Orchestration, message };
        let Some(workflow) = definition_of(core, self).await? else {
            return Ok(lost("the workflow's definition is lost"));
        };
        let kept = match self.retry_of_execution_id.filter(|_| last_line.is_none()) {
            Some(of) => kept_of(core, self.workspace_id, of).await,
            None => Ok(Arc::default()),
        };
        Ok(match kept {
            Ok(kept) => Next::GoOn(ExecutionStart { workflow, kept }),
            // It is left as it is: another start finds the log.
            Err(error) if error.is_of_an_archive_that_is_away() => return Err(LaunchError::Archive(error)),
            Err(error) => {
                tracing::error!(execution = %self.id, %error, "the execution that it retries cannot be read");
                lost("the log of the execution that it repeats cannot be read")
            }
        })
    }

    fn resumed_by(&self) -> Option<Caller> {
        Some(Caller::named(self.created_by.clone()))
    }
}

impl Creatable for Execution {
    type New = NewExecution;
    type Refusal = ExecutionRefusal;
    type RetryRefusal = ExecutionRetryRefusal;
    type Wanted = WantedExecution;
    type Checked = Arc<Workflow>;

    async fn wanted(
        core: &Core,
        _: &Principal,
        new: NewExecution,
    ) -> Result<(WantedExecution, Value), CreateError<ExecutionRefusal>> {
        let NewExecution { workspace_id, workflow_id, scope, input } = new;
        let found = core.services.store.find_workflow(workspace_id, &workflow_id).await?;
        let found = found.ok_or(CreateError::Refused(ExecutionRefusal::WorkflowNotFound))?;
        let request = json!({
            "create": workflow_id, "in": workspace_id, "scope": [scope.scope_type, scope.scope_id], "input": input,
        });
        let wanted = WantedExecution {
            workspace_id,
            workflow_id,
            revision: found.revision,
            scope,
            input: (!input.is_empty()).then_some(Value::Object(input)),
            retry_of_execution_id: None,
            kept: Arc::default(),
        };
        Ok((wanted, request))
    }

    /// What it has completed is kept.
    async fn wanted_again(self, core: &Core) -> Result<WantedExecution, ExecutionRetryRefusal> {
        if self.state.status == ExecutionStatus::Completed {
            return Err(ExecutionRetryRefusal::Completed);
        }
        // Before a row is stored that needs it.
        let kept = kept_of(core, self.workspace_id, self.id).await.map_err(ExecutionRetryRefusal::Log)?;
        Ok(WantedExecution {
            workspace_id: self.workspace_id,
            workflow_id: self.workflow_id,
            revision: self.revision,
            scope: self.scope,
            input: None,
            retry_of_execution_id: Some(self.id),
            kept,
        })
    }

    async fn check(core: &Core, wanted: &WantedExecution) -> Result<Arc<Workflow>, CreateError<ExecutionRefusal>> {
        let WantedExecution { workspace_id, workflow_id, revision, .. } = wanted;
        let found = definition(&core.services.store, *workspace_id, workflow_id, *revision).await?;
        let workflow = found.ok_or(CreateError::Refused(ExecutionRefusal::WorkflowNotFound))?;
        let given: Vec<&str> = match wanted.input.as_ref().and_then(Value::as_object) {
            Some(input) => input.keys().map(String::as_str).collect(),
            None => Vec::new(),
        };
        let mut present = Vec::new();
        for input in workflow.start_inputs() {
            let document_type = input.document_type;
            let chain = Chain { workspace_id: wanted.workspace_id, scope: wanted.scope.clone(), document_type };
            if core.services.store.latest_workflow_document(&chain).await?.is_some() {
                present.push(chain.document_type);
            }
        }
        match workflow.start_faults(given, |of| present.iter().any(|present| present == of)) {
            faults if faults.is_empty() => Ok(workflow),
            faults => Err(CreateError::Refused(ExecutionRefusal::Input(faults))),
        }
    }

    fn reserve(
        _: &Core,
        wanted: &WantedExecution,
        workflow: Arc<Workflow>,
    ) -> Result<ExecutionStart, ExecutionRefusal> {
        Ok(ExecutionStart { workflow, kept: wanted.kept.clone() })
    }

    fn made(wanted: WantedExecution, by: &Principal, node_id: NodeId) -> Self {
        Self {
            id: ExecutionId::generate(),
            workspace_id: wanted.workspace_id,
            workflow_id: wanted.workflow_id,
            revision: wanted.revision,
            scope: wanted.scope,
            input: wanted.input,
            retry_of_execution_id: wanted.retry_of_execution_id,
            created_by: by.name.clone(),
            node_id,
            created_at: micros(Utc::now()),
            log_degraded: false,
            durable_bytes: None,
            log_state: Default::default(),
            last_sequence: 0,
            state: ExecutionState::default(),
        }
    }

    fn origin_gone(_: Option<DocumentId>) -> ExecutionRefusal {
        ExecutionRefusal::WorkflowNotFound
    }

    fn into_created(self) -> Self {
        Self { last_sequence: 0, state: ExecutionState::default(), ..self }
    }
}

async fn definition_of(core: &Core, execution: &Execution) -> Result<Option<Arc<Workflow>>, StoreError> {
    let Execution { workspace_id, revision, ref workflow_id, .. } = *execution;
    definition(&core.services.store, workspace_id, workflow_id, revision).await
}

/// The definition that an execution keeps to; none when it cannot be read any more.
async fn definition(
    store: &Store,
    workspace_id: WorkspaceId,
    workflow_id: &str,
    revision: u64,
) -> Result<Option<Arc<Workflow>>, StoreError> {
    let definition = store.workflow_definition(workspace_id, workflow_id, revision).await?;
    Ok(definition.and_then(|definition| match Workflow::parse(&definition) {
        Ok(workflow) => Some(Arc::new(workflow)),
        Err(faults) => {
            tracing::error!(workflow_id, revision, ?faults, "a stored workflow is not valid any more");
            None
        }
    }))
}

async fn kept_of(core: &Core, workspace_id: WorkspaceId, id: ExecutionId) -> Result<Arc<[Kept]>, ReadError> {
    let log = follow(core, StreamKey::of(workspace_id, id)).await?;
    Ok(fold(log).await?.kept().into())
}

/// How far an execution has come, by its log.
pub async fn progress(core: &Core, execution: &Execution) -> Result<Progress, ReadError> {
    let log = follow(core, execution.stream_key()).await?;
    Ok(fold(log).await?.progress().clone())
}

/// From the beginning, and not counted as a reader.
async fn follow(core: &Core, key: StreamKey) -> Result<Follow, ReadError> {
    Ok(Follow::inside(reading::hub(core, key, 0).await?, Start::default())?)
}

/// Hands what a person says to the execution. Of one that has ended it is only checked whether it was said before.
pub async fn answer(core: Core, scope: Scope, id: ExecutionId, answer: Answer) -> Result<(), AnswerExecutionError> {
    let execution = core.services.store.find::<Execution>(&scope, id).await?;
    let execution = execution.ok_or(AnswerExecutionError::NotFound)?;
    if let Some(entry) = core.find(execution.stream_key()).await {
        match entry.answer(&answer).await {
            // It ended, or the service stops, while it was spoken to.
            Err(AnswerError::Gone) => entry.settled().await,
            Err(AnswerError::Refused(refusal)) => return Err(AnswerExecutionError::Refused(refusal)),
            Ok(()) => return Ok(()),
        }
    }
    let workflow = definition_of(&core, &execution).await?.ok_or(AnswerExecutionError::NotFound)?;
    let progress = progress(&core, &execution).await?;
    match apply(&workflow, &progress, &answer.to, answer.input, &answer.by)? {
        InputOutcome::Known => Ok(()),
        _ if progress.status.is_terminal() => {
            let what = format!("the execution has ended: {}", progress.status);
            Err(AnswerExecutionError::Refused(Refusal::NotWaiting { what }))
        }
        _ => Err(AnswerExecutionError::Draining),
    }
}

impl ExecutionPorts for Ports {
    fn latest(&self, chain: Chain) -> PortAnswer<Option<WorkflowDocument>> {
        let store = self.0.services.store.clone();
        Box::pin(async move { store.latest_workflow_document(&chain).await.map_err(unavailable) })
    }

    fn version(&self, of: &Execution, document: &DocumentRef) -> PortAnswer<Option<WorkflowDocument>> {
        let (store, scope) = (self.0.services.store.clone(), Scope::Only(vec![of.workspace_id]));
        let (id, version) = (document.document_id, document.version);
        Box::pin(async move { store.find_workflow_document(&scope, id, Some(version)).await.map_err(unavailable) })
    }

    fn store(&self, chain: Chain, draft: DocumentDraft, attempt: StepAttempt) -> PortAnswer<WorkflowDocument> {
        let store = self.0.services.store.clone();
        Box::pin(async move { store.store_step_document(&chain, &draft, &attempt).await.map_err(unavailable) })
    }

    fn accept(&self, of: &Execution, document: &DocumentRef) -> PortAnswer<()> {
        let (store, workspace_id) = (self.0.services.store.clone(), of.workspace_id);
        let (id, version) = (document.document_id, document.version);
        Box::pin(async move {
            store.activate_workflow_document(workspace_id, id, version).await.map(drop).map_err(unavailable)
        })
    }

    fn shares_replies(&self) -> bool {
        self.0.services.depot.has_store()
    }

    fn share_reply(&self, of: &Execution, reply: KeptReply) -> LocalBoxFuture<'static, ()> {
        let (depot, workspace_id) = (self.0.services.depot.clone(), of.workspace_id);
        let KeptReply { path, bytes, sha256 } = reply;
        Box::pin(async move {
            let file = FileToKeep { path: path.clone(), workspace_id, bytes, sha256 };
            if let Err(error) = depot.keep_counting(file).await {
                tracing::warn!(path = %path.display(), %error, "a reply is on this disk alone until the next maintenance");
            }
        })
    }

    fn shared_replies(&self, directory: PathBuf) -> PortAnswer<Vec<String>> {
        let depot = self.0.services.depot.clone();
        Box::pin(async move {
            let paths = depot.paths_below(&directory, MOST_REPLIES).await.map_err(unavailable)?;
            let name = |path: String| Some(Path::new(&path).file_name()?.to_str()?.to_owned());
            Ok(paths.into_iter().filter_map(name).collect())
        })
    }

    fn fetch_reply(&self, path: PathBuf) -> PortAnswer<bool> {
        let depot = self.0.services.depot.clone();
        Box::pin(async move {
            let Err(error) = depot.open(&path).await else { return Ok(true) };
            tracing::warn!(path = %path.display(), %error, "a reply cannot be fetched");
            match error {
                OpenError::NotFound | OpenError::Damaged(_) | OpenError::Elsewhere { .. } => Ok(false),
                OpenError::Unavailable(_) | OpenError::Store(_) | OpenError::Io(_) => {
                    Err(Unavailable("the object store does not give a reply".to_owned()))
                }
            }
        })
    }

    fn record_end(&self, execution: &Execution, state: ExecutionState, log: Tail) -> LocalBoxFuture<'static, ()> {
        let (core, workspace_id, id) = (self.0.clone(), execution.workspace_id, execution.id);
        Box::pin(async move { core.record_end::<Execution>(workspace_id, id, state, log).await })
    }
}

/// Replies of one execution that are looked for elsewhere.
const MOST_REPLIES: u64 = 100_000;

fn unavailable(error: StoreError) -> Unavailable {
    Unavailable(error.to_string())
}
