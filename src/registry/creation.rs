//! Creating runs: new ones, and new attempts of old ones.
//!
//! Laws. Everything that can refuse a run is asked before its row is stored. A row that is stored begins to be worked
//! on, or is taken away again before the caller hears that it failed. Under one key of a caller there is one run.

use std::sync::Arc;

use actix::Addr;
use chrono::Utc;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::actor::Registry;
use super::admission::Admitted;
use super::error::{CreateRunError, RetryRunError};
use super::handle::{Created, NewRun};
use super::services::Services;
use super::{launch, reading, runs::Ports};
use crate::domain::idempotency::{Claim, IdempotencyKey, LIFETIME};
use crate::domain::principal::Principal;
use crate::domain::run::{Run, RunMode, RunOptions, RunState};
use crate::domain::time::micros;
use crate::domain::{ConfigurationId, RunId, WorkspaceId};
use crate::event::payload::Caller;
use crate::store::InsertError;
use crate::worker::run::Place;

pub async fn create(
    services: Services,
    registry: Addr<Registry>,
    principal: Principal,
    new: NewRun,
) -> Result<Created, CreateRunError> {
    let configuration = services.store.find_configuration(&principal.workspaces, new.configuration_id).await?;
    let configuration = configuration
        .filter(|found| new.workspace_id.is_none_or(|id| id == found.workspace_id))
        .ok_or(CreateRunError::ConfigurationNotFound)?;
    let what = json!({"create": configuration.id, "options": new.options});
    let claim = new.key.map(|key| claim(&principal, key, &what));
    let wanted = Wanted {
        workspace_id: configuration.workspace_id,
        configuration_id: configuration.id,
        options: new.options,
        attempt: 1,
        retry_of_run_id: None,
    };
    Creation { services, registry, principal }.once(wanted, claim).await
}

pub async fn retry(
    services: Services,
    registry: Addr<Registry>,
    principal: Principal,
    id: RunId,
    key: Option<IdempotencyKey>,
) -> Result<Created, RetryRunError> {
    let found = reading::settled_run(&services, &registry, &principal.workspaces, id).await?;
    let of = found.ok_or(RetryRunError::NotFound)?;
    if !of.state.status.is_terminal() {
        return Err(RetryRunError::NotEnded(of.state.status));
    }
    let claim = key.map(|key| claim(&principal, key, &json!({"retry": of.id})));
    let wanted = Wanted {
        workspace_id: of.workspace_id,
        configuration_id: of.configuration_id,
        options: of.options,
        attempt: of.attempt.saturating_add(1),
        retry_of_run_id: Some(of.id),
    };
    Ok(Creation { services, registry, principal }.once(wanted, claim).await?)
}

/// The request by what it asks to be done: the form in which its answer is wanted does not count.
pub fn claim(principal: &Principal, key: IdempotencyKey, what: &serde_json::Value) -> Claim {
    let request_digest = format!("{:x}", Sha256::digest(what.to_string()));
    Claim { caller: principal.identity(), key, request_digest }
}

/// A run before it has an id.
struct Wanted {
    workspace_id: WorkspaceId,
    configuration_id: ConfigurationId,
    options: RunOptions,
    attempt: u32,
    retry_of_run_id: Option<RunId>,
}

struct Creation {
    services: Services,
    registry: Addr<Registry>,
    principal: Principal,
}

impl Creation {
    async fn once(&self, wanted: Wanted, claim: Option<Claim>) -> Result<Created, CreateRunError> {
        let Some(claim) = claim else { return Ok(Created { run: self.start(wanted, None).await?, replayed: false }) };
        let _turn = self.services.repeats.turn(&claim).await;
        if let Some(created) = self.replay(&claim).await? {
            return Ok(created);
        }
        match self.start(wanted, Some(&claim)).await {
            Ok(run) => Ok(Created { run, replayed: false }),
            // Another service on this database was quicker.
            Err(CreateRunError::KeyReused) => self.replay(&claim).await?.ok_or(CreateRunError::KeyReused),
            Err(error) => Err(error),
        }
    }

