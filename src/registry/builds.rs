//! Ensuring a venv: reuse it, join the build that makes it, or build.
//!
//! Law: decisions for one configuration are taken one at a time, and a build stays joinable until its row
//! is final. So of many who ask at once exactly one builds.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use super::configurations;
use super::core::Core;
use super::error::{EnsureBuildError, LaunchError};
use super::kinds::build::{BuildStart, created};
use super::launch::{enter, insert, launch, open, roll_back};
use super::leases::Lease;
use super::slot::{BuildInterest, Entry, InFlight, InterestLost};
use super::slots::BuildsOf;
use crate::domain::build::{Build, BuildInputs, BuildReason, BuildState};
use crate::domain::configuration::Configuration;
use crate::domain::principal::Scope;
use crate::domain::time::micros;
use crate::domain::{BuildId, ConfigurationId, WorkspaceId};
use crate::stream::StreamHandle;
use crate::trace::Origin;
use crate::worker::actor::Cancel;
use crate::worker::run::{EnsuredBuild, Progress};
use crate::worker::venv::python::Interpreter;
use crate::worker::venv::{self, EngineId, ToolchainError};

/// Who wants a build of what.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    pub scope: Scope,
    pub configuration_id: ConfigurationId,
    pub force: bool,
    /// Asked for by itself rather than for a run: it has a row of its own even when it reuses, and goes on
    /// when nothing waits for it.
    pub manual: bool,
    pub origin: Origin,
}

