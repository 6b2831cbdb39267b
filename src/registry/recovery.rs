//! What a start does about work that the last life of the service left behind.
//!
//! Law (L4): afterwards every stream of this node either goes on or has its one terminal event, no process
//! of an earlier life is left, and every row says what its log says.

use futures_util::{FutureExt, StreamExt, stream};

use super::core::Core;
use super::error::LaunchError;
use super::kind::{Next, WorkKind};
use super::launch::{enter, launch, open, settle};
use super::leftovers::{self, Swept};
use super::reading;
use crate::domain::StreamKey;
use crate::domain::sequence::Start;
use crate::domain::work::{Work as _, each_kind};
use crate::log::OpenLogError;
use crate::projection::{self, RetryPolicy, Target};
use crate::store::StoreError;
use crate::stream::{Follow, OpenStreamError, StreamHandle, SubscribeError};
use crate::supervision::Policy;
use crate::trace::Origin;
use crate::worker::process::{Marker, adopt_orphans, kill_marked};

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
    /// Files and directories that were half made.
    pub leftovers_removed: usize,
    /// Those that cannot be removed; each is logged.
    pub leftovers_left: usize,
    /// Logs that had failed and cannot be opened before the next start.
    pub waiting: usize,
    /// Left as they are, because log or row could not be opened.
    pub failed: usize,
}

/// So much work is opened at a time, since each waits for the disk. It is enlisted in its order all the same.
const AT_ONCE: usize = 8;

/// Also returns the streams whose feeds are behind and that nothing follows. Must be called on a worker thread,
/// before the service listens.
pub async fn recover(core: &Core) -> Result<(Report, Vec<StreamKey>), StoreError> {
    let services = &core.services;
    if let Err(error) = adopt_orphans() {
        tracing::warn!(%error, "of an engine that kills its launcher, processes may be left");
    }
    services.safe_mode.restore().await?;
    let owed = services.feeds.owed().await?;
    let mut recovery =
        Recovery { report: Report::default(), pending: owed.into_iter().map(|origin| origin.key).collect() };
    let swept = sweep(core).await;
    recovery.report.leftovers_removed = swept.removed;
    recovery.report.leftovers_left = swept.left;
    recovery.report.processes_killed = kill_leftover_processes(core).await?;
    each_kind!(W => recover_all::<W>(core, &mut recovery).await?);
    complete_logs(core, &mut recovery.report).await?;
    Ok((recovery.report, recovery.pending))
}

/// The node's own marker is on everything, also on what belongs to no run; an older release set only the others.
async fn kill_leftover_processes(core: &Core) -> Result<usize, StoreError> {
    let services = &core.services;
    let mut markers = vec![services.work.launcher.node().clone()];
    each_kind!(W => if W::KIND.facts().marker.is_some() {
        let unfinished = services.store.unfinished::<W>(services.node_id).await?;
        markers.extend(unfinished.iter().filter_map(|work| Marker::of(work.stream_key())));
    });
    Ok(kill_marked(markers).await.killed.len())
}

struct Recovery {
    report: Report,
    /// Streams whose feeds are behind, and that nothing follows.
    pending: Vec<StreamKey>,
}

async fn recover_all<W: WorkKind>(core: &Core, recovery: &mut Recovery) -> Result<(), StoreError> {
    let unfinished = core.services.store.unfinished::<W>(core.services.node_id).await?;
    let places: Vec<_> = unfinished.iter().map(|work| (work, work.enlist_again(core))).collect();
    let recovering =
        places.into_iter().map(|(work, place)| recover_one(core, work, place).map(move |done| (work, done)));
    let mut recovered = stream::iter(recovering).buffered(AT_ONCE);
    while let Some((work, done)) = recovered.next().await {
        if matches!(done, Ok(Done::GoesOn)) {
            recovery.pending.retain(|key| *key != work.stream_key());
        }
        recovery.report.count(work, done);
    }
    Ok(())
}

/// One that was another node's until now.
pub async fn recover_alone<W: WorkKind>(core: &Core, work: &W, report: &mut Report) {
    let place = work.enlist_again(core);
    let done = recover_one(core, work, place).await;
    report.count(work, done);
}

/// Gives every log of this node that had failed its end, where it can be opened again: at a start, and periodically in
/// between; says which. Must be called on a worker thread.
pub async fn complete_logs(core: &Core, report: &mut Report) -> Result<Vec<StreamKey>, StoreError> {
    let mut completed = Vec::new();
    each_kind!(W => complete_logs_of::<W>(core, report, &mut completed).await?);
    Ok(completed)
}

