//! The journal on the local disk: two segments that are used in turn.
//!
//! Law: a batch is durable once its round is synced here; its own file is synced later, by a checkpoint, and only then
//! is the segment used again. After a failed write or sync this process never writes the journal again, and keeps what
//! it holds for the next start unless every file it speaks of could be synced.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile, Mode, ReadAt, read_full, read_range};
use super::error::OpenRootError;
use super::journal::{Appender, Item, Journal, Opened};
use super::record::{PAGE, Round, RoundHeader, next_page, parse_segment_header, segment_header};
use super::replay::{Replay, ReplayReport};
use super::stream_file::StreamFile;
use super::threads::{in_parallel, lock};

const SEGMENTS: [&str; 2] = ["0.wal", "1.wal"];

/// Zeros are written so far ahead of small rounds; a larger round is its own.
const AHEAD: u64 = 1 << 20;
const SMALL_ROUND: u64 = AHEAD / 16;

pub struct LocalJournal {
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
    /// The last round may have bytes that are durable here alone: they are not in their files yet.
    unsettled: bool,
    /// The appender has stopped; with true, everything is to be checkpointed.
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
    /// The file to sync before the segment is used again; none if it has been synced.
    stream: Option<Arc<StreamFile>>,
    /// No record speaks of bytes at or beyond this.
    end: u64,
}

/// What the next step is for the thread behind [`LocalJournal::checkpoint_loop`].
enum Task {
    Checkpoint(usize),
    Retire,
    End,
}

impl LocalJournal {
    /// Brings what the last process left in the journal into the logs, then starts with an empty one. Blocks.
    pub fn open(disk: &Arc<dyn Disk>, data_dir: &Path, segment_bytes: u64) -> Result<Opened<Self>, OpenRootError> {
        let folder = data_dir.join("journal");
        let segments = open_segments(&**disk, &folder).map_err(OpenRootError::Journal)?;
        let (replayed, epochs) = replay_segments(&**disk, data_dir, &segments).map_err(OpenRootError::Replay)?;
        let (journal, appender) =
            Self::start(disk.clone(), folder, segments, epochs, segment_bytes).map_err(OpenRootError::Reset)?;
        Ok(Opened { journal, appender, replayed })
    }

    /// Brings what is left in the journal into the logs and removes it: from now on there is another.
    pub fn replay_rest(disk: &Arc<dyn Disk>, data_dir: &Path) -> Result<(), OpenRootError> {
        let folder = data_dir.join("journal");
        let names = disk.list(&folder).map_err(OpenRootError::Journal)?;
        if !SEGMENTS.iter().any(|segment| names.iter().any(|name| name == segment)) {
            return Ok(());
        }
        let Opened { journal, replayed, .. } = Self::open(disk, data_dir, 2 * PAGE)?;
        tracing::info!(?replayed, "the journal on this disk was replayed and is no longer used");
        journal.remove_segments().map_err(OpenRootError::Reset)
    }

    /// Starts on the two segments. Their records, which have been replayed, are void from here on; `replayed` are the
    /// epochs that they had, if any.
    fn start(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        segments: [Arc<dyn DiskFile>; 2],
        replayed: [Option<u64>; 2],
        segment_bytes: u64,
    ) -> io::Result<(Arc<Self>, LocalAppender)> {
        let mut next_epoch = replayed.iter().flatten().max().map_or(1, |newest| newest + 1);
        let mut fresh = [0, 0];
        // The older one first. A crash between the two leaves the newer records to be replayed, which is harmless alone;
        // the older ones alone would put back bytes that a newer cut took away.
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
        let state = Mutex::new(State { next_epoch, segments: states, unsettled: false, ended: None });
        let failed = AtomicBool::new(false);
        let changed = Condvar::new();
        let journal = Arc::new(Self { disk, folder, segments, segment_bytes, failed, state, changed });
        let appender = LocalAppender { journal, active, position: PAGE, filled: [0, 0], round: Round::new() };
        Ok((appender.journal.clone(), appender))
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
        // Under the lock: a thread that has just seen the old value and is about to wait would miss the notification.
        let state = self.lock();
        self.changed.notify_all();
        drop(state);
    }

