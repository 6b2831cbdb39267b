//! What a start does about work that the last life of the service left behind.
//!
//! Law (L4): afterwards every stream of this node either goes on or has its one terminal event, no process
//! of an earlier life is left, and every row says what its log says.

use std::sync::Arc;

use actix::Addr;
use futures_util::{FutureExt, StreamExt, stream};
use serde::Deserialize;

use super::actor::Registry;
use super::error::{LaunchError, ReadError};
use super::executions;
use super::launch;
use super::leftovers::{self, Swept};
use super::message::Kind;
use super::reading::{self, is_live, sealed_hub};
use super::runs::Ports;
use super::services::Services;
use super::slot::Entry;
use crate::domain::StreamKey;
use crate::domain::build::Build;
use crate::domain::execution::Execution;
use crate::domain::failure::{BuildErrorCode, RunFailureCode};
use crate::domain::progress::ExecutionFailureCode;
use crate::domain::run::Run;
use crate::domain::sequence::Start;
use crate::domain::status::{BuildStatus, RunStatus};
use crate::event::payload::Caller;
use crate::event::payload::build::{BUILD_COMPLETED, BUILD_CREATED};
use crate::event::payload::execution::Kept;
use crate::event::payload::run::{RUN_QUEUED, RUN_WAITING};
use crate::event::{Draft, EventRef, codec};
use crate::log::{OpenLogError, OpenReaderError};
use crate::projection::{self, Patience, Target};
use crate::store::StoreError;
use crate::stream::{Follow, Hub, OpenStreamError, StreamHandle, SubscribeError};
use crate::worker::build::{conclude_build, end_of_build};
use crate::worker::execution::scribe::fold_so_far;
use crate::worker::execution::{conclude_execution, end_of_execution};
use crate::worker::process::{Marker, adopt_orphans, kill_marked};
use crate::worker::run::{Place, conclude_run, end_of_run};
use crate::workflow::Workflow;

/// What was found and done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    pub queued_again: usize,
    /// Executions that go on where their log ends.
    pub resumed: usize,
    pub interrupted: usize,
    pub rows_corrected: usize,
    /// Logs that had failed and now have their end.
    pub logs_completed: usize,
    pub processes_killed: usize,
    /// Files and folders that were half made.
    pub leftovers_removed: usize,
    /// Those that cannot be removed; the service's log tells of each.
    pub leftovers_left: usize,
    /// Logs that had failed and cannot be opened before the next start.
    pub waiting: usize,
    /// Left as they are, because log or row could not be opened.
    pub failed: usize,
}

/// So many runs are opened at a time, since each waits for the disk. They are enlisted in their order all the same.
const AT_ONCE: usize = 8;

const WHY: &str = "the service ended while this was at work";

/// Also says which streams their feeds have not told to the end and nobody follows. Must be called on a worker thread,
/// before the service listens.
pub async fn recover(services: &Services, registry: &Addr<Registry>) -> Result<(Report, Vec<StreamKey>), StoreError> {
    if let Err(error) = adopt_orphans() {
        tracing::warn!(%error, "of an engine that kills its launcher, processes may be left");
    }
    services.safe_mode.restore().await?;
    let owed = services.feeds.owed().await?;
    let mut untold: Vec<StreamKey> = owed.into_iter().map(|origin| origin.key).collect();
    let runs = services.store.unfinished::<Run>(services.node_id).await?;
    let builds = services.store.unfinished::<Build>(services.node_id).await?;
    let executions = services.store.unfinished::<Execution>(services.node_id).await?;
    let swept = sweep(services).await;
    let (leftovers_removed, leftovers_left) = (swept.removed, swept.left);
    let mut report = Report { leftovers_removed, leftovers_left, ..Report::default() };
    let markers = runs.iter().map(|run| Marker::run(run.id)).chain(builds.iter().map(|build| Marker::build(build.id)));
    // The node's own marker is on everything, also on what belongs to no run; an older release set only the others.
    let markers: Vec<Marker> = markers.chain([services.work.launcher.node().clone()]).collect();
    report.processes_killed = kill_marked(markers).await.killed.len();
    for build in builds {
        let done = recover_build(services, &build).await;
        report.count(&build.id, done);
    }
    let places = runs.iter().map(|run| (run, services.capacity.enlist_again(run.workspace_id)));
    let recovering =
        places.map(|(run, place)| recover_run(services, registry, run, place).map(move |done| (run, done)));
    let mut recovered = stream::iter(recovering).buffered(AT_ONCE);
    while let Some((run, done)) = recovered.next().await {
        if matches!(done, Ok(Done::QueuedAgain)) {
            untold.retain(|key| *key != run.stream_key());
        }
        report.count(&run.id, done);
    }
    let recovering = executions
        .iter()
        .map(|execution| recover_execution(services, registry, execution).map(move |done| (execution, done)));
    let mut recovered = stream::iter(recovering).buffered(AT_ONCE);
    while let Some((execution, done)) = recovered.next().await {
        if matches!(done, Ok(Done::Resumed)) {
            untold.retain(|key| *key != execution.stream_key());
        }
        report.count(&execution.id, done);
    }
    complete_logs(services, registry, &mut report).await?;
    Ok((report, untold))
}

