//! Runs: a queue before them, documents to work on, a venv that they ask for themselves.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Ports;
use crate::backoff::Backoff;
use crate::depot::OpenError;
use crate::domain::configuration::Document;
use crate::domain::failure::RunFailureCode;
use crate::domain::id::NodeId;
use crate::domain::principal::Principal;
use crate::domain::run::{Run, RunMode, RunOptions, RunState};
use crate::domain::status::{BuildStatus, RunStatus};
use crate::domain::time::micros;
use crate::domain::work::Work as _;
use crate::domain::{ConfigurationId, DocumentId, RunId, WorkspaceId};
use crate::event::payload::Caller;
use crate::event::payload::build::{BUILD_COMPLETED, BUILD_CREATED};
use crate::event::payload::run::{Queued, RUN_QUEUED, RUN_WAITING};
use crate::event::{Draft, EventRef, Identity, Source, codec};
use crate::registry::builds::{self, BuildRequest};
use crate::registry::configurations::DigestError;
use crate::registry::core::Core;
use crate::registry::error::{CreateError, EnsureBuildError, LaunchError, RunRefusal};
use crate::registry::kind::{Assignment, Cause, Creatable, Next, Sessions, WorkKind};
use crate::stream::{StreamHandle, Tail};
use crate::supervision::Policy;
use crate::trace::Origin;
use crate::worker::run::{
    EnsuredBuild, OpenDocumentError, Place, RunJob, RunPorts, Unavailable, conclude_run, drive, end_of_run,
};

/// A run that a caller asks for.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Given when the path names it; the configuration must belong to it.
    pub workspace_id: Option<WorkspaceId>,
    pub configuration_id: ConfigurationId,
    pub options: RunOptions,
}

/// A run before it has an id.
pub struct WantedRun {
    workspace_id: WorkspaceId,
    configuration_id: ConfigurationId,
    options: RunOptions,
    attempt: u32,
    retry_of_run_id: Option<RunId>,
}

impl WorkKind for Run {
    /// Among the queued since it was admitted.
    type Start = Place;
    type Place = Place;

    /// What an engine has done cannot be done again unasked.
    const RESTARTS: Policy = Policy::Never;

    fn identity(&self) -> Identity {
        Identity::new(self.stream_key(), self.configuration_id)
    }

    fn opening(&self, by: Option<&Caller>) -> Option<Draft> {
        let queued = Queued { mode: self.options.mode(), options: self.options.clone(), queued_by: by.cloned() };
        Some(Draft::new(RUN_QUEUED, Source::Api, &queued))
    }

    fn sessions(core: &Core, assignment: Assignment<Self>, place: Place) -> Sessions {
        let Assignment { work, stream, signal, stage, span, .. } = assignment;
        let job = RunJob {
            run: work,
            stream,
            signal,
            stage,
            span,
            ports: Arc::new(Ports(core.clone())),
            capacity: core.services.capacity.clone(),
            place: Arc::new(place),
            context: core.services.work.clone(),
        };
        Box::new(move |_| Box::pin(drive(job.clone())))
    }

    async fn conclude(&self, core: &Core, stream: &StreamHandle, cause: Cause, message: &str) -> RunState {
        let code = match cause {
            Cause::Orchestration => RunFailureCode::OrchestrationError,
            Cause::Interrupted => RunFailureCode::Interrupted,
        };
        conclude_run(&core.services.work, self, stream, code, message).await
    }

    async fn terminal_event(&self, _: &StreamHandle) -> Draft {
        end_of_run(self)
    }

    /// Without waiting: what the store does not take now it is owed.
    async fn finished(&self, core: &Core) {
        let (depot, run) = (core.services.depot.clone(), self.clone());
        if depot.has_store() {
            tokio::spawn(async move { depot.settle_run(&run).await });
        }
    }

    fn enlist_again(&self, core: &Core) -> Place {
        core.services.capacity.enlist_again(self.workspace_id)
    }

    /// A run that only waited is queued again. Of one whose log is gone the row was never further on than the log.
    async fn after_crash(&self, _: &Core, last_line: Option<&[u8]>, place: Place) -> Result<Next<Place>, LaunchError> {
        if self.state.status != RunStatus::Running && last_line.is_none_or(only_waited) {
            return Ok(Next::GoOn(place));
        }
        Ok(Next::End { cause: Cause::Interrupted, message: super::INTERRUPTED })
    }
}

