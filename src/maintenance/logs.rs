//! What becomes of logs: those that had failed get their end, old ones are compressed and archived, very old ones deleted.

use std::io;

use super::due::{Due, Policy, deadline, due};
use super::round::Round;
use crate::blocking::blocking;
use crate::domain::maintenance::TaskReport;
use crate::domain::status::LogState;
use crate::domain::time::Timestamp;
use crate::domain::work;
use crate::domain::{StreamKey, StreamKind};
use crate::log::{ArchiveError, CompressError, DeleteError};
use crate::store::{FinishedLog, FinishedQuery, StoreError};

/// What one task does in one round, at most; the first to be reached ends it.
const MOST_LOGS: u64 = 10_000;
const MOST_BYTES: u64 = 4 << 30;
/// Rows that are read at once.
const PAGE: u64 = 200;

#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Compress(#[from] CompressError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Delete(#[from] DeleteError),
    #[error("what its calls have left cannot be moved; the service's own log tells why")]
    Calls,
    #[error("the task for the log panicked: {0}")]
    Died(#[from] io::Error),
}

impl StepError {
    /// The store of objects answers for the next log no better.
    fn is_of_the_whole_store(&self) -> bool {
        matches!(self, Self::Archive(ArchiveError::Unavailable(_)) | Self::Delete(DeleteError::ArchiveUnavailable(_)))
    }
}

/// What one step came to.
enum Step {
    /// The bytes of the log before, and those that are free now.
    Done {
        bytes: u64,
        freed: u64,
    },
    Skipped,
}

/// Gives logs that had failed their end.
pub async fn complete(round: Round, mut report: TaskReport) -> TaskReport {
    match round.registry.complete_logs().await {
        Ok(found) => {
            report.done = found.logs_completed as u64;
            report.skipped = found.waiting as u64;
            for _ in 0..found.failed {
                report.fail("a log could not be completed; the service's own log tells which");
            }
        }
        Err(error) => report.fail(error),
    }
    report
}

/// Compresses what is old enough.
pub async fn compress(round: Round, mut report: TaskReport) -> TaskReport {
    if let Some(before) = deadline(round.now, policy(&round).compress_after) {
        each(&round, &mut report, Due::Compress, &[LogState::Plain], before).await;
    }
    report
}

/// Moves what is old enough into the archive.
pub async fn archive(round: Round, mut report: TaskReport) -> TaskReport {
    if let Some(before) = policy(&round).archive_after.and_then(|age| deadline(round.now, age)) {
        each(&round, &mut report, Due::Archive, &[LogState::Compressed], before).await;
    }
    report
}

/// Deletes what is too old, and what an earlier round began to.
pub async fn delete(round: Round, mut report: TaskReport) -> TaskReport {
    each(&round, &mut report, Due::Delete, &[LogState::Expiring], round.now).await;
    if let Some(before) = policy(&round).retention.and_then(|age| deadline(round.now, age)) {
        let kept = [LogState::Plain, LogState::Compressed, LogState::Archived];
        each(&round, &mut report, Due::Delete, &kept, before).await;
    }
    report
}

fn policy(round: &Round) -> Policy {
    let settings = &round.services.settings.log;
    let archive_after = round.services.settings.archive.as_ref().and_then(|archive| archive.after);
    Policy { compress_after: settings.compress_after, archive_after, retention: settings.retention }
}

/// Does what is due with each log that ended before this, oldest first.
async fn each(round: &Round, report: &mut TaskReport, what: Due, states: &[LogState], before: Timestamp) {
    let mut bytes_left = MOST_BYTES;
    // In no order that matters: what a pass does not come to, the next one does.
    for kind in work::kinds() {
        let mut after = None;
        loop {
            let page = match next_page(round, kind, states, before, after).await {
                Ok(page) => page,
                Err(error) => return report.fail(error),
            };
            let Some(last) = page.last() else { break };
            after = Some(*last);
            for log in page {
                if round.should_stop() || report.done + report.failed >= MOST_LOGS || bytes_left == 0 {
                    report.unfinished = true;
                    return;
                }
                let step = step(round, log, what).await;
                let is_away = step.as_ref().is_err_and(StepError::is_of_the_whole_store);
                bytes_left = bytes_left.saturating_sub(count(report, log, step));
                if is_away {
                    report.unfinished = true;
                    return;
                }
            }
        }
    }
}