/// Gives every log of this node that had failed its end, where it can be opened again: at a start, and now and then
/// in between; says which. Must be called on a worker thread.
pub async fn complete_logs(
    services: &Services,
    registry: &Addr<Registry>,
    report: &mut Report,
) -> Result<Vec<StreamKey>, StoreError> {
    let mut completed = Vec::new();
    for run in services.store.degraded::<Run>(services.node_id).await? {
        if !is_live(registry, run.stream_key()).await {
            let done = complete_log(services, registry, &run).await;
            completed.extend(done.is_ok().then(|| run.stream_key()));
            report.count(&run.id, done);
        }
    }
    for build in services.store.degraded::<Build>(services.node_id).await? {
        if !is_live(registry, build.stream_key()).await {
            let done = complete_build_log(services, registry, &build).await;
            completed.extend(done.is_ok().then(|| build.stream_key()));
            report.count(&build.id, done);
        }
    }
    for execution in services.store.degraded::<Execution>(services.node_id).await? {
        if !is_live(registry, execution.stream_key()).await {
            let done = complete_execution_log(services, registry, &execution).await;
            completed.extend(done.is_ok().then(|| execution.stream_key()));
            report.count(&execution.id, done);
        }
    }
    Ok(completed)
}

async fn sweep(services: &Services) -> Swept {
    let (data, venvs) = (services.work.trash.clone(), services.work.venvs_trash.clone());
    tokio::task::spawn_blocking(move || leftovers::sweep(&data, &venvs)).await.unwrap_or_default()
}

enum Done {
    QueuedAgain,
    Resumed,
    Interrupted,
    Corrected,
    LogCompleted,
}

impl Report {
    fn count(&mut self, id: &dyn std::fmt::Display, done: Result<Done, LaunchError>) {
        match done {
            Ok(Done::QueuedAgain) => self.queued_again += 1,
            Ok(Done::Resumed) => self.resumed += 1,
            Ok(Done::Interrupted) => self.interrupted += 1,
            Ok(Done::Corrected) => self.rows_corrected += 1,
            Ok(Done::LogCompleted) => self.logs_completed += 1,
            // The disk is still full, or the journal needs a start: no news.
            Err(LaunchError::Stream(OpenStreamError::Log(OpenLogError::Unavailable))) => self.waiting += 1,
            Err(error) => {
                tracing::error!(%id, error = ?error, "work of the last life could not be ended");
                self.failed += 1;
            }
        }
    }
}

async fn recover_build(services: &Services, build: &Build) -> Result<Done, LaunchError> {
    let target = Target::new(build.stream_key(), build.configuration_id);
    if let Some(hub) = compressed(services, build.stream_key()).await {
        return Ok(correct(services, Follow::inside(hub, Start::default()), target).await);
    }
    let stream = launch::open(services, build.stream_key(), build.configuration_id, build.durable_bytes).await?;
    if stream.tail().closed {
        return Ok(correct(services, stream.follow_inside(Start::default()), target).await);
    }
    if stream.tail().sequence == 0 {
        stream.append_one(launch::created(build)).await?;
    }
    let ended = conclude_build(&services.work, build, &stream, BuildErrorCode::Interrupted, WHY).await;
    correct(services, stream.follow_inside(Start::default()), target).await;
    if is_behind(&stream, build.last_sequence) {
        let last = build.last_sequence + 1;
        services.store.save_state::<Build>(build.workspace_id, build.id, &ended, last).await?;
    }
    if build.log_degraded {
        services.store.set_degraded::<Build>(build.workspace_id, build.id, None).await?;
    }
    Ok(Done::Interrupted)
}

