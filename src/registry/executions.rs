//! Executions: created, repeated, spoken to, cancelled.
//!
//! Laws. Everything that can refuse an execution is asked before its row is stored. A row that is stored begins to be
//! worked on, or is taken away again before the caller hears that it failed. Who is told that an execution was
//! cancelled finds it so after any crash.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use chrono::Utc;
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value, json};

use super::actor::Registry;
use super::admission::Admitted;
use super::creation::claim;
use super::error::{
    CreateExecutionError, ExecutionCancelError, LaunchError, ReadError, RetryExecutionError, SayToExecutionError,
};
use super::message::Find;
use super::runs::Ports;
use super::services::Services;
use super::{launch, reading};
use crate::domain::execution::{Execution, ExecutionState};
use crate::domain::idempotency::{Claim, IdempotencyKey, LIFETIME};
use crate::domain::principal::{Principal, Scope};
use crate::domain::progress::{DocumentRef, Progress};
use crate::domain::sequence::Start;
use crate::domain::status::ExecutionStatus;
use crate::domain::time::micros;
use crate::domain::workflow_document::{Chain, DocumentDraft, StepAttempt, WorkScope, WorkflowDocument};
use crate::domain::{ExecutionId, StreamKey, WorkspaceId};
use crate::event::payload::Caller;
use crate::event::payload::execution::Kept;
use crate::store::{InsertError, Store, StoreError};
use crate::stream::{Follow, Tail};
use crate::worker::execution::ports::Answer;
use crate::worker::execution::scribe::fold;
use crate::worker::execution::{ExecutionPorts, SayError, Unavailable};
use crate::worker::stop::StopReason;
use crate::workflow::Workflow;
use crate::workflow::person::{Address, Heard, Refusal, Saying, hear};

/// An execution that somebody asks for.
#[derive(Debug, Clone)]
pub struct NewExecution {
    pub workspace_id: WorkspaceId,
    pub workflow_id: String,
    pub scope: WorkScope,
    /// By document type.
    pub input: Map<String, Value>,
    pub key: Option<IdempotencyKey>,
}

/// An execution as it was when it had been created.
#[derive(Debug, Clone)]
pub struct CreatedExecution {
    pub execution: Execution,
    /// It was created by an earlier request under the same key.
    pub replayed: bool,
}

/// For a cancelled execution to end; calls under way are dropped at once.
const TO_END: Duration = Duration::from_secs(10);

pub async fn create(
    services: Services,
    registry: Addr<Registry>,
    principal: Principal,
    new: NewExecution,
) -> Result<CreatedExecution, CreateExecutionError> {
    let NewExecution { workspace_id, workflow_id, scope, input, key } = new;
    let found = services.store.find_workflow(workspace_id, &workflow_id).await?;
    let found = found.ok_or(CreateExecutionError::WorkflowNotFound)?;
    let what = json!({
        "create": workflow_id, "in": workspace_id, "scope": [scope.scope_type, scope.scope_id], "input": input,
    });
    let claim = key.map(|key| claim(&principal, key, &what));
    let wanted = Wanted {
        workspace_id,
        workflow_id,
        revision: found.revision,
        scope,
        input: (!input.is_empty()).then_some(Value::Object(input)),
        retry_of_execution_id: None,
        kept: Arc::default(),
    };
    Creation { services, registry, principal }.once(wanted, claim).await
}

/// A new execution of one that did not complete: what that has completed is kept.
pub async fn retry(
    services: Services,
    registry: Addr<Registry>,
    principal: Principal,
    id: ExecutionId,
    key: Option<IdempotencyKey>,
) -> Result<CreatedExecution, RetryExecutionError> {
    let found = reading::settled_execution(&services, &registry, &principal.workspaces, id).await?;
    let of = found.ok_or(RetryExecutionError::NotFound)?;
    match of.state.status {
        ExecutionStatus::Completed => return Err(RetryExecutionError::Completed),
        status if !status.is_terminal() => return Err(RetryExecutionError::NotEnded(status)),
        _ => {}
    }
    // Before a row is stored that needs it.
    let kept = kept_of(&services, &registry, of.workspace_id, id).await.map_err(RetryExecutionError::Log)?;
    let claim = key.map(|key| claim(&principal, key, &json!({"retry": of.id})));
    let wanted = Wanted {
        workspace_id: of.workspace_id,
        workflow_id: of.workflow_id,
        revision: of.revision,
        scope: of.scope,
        input: None,
        retry_of_execution_id: Some(of.id),
        kept,
    };
    Ok(Creation { services, registry, principal }.once(wanted, claim).await?)
}