/// A run that only waited has not started: it takes its place in the queue again. So has one whose venv is there and that
/// has not been given a slot yet.
fn only_waited(last_line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Payload {
        should_build: Option<bool>,
        status: Option<BuildStatus>,
    }
    let payload = |event: EventRef<'_>| serde_json::from_str::<Payload>(event.payload.get()).ok();
    let Ok(event) = codec::decode(last_line) else { return false };
    match &*event.kind {
        RUN_QUEUED | RUN_WAITING => true,
        BUILD_CREATED => payload(event).is_some_and(|created| created.should_build == Some(false)),
        BUILD_COMPLETED => payload(event).is_some_and(|completed| completed.status == Some(BuildStatus::Active)),
        _ => false,
    }
}

impl Creatable for Run {
    type New = NewRun;
    type Refusal = RunRefusal;
    type RetryRefusal = std::convert::Infallible;
    type Wanted = WantedRun;
    type Checked = ();

    async fn wanted(
        core: &Core,
        principal: &Principal,
        new: NewRun,
    ) -> Result<(WantedRun, Value), CreateError<RunRefusal>> {
        let found = core.services.store.find_configuration(&principal.workspaces, new.configuration_id).await?;
        let configuration = found
            .filter(|found| new.workspace_id.is_none_or(|id| id == found.workspace_id))
            .ok_or(CreateError::Refused(RunRefusal::ConfigurationNotFound))?;
        let request = json!({"create": configuration.id, "options": new.options});
        let wanted = WantedRun {
            workspace_id: configuration.workspace_id,
            configuration_id: configuration.id,
            options: new.options,
            attempt: 1,
            retry_of_run_id: None,
        };
        Ok((wanted, request))
    }

    async fn wanted_again(self, _: &Core) -> Result<WantedRun, Self::RetryRefusal> {
        Ok(WantedRun {
            workspace_id: self.workspace_id,
            configuration_id: self.configuration_id,
            options: self.options,
            attempt: self.attempt.saturating_add(1),
            retry_of_run_id: Some(self.id),
        })
    }

    async fn check(core: &Core, wanted: &WantedRun) -> Result<(), CreateError<RunRefusal>> {
        let ids = &wanted.options.document_ids;
        if ids.is_empty() && wanted.options.mode() != RunMode::ValidateOnly {
            return Err(CreateError::Refused(RunRefusal::InputRequired));
        }
        let found = core.services.store.find_documents(wanted.workspace_id, ids).await?;
        match ids.iter().find(|id| !found.iter().any(|document| document.id == **id)) {
            Some(missing) => Err(CreateError::Refused(RunRefusal::DocumentNotFound(*missing))),
            None => Ok(()),
        }
    }

    fn reserve(core: &Core, wanted: &WantedRun, (): ()) -> Result<Place, RunRefusal> {
        let place = core.services.capacity.enlist(wanted.workspace_id);
        place.map_err(|full| RunRefusal::QueueFull { waiting: full.waiting })
    }

    fn made(wanted: WantedRun, _: &Principal, node_id: NodeId) -> Self {
        let WantedRun { workspace_id, configuration_id, options, attempt, retry_of_run_id } = wanted;
        let queued = Run::queued((workspace_id, configuration_id), options, node_id, micros(Utc::now()));
        Self { attempt, retry_of_run_id, ..queued }
    }

    fn origin_gone(document: Option<DocumentId>) -> RunRefusal {
        document.map_or(RunRefusal::ConfigurationNotFound, RunRefusal::DocumentNotFound)
    }

    fn into_created(self) -> Self {
        Self { log_degraded: false, durable_bytes: None, last_sequence: 1, state: RunState::default(), ..self }
    }
}

/// A store that does not give a package is asked so often, in about a minute, as one that does not give a document is.
const ATTEMPTS: u32 = 8;
const PAUSES: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(15) };

fn is_of_an_absent_store(error: &EnsureBuildError) -> bool {
    matches!(error, EnsureBuildError::Digest(DigestError::NotReady(OpenError::Unavailable(_))))
}

fn not_ensured(error: &EnsureBuildError) -> Unavailable {
    let EnsureBuildError::Digest(DigestError::NotReady(not_ready)) = error else {
        return Unavailable(error.to_string());
    };
    tracing::warn!(error = %not_ready, "the files of a configuration cannot be had");
    Unavailable(format!("the configuration's files cannot be had: {}", not_opened(not_ready)))
}

