//! What a start does about work that the last life of the service left behind.
//!
//! Law (L4): afterwards every stream of this node either goes on or has its one terminal event, no process
//! of an earlier life is left, and every row says what its log says.

use std::sync::Arc;

use actix::Addr;
use futures_util::{FutureExt, StreamExt, stream};
use serde::Deserialize;

use super::actor::Registry;
use super::error::LaunchError;
use super::launch;
use super::leftovers;
use super::runs::Ports;
use super::services::Services;
use crate::domain::build::Build;
use crate::domain::failure::{BuildErrorCode, RunFailureCode};
use crate::domain::run::Run;
use crate::domain::status::BuildStatus;
use crate::domain::{ConfigurationId, StreamKey};
use crate::event::payload::build::{BUILD_COMPLETED, BUILD_CREATED};
use crate::event::payload::run::{RUN_QUEUED, RUN_WAITING};
use crate::event::{EventRef, codec};
use crate::projection::{self, Patience, Target};
use crate::store::StoreError;
use crate::stream::StreamHandle;
use crate::worker::build::{conclude_build, end_of_build};
use crate::worker::process::{Marker, kill_marked};
use crate::worker::run::{Place, conclude_run, end_of_run};

/// What was found and done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    pub queued_again: usize,
    pub interrupted: usize,
    pub rows_corrected: usize,
    /// Logs that had failed and now have their end.
    pub logs_completed: usize,
    pub processes_killed: usize,
    /// Files and folders that were half made.
    pub leftovers_removed: usize,
    /// Left as they are, because log or row could not be opened.
    pub failed: usize,
}

/// So many runs are opened at a time, since each waits for the disk. They are enlisted in their order all the same.
const AT_ONCE: usize = 8;

const WHY: &str = "the service ended while this was at work";

/// Must be called on a worker thread, before the service listens.
pub async fn recover(services: &Services, registry: &Addr<Registry>) -> Result<Report, StoreError> {
    services.safe_mode.restore().await?;
    let runs = services.store.unfinished_runs(services.node_id).await?;
    let builds = services.store.unfinished_builds(services.node_id).await?;
    let degraded = services.store.degraded_runs(services.node_id).await?;
    let degraded_builds = services.store.degraded_builds(services.node_id).await?;
    let mut report = Report { leftovers_removed: sweep(services).await, ..Report::default() };
    let markers = runs.iter().map(|run| Marker::run(run.id)).chain(builds.iter().map(|build| Marker::build(build.id)));
    let markers: Vec<Marker> = markers.collect();
    if !markers.is_empty() {
        report.processes_killed = kill_marked(markers).await.killed.len();
    }
    for build in builds {
        let done = recover_build(services, &build).await;
        report.count(&build.id, done);
    }
    let places = runs.iter().map(|run| (run, services.capacity.enlist_again(run.workspace_id)));
    let recovering = places.map(|(run, place)| recover_run(services, registry, run, place).map(|done| (run.id, done)));
    let mut recovered = stream::iter(recovering).buffered(AT_ONCE);
    while let Some((id, done)) = recovered.next().await {
        report.count(&id, done);
    }
    for run in degraded {
        let done = complete_log(services, &run).await;
        report.count(&run.id, done);
    }
    for build in degraded_builds {
        let done = complete_build_log(services, &build).await;
        report.count(&build.id, done);
    }
    Ok(report)
}

async fn sweep(services: &Services) -> usize {
    let (data, venvs) = (services.work.data_dir.clone(), services.work.venvs_dir.clone());
    tokio::task::spawn_blocking(move || leftovers::sweep(&data, &venvs)).await.unwrap_or_default()
}

enum Done {
    QueuedAgain,
    Interrupted,
    Corrected,
    LogCompleted,
}

impl Report {
    fn count(&mut self, id: &dyn std::fmt::Display, done: Result<Done, LaunchError>) {
        match done {
            Ok(Done::QueuedAgain) => self.queued_again += 1,
            Ok(Done::Interrupted) => self.interrupted += 1,
            Ok(Done::Corrected) => self.rows_corrected += 1,
            Ok(Done::LogCompleted) => self.logs_completed += 1,
            Err(error) => {
                tracing::error!(%id, error = ?error, "work of the last life could not be ended");
                self.failed += 1;
            }
        }
    }
}

async fn recover_build(services: &Services, build: &Build) -> Result<Done, LaunchError> {
    let stream = launch::open(services, build.stream_key(), build.configuration_id, build.durable_bytes).await?;
    if stream.tail().closed {
        return correct(services, &stream, build.configuration_id).await;
    }
    if stream.tail().sequence == 0 {
        stream.append_one(launch::created(build)).await?;
    }
    conclude_build(&services.work, build, &stream, BuildErrorCode::Interrupted, WHY).await;
    correct(services, &stream, build.configuration_id).await?;
    if build.log_degraded {
        services.store.clear_build_degraded(build.workspace_id, build.id).await?;
    }
    Ok(Done::Interrupted)
}

async fn recover_run(
    services: &Services,
    registry: &Addr<Registry>,
    run: &Run,
    place: Place,
) -> Result<Done, LaunchError> {
    if !has_begun(services, run.stream_key()).await {
        let ports = Arc::new(Ports { services: services.clone(), registry: registry.clone() });
        launch::launch_run(services, registry, ports, run.clone(), place, None).await?;
        return Ok(Done::QueuedAgain);
    }
    let stream = launch::open(services, run.stream_key(), run.configuration_id, run.durable_bytes).await?;
    if stream.tail().closed {
        return correct(services, &stream, run.configuration_id).await;
    }
    conclude_run(&services.work, run, &stream, RunFailureCode::Interrupted, WHY).await;
    correct(services, &stream, run.configuration_id).await?;
    if run.log_degraded {
        services.store.clear_run_degraded(run.workspace_id, run.id).await?;
    }
    Ok(Done::Interrupted)
}

/// A run that went on when its log had failed: the row says how it ended, and now the log does too.
async fn complete_log(services: &Services, run: &Run) -> Result<Done, LaunchError> {
    let stream = launch::open(services, run.stream_key(), run.configuration_id, run.durable_bytes).await?;
    if !stream.tail().closed {
        stream.append_one(end_of_run(run)).await?;
    }
    correct(services, &stream, run.configuration_id).await?;
    services.store.clear_run_degraded(run.workspace_id, run.id).await?;
    Ok(Done::LogCompleted)
}

/// As [`complete_log`], for a build.
async fn complete_build_log(services: &Services, build: &Build) -> Result<Done, LaunchError> {
    let stream = launch::open(services, build.stream_key(), build.configuration_id, build.durable_bytes).await?;
    if !stream.tail().closed {
        stream.append_one(end_of_build(build)).await?;
    }
    correct(services, &stream, build.configuration_id).await?;
    services.store.clear_build_degraded(build.workspace_id, build.id).await?;
    Ok(Done::LogCompleted)
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

/// Folds a stream that has ended into its row.
async fn correct(
    services: &Services,
    stream: &StreamHandle,
    configuration_id: ConfigurationId,
) -> Result<Done, LaunchError> {
    let projected = match stream.follow_inside(Default::default()) {
        Ok(follow) => {
            let target = Target::new(stream.key(), configuration_id);
            projection::project(&services.store, follow, target, Patience::NONE).await
        }
        Err(error) => Err(error.into()),
    };
    if let Err(error) = projected {
        tracing::error!(stream = %stream.key(), error = %error, "row could not be corrected from its log");
    }
    Ok(Done::Corrected)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::time::micros;
    use crate::domain::{EventId, RunId, WorkspaceId};
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