async fn recover_run(
    services: &Services,
    registry: &Addr<Registry>,
    run: &Run,
    place: Place,
) -> Result<Done, LaunchError> {
    let target = Target::new(run.stream_key(), run.configuration_id);
    if let Some(hub) = compressed(services, run.stream_key()).await {
        return Ok(correct(services, Follow::inside(hub, Start::default()), target).await);
    }
    // A log that is gone tells nothing; the row was never further on than it.
    if run.state.status != RunStatus::Running && !has_begun(services, run.stream_key()).await {
        let ports = Arc::new(Ports { services: services.clone(), registry: registry.clone() });
        launch::launch_run(services, registry, ports, run.clone(), place, None).await?;
        return Ok(Done::QueuedAgain);
    }
    let stream = launch::open(services, run.stream_key(), run.configuration_id, run.durable_bytes).await?;
    if stream.tail().closed {
        return Ok(correct(services, stream.follow_inside(Start::default()), target).await);
    }
    let ended = conclude_run(&services.work, run, &stream, RunFailureCode::Interrupted, WHY).await;
    correct(services, stream.follow_inside(Start::default()), target).await;
    if is_behind(&stream, run.last_sequence) {
        services.store.save_state::<Run>(run.workspace_id, run.id, &ended, run.last_sequence + 1).await?;
    }
    if run.log_degraded {
        services.store.set_degraded::<Run>(run.workspace_id, run.id, None).await?;
    }
    Ok(Done::Interrupted)
}

/// It goes on where its log ends, unless what it needs for that is lost, which nobody can mend.
async fn recover_execution(
    services: &Services,
    registry: &Addr<Registry>,
    execution: &Execution,
) -> Result<Done, LaunchError> {
    let Execution { workspace_id, id, durable_bytes, .. } = *execution;
    let target = Target::execution(workspace_id, id);
    let hub = sealed(services, execution.stream_key(), durable_bytes).await;
    if let Some(hub) = hub.clone().filter(|hub| hub.tail().closed) {
        return Ok(correct(services, Follow::inside(hub, Start::default()), target).await);
    }
    let has_begun = hub.is_some_and(|hub| hub.tail().sequence > 0);
    let done = match needs(services, registry, execution, has_begun).await? {
        Ok((workflow, kept)) => {
            let started_by = Caller { key_id: None, name: execution.created_by.clone() };
            launch::launch_execution(services, registry, execution.clone(), workflow, kept, Some(started_by)).await?;
            Done::Resumed
        }
        Err(why) => {
            let stream = launch::open_execution(services, execution).await?;
            conclude_execution(&stream, ExecutionFailureCode::OrchestrationError, why).await;
            correct(services, stream.follow_inside(Start::default()), target).await;
            Done::Interrupted
        }
    };
    if execution.log_degraded {
        services.store.set_degraded::<Execution>(workspace_id, id, None).await?;
    }
    Ok(done)
}

/// The definition that it keeps to, and what it takes over from the one that it repeats; or which of them is lost. Once it
/// has begun its own log tells the latter, and the other log may be deleted.
async fn needs(
    services: &Services,
    registry: &Addr<Registry>,
    execution: &Execution,
    has_begun: bool,
) -> Result<Result<(Arc<Workflow>, Arc<[Kept]>), &'static str>, LaunchError> {
    let Execution { workspace_id, revision, ref workflow_id, .. } = *execution;
    let Some(workflow) = executions::definition(&services.store, workspace_id, workflow_id, revision).await? else {
        return Ok(Err("the workflow's definition is lost"));
    };
    let repeated = execution.retry_of_execution_id.filter(|_| !has_begun);
    let kept = match repeated {
        Some(of) => executions::kept_of(services, registry, workspace_id, of).await,
        None => Ok(Arc::default()),
    };
    Ok(kept.map(|kept| (workflow, kept)).map_err(|error| {
        tracing::error!(execution = %execution.id, error = %error, "the execution that it repeats cannot be read");
        "the log of the execution that it repeats cannot be read"
    }))
}

/// As [`complete_log`], for an execution.
async fn complete_execution_log(
    services: &Services,
    registry: &Addr<Registry>,
    execution: &Execution,
) -> Result<Done, LaunchError> {
    let stream = launch::open_execution(services, execution).await?;
    let so_far = fold_so_far(&stream).await.unwrap_or_default();
    let (entry, _) = launch::enter_execution(services, stream.clone(), execution);
    complete(services, registry, entry, || end_of_execution(execution, &so_far)).await?;
    services.store.set_degraded::<Execution>(execution.workspace_id, execution.id, None).await?;
    Ok(Done::LogCompleted)
}

