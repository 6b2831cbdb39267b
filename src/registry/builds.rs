//! Ensuring a venv: reuse it, join the build that makes it, or build.
//!
//! Law: decisions for one configuration are taken one at a time, and a build stays joinable until its row
//! is final. So of many who ask at once exactly one builds.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use chrono::Utc;
use tokio::task::JoinHandle;

use super::actor::Registry;
use super::configurations;
use super::error::{CancelBuildError, CancelError, EnsureBuildError};
use super::launch::{self, LaunchedBuild};
use super::leases::Lease;
use super::message::{BuildsOf, Find, LookAtBuilds};
use super::runs::Ports;
use super::services::Services;
use super::slot::{Entry, InFlight, Waiters};
use crate::domain::build::{Build, BuildInputs, BuildReason, BuildState};
use crate::domain::configuration::Configuration;
use crate::domain::principal::Scope;
use crate::domain::status::BuildStatus;
use crate::domain::time::micros;
use crate::domain::{BuildId, ConfigurationId, WorkspaceId};
use crate::stream::StreamHandle;
use crate::worker::build::python::Interpreter;
use crate::worker::build::{self as build_worker, EngineId, ToolchainError};
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

/// A venv that is there or being made, and stays as long as the lease is held.
pub struct Ensured {
    pub build: Build,
    way: Way,
    lease: Lease,
}

/// How it is had.
enum Way {
    Reused,
    UnderWay { stream: StreamHandle, waiters: Arc<Waiters> },
}

impl Ensured {
    pub fn for_run(self) -> EnsuredBuild {
        let progress = match self.way {
            Way::Reused => Progress::Reused,
            Way::UnderWay { stream, waiters } => Progress::UnderWay { stream, interest: waiters },
        };
        EnsuredBuild { build: self.build, progress, lease: Arc::new(self.lease) }
    }
}

/// Must be called on a worker thread.
pub async fn ensure(services: &Services, registry: &Addr<Registry>, ask: Ask) -> Result<Ensured, EnsureBuildError> {
    let found = services.store.find_configuration(&ask.scope, ask.configuration_id).await?;
    let configuration = found.ok_or(EnsureBuildError::ConfigurationNotFound)?;
    // A queued run that is here has been admitted before; its build waits at the gate.
    if let Some(safe_mode) = services.safe_mode.refusal().filter(|_| ask.manual) {
        return Err(EnsureBuildError::SafeMode(safe_mode));
    }
    let python = interpreter(services).await?;
    let builds = look(registry, configuration.id).await?;
    let _deciding = builds.decision.clone().lock_owned().await;
    // What was under way may have changed while another decision was taken.
    let builds = look(registry, configuration.id).await?;
    settle(registry, &builds).await;
    let (build, way) = decide(services, registry, &ask, &configuration, python, builds).await?;
    let lease = services.leases.take(build.id);
    Ok(Ensured { build, way, lease })
}

