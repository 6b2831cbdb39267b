//! How far the journals of other nodes are copied, for whoever waits for that.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::threads::lock;
use super::position::Position;
use super::stop::Stop;

/// How often a stop is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Of one journal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The last message that is in the copies, and the last of those that are synced.
    pub applied: u64,
    pub synced: u64,
    /// Of the newest message: who writes the journal.
    pub epoch: u64,
    /// Everything is in the copies that was stored when the follower began.
    pub is_caught_up: bool,
    /// Messages in the middle were gone before they were followed: a copy may end too early.
    pub has_holes: bool,
    /// The first ones were: a log that is not here may have been written all the same.
    pub begins_late: bool,
    /// Why nothing comes at the moment.
    pub trouble: Option<String>,
}

/// Shared by a follower and those who ask it.
#[derive(Default)]
pub struct FollowState {
    progress: Mutex<Inner>,
    changed: Condvar,
    is_followed: AtomicBool,
}

#[derive(Default)]
struct Inner {
    progress: Progress,
    /// Where the stream ended when the follower began.
    end: u64,
}

impl FollowState {
    pub(super) fn set_followed(&self, is_followed: bool) {
        self.is_followed.store(is_followed, Ordering::Release);
    }

    pub(super) fn read(&self) -> Progress {
        lock(&self.progress).progress.clone()
    }

    pub(super) fn start(&self, position: &Position, end: u64) {
        let mut inner = lock(&self.progress);
        inner.end = end;
        let (applied, has_holes, begins_late) = (position.sequence, position.has_holes, position.begins_late);
        let (epoch, trouble) = (inner.progress.epoch, inner.progress.trouble.take());
        let is_caught_up = applied >= end;
        inner.progress = Progress { applied, synced: applied, epoch, is_caught_up, has_holes, begins_late, trouble };
        self.changed.notify_all();
    }

    pub(super) fn applied(&self, sequence: u64, epoch: u64) {
        let mut inner = lock(&self.progress);
        inner.progress.applied = sequence;
        inner.progress.epoch = epoch;
        inner.progress.is_caught_up |= sequence >= inner.end;
    }

    pub(super) fn synced(&self, position: &Position) {
        let mut inner = lock(&self.progress);
        inner.progress.synced = position.sequence;
        inner.progress.has_holes = position.has_holes;
        inner.progress.begins_late = position.begins_late;
        self.changed.notify_all();
    }

    /// Told once, not at every try.
    pub(super) fn trouble(&self, stream: &str, why: Option<String>) {
        let mut inner = lock(&self.progress);
        if let (None, Some(why)) = (&inner.progress.trouble, &why) {
            tracing::warn!(stream, %why, "the journal of another node is not followed");
        }
        inner.progress.trouble = why;
    }

    /// False when that is not so by then, or it is to stop.
    pub(super) fn await_synced(&self, sequence: u64, until: Instant, stop: &Stop) -> bool {
        let mut inner = lock(&self.progress);
        while inner.progress.synced < sequence {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || stop.is_asked() {
                return false;
            }
            inner = self.changed.wait_timeout(inner, left.min(LOOK)).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// The journals that are followed, by the names of their streams.
#[derive(Default)]
pub struct Followed {
    states: Mutex<HashMap<String, Arc<FollowState>>>,
}

impl Followed {
    pub(super) fn enter(&self, stream: &str) -> Arc<FollowState> {
        lock(&self.states).entry(stream.to_owned()).or_default().clone()
    }

    pub(super) fn is_followed(&self, stream: &str) -> bool {
        self.enter(stream).is_followed.load(Ordering::Acquire)
    }

    /// As [`FollowState::await_synced`]; also waits for a follower.
    pub(super) fn await_synced(&self, stream: &str, sequence: u64, until: Instant, stop: &Stop) -> bool {
        self.enter(stream).await_synced(sequence, until, stop)
    }
}