async fn next_page(
    round: &Round,
    kind: StreamKind,
    states: &[LogState],
    completed_before: Timestamp,
    after: Option<FinishedLog>,
) -> Result<Vec<FinishedLog>, StoreError> {
    let node_id = round.services.node_id;
    let query = FinishedQuery { node_id, kind, states, completed_before, after, limit: PAGE };
    round.services.store.finished_logs(&query).await
}

/// Counts what a step came to; the bytes that it had to do with.
fn count(report: &mut TaskReport, log: FinishedLog, step: Result<Step, StepError>) -> u64 {
    match step {
        Ok(Step::Done { bytes, freed }) => {
            report.done += 1;
            report.bytes_freed += freed;
            return bytes;
        }
        Ok(Step::Skipped) => report.skipped += 1,
        Err(StepError::Compress(CompressError::Stopped)) => report.unfinished = true,
        Err(StepError::Compress(CompressError::InUse | CompressError::Failed)) => report.skipped += 1,
        Err(StepError::Archive(ArchiveError::Stopped) | StepError::Delete(DeleteError::Stopped)) => {
            report.unfinished = true
        }
        Err(StepError::Archive(ArchiveError::InUse | ArchiveError::Failed)) => report.skipped += 1,
        Err(StepError::Delete(DeleteError::InUse | DeleteError::Failed)) => report.skipped += 1,
        Err(error) => report.fail(format_args!("{}: {error}", log.key)),
    }
    0
}

/// Does what was asked for, if it is what is due. What is running is asked first: work that has ended says in its row
/// whether its log has failed before it is gone from the registry.
async fn step(round: &Round, log: FinishedLog, what: Due) -> Result<Step, StepError> {
    let is_live = round.registry.is_live(log.key).await;
    let Some(facts) = round.services.store.log_facts(log.key).await? else { return Ok(Step::Skipped) };
    match due(&facts, is_live, policy(round), round.now) {
        due if due != what => Ok(Step::Skipped),
        Due::Compress => compress_one(round, log).await,
        // A feed reads its pending deliveries from the log, so the log must stay.
        Due::Archive | Due::Delete if round.services.feeds.owes(log.key).await? => Ok(Step::Skipped),
        Due::Archive => archive_one(round, log).await,
        Due::Delete => delete_one(round, log).await,
        Due::Nothing => Ok(Step::Skipped),
    }
}

async fn compress_one(round: &Round, log: FinishedLog) -> Result<Step, StepError> {
    let (root, watched) = (round.services.log.clone(), round.clone());
    let shrunk = blocking(move || Ok(root.compress(log.key, &|| watched.should_stop()))).await??;
    round.services.store.set_log_state(log.key, LogState::Compressed).await?;
    Ok(Step::Done { bytes: shrunk.before, freed: shrunk.before.saturating_sub(shrunk.after) })
}

/// The row says it last: until then the next round finds it again, and sees that it is done.
async fn archive_one(round: &Round, log: FinishedLog) -> Result<Step, StepError> {
    let (root, watched) = (round.services.log.clone(), round.clone());
    let freed = blocking(move || Ok(root.archive(log.key, &|| watched.should_stop()))).await??;
    round.services.store.set_log_state(log.key, LogState::Archived).await?;
    Ok(Step::Done { bytes: freed, freed })
}

/// The row says it first: a log that is gone is never missing.
async fn delete_one(round: &Round, log: FinishedLog) -> Result<Step, StepError> {
    let (store, root, watched) = (&round.services.store, round.services.log.clone(), round.clone());
    let deletable = blocking(move || Ok(root.deletable(log.key))).await??;
    store.set_log_state(log.key, LogState::Expiring).await?;
    discard_calls(round, log.key).await?;
    let freed = blocking(move || Ok(deletable.delete(&|| watched.should_stop()))).await??;
    store.set_log_state(log.key, LogState::Deleted).await?;
    Ok(Step::Done { bytes: freed, freed })
}

