//! Ensuring a venv: reuse it, join the build that makes it, or build.
//!
//! Law: decisions for one configuration are taken one at a time, and a build stays joinable until its row
//! is final. So of many who ask at once exactly one builds.

use std::sync::Arc;

use actix::Addr;
use chrono::Utc;

use super::actor::Registry;
use super::configurations;
use super::error::{CancelBuildError, CancelError, EnsureBuildError};
use super::launch;
use super::message::{BuildsOf, Find, LookAtBuilds};
use super::services::Services;
use super::slot::{Entry, InFlight, Waiters};
use crate::domain::build::{Build, BuildInputs, BuildReason, BuildState};
use crate::domain::configuration::Configuration;
use crate::domain::principal::Scope;
use crate::domain::status::BuildStatus;
use crate::domain::time::micros;
use crate::domain::{BuildId, ConfigurationId, WorkspaceId};
use crate::stream::StreamHandle;
use crate::worker::build::{self as build_worker, ToolchainError};
use crate::worker::run::{EnsuredBuild, Progress};
use crate::worker::stop::StopReason;

/// Who wants a build of what.
#[derive(Debug, Clone)]
pub struct Ask {
    pub scope: Scope,
    pub configuration_id: ConfigurationId,
    pub force: bool,
    /// Asked for by itself rather than for a run: it has a row of its own even when it reuses, and goes on
    /// when nobody waits.
    pub manual: bool,
}

impl Ask {
    pub fn of_run(workspace_id: WorkspaceId, configuration_id: ConfigurationId, force: bool) -> Self {
        Self { scope: Scope::Only(vec![workspace_id]), configuration_id, force, manual: false }
    }
}

/// How a venv is had.
pub enum Ensured {
    Reused(Build),
    UnderWay { build: Build, stream: StreamHandle, waiters: Arc<Waiters> },
}

impl Ensured {
    pub fn for_run(self) -> EnsuredBuild {
        match self {
            Self::Reused(build) => EnsuredBuild { build, progress: Progress::Reused },
            Self::UnderWay { build, stream, waiters } => {
                EnsuredBuild { build, progress: Progress::UnderWay { stream, interest: waiters } }
            }
        }
    }
}

/// Must be called on a worker thread.
pub async fn ensure(services: &Services, registry: &Addr<Registry>, ask: Ask) -> Result<Ensured, EnsureBuildError> {
    let found = services.store.find_configuration(&ask.scope, ask.configuration_id).await?;
    let configuration = found.ok_or(EnsureBuildError::ConfigurationNotFound)?;
    // A queued run that is here has been admitted before.
    if ask.manual && services.settings.server.safe_mode {
        return Err(EnsureBuildError::SafeMode);
    }
    if ask.manual && super::runs::is_draining(registry).await {
        return Err(EnsureBuildError::Draining);
    }
    let builds = look(registry, configuration.id).await?;
    let _deciding = builds.decision.clone().lock_owned().await;
    // What was under way may have changed while another decision was taken.
    let builds = look(registry, configuration.id).await?;
    settle(registry, &builds).await;
    let inputs = inputs(services, &configuration).await?;
    let reason = match (ask.force, ask.manual) {
        (true, _) => BuildReason::ForceRebuild,
        (false, true) => BuildReason::Manual,
        (false, false) => BuildReason::CacheMiss,
    };
    if !ask.force {
        if let Some(joined) = join(&builds, &inputs) {
            return Ok(joined);
        }
        if let Some(active) = intact(services, &configuration, &inputs).await? {
            return reuse(services, &configuration, &ask, active, inputs).await;
        }
    }
    start(services, registry, new_build(services, &configuration, reason, inputs), builds, ask.manual).await
}

async fn look(registry: &Addr<Registry>, id: ConfigurationId) -> Result<BuildsOf, EnsureBuildError> {
    registry.send(LookAtBuilds(id)).await.map_err(|_| EnsureBuildError::Draining)
}

/// A build that has ended is not joined but found, so its row must say that it has ended.
async fn settle(registry: &Addr<Registry>, builds: &BuildsOf) {
    for ended in builds.in_flight.iter().filter(|in_flight| in_flight.stream.tail().closed) {
        if let Ok(Some(entry)) = registry.send(Find(ended.stream.key())).await {
            entry.settled().await;
        }
    }
}

/// The digest is taken from the files each time, so that a change on disk is never overlooked.
async fn inputs(services: &Services, configuration: &Configuration) -> Result<BuildInputs, EnsureBuildError> {
    let work = services.work.clone();
    let toolchain = work.toolchain().await?.clone();
    let digest = configurations::digest(services, configuration).await?;
    let made = tokio::task::spawn_blocking(move || build_worker::inputs(&work, &toolchain, digest));
    Ok(made.await.map_err(|error| ToolchainError::Engine(error.to_string()))??)
}

