//! The shared journal: one sync makes the small batches of all streams durable.
//!
//! Law: a batch is durable once its round is synced here; its own file is synced later, by a checkpoint, and only then
//! is the segment used again. A failed write or sync ends the journal for this life: it is never written again, and
//! what it holds is kept for the next start unless every file it speaks of could be synced.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile, Mode};
use super::record::{PAGE, Round, next_page, segment_header};
use super::stream_file::StreamFile;
use super::threads::{in_parallel, lock};

pub(super) const SEGMENTS: [&str; 2] = ["0.wal", "1.wal"];

pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    segments: [Arc<dyn DiskFile>; 2],
    segment_bytes: u64,
    failed: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    next_epoch: u64,
    segments: [Segment; 2],
    /// The appender has ended; with true, everything is to be checkpointed.
    ended: Option<bool>,
}

struct Segment {
    epoch: u64,
    phase: Phase,
    entries: HashMap<Arc<str>, Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Ready,
    Active,
    Full,
}

/// What the records of a segment say about one log.
struct Entry {
    /// The file to sync before the segment is used again; none if that is done.
    stream: Option<Arc<StreamFile>>,
    /// No record speaks of bytes at or beyond this.
    end: u64,
}

/// What is left to do for the thread behind [`Journal::checkpoint_loop`].
enum Task {
    Checkpoint(usize),
    Retire,
    End,
}