/// An execution before it has an id.
struct Wanted {
    workspace_id: WorkspaceId,
    workflow_id: String,
    revision: u64,
    scope: WorkScope,
    input: Option<Value>,
    retry_of_execution_id: Option<ExecutionId>,
    /// What that one has completed.
    kept: Arc<[Kept]>,
}

struct Creation {
    services: Services,
    registry: Addr<Registry>,
    principal: Principal,
}

impl Creation {
    async fn once(&self, wanted: Wanted, claim: Option<Claim>) -> Result<CreatedExecution, CreateExecutionError> {
        let made = |execution| CreatedExecution { execution, replayed: false };
        let Some(claim) = claim else { return self.start(wanted, None).await.map(made) };
        let _turn = self.services.repeats.turn(&claim).await;
        if let Some(created) = self.replay(&claim).await? {
            return Ok(created);
        }
        match self.start(wanted, Some(&claim)).await {
            // Another service on this database was quicker.
            Err(CreateExecutionError::KeyReused) => self.replay(&claim).await?.ok_or(CreateExecutionError::KeyReused),
            started => started.map(made),
        }
    }

    /// What the key has made already.
    async fn replay(&self, claim: &Claim) -> Result<Option<CreatedExecution>, CreateExecutionError> {
        let found = self.services.store.find_claim::<Execution>(claim, micros(Utc::now()) - LIFETIME).await?;
        let Some((request_digest, id)) = found else { return Ok(None) };
        if request_digest != claim.request_digest {
            return Err(CreateExecutionError::KeyReused);
        }
        let found = self.services.store.find::<Execution>(&self.principal.workspaces, id).await?;
        Ok(found.map(|execution| CreatedExecution { execution: execution.as_created(), replayed: true }))
    }

    async fn start(&self, wanted: Wanted, claim: Option<&Claim>) -> Result<Execution, CreateExecutionError> {
        let services = &self.services;
        let workflow = definition(&services.store, wanted.workspace_id, &wanted.workflow_id, wanted.revision).await?;
        let workflow = workflow.ok_or(CreateExecutionError::WorkflowNotFound)?;
        self.check_inputs(&workflow, &wanted).await?;
        let _admitted = self.admit().await?;
        let kept = wanted.kept.clone();
        let execution = wanted.into_execution(services, &self.principal);
        self.insert(&execution, claim).await?;
        let started_by = Some(Caller::from(&self.principal));
        match launch::launch_execution(services, &self.registry, execution.clone(), workflow, kept, started_by).await {
            Ok(_) => Ok(execution),
            Err(error) => {
                self.take_back(&execution).await;
                Err(error.into())
            }
        }
    }

    async fn admit(&self) -> Result<Admitted, CreateExecutionError> {
        if let Some(safe_mode) = self.services.safe_mode.refusal() {
            return Err(CreateExecutionError::SafeMode(safe_mode));
        }
        self.services.admission.enter().await.ok_or(CreateExecutionError::Draining)
    }

    async fn check_inputs(&self, workflow: &Workflow, wanted: &Wanted) -> Result<(), CreateExecutionError> {
        let given: Vec<&str> = match wanted.input.as_ref().and_then(Value::as_object) {
            Some(input) => input.keys().map(String::as_str).collect(),
            None => Vec::new(),
        };
        let mut present = Vec::new();
        for input in workflow.start_inputs() {
            let document_type = input.document_type;
            let chain = Chain { workspace_id: wanted.workspace_id, scope: wanted.scope.clone(), document_type };
            if self.services.store.latest_workflow_document(&chain).await?.is_some() {
                present.push(chain.document_type);
            }
        }
        match workflow.start_faults(given, |of| present.iter().any(|present| present == of)) {
            faults if faults.is_empty() => Ok(()),
            faults => Err(CreateExecutionError::Input(faults)),
        }
    }