/// Without the names of objects, which are for the log.
fn not_opened(error: &OpenError) -> OpenDocumentError {
    let missing = |what: &str| OpenDocumentError::Missing(what.to_owned());
    match error {
        OpenError::Unavailable(_) => OpenDocumentError::Unavailable("the object store does not give it".to_owned()),
        OpenError::Store(_) => OpenDocumentError::Unavailable("the database does not say where it is".to_owned()),
        OpenError::Damaged(_) => missing("it is not in the object store as it was put there"),
        OpenError::Elsewhere { .. } => missing("it is in an object store that this service does not use"),
        OpenError::NotFound | OpenError::Io(_) => missing(&error.to_string()),
    }
}

impl RunPorts for Ports {
    fn ensure_build(
        &self,
        workspace_id: WorkspaceId,
        configuration_id: ConfigurationId,
        force: bool,
        origin: Origin,
    ) -> BoxFuture<'static, Result<EnsuredBuild, Unavailable>> {
        let core = self.0.clone();
        let request = BuildRequest::of_run(workspace_id, configuration_id, force, origin);
        Box::pin(async move {
            for attempt in 1.. {
                let (ensuring, request, arbiters) = (core.clone(), request.clone(), core.services.arbiters.clone());
                let ensured = arbiters.run(move || async move { builds::ensure(&ensuring, request).await }).await;
                match ensured {
                    Ok(ensured) => return Ok(ensured.for_run()),
                    Err(error) if attempt < ATTEMPTS && is_of_an_absent_store(&error) => {}
                    Err(error) => return Err(not_ensured(&error)),
                }
                tokio::time::sleep(PAUSES.pause(attempt)).await;
            }
            unreachable!("attempts do not end")
        })
    }

    fn documents(
        &self,
        workspace_id: WorkspaceId,
        ids: Vec<DocumentId>,
    ) -> BoxFuture<'static, Result<Vec<Document>, Unavailable>> {
        let store = self.0.services.store.clone();
        Box::pin(async move {
            let found = store.find_documents(workspace_id, &ids).await;
            found.map_err(|error| Unavailable(error.to_string()))
        })
    }

    fn open_document(&self, document: &Document) -> BoxFuture<'static, Result<File, OpenDocumentError>> {
        let (depot, path) = (self.0.services.depot.clone(), document.path());
        Box::pin(async move {
            depot.open(&path).await.map_err(|error| {
                tracing::warn!(path = %path.display(), %error, "an input document cannot be opened");
                not_opened(&error)
            })
        })
    }

    fn record_end(&self, run: &Run, state: RunState, log: Tail) -> BoxFuture<'static, ()> {
        let (core, workspace_id, id) = (self.0.clone(), run.workspace_id, run.id);
        Box::pin(async move { core.record_end::<Run>(workspace_id, id, state, log).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::micros;
    use crate::domain::{ConfigurationId, EventId, RunId, StreamKey, WorkspaceId};
    use crate::event::codec::{Identity, Stamp};
    use crate::event::{Draft, Source};

    fn line(kind: &'static str, payload: Value) -> Vec<u8> {
        let key = StreamKey::of(WorkspaceId::generate(), RunId::generate());
        let identity = Identity::new(key, ConfigurationId::generate());
        let stamp = Stamp { sequence: 4, event_id: EventId::generate(), created_at: micros(chrono::Utc::now()) };
        let mut line = Vec::new();
        codec::encode(&mut line, &identity, stamp, &Draft::new(kind, Source::Api, &payload));
        line
    }

    #[test]
    fn a_run_that_has_done_nothing_of_its_own_only_waited() {
        for (kind, payload, waited) in [
            ("run.queued", json!({}), true),
            ("run.waiting", json!({"reason": "capacity", "position": 3}), true),
            ("build.created", json!({"status": "queued", "should_build": false}), true),
            ("build.completed", json!({"status": "active"}), true),
            ("build.created", json!({"status": "queued", "should_build": true}), false),
            ("build.started", json!({"status": "building"}), false),
            ("build.completed", json!({"status": "failed"}), false),
            ("console.line", json!({"scope": "build"}), false),
            ("run.started", json!({"status": "in_progress"}), false),
            ("run.completed", json!({"status": "failed"}), false),
        ] {
            assert_eq!(only_waited(&line(kind, payload.clone())), waited, "{kind} {payload}");
        }
        assert!(!only_waited(b"not an event"));
    }
}
