//! The file of one stream while it is written, and which streams those are.
//!
//! Law: a log whose write or sync failed accepts no more batches, and how much was durable then is remembered until the
//! log is opened again: only that much of it is taken over. Syncs of a file are made one at a time, because the system
//! reports a failed sync once: a second one, made meanwhile, would succeed although bytes were lost.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

use super::disk::DiskFile;
use super::error::CommitError;
use super::threads::lock;

pub struct StreamFile {
    /// Relative to the data directory.
    pub(super) path: Arc<str>,
    pub(super) file: Arc<dyn DiskFile>,
    streams: Arc<Streams>,
    durable: AtomicU64,
    failed: AtomicBool,
    /// Holds bytes that were acknowledged as merely written.
    unsynced: AtomicBool,
    in_flight: Mutex<bool>,
    idle: Condvar,
    syncs: Arc<Syncs>,
}

impl StreamFile {
    fn new(claim: &Claim, file: Arc<dyn DiskFile>, durable: u64) -> Arc<Self> {
        let stream = Arc::new(Self {
            path: claim.path.clone(),
            file,
            streams: claim.streams.clone(),
            durable: AtomicU64::new(durable),
            failed: AtomicBool::new(false),
            unsynced: AtomicBool::new(false),
            in_flight: Mutex::new(false),
            idle: Condvar::new(),
            syncs: claim.syncs.clone(),
        });
        lock(&claim.streams.alive).insert(claim.path.clone(), Arc::downgrade(&stream));
        stream
    }

    /// Which log it is: its path below the data directory.
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(super) fn is_unsynced(&self) -> bool {
        self.unsynced.load(Ordering::Acquire)
    }

    /// Called only for the batch in flight: a checkpoint may sync the file at any time, before or after these bytes.
    pub(super) fn set_unsynced(&self, unsynced: bool) {
        self.unsynced.store(unsynced, Ordering::Release);
    }

    /// False if a batch is already in flight.
    pub(super) fn begin(&self) -> bool {
        !std::mem::replace(&mut *lock(&self.in_flight), true)
    }

    /// The batch in flight has succeeded or failed.
    pub(super) fn end(&self) {
        *lock(&self.in_flight) = false;
        self.idle.notify_all();
    }

    /// No batch is being written.
    pub fn is_idle(&self) -> bool {
        !*lock(&self.in_flight)
    }

    fn wait_idle(&self) {
        let busy = self.idle.wait_while(lock(&self.in_flight), |busy| *busy);
        drop(busy.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn advance(&self, durable: u64) {
        self.durable.store(durable, Ordering::Release);
    }

    /// The log accepts no more, and is cut to its durable bytes when it is opened again.
    pub(super) fn fail(&self) {
        self.note_failure(false);
    }

    /// The sync of a checkpoint may fail for a file whose writer has been dropped and whose log another writer has opened
    /// by now. Then the new writer's log is the one that has failed, and its durable bytes are what counts.
    fn note_failure(&self, tainted: bool) {
        self.failed.store(true, Ordering::Release);
        let newest = lock(&self.streams.alive).get(&self.path).cloned();
        let is_newest = newest.as_ref().is_some_and(|newest| std::ptr::eq(newest.as_ptr(), self));
        let durable = if is_newest { Some(self.durable()) } else { self.fail_later_owner(newest) };
        let mut failed = lock(&self.streams.failed);
        let tainted = tainted || failed.get(&self.path).is_some_and(|before| before.tainted);
        failed.insert(self.path.clone(), Failed { durable, tainted });
    }

    fn fail_later_owner(&self, newest: Option<Weak<StreamFile>>) -> Option<u64> {
        let owner = newest?.upgrade()?;
        owner.failed.store(true, Ordering::Release);
        Some(owner.durable())
    }

    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), CommitError> {
        self.file.write_all_at(bytes, offset).map_err(|error| CommitError::Write(Arc::new(error)))
    }

    /// Makes what was written to the file durable without the journal. After an error the log has failed.
    pub fn sync(&self) -> io::Result<()> {
        self.syncs.sync(&*self.file, || self.note_failure(true))
    }
}

impl Drop for StreamFile {
    fn drop(&mut self) {
        let mut alive = lock(&self.streams.alive);
        if alive.get(&self.path).is_some_and(|newest| std::ptr::eq(newest.as_ptr(), self)) {
            alive.remove(&self.path);
        }
    }
}

/// All syncs of one log: those of its owner, those of a checkpoint for an earlier owner, and those of recovery.
#[derive(Default)]
struct Syncs {
    /// One has failed: what the file holds beyond the durable bytes may not be on the disk, whatever is read.
    tainted: Mutex<bool>,
}

impl Syncs {
    /// The system reports an error once, so it is recorded before the next sync may ask.
    fn sync(&self, file: &dyn DiskFile, note_failure: impl FnOnce()) -> io::Result<()> {
        let mut tainted = lock(&self.tainted);
        if *tainted {
            return Err(io::Error::other("an earlier sync of this log failed"));
        }
        file.sync_data().inspect_err(|_| {
            *tainted = true;
            note_failure();
        })
    }
}

/// What is remembered of a log that failed, until it is open again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    /// None if it is not known.
    pub(super) durable: Option<u64>,
    /// A sync failed, so what is read from the file may not be what the disk holds.
    pub(super) tainted: bool,
}