    fn next_task(&self) -> Task {
        let mut state = self.lock();
        loop {
            let abandoned = state.ended == Some(false);
            // To retire is to sync the files and remove the segments. Before the last round is in the files, that would
            // remove the only durable copy of bytes that are about to be acknowledged.
            let settled = !state.unsettled || state.ended.is_some();
            if self.has_failed() && !abandoned && settled {
                return Task::Retire;
            }
            let wanted = |segment: &Segment| match state.ended {
                None => segment.phase == Phase::Full && !self.has_failed(),
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

    /// Syncs the files that the segment has records of, then gives it a new epoch, which voids the records.
    fn checkpoint(&self, index: usize) -> io::Result<()> {
        self.sync_files(index)?;
        let epoch = {
            let mut state = self.lock();
            state.next_epoch += 1;
            state.next_epoch - 1
        };
        // Only now are the records not needed any more, since every file has its bytes. Should a crash come before this
        // is durable, they are replayed once more and find the same bytes.
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

    /// After a failure. From now on logs are synced in their own files, and may be cut without a record of it; so once
    /// every file is synced the records must go, or the next start would bring back what has been cut since.
    fn retire(&self) {
        // Both, even if the first fails: each file that is synced is one less that depends on the failed journal.
        let synced = [0, 1].map(|index| self.sync_files(index));
        let removed = synced.into_iter().collect::<io::Result<()>>().and_then(|()| self.remove_segments());
        match removed {
            Ok(()) => self.lock().segments.iter_mut().for_each(|segment| segment.entries.clear()),
            Err(error) => {
                tracing::error!(%error, "the failed journal is kept and replayed at the next start")
            }
        }
    }

    fn remove_segments(&self) -> io::Result<()> {
        // The older one first, for the same reason as in `start`, and durably before the next.
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

impl Journal for LocalJournal {
    type Appender = LocalAppender;

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn round_limit(&self) -> u64 {
        (self.segment_bytes - PAGE).min(4 << 20)
    }

    fn end_of(&self, path: &str) -> u64 {
        let state = self.lock();
        state.segments.iter().filter_map(|segment| segment.entries.get(path)).map(|entry| entry.end).max().unwrap_or(0)
    }

    fn held_files(&self) -> usize {
        self.lock().segments.iter().map(|segment| segment.entries.len()).sum()
    }

    fn release(&self, stream: &Arc<StreamFile>) {
        let same = |entry: &Entry| entry.stream.as_ref().is_some_and(|held| Arc::ptr_eq(held, stream));
        let is_held = |state: &State| state.segments.iter().any(|s| s.entries.get(&stream.path).is_some_and(same));
        if !stream.is_idle() || !is_held(&self.lock()) || stream.sync().is_err() {
            return;
        }
        // The writer is gone and was idle before the sync, so nothing was written that the sync did not cover. A new
        // writer has a file of its own, and its entry is not `same`.
        for segment in &mut self.lock().segments {
            if let Some(entry) = segment.entries.get_mut(&stream.path).filter(|entry| same(entry)) {
                entry.stream = None;
            }
        }
    }

    fn end(&self, checkpoint: bool) {
        self.lock().ended.get_or_insert(checkpoint);
        self.changed.notify_all();
    }

    fn checkpoint_loop(&self) {
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
}

struct FailOnDrop<'a>(&'a LocalJournal);

/// Without the checkpointer no segment becomes free again: the appender would wait for one for ever.
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

/// Brings every round that counts into the logs, the older segment's first; also gives the segments' epochs.
fn replay_segments(
    disk: &dyn Disk,
    root: &Path,
    segments: &[Arc<dyn DiskFile>; 2],
) -> io::Result<(ReplayReport, [Option<u64>; 2])> {
    let epochs = [epoch_of(&*segments[0])?, epoch_of(&*segments[1])?];
    let mut replay = Replay::default();
    let order = if epochs[0] <= epochs[1] { [0, 1] } else { [1, 0] };
    for index in order {
        if let Some(epoch) = epochs[index] {
            collect(&mut replay, index, &*segments[index], epoch)?;
        }
    }
    let sources: [&dyn ReadAt; 2] = [&*segments[0], &*segments[1]];
    Ok((replay.apply(disk, root, &sources)?, epochs))
}

fn epoch_of(segment: &dyn DiskFile) -> io::Result<Option<u64>> {
    let mut header = [0; 20];
    let size = read_full(segment, &mut header, 0)?;
    Ok(if size == header.len() { parse_segment_header(&header) } else { None })
}

/// Reads the rounds of a segment until the first that does not count: it is torn, or left from an earlier use of the
/// segment, and so is whatever stands behind it.
fn collect(replay: &mut Replay, index: usize, segment: &dyn DiskFile, epoch: u64) -> io::Result<()> {
    let size = segment.size()?;
    let mut position = PAGE;
    while let Some(body) = read_round(segment, position, size, epoch)? {
        let start = position + RoundHeader::SIZE;
        if !replay.add(index, start, &body) {
            break;
        }
        position = next_page(start + body.len() as u64);
    }
    Ok(())
}

fn read_round(file: &dyn DiskFile, position: u64, size: u64, epoch: u64) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; RoundHeader::SIZE as usize];
    if read_full(file, &mut header, position)? < header.len() {
        return Ok(None);
    }
    let Some(header) = RoundHeader::parse(header, epoch) else { return Ok(None) };
    let start = position + RoundHeader::SIZE;
    if start + header.body_size > size {
        return Ok(None);
    }
    let body = read_range(file, start, start + header.body_size)?;
    Ok(header.covers(&body).then_some(body))
}

/// Opens the segments in `folder`, which is created if absent. The names are durable before the first record.
fn open_segments(disk: &dyn Disk, folder: &Path) -> io::Result<[Arc<dyn DiskFile>; 2]> {
    disk.create_dir(folder)?;
    if let Some(parent) = folder.parent() {
        disk.sync_dir(parent)?;
    }
    let [first, second] = SEGMENTS.map(|name| disk.open(&folder.join(name), Mode::Create));
    disk.sync_dir(folder)?;
    Ok([first?, second?])
}

/// The writing side, owned by the committer.
pub struct LocalAppender {
    journal: Arc<LocalJournal>,
    active: usize,
    position: u64,
    /// How far each segment has blocks that this process has written.
    filled: [u64; 2],
    round: Round,
}

impl Appender for LocalAppender {
    fn append(&mut self, items: &[Item<'_>]) -> io::Result<()> {
        let written = self.write(items);
        if written.is_err() {
            self.settled();
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

    fn settled(&mut self) {
        self.journal.lock().unsettled = false;
        if self.journal.has_failed() {
            self.journal.changed.notify_all();
        }
    }
}

impl LocalAppender {
    fn write(&mut self, items: &[Item<'_>]) -> io::Result<()> {
        self.round.clear();
        items.iter().for_each(|item| item.record_in(&mut self.round));
        if self.position + self.round.size() > self.journal.segment_bytes {
            self.switch()?;
        }
        let epoch = self.enter(items)?;
        self.fill_ahead()?;
        let segment = &self.journal.segments[self.active];
        segment.write_all_at(self.round.seal(epoch), self.position)?;
        segment.sync_data()?;
        // On a page of its own: the disk may tear a page that is rewritten, and this round has been acknowledged.
        self.position = next_page(self.position + self.round.size());
        Ok(())
    }

    /// Writes zeros ahead of small rounds. The first write to space that was only allocated makes its sync record that in
    /// the file system too, which takes as long again; with zeros there, one round in hundreds pays for it. What they
    /// overwrite was void from the moment that this process began or switched to the segment.
    fn fill_ahead(&mut self) -> io::Result<()> {
        let end = next_page(self.position + self.round.size());
        let filled = &mut self.filled[self.active];
        if end <= *filled {
            return Ok(());
        }
        *filled = end;
        if end - self.position <= SMALL_ROUND {
            let ahead = AHEAD.min(self.journal.segment_bytes.saturating_sub(end));
            match self.journal.segments[self.active].write_all_at(&vec![0; ahead as usize], end) {
                // Where allocated space is not kept for the file; what the round itself needs may be there.
                Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {}
                written => written?,
            }
            *filled += ahead;
        }
        Ok(())
    }

    /// Enters the items in the segment's table before they are written: should the write fail, the round may be in the
    /// segment all the same, and those who ask where its records end, or sync its files, must count it.
    fn enter(&self, items: &[Item<'_>]) -> io::Result<u64> {
        let mut state = self.journal.lock();
        // Under the lock, so that no entry is added behind the back of a checkpointer that is retiring the journal.
        if self.journal.has_failed() {
            return Err(io::Error::other("the journal has failed"));
        }
        state.unsettled = true;
        let segment = &mut state.segments[self.active];
        for item in items {
            let (stream, end) = (item.stream(), item.end());
            let entry = segment.entries.entry(stream.path.clone()).or_insert(Entry { stream: None, end });
            entry.stream = Some(stream.clone());
            entry.end = entry.end.max(end);
        }
        Ok(segment.epoch)
    }

    /// Continues in the other segment, after its checkpoint. This is the journal's back pressure: when files cannot be
    /// synced as fast as rounds come in, rounds wait here.
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

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryDisk;
    use super::super::stream_file::Streams;
    use super::*;

    /// A disk on which, once it is worn, the header of a segment cannot be written.
    #[derive(Clone, Default)]
    struct Worn {
        disk: MemoryDisk,
        is_worn: Arc<AtomicBool>,
        /// What happened, in its order.
        events: Arc<Mutex<Vec<String>>>,
    }

    struct WornFile(Arc<dyn DiskFile>, Arc<AtomicBool>);

    impl Disk for Worn {
        fn create_dir(&self, path: &Path) -> io::Result<()> {
            self.disk.create_dir(path)
        }

        fn sync_dir(&self, path: &Path) -> io::Result<()> {
            self.disk.sync_dir(path)
        }

        fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
            Ok(Arc::new(WornFile(self.disk.open(path, mode)?, self.is_worn.clone())))
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            lock(&self.events).push(format!("removed {}", path.file_name().unwrap().display()));
            self.disk.remove(path)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.disk.rename(from, to)
        }

        fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
            self.disk.list(folder)
        }
    }

    impl ReadAt for WornFile {
        fn size(&self) -> io::Result<u64> {
            self.0.size()
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.0.read_at(buffer, offset)
        }
    }

    impl DiskFile for WornFile {
        fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
            match offset == 0 && self.1.load(Ordering::Acquire) {
                true => Err(io::Error::other("worn out")),
                false => self.0.write_all_at(bytes, offset),
            }
        }

        fn set_len(&self, size: u64) -> io::Result<()> {
            self.0.set_len(size)
        }

        fn allocate(&self, size: u64) -> io::Result<()> {
            self.0.allocate(size)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.0.sync_data()
        }
    }

    #[test]
    fn a_failed_journal_is_not_removed_while_a_round_is_durable_in_it_alone() {
        let worn = Worn::default();
        let disk: Arc<dyn Disk> = Arc::new(worn.clone());
        let opened = LocalJournal::open(&disk, Path::new("/data"), 32 << 10).unwrap();
        let (journal, mut appender) = (opened.journal, opened.appender);
        let file = disk.open(Path::new("/data/log"), Mode::Create).unwrap();
        let stream = Arc::<Streams>::default().claim("log").unwrap().stream(file, 0);
        let bytes = vec![b'x'; 20 << 10];
        let mut append = |offset| {
            appender.append(&[Item::Bytes { stream: &stream, offset, bytes: &bytes }]).unwrap();
            stream.file.write_all_at(&bytes, offset).unwrap();
            appender.settled();
            offset + bytes.len() as u64
        };
        // The second does not fit into the first segment, which is checkpointed from now on, and fails.
        let first = append(0);
        worn.is_worn.store(true, Ordering::Release);
        let second = Item::Bytes { stream: &stream, offset: first, bytes: &bytes };
        appender.append(&[second]).unwrap();
        let checkpointer = std::thread::spawn({
            let journal = journal.clone();
            move || journal.checkpoint_loop()
        });
        // For long enough to remove the segments, if that were not waiting for the round.
        while !journal.has_failed() {
            std::thread::yield_now();
        }
        (0..10_000).take_while(|_| !checkpointer.is_finished()).for_each(|_| std::thread::yield_now());
        stream.file.write_all_at(&bytes, first).unwrap();
        lock(&worn.events).push("written".into());
        appender.settled();
        checkpointer.join().unwrap();
        assert_eq!(*lock(&worn.events), ["written", "removed 0.wal", "removed 1.wal"]);
    }

    #[test]
    fn zeros_ahead_of_rounds_stay_in_the_segment_and_hide_no_round() {
        let memory = MemoryDisk::default();
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        let mut appender = LocalJournal::open(&disk, Path::new("/data"), 4 * PAGE).unwrap().appender;
        let file = disk.open(Path::new("/data/log"), Mode::Create).unwrap();
        let stream = Arc::<Streams>::default().claim("log").unwrap().stream(file, 0);
        for offset in 0..2 {
            appender.append(&[Item::Bytes { stream: &stream, offset, bytes: b"x" }]).unwrap();
        }
        let sizes = SEGMENTS.map(|name| {
            let path = Path::new("/data/journal").join(name);
            disk.open(&path, Mode::Read).unwrap().size().unwrap()
        });
        assert_eq!(sizes, [4 * PAGE; 2]);
        let replayed = LocalJournal::open(&disk, Path::new("/data"), 4 * PAGE).unwrap().replayed;
        assert_eq!(replayed.bytes, 2);
    }
}