/// A run that went on when its log had failed: the row says how it ended, and now the log does too.
async fn complete_log(services: &Services, registry: &Addr<Registry>, run: &Run) -> Result<Done, LaunchError> {
    let stream = launch::open(services, run.stream_key(), run.configuration_id, run.durable_bytes).await?;
    let (entry, _) = launch::enter(services, stream, run.configuration_id);
    complete(services, registry, entry, || end_of_run(run)).await?;
    services.store.set_degraded::<Run>(run.workspace_id, run.id, None).await?;
    Ok(Done::LogCompleted)
}

/// As [`complete_log`], for a build.
async fn complete_build_log(
    services: &Services,
    registry: &Addr<Registry>,
    build: &Build,
) -> Result<Done, LaunchError> {
    let stream = launch::open(services, build.stream_key(), build.configuration_id, build.durable_bytes).await?;
    let (entry, _) = launch::enter(services, stream, build.configuration_id);
    complete(services, registry, entry, || end_of_build(build)).await?;
    services.store.set_degraded::<Build>(build.workspace_id, build.id, None).await?;
    Ok(Done::LogCompleted)
}

/// The stream is in the registry meanwhile, so that readers see nothing of its end before it is durable.
async fn complete(
    services: &Services,
    registry: &Addr<Registry>,
    entry: Entry,
    end: impl FnOnce() -> Draft,
) -> Result<(), LaunchError> {
    launch::register(registry, entry.clone(), Kind::Alone).await;
    let appended = match entry.stream.tail().closed {
        true => Ok(()),
        false => entry.stream.append_one(end()).await.map(drop),
    };
    launch::close(services, registry, entry).await;
    Ok(appended?)
}

/// Somebody has destroyed the log, and its end has a number that the row was beyond: no fold of it changes the row.
fn is_behind(stream: &StreamHandle, last_sequence: u64) -> bool {
    let tail = stream.tail();
    tail.closed && tail.sequence <= last_sequence
}

async fn has_begun(services: &Services, key: StreamKey) -> bool {
    let log = services.log.clone();
    let last = tokio::task::spawn_blocking(move || log.reader(key).ok()?.tail().ok()?.last_line).await;
    !last.ok().flatten().is_none_or(|line| only_waited(&line))
}

/// A run that only waited has not begun: it takes its place in the queue again. So has one whose venv is there and that
/// has not been told yet whether there is a slot for it.
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

/// A log that is compressed has ended: the row that says otherwise is older than it, from a backup for instance.
async fn compressed(services: &Services, key: StreamKey) -> Option<Arc<Hub>> {
    sealed(services, key, None).await.filter(|hub| hub.reader().is_compressed() && hub.tail().closed)
}

/// A log as it stands, if there is one; of one that has failed, only what is durable.
async fn sealed(services: &Services, key: StreamKey, limit: Option<u64>) -> Option<Arc<Hub>> {
    let log = services.log.clone();
    let opened = tokio::task::spawn_blocking(move || sealed_hub(&log, key, limit)).await;
    opened.ok()?.ok()
}

/// What the feeds owe of work that is over is told from its log.
pub async fn complete_feeds(services: &Services, registry: &Addr<Registry>, untold: Vec<StreamKey>) {
    for key in untold {
        if let Err(error) = complete_feed(services, registry, key).await {
            tracing::error!(stream = %key, error = ?error, "feed is behind until the next start");
        }
    }
}

async fn complete_feed(services: &Services, registry: &Addr<Registry>, key: StreamKey) -> Result<(), ReadError> {
    let _turn = services.feeds.turn(key).await;
    if !services.feeds.owes(key).await? {
        return Ok(());
    }
    let hub = match reading::hub(services, registry, key).await {
        // Its row was never stored, or its log has been deleted.
        Err(ReadError::Open(OpenReaderError::NotFound) | ReadError::Expired) => {
            return Ok(services.feeds.strike_off(key).await?);
        }
        hub => hub?,
    };
    Ok(services.feeds.derive(key, Follow::inside(hub, Start::default())?).await?)
}

/// Folds a stream that has ended into its row.
async fn correct(services: &Services, follow: Result<Follow, SubscribeError>, target: Target) -> Done {
    let key = target.key();
    let projected = match follow {
        Ok(follow) => projection::project(&services.store, follow, target, Patience::NONE).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = projected {
        tracing::error!(stream = %key, error = %error, "row could not be corrected from its log");
    }
    Done::Corrected
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::time::micros;
    use crate::domain::{ConfigurationId, EventId, RunId, WorkspaceId};
    use crate::event::codec::{Identity, Stamp};
    use crate::event::{Draft, Source};

    fn line(kind: &'static str, payload: Value) -> Vec<u8> {
        let key = StreamKey::run(WorkspaceId::generate(), RunId::generate());
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