/// The streams that are being written.
#[derive(Default)]
pub(super) struct Streams {
    claimed: Mutex<HashSet<Arc<str>>>,
    alive: Mutex<HashMap<Arc<str>, Weak<StreamFile>>>,
    failed: Mutex<HashMap<Arc<str>, Failed>>,
}

impl Streams {
    /// The right to write a log; none if it is taken. Waits for a batch that an earlier owner left in flight.
    pub(super) fn claim(self: &Arc<Self>, path: &str) -> Option<Claim> {
        let path: Arc<str> = path.into();
        if !lock(&self.claimed).insert(path.clone()) {
            return None;
        }
        let mut claim = Claim { streams: self.clone(), path, syncs: Arc::default() };
        let former = lock(&self.alive).get(&claim.path).and_then(Weak::upgrade);
        if let Some(former) = former {
            former.wait_idle();
            // If one of its syncs has failed, the log is opened again only when the journal has no records of it; then
            // the old error says nothing about the new owner's bytes.
            if !*lock(&former.syncs.tainted) {
                claim.syncs = former.syncs.clone();
            }
        }
        Some(claim)
    }

    /// Nobody may be changing the log, no batch of an earlier owner is on its way into it, and it has not failed.
    pub(super) fn is_at_rest(&self, path: &str) -> bool {
        let is_idle = || lock(&self.alive).get(path).and_then(Weak::upgrade).is_none_or(|stream| stream.is_idle());
        !lock(&self.claimed).contains(path) && is_idle() && !lock(&self.failed).contains_key(path)
    }
}

/// The right to write a log; given back on drop.
pub(super) struct Claim {
    streams: Arc<Streams>,
    pub(super) path: Arc<str>,
    syncs: Arc<Syncs>,
}

impl Claim {
    pub(super) fn stream(&self, file: Arc<dyn DiskFile>, durable: u64) -> Arc<StreamFile> {
        StreamFile::new(self, file, durable)
    }

    pub(super) fn failed(&self) -> Option<Failed> {
        lock(&self.streams.failed).get(&self.path).copied()
    }

    /// Syncs the file before the log is taken over. If that fails, how much of the file is on the disk is not known.
    pub(super) fn sync(&self, file: &dyn DiskFile) -> io::Result<()> {
        self.syncs.sync(file, || {
            lock(&self.streams.failed).insert(self.path.clone(), Failed { durable: None, tainted: true });
        })
    }

    /// The log has been opened again, and what was not durable has been cut off.
    pub(super) fn forget_failure(&self) {
        lock(&self.streams.failed).remove(&self.path);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.streams.claimed).remove(&self.path);
    }
}