impl BuildRequest {
    pub fn of_run(workspace_id: WorkspaceId, configuration_id: ConfigurationId, force: bool, origin: Origin) -> Self {
        Self { scope: Scope::Only(vec![workspace_id]), configuration_id, force, manual: false, origin }
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
    UnderWay { stream: StreamHandle, interest: Arc<BuildInterest> },
}

impl Ensured {
    pub fn for_run(self) -> EnsuredBuild {
        let progress = match self.way {
            Way::Reused => Progress::Reused,
            Way::UnderWay { stream, interest } => Progress::UnderWay { stream, interest },
        };
        EnsuredBuild { build: self.build, progress, lease: Arc::new(self.lease) }
    }
}

/// Must be called on a worker thread.
pub async fn ensure(core: &Core, request: BuildRequest) -> Result<Ensured, EnsureBuildError> {
    let found = core.services.store.find_configuration(&request.scope, request.configuration_id).await?;
    let configuration = found.ok_or(EnsureBuildError::ConfigurationNotFound)?;
    // A queued run that is here has been admitted before; its build waits at the gate.
    if let Some(safe_mode) = core.services.safe_mode.refusal().filter(|_| request.manual) {
        return Err(EnsureBuildError::SafeMode(safe_mode));
    }
    if let Some(why) = core.services.log.journal_state().trouble().filter(|_| request.manual) {
        return Err(EnsureBuildError::Journal(why));
    }
    let python = interpreter(core).await?;
    let builds = core.builds_of(configuration.id).await?;
    let _deciding = builds.decision.clone().lock_owned().await;
    // What is in progress may have changed while another decision was taken.
    let builds = core.builds_of(configuration.id).await?;
    settle(core, &builds).await;
    let (build, way) = decide(core, &request, &configuration, python, builds).await?;
    let lease = core.services.leases.take(build.id);
    Ok(Ensured { build, way, lease })
}

async fn decide(
    core: &Core,
    request: &BuildRequest,
    configuration: &Configuration,
    python: Option<Interpreter>,
    builds: BuildsOf,
) -> Result<(Build, Way), EnsureBuildError> {
    let (inputs, engine) = inputs(core, configuration, python).await?;
    // Only now: what comes before takes a while, and a service that stops would wait for it.
    let _admitted = core.services.admission.enter().await.ok_or(EnsureBuildError::Draining)?;
    let reason = match (request.force, request.manual) {
        (true, _) => BuildReason::ForceRebuild,
        (false, true) => BuildReason::Manual,
        (false, false) => BuildReason::CacheMiss,
    };
    if !request.force {
        if let Some(joined) = join(&builds, &inputs) {
            return Ok(joined);
        }
        if let Some(active) = intact(core, configuration, &inputs).await? {
            return Ok((reuse(core, configuration, request, active, inputs).await?, Way::Reused));
        }
    }
    let build = new_build(core, configuration, reason, inputs);
    start(core, build, engine, builds, request).await
}

/// A build that has ended is not joined but found, so its row must say that it has ended.
async fn settle(core: &Core, builds: &BuildsOf) {
    for ended in builds.in_flight.iter().filter(|in_flight| in_flight.stream.tail().closed) {
        if let Some(entry) = core.find(ended.stream.key()).await {
            entry.settled().await;
        }
    }
}

/// Finding an interpreter takes a moment, unless one that is tried hangs. What takes longer is waited for by the build, in
/// its stream. Not under the configuration's lock, where others would wait again.
const INTERPRETER: Duration = Duration::from_secs(10);

/// `None` when it is not known yet.
async fn interpreter(core: &Core) -> Result<Option<Interpreter>, EnsureBuildError> {
    let patience = INTERPRETER.min(core.services.settings.build.ensure_wait);
    match tokio::time::timeout(patience, core.services.work.tools.python()).await {
        Ok(found) => Ok(Some(found.map_err(ToolchainError::from)?.clone())),
        Err(_) => Ok(None),
    }
}

/// The digest is taken from the files each time, so that a change on disk is never overlooked.
async fn inputs(
    core: &Core,
    configuration: &Configuration,
    python: Option<Interpreter>,
) -> Result<(BuildInputs, EngineId), EnsureBuildError> {
    let (settings, users) = (core.services.settings.clone(), core.services.work.reach.users());
    let digest = configurations::digest(&core.services, configuration).await?;
    let made = tokio::task::spawn_blocking(move || venv::inputs(&settings, users, python.as_ref(), digest));
    Ok(made.await.map_err(|error| ToolchainError::Engine(error.to_string()))?)
}

fn join(builds: &BuildsOf, inputs: &BuildInputs) -> Option<(Build, Way)> {
    let joinable = |in_flight: &InFlight| {
        let interest = in_flight.interest.upgrade()?;
        let same = !in_flight.stream.tail().closed && in_flight.build.inputs.fingerprint == inputs.fingerprint;
        same.then(|| (in_flight.build.clone(), Way::UnderWay { stream: in_flight.stream.clone(), interest }))
    };
    builds.in_flight.iter().rev().find_map(joinable)
}

/// The newest active build of these inputs whose venv is whole and not too old.
async fn intact(
    core: &Core,
    configuration: &Configuration,
    inputs: &BuildInputs,
) -> Result<Option<Build>, EnsureBuildError> {
    let (workspace_id, id) = (configuration.workspace_id, configuration.id);
    let mut active = core.services.store.active_builds(workspace_id, id, &inputs.fingerprint).await?;
    // Another node's venv may be elsewhere, and is pruned by that node, whatever uses it here.
    active.retain(|build| build.node_id == core.services.node_id);
    super::pruning::look_at_venvs(&core.services, &mut active).await?;
    Ok(active.into_iter().find(|build| build.venv_present && !is_stale(core, build)))
}

fn is_stale(core: &Core, build: &Build) -> bool {
    let age = build.state.completed_at.map(|at| (Utc::now() - at).to_std().unwrap_or_default());
    core.services.settings.build.ttl.zip(age).is_some_and(|(ttl, age)| age > ttl)
}

async fn reuse(
    core: &Core,
    configuration: &Configuration,
    request: &BuildRequest,
    active: Build,
    inputs: BuildInputs,
) -> Result<Build, EnsureBuildError> {
    core.services.store.set_active_build(configuration.workspace_id, configuration.id, active.id).await?;
    if !request.manual {
        return Ok(active);
    }
    let mut build = new_build(core, configuration, BuildReason::CacheHit, inputs);
    build.reused_build_id = Some(active.id);
    insert(core, &build, None).await?;
    if let Err(error) = record_reuse(core, &build, &active).await {
        roll_back(core, &build).await;
        return Err(error.into());
    }
    let scope = Scope::Only(vec![build.workspace_id]);
    let settled = core.services.store.find::<Build>(&scope, build.id).await?;
    Ok(settled.unwrap_or(build))
}

/// A build that ends at once: its stream says which older one is used again.
async fn record_reuse(core: &Core, build: &Build, of: &Build) -> Result<(), LaunchError> {
    let entry = enter(core, build, open(core, build).await?, None);
    core.services.feeds.follow(entry.stream.clone());
    entry.stream.append_one(created(build)).await?;
    entry.stream.append_one(venv::reused(of)).await?;
    entry.settled().await;
    Ok(())
}

fn new_build(core: &Core, configuration: &Configuration, reason: BuildReason, inputs: BuildInputs) -> Build {
    Build {
        id: BuildId::generate(),
        workspace_id: configuration.workspace_id,
        configuration_id: configuration.id,
        reason,
        inputs,
        reused_build_id: None,
        node_id: core.services.node_id,
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
    core: &Core,
    build: Build,
    engine: EngineId,
    builds: BuildsOf,
    request: &BuildRequest,
) -> Result<(Build, Way), EnsureBuildError> {
    insert(core, &build, None).await?;
    let (interest, lost) = BuildInterest::new();
    let start = BuildStart { engine, place: builds.queue.join(), interest: Arc::downgrade(&interest) };
    let entry = match launch(core, build.clone(), start, None, request.origin.clone()).await {
        Ok(entry) => entry,
        Err(error) => {
            roll_back(core, &build).await;
            return Err(error.into());
        }
    };
    actix::spawn(cancel_when_unwanted(entry.clone(), lost));
    if request.manual {
        actix::spawn(keep(interest.clone(), entry.clone()));
    }
    Ok((build, Way::UnderWay { stream: entry.stream, interest }))
}

async fn cancel_when_unwanted(entry: Entry, lost: InterestLost) {
    let _ = lost.await;
    let reason = Some("nothing waits for this build any more".to_owned());
    // One that has ended in the meantime needs no cancelling.
    let _ = entry.cancel(&Cancel { requested_by: None, reason }).await;
}

/// A manual build has its own interest in itself.
async fn keep(interest: Arc<BuildInterest>, entry: Entry) {
    entry.settled().await;
    if let Some(worker) = &entry.worker {
        // A build whose log has failed goes on without it.
        worker.gone().await;
    }
    drop(interest);
}