async fn complete_logs_of<W: WorkKind>(
    core: &Core,
    report: &mut Report,
    completed: &mut Vec<StreamKey>,
) -> Result<(), StoreError> {
    for work in core.services.store.degraded::<W>(core.services.node_id).await? {
        if !core.is_live(work.stream_key()).await {
            let done = complete_log(core, &work).await;
            completed.extend(done.is_ok().then(|| work.stream_key()));
            report.count(&work, done);
        }
    }
    Ok(())
}

async fn sweep(core: &Core) -> Swept {
    let (data, venvs) = (core.services.work.trash.clone(), core.services.work.venvs_trash.clone());
    tokio::task::spawn_blocking(move || leftovers::sweep(&data, &venvs)).await.unwrap_or_default()
}

enum Done {
    /// As queued as before, or from where its log ends.
    GoesOn,
    Interrupted,
    Corrected,
    LogCompleted,
}

impl Report {
    fn count<W: WorkKind>(&mut self, work: &W, done: Result<Done, LaunchError>) {
        match done {
            // What is restarted after a panic goes on after a crash, too; other work has only waited.
            Ok(Done::GoesOn) if W::RESTARTS != Policy::Never => self.resumed += 1,
            Ok(Done::GoesOn) => self.queued_again += 1,
            Ok(Done::Interrupted) => self.interrupted += 1,
            Ok(Done::Corrected) => self.rows_corrected += 1,
            Ok(Done::LogCompleted) => self.logs_completed += 1,
            // The disk is still full, or the journal needs a start: no news.
            Err(LaunchError::Stream(OpenStreamError::Log(OpenLogError::Unavailable))) => self.waiting += 1,
            Err(error) => {
                tracing::error!(id = %work.id(), error = ?error, "failed to recover interrupted work");
                self.failed += 1;
            }
        }
    }
}

async fn recover_one<W: WorkKind>(core: &Core, work: &W, place: W::Place) -> Result<Done, LaunchError> {
    let log = match reading::sealed(core, work.stream_key(), work.log().durable_bytes, None).await {
        // That is not to say that there is none.
        Err(error) if error.is_of_an_archive_that_is_away() => return Err(LaunchError::Archive(error)),
        log => log.ok(),
    };
    if let Some(log) = log.as_ref().filter(|log| log.hub.tail().closed) {
        return Ok(correct(core, work, Follow::inside(log.hub.clone(), Start::default())).await);
    }
    let last_line = log.and_then(|log| log.last_line);
    let done = match work.after_crash(core, last_line.as_deref(), place).await? {
        Next::GoOn(start) => {
            launch(core, work.clone(), start, work.resumed_by(), Origin::default()).await?;
            Done::GoesOn
        }
        Next::End { cause, message } => {
            let stream = open(core, work).await?;
            let ended = work.conclude(core, &stream, cause, message).await;
            correct(core, work, stream.follow_inside(Start::default())).await;
            if is_behind(&stream, work.log().last_sequence) {
                let (store, next) = (&core.services.store, work.log().last_sequence + 1);
                store.save_state::<W>(work.workspace_id(), work.id(), &ended, next).await?;
            }
            Done::Interrupted
        }
    };
    if work.log().degraded {
        core.services.store.set_degraded::<W>(work.workspace_id(), work.id(), None).await?;
    }
    Ok(done)
}

/// The log was destroyed, and its end has a number that the row was beyond: no fold of it changes the row.
fn is_behind(stream: &StreamHandle, last_sequence: u64) -> bool {
    let tail = stream.tail();
    tail.closed && tail.sequence <= last_sequence
}

/// Work that went on when its log had failed: the row says how it ended, and now the log does too. The stream is in the
/// registry meanwhile, so that readers see nothing of its end before it is durable.
async fn complete_log<W: WorkKind>(core: &Core, work: &W) -> Result<Done, LaunchError> {
    let stream = open(core, work).await?;
    let end = work.terminal_event(&stream).await;
    let entry = enter(core, work, stream, None);
    core.register(entry.clone(), None).await;
    let appended = match entry.stream.tail().closed {
        true => Ok(()),
        false => entry.stream.append_one(end).await.map(drop),
    };
    // Nothing that follows an end is done now: it may be long ago, and newer work may have taken its place.
    settle(core, work, &entry).await;
    core.deregister(entry.key()).await;
    appended?;
    core.services.store.set_degraded::<W>(work.workspace_id(), work.id(), None).await?;
    Ok(Done::LogCompleted)
}

/// Folds a stream that has ended into its row.
async fn correct<W: WorkKind>(core: &Core, work: &W, follow: Result<Follow, SubscribeError>) -> Done {
    let projected = match follow {
        Ok(follow) => projection::project(&core.services.store, follow, Target::new(work), RetryPolicy::NONE).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = projected {
        tracing::error!(stream = %work.stream_key(), error = %error, "failed to correct the row from its log");
    }
    Done::Corrected
}
