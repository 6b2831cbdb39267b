//! What workers get from the registry, and cancelling runs.

use actix::Addr;
use futures_util::future::BoxFuture;

use super::actor::Registry;
use super::builds::{self, Ask};
use super::error::{CancelError, CancelRunError};
use super::message::Find;
use super::services::Services;
use crate::domain::build::{Build, BuildState};
use crate::domain::configuration::Document;
use crate::domain::principal::Scope;
use crate::domain::run::{Run, RunState};
use crate::domain::status::RunStatus;
use crate::domain::{ConfigurationId, DocumentId, RunId, WorkspaceId};
use crate::stream::Tail;
use crate::worker::build::BuildPorts;
use crate::worker::run::{EnsuredBuild, RunPorts, Unavailable};
use crate::worker::stop::StopReason;

/// What workers get from the registry.
pub struct Ports {
    pub services: Services,
    pub registry: Addr<Registry>,
}

impl RunPorts for Ports {
    fn ensure_build(
        &self,
        workspace_id: WorkspaceId,
        configuration_id: ConfigurationId,
        force: bool,
    ) -> BoxFuture<'static, Result<EnsuredBuild, Unavailable>> {
        let (services, registry) = (self.services.clone(), self.registry.clone());
        let ask = Ask::of_run(workspace_id, configuration_id, force);
        Box::pin(async move {
            let arbiters = services.arbiters.clone();
            let ensured = arbiters.run(move || async move { builds::ensure(&services, &registry, ask).await }).await;
            ensured.map(|ensured| ensured.for_run()).map_err(|error| Unavailable(error.to_string()))
        })
    }

    fn documents(
        &self,
        workspace_id: WorkspaceId,
        ids: Vec<DocumentId>,
    ) -> BoxFuture<'static, Result<Vec<Document>, Unavailable>> {
        let store = self.services.store.clone();
        Box::pin(async move {
            let found = store.find_documents(workspace_id, &ids).await;
            found.map_err(|error| Unavailable(error.to_string()))
        })
    }

    fn record_end(&self, run: &Run, state: RunState, log: Tail) -> BoxFuture<'static, ()> {
        let (store, workspace_id, id) = (self.services.store.clone(), run.workspace_id, run.id);
        Box::pin(async move {
            // First what the next start needs to end the log: a row that has ended is not looked at without it.
            let marked = store.set_degraded::<Run>(workspace_id, id, Some(log.bytes)).await;
            // One further on than the log, so that no fold of it takes this back.
            let saved = store.save_state::<Run>(workspace_id, id, &state, log.sequence + 1).await;
            if let Err(error) = marked.and(saved) {
                tracing::error!(run = %id, error = %error, "end of a run without a log could not be recorded");
            }
        })
    }
}

impl BuildPorts for Ports {
    fn record_end(&self, build: &Build, state: BuildState, log: Tail) -> BoxFuture<'static, ()> {
        let (store, workspace_id, id) = (self.services.store.clone(), build.workspace_id, build.id);
        Box::pin(async move {
            // In this order, and one further on, for the same reasons as a run's.
            let marked = store.set_degraded::<Build>(workspace_id, id, Some(log.bytes)).await;
            let saved = store.save_state::<Build>(workspace_id, id, &state, log.sequence + 1).await;
            if let Err(error) = marked.and(saved) {
                tracing::error!(build = %id, error = %error, "end of a build without a log could not be recorded");
            }
        })
    }
}

/// True when this call made it end; false when it was cancelled or being cancelled already.
pub async fn cancel(
    services: Services,
    registry: Addr<Registry>,
    scope: Scope,
    id: RunId,
    reason: StopReason,
) -> Result<bool, CancelRunError> {
    let run = services.store.find::<Run>(&scope, id).await?.ok_or(CancelError::NotFound)?;
    if let Ok(Some(entry)) = registry.send(Find(run.stream_key())).await
        && !entry.stream.tail().closed
    {
        return Ok(entry.stopper.stop(reason));
    }
    // It ended while we looked: the row, once settled, knows how.
    let run = super::reading::settled_run(&services, &registry, &scope, id).await?.ok_or(CancelError::NotFound)?;
    match run.state.status {
        RunStatus::Cancelled => Ok(false),
        status => Err(CancelError::Ended(status)),
    }
}