/// What was said in the calls of an execution goes with the log that tells of them: nothing leads to it any more.
async fn discard_calls(round: &Round, key: StreamKey) -> Result<(), StepError> {
    if key.kind() != StreamKind::EXECUTION {
        return Ok(());
    }
    if round.registry.discard_calls(key).await { Ok(()) } else { Err(StepError::Calls) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::json;

    use super::super::handle::tests::{service, service_with};
    use super::super::round::Service;
    use super::super::run_once;
    use crate::domain::execution::{Execution, ExecutionState};
    use crate::domain::feed::FeedOrigin;
    use crate::domain::status::{ExecutionStatus, LogState};
    use crate::domain::work::Work as _;
    use crate::domain::{EventId, StreamKey};
    use crate::event::codec::{Identity, Stamp, encode};
    use crate::event::{Draft, Source};
    use crate::log::ArchiveOptions;
    use crate::objects::Directory;
    use crate::store::fixture::{at, execution, workflow, workspace};

    fn log_of(execution: &Execution) -> Vec<u8> {
        let identity = Identity::of_execution(execution.workspace_id, execution.id, &execution.workflow_id);
        let mut log = Vec::new();
        for (sequence, kind) in [(1, "execution_started"), (2, "complete")] {
            let stamp = Stamp { sequence, event_id: EventId::generate(), created_at: at(sequence as i64) };
            encode(&mut log, &identity, stamp, &Draft::new(kind, Source::Executor, &json!({})));
        }
        log
    }

    /// An execution that ended long ago, and its log.
    async fn ended(service: &Service, folder: &Path) -> StreamKey {
        let (services, store) = (&service.services, &service.services.store);
        std::fs::create_dir_all(&services.work.venvs_dir).unwrap();
        let acme = workspace("acme");
        store.insert_workspace(&acme).await.unwrap();
        store.insert_workflow(acme.id, &workflow("plan"), at(1)).await.unwrap();
        let (status, completed_at) = (ExecutionStatus::Completed, Some(at(2)));
        let state = ExecutionState { status, completed_at, ..ExecutionState::default() };
        let ended = Execution { node_id: services.node_id, state, ..execution(acme.id, "plan") };
        store.insert(&ended, None).await.unwrap();
        let path = folder.join(ended.stream_key().log_path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, log_of(&ended)).unwrap();
        ended.stream_key()
    }

    #[actix::test]
    async fn a_log_of_which_a_feed_owes_something_is_not_archived() {
        let [folder, objects] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let settings = [
            ("ADE_LOG_ARCHIVE_AFTER", "1d".to_owned()),
            ("ADE_OBJECT_STORE", format!("file://{}", objects.path().display())),
        ];
        let service = service_with(folder.path(), &settings).await;
        let (store, log) = (&service.services.store, &service.services.log);
        let archive = Directory::new(objects.path().to_owned());
        let options =
            ArchiveOptions { store: Arc::new(archive), cache_bytes: 1 << 20, min_free: 0, pause: Duration::ZERO };
        log.attach_archive(options).unwrap();
        let key = ended(&service, folder.path()).await;
        store.insert_feed_origin(&FeedOrigin { key, node_id: service.services.node_id, after: 0 }).await.unwrap();
        let state_after_a_round = async || {
            let report = run_once(service.clone()).await;
            assert!(report.succeeded(), "{report:?}");
            store.log_facts(key).await.unwrap().unwrap().state
        };
        for _ in 0..2 {
            assert_eq!(state_after_a_round().await, LogState::Compressed);
        }
        service.services.feeds.strike_off(key).await.unwrap();
        assert_eq!(state_after_a_round().await, LogState::Archived);
        assert!(std::fs::read_dir(objects.path()).unwrap().count() == 1 && log.reader(key).is_ok());
    }

    #[actix::test]
    async fn logs_of_executions_age_as_all_others_do() {
        let folder = tempfile::tempdir().unwrap();
        let service = service(folder.path()).await;
        let (store, log) = (&service.services.store, &service.services.log);
        let key = ended(&service, folder.path()).await;
        let calls = folder.path().join(key.directory()).join("calls");
        std::fs::create_dir(&calls).unwrap();
        std::fs::write(calls.join("call_1.json"), "what was said").unwrap();

        let state_after_a_round = async || {
            let report = run_once(service.clone()).await;
            assert!(report.succeeded(), "{report:?}");
            store.log_facts(key).await.unwrap().unwrap().state
        };
        assert_eq!(state_after_a_round().await, LogState::Compressed);
        assert!(log.reader(key).unwrap().is_compressed() && calls.exists());
        store.set_log_state(key, LogState::Expiring).await.unwrap();
        assert_eq!(state_after_a_round().await, LogState::Deleted);
        assert!(log.reader(key).is_err() && !calls.exists(), "what was said goes with the log");
    }
}