async fn decide(
    services: &Services,
    registry: &Addr<Registry>,
    ask: &Ask,
    configuration: &Configuration,
    python: Option<Interpreter>,
    builds: BuildsOf,
) -> Result<(Build, Way), EnsureBuildError> {
    let (inputs, engine) = inputs(services, configuration, python).await?;
    // Only now: what comes before takes a while, and a service that stops would wait for it.
    let _admitted = services.admission.enter().await.ok_or(EnsureBuildError::Draining)?;
    let reason = match (ask.force, ask.manual) {
        (true, _) => BuildReason::ForceRebuild,
        (false, true) => BuildReason::Manual,
        (false, false) => BuildReason::CacheMiss,
    };
    if !ask.force {
        if let Some(joined) = join(&builds, &inputs) {
            return Ok(joined);
        }
        if let Some(active) = intact(services, configuration, &inputs).await? {
            return Ok((reuse(services, configuration, ask, active, inputs).await?, Way::Reused));
        }
    }
    let build = new_build(services, configuration, reason, inputs);
    start(services, registry, build, engine, builds, ask.manual).await
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

/// Finding an interpreter takes a moment, unless one that is tried hangs. What takes longer is waited for by the build, in
/// its stream. Not under the configuration's lock, where others would wait again.
const INTERPRETER: Duration = Duration::from_secs(10);

/// `None` when it is not known yet.
async fn interpreter(services: &Services) -> Result<Option<Interpreter>, EnsureBuildError> {
    let patience = INTERPRETER.min(services.settings.build.ensure_wait);
    match tokio::time::timeout(patience, services.work.tools.python()).await {
        Ok(found) => Ok(Some(found.map_err(ToolchainError::from)?.clone())),
        Err(_) => Ok(None),
    }
}

/// The digest is taken from the files each time, so that a change on disk is never overlooked.
async fn inputs(
    services: &Services,
    configuration: &Configuration,
    python: Option<Interpreter>,
) -> Result<(BuildInputs, EngineId), EnsureBuildError> {
    let settings = services.settings.clone();
    let digest = configurations::digest(services, configuration).await?;
    let made = tokio::task::spawn_blocking(move || build_worker::inputs(&settings, python.as_ref(), digest));
    Ok(made.await.map_err(|error| ToolchainError::Engine(error.to_string()))?)
}

fn join(builds: &BuildsOf, inputs: &BuildInputs) -> Option<(Build, Way)> {
    let joinable = |in_flight: &InFlight| {
        let waiters = in_flight.waiters.upgrade()?;
        let same = !in_flight.stream.tail().closed && in_flight.build.inputs.fingerprint == inputs.fingerprint;
        same.then(|| (in_flight.build.clone(), Way::UnderWay { stream: in_flight.stream.clone(), waiters }))
    };
    builds.in_flight.iter().rev().find_map(joinable)
}

/// The newest active build of these inputs whose venv is whole and not too old.
async fn intact(
    services: &Services,
    configuration: &Configuration,
    inputs: &BuildInputs,
) -> Result<Option<Build>, EnsureBuildError> {
    let (workspace_id, id) = (configuration.workspace_id, configuration.id);
    let mut active = services.store.active_builds(workspace_id, id, &inputs.fingerprint).await?;
    // Another node's venv may be elsewhere, and is pruned by that node whoever uses it here.
    active.retain(|build| build.node_id == services.node_id);
    super::pruning::look_at_venvs(services, &mut active).await?;
    Ok(active.into_iter().find(|build| build.venv_present && !is_stale(services, build)))
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
) -> Result<Build, EnsureBuildError> {
    services.store.set_active_build(configuration.workspace_id, configuration.id, active.id).await?;
    if !ask.manual {
        return Ok(active);
    }
    let mut build = new_build(services, configuration, BuildReason::CacheHit, inputs);
    build.reused_build_id = Some(active.id);
    services.feeds.expect(build.stream_key()).await?;
    services.store.insert(&build, None).await?;
    if let Err(error) = launch::record_reuse(services, &build, &active).await {
        take_back(services, &build).await;
        return Err(error.into());
    }
    let scope = Scope::Only(vec![build.workspace_id]);
    let settled = services.store.find::<Build>(&scope, build.id).await?;
    Ok(settled.unwrap_or(build))
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
    engine: EngineId,
    builds: BuildsOf,
    manual: bool,
) -> Result<(Build, Way), EnsureBuildError> {
    services.feeds.expect(build.stream_key()).await?;
    services.store.insert(&build, None).await?;
    let ports = Arc::new(Ports { services: services.clone(), registry: registry.clone() });
    let launched = launch::launch_build(services, registry, ports, build.clone(), engine, &builds.turns).await;
    let LaunchedBuild { entry, waiters, work } = match launched {
        Ok(launched) => launched,
        Err(error) => {
            take_back(services, &build).await;
            return Err(error.into());
        }
    };
    let stream = entry.stream.clone();
    actix::spawn(adopt(services.clone(), build.clone(), entry, work, manual.then(|| waiters.clone())));
    Ok((build, Way::UnderWay { stream, waiters }))
}

/// The caller is told that there is no build, so no row may say that one is queued.
async fn take_back(services: &Services, build: &Build) {
    if let Err(error) = services.store.delete::<Build>(build.workspace_id, build.id).await {
        tracing::error!(build = %build.id, error = %error, "a build that could not be started stays queued");
        return;
    }
    launch::remove_folder(services, build.stream_key()).await;
}

/// When a build has become active, its configuration points to it. A manual build has its own interest in itself.
async fn adopt(services: Services, build: Build, entry: Entry, work: JoinHandle<()>, interest: Option<Arc<Waiters>>) {
    entry.stream.ended().await;
    entry.settled().await;
    if !entry.stream.tail().closed {
        // Its log has failed; the build itself goes on.
        let _ = work.await;
    }
    drop(interest);
    let scope = Scope::Only(vec![build.workspace_id]);
    if let Ok(Some(row)) = services.store.find::<Build>(&scope, build.id).await
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
    let build = services.store.find::<Build>(&scope, id).await?.ok_or(CancelError::NotFound)?;
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
