//! Creating and cancelling runs.

use std::sync::Arc;

use actix::Addr;
use chrono::Utc;
use futures_util::future::BoxFuture;

use super::actor::Registry;
use super::builds::{self, Ask};
use super::error::{CancelError, CancelRunError, CreateRunError};
use super::handle::NewRun;
use super::launch;
use super::message::{Find, Observe};
use super::services::Services;
use crate::domain::configuration::Document;
use crate::domain::principal::{Principal, Scope};
use crate::domain::run::{Run, RunMode, RunState};
use crate::domain::status::RunStatus;
use crate::domain::time::micros;
use crate::domain::{ConfigurationId, DocumentId, RunId, WorkspaceId};
use crate::event::payload::Caller;
use crate::stream::Tail;
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
            let marked = store.mark_run_degraded(workspace_id, id, log.bytes).await;
            // One further on than the log, so that no fold of it takes this back.
            let saved = store.save_run_state(workspace_id, id, &state, log.sequence + 1).await;
            if let Err(error) = marked.and(saved) {
                tracing::error!(run = %id, error = %error, "end of a run without a log could not be recorded");
            }
        })
    }
}

pub async fn create(
    services: Services,
    registry: Addr<Registry>,
    principal: Principal,
    new: NewRun,
) -> Result<Run, CreateRunError> {
    let configuration = services.store.find_configuration(&principal.workspaces, new.configuration_id).await?;
    let configuration = configuration
        .filter(|found| new.workspace_id.is_none_or(|id| id == found.workspace_id))
        .ok_or(CreateRunError::ConfigurationNotFound)?;
    check_inputs(&services, configuration.workspace_id, &new).await?;
    check_admission(&services)?;
    if is_draining(&registry).await {
        return Err(CreateRunError::Draining);
    }
    let run = Run {
        id: RunId::generate(),
        workspace_id: configuration.workspace_id,
        configuration_id: configuration.id,
        options: new.options,
        attempt: 1,
        retry_of_run_id: None,
        node_id: services.node_id,
        created_at: micros(Utc::now()),
        log_degraded: false,
        durable_bytes: None,
        log_state: Default::default(),
        last_sequence: 0,
        state: RunState::default(),
    };
    services.feeds.expect(run.stream_key()).await?;
    services.store.insert_run(&run).await?;
    let ports = Arc::new(Ports { services: services.clone(), registry: registry.clone() });
    launch::launch_run(&services, &registry, ports, run.clone(), Some(Caller::from(&principal))).await?;
    Ok(Run { last_sequence: 1, ..run })
}

/// Asked before the row is stored: a row that is there will be worked on at the next start.
pub async fn is_draining(registry: &Addr<Registry>) -> bool {
    registry.send(Observe).await.is_ok_and(|observed| observed.draining)
}

fn check_admission(services: &Services) -> Result<(), CreateRunError> {
    if services.settings.server.safe_mode {
        return Err(CreateRunError::SafeMode);
    }
    let waiting = services.capacity.waiting();
    if waiting >= services.settings.limits.queue_size {
        return Err(CreateRunError::QueueFull { waiting });
    }
    Ok(())
}

async fn check_inputs(services: &Services, workspace_id: WorkspaceId, new: &NewRun) -> Result<(), CreateRunError> {
    let ids = &new.options.document_ids;
    if ids.is_empty() && new.options.mode() != RunMode::ValidateOnly {
        return Err(CreateRunError::InputRequired);
    }
    let found = services.store.find_documents(workspace_id, ids).await?;
    match ids.iter().find(|id| !found.iter().any(|document| document.id == **id)) {
        Some(missing) => Err(CreateRunError::DocumentNotFound(*missing)),
        None => Ok(()),
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
    let run = services.store.find_run(&scope, id).await?.ok_or(CancelError::NotFound)?;
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