    async fn insert(&self, execution: &Execution, claim: Option<&Claim>) -> Result<(), CreateExecutionError> {
        self.services.feeds.expect(execution.stream_key()).await?;
        match self.services.store.insert(execution, claim).await {
            Ok(()) => Ok(()),
            Err(InsertError::KeyTaken) => Err(CreateExecutionError::KeyReused),
            Err(InsertError::OriginGone) => Err(CreateExecutionError::WorkflowNotFound),
            Err(InsertError::Store(error)) => Err(error.into()),
        }
    }

    /// The caller is told that nothing was begun, so nothing may be left to begin at the next start.
    async fn take_back(&self, execution: &Execution) {
        if let Err(error) = self.services.store.delete::<Execution>(execution.workspace_id, execution.id).await {
            tracing::error!(execution = %execution.id, error = %error, "an execution that could not be started stays");
            return;
        }
        launch::remove_folder(&self.services, execution.stream_key()).await;
    }
}

impl Wanted {
    fn into_execution(self, services: &Services, principal: &Principal) -> Execution {
        Execution {
            id: ExecutionId::generate(),
            workspace_id: self.workspace_id,
            workflow_id: self.workflow_id,
            revision: self.revision,
            scope: self.scope,
            input: self.input,
            retry_of_execution_id: self.retry_of_execution_id,
            created_by: principal.name.clone(),
            node_id: services.node_id,
            created_at: micros(Utc::now()),
            log_degraded: false,
            durable_bytes: None,
            log_state: Default::default(),
            last_sequence: 0,
            state: ExecutionState::default(),
        }
    }
}