fn join(builds: &BuildsOf, inputs: &BuildInputs) -> Option<Ensured> {
    let joinable = |in_flight: &InFlight| {
        let waiters = in_flight.waiters.upgrade()?;
        let same = !in_flight.stream.tail().closed && in_flight.build.inputs.fingerprint == inputs.fingerprint;
        same.then(|| Ensured::UnderWay { build: in_flight.build.clone(), stream: in_flight.stream.clone(), waiters })
    };
    builds.in_flight.iter().rev().find_map(joinable)
}

/// The active build of these inputs, if its venv is whole and not too old.
async fn intact(
    services: &Services,
    configuration: &Configuration,
    inputs: &BuildInputs,
) -> Result<Option<Build>, EnsureBuildError> {
    let (workspace_id, id) = (configuration.workspace_id, configuration.id);
    let Some(build) = services.store.find_active_build(workspace_id, id, &inputs.fingerprint).await? else {
        return Ok(None);
    };
    if is_stale(services, &build) {
        return Ok(None);
    }
    let (work, copy) = (services.work.clone(), build.clone());
    let whole = tokio::task::spawn_blocking(move || build_worker::venv_is_intact(&work, &copy)).await.unwrap_or(false);
    if whole != build.venv_present {
        services.store.set_venv_present(workspace_id, build.id, whole).await?;
    }
    Ok(whole.then_some(build))
}

fn is_stale(services: &Services, build: &Build) -> bool {
    let age = build.state.completed_at.map(|at| (Utc::now() - at).to_std().unwrap_or_default());
    services.settings.build.ttl.zip(age).is_some_and(|(ttl, age)| age > ttl)
}

async fn reuse(
    services: &Services,
    configuration: &Configuration,
    ask: &Ask,
    active: Build,
    inputs: BuildInputs,
) -> Result<Ensured, EnsureBuildError> {
    services.store.set_active_build(configuration.workspace_id, configuration.id, active.id).await?;
    if !ask.manual {
        return Ok(Ensured::Reused(active));
    }
    let mut build = new_build(services, configuration, BuildReason::CacheHit, inputs);
    build.reused_build_id = Some(active.id);
    services.feeds.expect(build.stream_key()).await?;
    services.store.insert_build(&build).await?;
    launch::record_reuse(services, &build, &active).await?;
    let scope = Scope::Only(vec![build.workspace_id]);
    let settled = services.store.find_build(&scope, build.id).await?;
    Ok(Ensured::Reused(settled.unwrap_or(build)))
}

fn new_build(services: &Services, configuration: &Configuration, reason: BuildReason, inputs: BuildInputs) -> Build {
    Build {
        id: BuildId::generate(),
        workspace_id: configuration.workspace_id,
        configuration_id: configuration.id,
        reason,
        inputs,
        reused_build_id: None,
        node_id: services.node_id,
        created_at: micros(Utc::now()),
        venv_present: false,
        log_degraded: false,
        durable_bytes: None,
        log_state: Default::default(),
        last_sequence: 0,
        state: BuildState::default(),
    }
}

async fn start(
    services: &Services,
    registry: &Addr<Registry>,
    build: Build,
    builds: BuildsOf,
    manual: bool,
) -> Result<Ensured, EnsureBuildError> {
    services.feeds.expect(build.stream_key()).await?;
    services.store.insert_build(&build).await?;
    let (entry, waiters) = launch::launch_build(services, registry, build.clone(), builds.turn).await?;
    actix::spawn(adopt(services.clone(), build.clone(), entry.clone(), manual.then(|| waiters.clone())));
    Ok(Ensured::UnderWay { build, stream: entry.stream, waiters })
}

/// When a build has become active, its configuration points to it. A manual build has its own interest in itself.
async fn adopt(services: Services, build: Build, entry: Entry, interest: Option<Arc<Waiters>>) {
    entry.stream.ended().await;
    entry.settled().await;
    drop(interest);
    let scope = Scope::Only(vec![build.workspace_id]);
    if let Ok(Some(row)) = services.store.find_build(&scope, build.id).await
        && row.state.status == BuildStatus::Active
    {
        let pointed = services.store.set_active_build(build.workspace_id, build.configuration_id, build.id).await;
        if let Err(error) = pointed {
            tracing::warn!(build = %build.id, error = %error, "configuration could not be pointed at its build");
        }
    }
}

/// True when this call made it end; false when it was cancelled or being cancelled already.
pub async fn cancel(
    services: Services,
    registry: Addr<Registry>,
    scope: Scope,
    id: BuildId,
    reason: StopReason,
) -> Result<bool, CancelBuildError> {
    let build = services.store.find_build(&scope, id).await?.ok_or(CancelError::NotFound)?;
    if let Ok(Some(entry)) = registry.send(Find(build.stream_key())).await
        && !entry.stream.tail().closed
    {
        return Ok(entry.stopper.stop(reason));
    }
    let build = super::reading::settled_build(&services, &registry, &scope, id).await?.ok_or(CancelError::NotFound)?;
    match build.state.status {
        BuildStatus::Cancelled => Ok(false),
        status => Err(CancelError::Ended(status)),
    }
}
