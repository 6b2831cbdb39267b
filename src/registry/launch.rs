//! Starting a piece of work whose row is stored: stream, projection, worker, in that order; and ending it
//! properly when its worker dies.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor, Addr};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::actor::Registry;
use super::error::LaunchError;
use super::message::{Deregister, Kind, Register};
use super::runs::Ports;
use super::services::Services;
use super::slot::{Entry, InFlight, Waiters};
use crate::domain::build::Build;
use crate::domain::execution::Execution;
use crate::domain::failure::{BuildErrorCode, RunFailureCode};
use crate::domain::progress::ExecutionFailureCode;
use crate::domain::run::Run;
use crate::domain::{ConfigurationId, StreamKey};
use crate::event::payload::execution::Kept;
use crate::event::payload::{Caller, build as build_payload, run as run_payload};
use crate::event::{Draft, Identity, Source};
use crate::projection::{self, Target};
use crate::stream::{self, StreamHandle};
use crate::supervision::{ExitGuard, Policy, Verdict, supervise};
use crate::worker::build::{BuildJob, BuildPorts, BuildWorker, EngineId, Turns, conclude_build};
use crate::worker::execution::{Desk, ExecutionJob, ExecutionWorker, conclude_execution};
use crate::worker::run::{Place, RunJob, RunPorts, RunWorker, conclude_run};
use crate::worker::stop::{StopSignal, Stopper};
use crate::workflow::Workflow;

/// Starts a run, or goes on with one that has not begun. Must be called on a worker thread.
pub async fn launch_run(
    services: &Services,
    registry: &Addr<Registry>,
    ports: Arc<dyn RunPorts>,
    run: Run,
    place: Place,
    queued_by: Option<Caller>,
) -> Result<Entry, LaunchError> {
    let stream = open(services, run.stream_key(), run.configuration_id, run.durable_bytes).await?;
    if stream.tail().sequence == 0 {
        let queued = run_payload::Queued { mode: run.options.mode(), options: run.options.clone(), queued_by };
        stream.append_one(Draft::new(run_payload::RUN_QUEUED, Source::Api, &queued)).await?;
    }
    let (entry, signal) = enter(services, stream.clone(), run.configuration_id);
    services.feeds.follow(stream.clone());
    register(registry, entry.clone(), Kind::Alone).await;
    let job = RunJob {
        run: run.clone(),
        stream: stream.clone(),
        signal,
        ports,
        capacity: services.capacity.clone(),
        place: Arc::new(place),
        context: services.work.clone(),
        suspended: Arc::default(),
    };
    let (services, registry, entry_at_end) = (services.clone(), registry.clone(), entry.clone());
    actix::spawn(async move {
        let died = watch_over(Policy::Never, |guard| RunWorker::new(job.clone(), guard).start()).await;
        if died {
            let failure = RunFailureCode::OrchestrationError;
            conclude_run(&services.work, &run, &stream, failure, "the run's worker died").await;
        }
        if job.suspended.load(Ordering::Acquire) {
            return suspend(&registry, entry_at_end).await;
        }
        close(&services, &registry, entry_at_end).await;
    });
    Ok(entry)
}

/// An execution that panics is made anew from its log, unless it does nothing else.
const RESTARTS: Policy = Policy::Retry { times: 3, within: Duration::from_secs(60) };