impl Journal {
    /// Takes over the two segments, whose records are void from here on: `replayed` are their epochs, if they had one.
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        segments: [Arc<dyn DiskFile>; 2],
        replayed: [Option<u64>; 2],
        segment_bytes: u64,
    ) -> io::Result<(Arc<Self>, Appender)> {
        let mut next_epoch = replayed.iter().flatten().max().map_or(1, |newest| newest + 1);
        let mut fresh = [0, 0];
        // The older one first: as long as the newer one counts, it must not be replayed without what came before.
        let order = if replayed[0] <= replayed[1] { [0, 1] } else { [1, 0] };
        for index in order {
            if segments[index].size()? < segment_bytes {
                segments[index].allocate(segment_bytes)?;
            }
            fresh[index] = next_epoch;
            renew(&*segments[index], next_epoch)?;
            next_epoch += 1;
        }
        let segment = |index: usize, phase| Segment { epoch: fresh[index], phase, entries: HashMap::new() };
        let (active, spare) = (order[0], order[1]);
        let mut states = [segment(0, Phase::Ready), segment(1, Phase::Ready)];
        states[active].phase = Phase::Active;
        debug_assert!(fresh[active] < fresh[spare]);
        let state = Mutex::new(State { next_epoch, segments: states, ended: None });
        let failed = AtomicBool::new(false);
        let changed = Condvar::new();
        let journal = Arc::new(Self { disk, folder, segments, segment_bytes, failed, state, changed });
        Ok((journal.clone(), Appender { journal, active, position: PAGE, round: Round::new() }))
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// What one round may hold.
    pub(super) fn round_limit(&self) -> u64 {
        (self.segment_bytes - PAGE).min(4 << 20)
    }

    /// Where the records that would be replayed after a crash now end for this log.
    pub(super) fn end_of(&self, path: &str) -> u64 {
        let state = self.lock();
        state.segments.iter().filter_map(|segment| segment.entries.get(path)).map(|entry| entry.end).max().unwrap_or(0)
    }

    /// How many logs wait to be synced by a checkpoint.
    pub(super) fn held_files(&self) -> usize {
        self.lock().segments.iter().map(|segment| segment.entries.len()).sum()
    }

    /// Syncs a log that nobody writes any more, so that its file need not stay open until the checkpoint.
    pub(super) fn release(&self, stream: &Arc<StreamFile>) {
        let same = |entry: &Entry| entry.stream.as_ref().is_some_and(|held| Arc::ptr_eq(held, stream));
        let is_held = |state: &State| state.segments.iter().any(|s| s.entries.get(&stream.path).is_some_and(same));
        if !stream.is_idle() || !is_held(&self.lock()) || stream.sync().is_err() {
            return;
        }
        // Its writer is gone and nothing was under way, so nothing was written since.
        for segment in &mut self.lock().segments {
            if let Some(entry) = segment.entries.get_mut(&stream.path).filter(|entry| same(entry)) {
                entry.stream = None;
            }
        }
    }

    /// A cut is durable in the journal: older records no longer reach beyond it.
    fn trim(&self, path: &str, length: u64) {
        for segment in &mut self.lock().segments {
            if let Some(entry) = segment.entries.get_mut(path) {
                entry.end = entry.end.min(length);
            }
        }
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        let state = self.lock();
        self.changed.notify_all();
        drop(state);
    }

    /// The appender is gone. With `checkpoint`, the journal is to be left empty.
    pub(super) fn end(&self, checkpoint: bool) {
        self.lock().ended.get_or_insert(checkpoint);
        self.changed.notify_all();
    }

    /// Runs on a thread of its own: makes full segments usable again until the appender has ended.
    pub(super) fn checkpoint_loop(&self) {
        let _fails_on_panic = FailOnDrop(self);
        loop {
            match self.next_task() {
                Task::Checkpoint(index) if self.checkpoint(index).is_err() => self.fail(),
                Task::Checkpoint(_) => {}
                Task::Retire => {
                    self.retire();
                    return;
                }
                Task::End => return,
            }
        }
    }

    fn next_task(&self) -> Task {
        let mut state = self.lock();
        loop {
            let abandoned = state.ended == Some(false);
            if self.has_failed() && !abandoned {
                return Task::Retire;
            }
            let wanted = |segment: &Segment| match state.ended {
                None => segment.phase == Phase::Full,
                Some(checkpoint) => checkpoint && segment.phase != Phase::Ready,
            };
            let oldest = (0..2).filter(|&i| wanted(&state.segments[i])).min_by_key(|&i| state.segments[i].epoch);
            match (oldest, state.ended) {
                (Some(index), _) => return Task::Checkpoint(index),
                (None, Some(_)) => return Task::End,
                (None, None) => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Syncs what the segment speaks of, then gives it a new epoch, which voids its records.
    fn checkpoint(&self, index: usize) -> io::Result<()> {
        self.sync_files(index)?;
        let epoch = {
            let mut state = self.lock();
            state.next_epoch += 1;
            state.next_epoch - 1
        };
        renew(&*self.segments[index], epoch)?;
        let mut state = self.lock();
        state.segments[index] = Segment { epoch, phase: Phase::Ready, entries: HashMap::new() };
        self.changed.notify_all();
        Ok(())
    }

    fn sync_files(&self, index: usize) -> io::Result<()> {
        let entries = |segment: &Segment| segment.entries.values().filter_map(|entry| entry.stream.clone()).collect();
        let files: Vec<Arc<StreamFile>> = entries(&self.lock().segments[index]);
        in_parallel(&files, |stream| stream.sync())
    }

    /// After a failure: once every file is synced the records are not needed, and must not be replayed any more.
    fn retire(&self) {
        // Both are tried, whatever becomes of the first: what is synced is safe at least until the host goes down.
        let synced = [0, 1].map(|index| self.sync_files(index));
        let removed = synced.into_iter().collect::<io::Result<()>>().and_then(|()| self.remove_segments());
        match removed {
            Ok(()) => self.lock().segments.iter_mut().for_each(|segment| segment.entries.clear()),
            Err(error) => tracing::error!(%error, "the failed journal is kept for the next start"),
        }
    }

    fn remove_segments(&self) -> io::Result<()> {
        // Older first, for the same reason as at the start; each is gone for good before the next.
        let mut order = [0, 1];
        order.sort_by_key(|&index| self.lock().segments[index].epoch);
        for index in order {
            self.disk.remove(&self.folder.join(SEGMENTS[index]))?;
            self.disk.sync_dir(&self.folder)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

struct FailOnDrop<'a>(&'a Journal);

impl Drop for FailOnDrop<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail();
        }
    }
}

fn renew(segment: &dyn DiskFile, epoch: u64) -> io::Result<()> {
    segment.write_all_at(&segment_header(epoch), 0)?;
    segment.sync_data()
}

/// Opens the segments in `folder`, which is made if absent.
pub(super) fn open_segments(disk: &dyn Disk, folder: &Path) -> io::Result<[Arc<dyn DiskFile>; 2]> {
    disk.create_dir(folder)?;
    if let Some(parent) = folder.parent() {
        disk.sync_dir(parent)?;
    }
    let [first, second] = SEGMENTS.map(|name| disk.open(&folder.join(name), Mode::Create));
    disk.sync_dir(folder)?;
    Ok([first?, second?])
}

/// The writing side, owned by the committer.
pub(super) struct Appender {
    journal: Arc<Journal>,
    active: usize,
    position: u64,
    round: Round,
}

/// What a round is made of.
pub(super) enum Item<'a> {
    Bytes { stream: &'a Arc<StreamFile>, offset: u64, bytes: &'a [u8] },
    Cut { stream: &'a Arc<StreamFile>, length: u64 },
}

impl Appender {
    /// Makes the items durable with one sync; after an error nothing is known about them.
    pub(super) fn append(&mut self, items: &[Item<'_>]) -> io::Result<()> {
        let written = self.write(items);
        if written.is_err() {
            self.journal.fail();
            return written;
        }
        for item in items {
            if let Item::Cut { stream, length } = item {
                self.journal.trim(&stream.path, *length);
            }
        }
        Ok(())
    }

    fn write(&mut self, items: &[Item<'_>]) -> io::Result<()> {
        self.round.clear();
        for item in items {
            match item {
                Item::Bytes { stream, offset, bytes } => self.round.push_bytes(&stream.path, *offset, bytes),
                Item::Cut { stream, length } => self.round.push_cut(&stream.path, *length),
            }
        }
        if self.position + self.round.size() > self.journal.segment_bytes {
            self.switch()?;
        }
        let epoch = self.enter(items)?;
        let segment = &self.journal.segments[self.active];
        segment.write_all_at(self.round.seal(epoch), self.position)?;
        segment.sync_data()?;
        self.position = next_page(self.position + self.round.size());
        Ok(())
    }

    /// Notes what the segment is about to say, before it can say it.
    fn enter(&self, items: &[Item<'_>]) -> io::Result<u64> {
        let mut state = self.journal.lock();
        if self.journal.has_failed() {
            return Err(io::Error::other("the journal has failed"));
        }
        let segment = &mut state.segments[self.active];
        for item in items {
            let (stream, end) = match item {
                Item::Bytes { stream, offset, bytes } => (*stream, offset + bytes.len() as u64),
                Item::Cut { stream, length } => (*stream, *length),
            };
            let entry = segment.entries.entry(stream.path.clone()).or_insert(Entry { stream: None, end });
            entry.stream = Some(stream.clone());
            entry.end = entry.end.max(end);
        }
        Ok(segment.epoch)
    }

    /// Goes on in the other segment, waiting until its checkpoint is done.
    fn switch(&mut self) -> io::Result<()> {
        let journal = &self.journal;
        let mut state = journal.lock();
        state.segments[self.active].phase = Phase::Full;
        journal.changed.notify_all();
        let other = 1 - self.active;
        let blocked = |state: &mut State| state.segments[other].phase != Phase::Ready && !journal.has_failed();
        state = journal.changed.wait_while(state, blocked).unwrap_or_else(PoisonError::into_inner);
        if journal.has_failed() {
            return Err(io::Error::other("the journal has failed"));
        }
        state.segments[other].phase = Phase::Active;
        (self.active, self.position) = (other, PAGE);
        Ok(())
    }
}