/// The definition that an execution keeps to; none when it cannot be read any more.
pub async fn definition(
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

/// What an execution has completed, for one that repeats it.
pub async fn kept_of(
    services: &Services,
    registry: &Addr<Registry>,
    workspace_id: WorkspaceId,
    id: ExecutionId,
) -> Result<Arc<[Kept]>, ReadError> {
    let hub = reading::hub(services, registry, StreamKey::execution(workspace_id, id)).await?;
    Ok(fold(Follow::inside(hub, Start::default())?).await?.kept().into())
}

/// How far an execution has come, by its log.
pub async fn progress(
    services: &Services,
    registry: &Addr<Registry>,
    execution: &Execution,
) -> Result<Progress, ReadError> {
    let hub = reading::hub(services, registry, execution.stream_key()).await?;
    Ok(fold(Follow::inside(hub, Start::default())?).await?.progress().clone())
}

/// Hands what a person says to the execution. Of one that is over it is only looked whether it was said before.
pub async fn say(
    services: Services,
    registry: Addr<Registry>,
    principal: Principal,
    id: ExecutionId,
    to: Address,
    saying: Saying,
) -> Result<(), SayToExecutionError> {
    let execution = services.store.find::<Execution>(&principal.workspaces, id).await?;
    let execution = execution.ok_or(SayToExecutionError::NotFound)?;
    let by = Caller::from(&principal);
    if let Ok(Some(entry)) = registry.send(Find(execution.stream_key())).await
        && let Some(desk) = &entry.desk
    {
        match desk.say(to.clone(), saying.clone(), by).await {
            // It ended, or goes down, while it was spoken to.
            Err(SayError::Gone) => entry.settled().await,
            Err(SayError::Refused(refusal)) => return Err(SayToExecutionError::Refused(refusal)),
            Ok(()) => return Ok(()),
        }
    }
    let Execution { workspace_id, revision, ref workflow_id, .. } = execution;
    let workflow = definition(&services.store, workspace_id, workflow_id, revision).await?;
    let workflow = workflow.ok_or(SayToExecutionError::NotFound)?;
    let progress = progress(&services, &registry, &execution).await?;
    match hear(&workflow, &progress, &to, saying)? {
        Heard::Known => Ok(()),
        _ if progress.status.is_terminal() => {
            let what = format!("the execution has ended: {}", progress.status);
            Err(SayToExecutionError::Refused(Refusal::NotWaiting { what }))
        }
        _ => Err(SayToExecutionError::Draining),
    }
}

/// True when this call made it end; false when it was cancelled already. Returns when it has ended.
pub async fn cancel(
    services: Services,
    registry: Addr<Registry>,
    scope: Scope,
    id: ExecutionId,
    reason: StopReason,
) -> Result<bool, ExecutionCancelError> {
    let found = services.store.find::<Execution>(&scope, id).await?;
    let execution = found.ok_or(ExecutionCancelError::NotFound)?;
    let mut took_effect = false;
    if let Ok(Some(entry)) = registry.send(Find(execution.stream_key())).await
        && !entry.stream.tail().closed
    {
        took_effect = entry.stopper.stop(reason);
        if tokio::time::timeout(TO_END, entry.settled()).await.is_err() {
            tracing::warn!(execution = %id, "a cancelled execution takes long to end");
        }
    }
    let found = reading::settled_execution(&services, &registry, &scope, id).await?;
    match found.ok_or(ExecutionCancelError::NotFound)?.state.status {
        ExecutionStatus::Cancelled => Ok(took_effect),
        status if status.is_terminal() => Err(ExecutionCancelError::Ended(status)),
        _ => Err(ExecutionCancelError::Draining),
    }
}

impl ExecutionPorts for Ports {
    fn latest(&self, chain: Chain) -> Answer<Option<WorkflowDocument>> {
        let store = self.services.store.clone();
        Box::pin(async move { store.latest_workflow_document(&chain).await.map_err(unavailable) })
    }

    fn version(&self, of: &Execution, document: &DocumentRef) -> Answer<Option<WorkflowDocument>> {
        let (store, scope) = (self.services.store.clone(), Scope::Only(vec![of.workspace_id]));
        let (id, version) = (document.document_id, document.version);
        Box::pin(async move { store.find_workflow_document(&scope, id, Some(version)).await.map_err(unavailable) })
    }

    fn store(&self, chain: Chain, draft: DocumentDraft, attempt: StepAttempt) -> Answer<WorkflowDocument> {
        let store = self.services.store.clone();
        Box::pin(async move { store.store_step_document(&chain, &draft, &attempt).await.map_err(unavailable) })
    }

    fn accept(&self, of: &Execution, document: &DocumentRef) -> Answer<()> {
        let (store, workspace_id) = (self.services.store.clone(), of.workspace_id);
        let (id, version) = (document.document_id, document.version);
        Box::pin(async move {
            store.activate_workflow_document(workspace_id, id, version).await.map(drop).map_err(unavailable)
        })
    }

    fn record_end(&self, execution: &Execution, state: ExecutionState, log: Tail) -> LocalBoxFuture<'static, ()> {
        let (store, workspace_id, id) = (self.services.store.clone(), execution.workspace_id, execution.id);
        Box::pin(async move {
            // In this order, and one further on, for the same reasons as a run's.
            let marked = store.set_degraded::<Execution>(workspace_id, id, Some(log.bytes)).await;
            let saved = store.save_state::<Execution>(workspace_id, id, &state, log.sequence + 1).await;
            if let Err(error) = marked.and(saved) {
                tracing::error!(execution = %id, error = %error, "end of an execution without a log could not be recorded");
            }
        })
    }
}

fn unavailable(error: StoreError) -> Unavailable {
    Unavailable(error.to_string())
}

impl From<StoreError> for CreateExecutionError {
    fn from(error: StoreError) -> Self {
        Self::Launch(LaunchError::Store(error))
    }
}

impl From<StoreError> for RetryExecutionError {
    fn from(error: StoreError) -> Self {
        Self::Create(error.into())
    }
}