/// Starts an execution, or goes on with one, which has no need of `kept` any more: its log tells it. Must be called on a
/// worker thread.
pub async fn launch_execution(
    services: &Services,
    registry: &Addr<Registry>,
    execution: Execution,
    workflow: Arc<Workflow>,
    kept: Arc<[Kept]>,
    started_by: Option<Caller>,
) -> Result<Entry, LaunchError> {
    let stream = open_execution(services, &execution).await?;
    let (mut entry, signal) = enter_execution(services, stream.clone(), &execution);
    let (desk, orders) = Desk::new();
    entry.desk = Some(desk);
    services.feeds.follow(stream.clone());
    register(registry, entry.clone(), Kind::Alone).await;
    let job = ExecutionJob {
        execution: Arc::new(execution),
        workflow,
        stream: stream.clone(),
        signal,
        closing: services.admission.watch(),
        orders: Arc::new(Mutex::new(orders)),
        ports: Arc::new(Ports { services: services.clone(), registry: registry.clone() }),
        models: services.models.clone(),
        context: services.work.clone(),
        started_by,
        kept,
        suspended: Arc::default(),
    };
    let (services, registry, entry_at_end) = (services.clone(), registry.clone(), entry.clone());
    actix::spawn(async move {
        let died = watch_over(RESTARTS, |guard| ExecutionWorker::new(job.clone(), guard).start()).await;
        if died {
            let code = ExecutionFailureCode::OrchestrationError;
            conclude_execution(&stream, code, "the execution's worker died").await;
        }
        if job.suspended.load(Ordering::Acquire) {
            return suspend(&registry, entry_at_end).await;
        }
        close(&services, &registry, entry_at_end).await;
    });
    Ok(entry)
}

/// A build that has begun.
pub struct LaunchedBuild {
    pub entry: Entry,
    pub waiters: Arc<Waiters>,
    /// Ends with its worker, whatever has become of its log, when its row is final.
    pub work: JoinHandle<()>,
}

/// Starts a build. Must be called on a worker thread.
pub async fn launch_build(
    services: &Services,
    registry: &Addr<Registry>,
    ports: Arc<dyn BuildPorts>,
    build: Build,
    engine: EngineId,
    turns: &Turns,
) -> Result<LaunchedBuild, LaunchError> {
    let stream = open(services, build.stream_key(), build.configuration_id, None).await?;
    stream.append_one(created(&build)).await?;
    let (entry, signal) = enter(services, stream.clone(), build.configuration_id);
    services.feeds.follow(stream.clone());
    let waiters = Waiters::new(entry.stopper.clone());
    let in_flight = InFlight { build: build.clone(), stream: stream.clone(), waiters: Arc::downgrade(&waiters) };
    register(
        registry,
        entry.clone(),
        Kind::Build { configuration_id: build.configuration_id, in_flight: Box::new(in_flight) },
    )
    .await;
    let mut job = Some(BuildJob {
        build: build.clone(),
        engine,
        stream: stream.clone(),
        signal,
        place: turns.queue(),
        gate: services.capacity.gate().clone(),
        ports,
        context: services.work.clone(),
    });
    let (services, registry, entry_at_end) = (services.clone(), registry.clone(), entry.clone());
    let work = actix::spawn(async move {
        let mut take = || job.take().expect("a worker is started once");
        let died = watch_over(Policy::Never, |guard| BuildWorker::new(take(), guard).start()).await;
        if died {
            let code = BuildErrorCode::OrchestrationError;
            conclude_build(&services.work, &build, &stream, code, "the build's worker died").await;
        }
        close(&services, &registry, entry_at_end).await;
    });
    Ok(LaunchedBuild { entry, waiters, work })
}

/// A build that ends at once: its stream says which older one is used again.
pub async fn record_reuse(services: &Services, build: &Build, of: &Build) -> Result<(), LaunchError> {
    let stream = open(services, build.stream_key(), build.configuration_id, None).await?;
    let projected = projection::spawn(services.store.clone(), stream.clone(), target(&stream, build.configuration_id));
    services.feeds.follow(stream.clone());
    stream.append_one(created(build)).await?;
    stream.append_one(crate::worker::build::reused(of)).await?;
    let _ = projected.clone().wait_for(|done| *done).await;
    Ok(())
}

pub async fn open(
    services: &Services,
    key: StreamKey,
    configuration_id: ConfigurationId,
    limit: Option<u64>,
) -> Result<StreamHandle, LaunchError> {
    let identity = Identity::new(key, configuration_id);
    let arbiter = services.arbiters.stream();
    Ok(stream::open(services.log.clone(), identity, limit, services.stream_options(), arbiter).await?)
}

pub async fn open_execution(services: &Services, execution: &Execution) -> Result<StreamHandle, LaunchError> {
    let Execution { workspace_id, id, ref workflow_id, durable_bytes, .. } = *execution;
    let identity = Identity::of_execution(workspace_id, id, workflow_id);
    let (options, arbiter) = (services.stream_options(), services.arbiters.stream());
    Ok(stream::open(services.log.clone(), identity, durable_bytes, options, arbiter).await?)
}