    /// What the key has made already.
    async fn replay(&self, claim: &Claim) -> Result<Option<Created>, CreateRunError> {
        let found = self.services.store.find_claim::<Run>(claim, micros(Utc::now()) - LIFETIME).await?;
        let Some((request_digest, run_id)) = found else { return Ok(None) };
        if request_digest != claim.request_digest {
            return Err(CreateRunError::KeyReused);
        }
        let run = self.services.store.find::<Run>(&self.principal.workspaces, run_id).await?;
        Ok(run.map(|run| Created { run: run.as_created(), replayed: true }))
    }

    async fn start(&self, wanted: Wanted, claim: Option<&Claim>) -> Result<Run, CreateRunError> {
        let services = &self.services;
        self.check_inputs(&wanted).await?;
        let (_admitted, place) = self.admit(wanted.workspace_id).await?;
        let run = wanted.into_run(services);
        self.insert(&run, claim).await?;
        let ports = Arc::new(Ports { services: services.clone(), registry: self.registry.clone() });
        let queued_by = Some(Caller::from(&self.principal));
        match launch::launch_run(services, &self.registry, ports, run.clone(), place, queued_by).await {
            Ok(_) => Ok(run.as_created()),
            Err(error) => {
                self.take_back(&run).await;
                Err(error.into())
            }
        }
    }

    async fn admit(&self, workspace_id: WorkspaceId) -> Result<(Admitted, Place), CreateRunError> {
        if let Some(safe_mode) = self.services.safe_mode.refusal() {
            return Err(CreateRunError::SafeMode(safe_mode));
        }
        let admitted = self.services.admission.enter().await.ok_or(CreateRunError::Draining)?;
        let place = self.services.capacity.enlist(workspace_id);
        Ok((admitted, place.map_err(|full| CreateRunError::QueueFull { waiting: full.waiting })?))
    }

    async fn insert(&self, run: &Run, claim: Option<&Claim>) -> Result<(), CreateRunError> {
        self.services.feeds.expect(run.stream_key()).await?;
        match self.services.store.insert(run, claim).await {
            Ok(()) => Ok(()),
            Err(InsertError::KeyTaken) => Err(CreateRunError::KeyReused),
            Err(InsertError::OriginGone) => Err(CreateRunError::ConfigurationNotFound),
            Err(InsertError::Store(error)) => Err(error.into()),
        }
    }

    /// The caller is told that nothing was begun, so nothing may be left to begin at the next start.
    async fn take_back(&self, run: &Run) {
        if let Err(error) = self.services.store.delete::<Run>(run.workspace_id, run.id).await {
            tracing::error!(run = %run.id, error = %error, "a run that could not be started stays queued");
            return;
        }
        launch::remove_folder(&self.services, run.stream_key()).await;
    }

    async fn check_inputs(&self, wanted: &Wanted) -> Result<(), CreateRunError> {
        let ids = &wanted.options.document_ids;
        if ids.is_empty() && wanted.options.mode() != RunMode::ValidateOnly {
            return Err(CreateRunError::InputRequired);
        }
        let found = self.services.store.find_documents(wanted.workspace_id, ids).await?;
        match ids.iter().find(|id| !found.iter().any(|document| document.id == **id)) {
            Some(missing) => Err(CreateRunError::DocumentNotFound(*missing)),
            None => Ok(()),
        }
    }
}

impl Wanted {
    fn into_run(self, services: &Services) -> Run {
        Run {
            id: RunId::generate(),
            workspace_id: self.workspace_id,
            configuration_id: self.configuration_id,
            options: self.options,
            attempt: self.attempt,
            retry_of_run_id: self.retry_of_run_id,
            node_id: services.node_id,
            created_at: micros(Utc::now()),
            log_degraded: false,
            durable_bytes: None,
            log_state: Default::default(),
            last_sequence: 0,
            state: RunState::default(),
        }
    }
}