/// What is left of work that could not be begun: a log without a row would belong to nobody.
pub async fn remove_folder(services: &Services, key: StreamKey) {
    services.work.trash.discard_soon(services.work.data_dir.join(key.folder())).await;
}

fn target(stream: &StreamHandle, configuration_id: ConfigurationId) -> impl Fn() -> Target + 'static {
    let key = stream.key();
    move || Target::new(key, configuration_id)
}

pub fn enter(services: &Services, stream: StreamHandle, configuration_id: ConfigurationId) -> (Entry, StopSignal) {
    let target = target(&stream, configuration_id);
    enter_as(services, stream, target)
}

pub fn enter_execution(services: &Services, stream: StreamHandle, of: &Execution) -> (Entry, StopSignal) {
    let Execution { workspace_id, id, .. } = *of;
    enter_as(services, stream, move || Target::execution(workspace_id, id))
}

fn enter_as(services: &Services, stream: StreamHandle, target: impl Fn() -> Target + 'static) -> (Entry, StopSignal) {
    let (stopper, signal) = Stopper::new();
    let projected = projection::spawn(services.store.clone(), stream.clone(), target);
    (Entry { stream, stopper, projected, desk: None }, signal)
}

pub async fn register(registry: &Addr<Registry>, entry: Entry, kind: Kind) {
    let key = entry.key();
    if let Err(error) = registry.send(Register { entry, kind }).await {
        tracing::error!(stream = %key, error = %error, "work begins that nobody can find");
    }
}

pub fn created(build: &Build) -> Draft {
    let payload = build_payload::Created {
        reason: build.reason,
        should_build: build.reused_build_id.is_none(),
        engine_spec: build.inputs.engine_spec.clone(),
        engine_version_hint: build.inputs.engine_version_hint.clone(),
        python_bin: build.inputs.python_interpreter.clone(),
        fingerprint: build.inputs.fingerprint.clone(),
    };
    Draft::new(build_payload::BUILD_CREATED, Source::Builder, &payload).of_build(build.id)
}

/// Runs a worker to its end; true when it died, and is not made anew.
async fn watch_over<A: Actor>(policy: Policy, mut start: impl FnMut(ExitGuard) -> Addr<A>) -> bool {
    let verdict = supervise(policy, |_, guard| {
        let _address = start(guard);
        async { Ok::<_, std::convert::Infallible>(()) }
    })
    .await;
    verdict == Verdict::GaveUp
}

/// Lets go of a run that stays queued: its readers are told to come back.
async fn suspend(registry: &Addr<Registry>, entry: Entry) {
    entry.stream.hub().set_halt(stream::window::Halt::Draining);
    entry.settled().await;
    let _ = registry.send(Deregister(entry.key())).await;
}

/// Keeps the slot until stream and row are final, so that whoever looks meanwhile finds the live stream.
pub async fn close(services: &Services, registry: &Addr<Registry>, entry: Entry) {
    entry.stream.ended().await;
    entry.settled().await;
    if entry.stream.hub().halt() == Some(stream::window::Halt::Degraded) {
        mark_degraded(services, &entry).await;
    }
    let _ = registry.send(Deregister(entry.key())).await;
}

async fn mark_degraded(services: &Services, entry: &Entry) {
    let bytes = entry.stream.tail().bytes;
    let marked = match entry.key() {
        StreamKey::Run { workspace_id, id } => services.store.set_degraded::<Run>(workspace_id, id, Some(bytes)).await,
        StreamKey::Build { workspace_id, id } => {
            services.store.set_degraded::<Build>(workspace_id, id, Some(bytes)).await
        }
        StreamKey::Execution { workspace_id, id } => {
            services.store.set_degraded::<Execution>(workspace_id, id, Some(bytes)).await
        }
        // Nobody works at a feed.
        StreamKey::Feed { .. } => Ok(false),
    };
    if let Err(error) = marked {
        tracing::error!(stream = %entry.key(), error = %error, "degraded log could not be noted in its row");
    }
}
