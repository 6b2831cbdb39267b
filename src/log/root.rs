//! The logs of one data directory, and the threads that write them.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;

use super::archive::{Archive, ArchiveOptions, Opening};
use super::at_rest::{AtRest, EndedLogs, Moment};
use super::commit::{Committer, Order};
use super::compressed::FrameCache;
use super::copies::partial_path;
use super::counters::{Counters, LogDistributions, LogMetrics};
use super::direct;
use super::disk::{Disk, Mode, compressed_path};
use super::error::{OpenClusterError, OpenLogError, OpenReaderError, OpenRootError};
use super::jetstream::{ClusterOptions, CopyObserver, Followed, JournalFollower, Stop};
use super::journal::{Journal, JournalState, Opened};
use super::node_journal::NodeJournal;
use super::options::{Durability, LogOptions};
use super::queue::Queue;
use super::reader::LogReader;
use super::recovery::{Recovered, recover, recover_segment};
use super::replay::ReplayReport;
use super::segments::{Segment, first_sequence, has_segments, last_event, sealed, sealed_path};
use super::shared::Shared;
use super::threads::{lock, spawn};
use super::writer::LogWriter;
use crate::domain::StreamKey;
use crate::domain::time::Timestamp;
use crate::files::is_absent;
use crate::objects::PatientStore;

/// What of a log was deleted because of its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    pub segments: u64,
    pub bytes: u64,
}

/// All logs of a data directory. Clones share it; when the last one is dropped, the threads stop.
pub struct LogRoot<J: Journal = NodeJournal> {
    pub(super) shared: Arc<Shared<J>>,
    threads: Arc<Threads<J>>,
}

impl<J: Journal> Clone for LogRoot<J> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), threads: self.threads.clone() }
    }
}

/// Frames of compressed logs that are kept for the next reader.
const FRAME_CACHE: usize = 16 << 20;

impl LogRoot {
    /// Replays the journal of the data directory, which must exist, then is ready to write. Blocks.
    pub fn open(
        data_dir: &Path,
        disk: Arc<dyn Disk>,
        options: LogOptions,
    ) -> Result<(Self, ReplayReport), OpenRootError> {
        let opened = NodeJournal::open_local(&disk, data_dir, options.segment_bytes)?;
        Self::with_journal(data_dir, disk, options, opened)
    }

    /// As [`LogRoot::open`], with a journal that a cluster keeps. Not to be called on a thread that drives asynchronous
    /// tasks.
    pub fn open_in_cluster(
        data_dir: &Path,
        disk: Arc<dyn Disk>,
        options: LogOptions,
        cluster: &ClusterOptions,
    ) -> Result<(Self, ReplayReport), OpenRootError> {
        Self::open_in_cluster_unless(data_dir, disk, options, cluster, &Stop::default())
    }

    /// As [`LogRoot::open_in_cluster`]; ends with [`OpenClusterError::Stopped`] if it is asked to before the node is taken
    /// over.
    pub fn open_in_cluster_unless(
        data_dir: &Path,
        disk: Arc<dyn Disk>,
        options: LogOptions,
        cluster: &ClusterOptions,
        stop: &Stop,
    ) -> Result<(Self, ReplayReport), OpenRootError> {
        if options.durability != Durability::Fsync {
            return Err(OpenClusterError::Durability.into());
        }
        let opened = NodeJournal::open_in_cluster(&disk, data_dir, cluster, options.segment_bytes, stop)?;
        Self::with_journal(data_dir, disk, options, opened)
    }
}

impl<J: Journal> LogRoot<J> {
    /// As [`LogRoot::open`], with a journal that is open and replayed into the logs on this disk.
    pub fn with_journal(
        data_dir: &Path,
        disk: Arc<dyn Disk>,
        options: LogOptions,
        opened: Opened<J>,
    ) -> Result<(Self, ReplayReport), OpenRootError> {
        let Opened { journal, appender, replayed } = opened;
        let shared = Arc::new(Shared {
            queue: Arc::new(Queue::new(options.queue_batches)),
            direct: Arc::new(Queue::new(options.queue_batches)),
            options,
            journal: journal.clone(),
            disk,
            data_dir: data_dir.to_owned(),
            frames: FrameCache::new(FRAME_CACHE),
            ended: EndedLogs::default(),
            folders: Mutex::default(),
            streams: Arc::default(),
            counters: Arc::default(),
            followed: Followed::default(),
            archive: OnceLock::new(),
        });
        let (queue, direct) = (shared.queue.clone(), shared.direct.clone());
        let committer = Committer { queue, direct, journal, appender, counters: shared.counters.clone() };
        let threads = Threads::start(&shared, committer).map_err(OpenRootError::Threads)?;
        Ok((Self { shared, threads: Arc::new(threads) }, replayed))
    }

    /// Opens a log for writing, and creates it if there is none. Blocks.
    ///
    /// With `limit`, what is beyond that many bytes is cut off first.
    pub fn writer(&self, key: StreamKey, limit: Option<u64>) -> Result<(LogWriter<J>, Recovered), OpenLogError> {
        let claim = self.shared.claim(key).ok_or(OpenLogError::InUse)?;
        let limit = self.shared.limit_after_failure(&claim, limit)?;
        self.shared.refuse_sealed(&key)?;
        let file = self.shared.open_durably(&key)?;
        let recover = if has_segments(key) { recover_segment } else { recover };
        let mut recovered = recover(&*file, limit, || claim.sync(&*file))?;
        let stream = claim.stream(file, recovered.bytes);
        self.shared.void_journal_beyond(&stream, recovered.bytes, recovered.cut_bytes > 0)?;
        claim.forget_failure();
        Counters::add(&self.shared.counters.torn_tails, u64::from(recovered.torn));
        let start = if has_segments(key) { self.shared.continue_segments(key, &mut recovered)? } else { 0 };
        Ok((LogWriter::new(self.shared.clone(), stream, start, claim), recovered))
    }

    /// Moves what a log holds into a segment of its own, so that the next event starts a new file. The log must not be
    /// open for writing. An empty one is left as it is. Blocks.
    pub fn seal(&self, key: StreamKey) -> Result<(), OpenLogError> {
        if !has_segments(key) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "a log of this kind has one file").into());
        }
        let path = self.shared.data_dir.join(key.log_path());
        let (writer, recovered) = self.writer(key, None)?;
        let (file, size) = (writer.file(), recovered.bytes - writer.start());
        let Some(first) = first_sequence(file, size)? else { return Ok(()) };
        writer.sync()?;
        // The journal knows the file by this name, and the next file gets it: a replay would write old bytes into that.
        writer.void_journal()?;
        self.shared.disk.rename(&path, &sealed_path(&path, first))?;
        self.shared.disk.sync_dir(path.parent().unwrap_or(&self.shared.data_dir))?;
        Ok(())
    }

    /// Deletes the older segments of a log whose last event was admitted before `before`, but never the newest event.
    /// Blocks.
    pub fn expire(&self, key: StreamKey, before: Timestamp) -> io::Result<Expired> {
        let path = self.shared.data_dir.join(key.log_path());
        let mut expired = Expired::default();
        for segment in self.expired(key, before)? {
            self.shared.disk.remove(&segment.path)?;
            // Durably, one by one: after a crash an older one must not be there when a newer one is missing.
            self.shared.disk.sync_dir(path.parent().unwrap_or(&self.shared.data_dir))?;
            expired.segments += 1;
            expired.bytes += segment.size;
        }
        Ok(expired)
    }

    /// Whether [`LogRoot::expire`] would delete anything. Blocks.
    pub fn expires(&self, key: StreamKey, before: Timestamp) -> io::Result<bool> {
        Ok(!self.expired(key, before)?.is_empty())
    }

    fn expired(&self, key: StreamKey, before: Timestamp) -> io::Result<Vec<Segment>> {
        let (disk, path) = (&*self.shared.disk, self.shared.data_dir.join(key.log_path()));
        let mut sealed = sealed(disk, &path)?;
        let newest_is_empty = match disk.open(&path, Mode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            opened => opened?.size()? == 0,
        };
        if newest_is_empty {
            sealed.pop();
        }
        let mut due = Vec::new();
        for segment in sealed {
            if last_event(disk, &segment)?.is_some_and(|(_, _, at)| at >= before) {
                break;
            }
            due.push(segment);
        }
        Ok(due)
    }

    /// Copies the logs of another node from its journal, which `cluster` names, for as long as the answer lives.
    pub fn follow(&self, cluster: ClusterOptions, observer: Arc<dyn CopyObserver>) -> io::Result<JournalFollower> {
        JournalFollower::start(&self.shared, cluster, observer)
    }

    /// Whether what is here of a log that another node wrote lacks bytes in the middle. Blocks.
    pub fn is_partial(&self, key: StreamKey) -> bool {
        let path = partial_path(&self.shared.data_dir.join(key.log_path()));
        self.shared.disk.open(&path, Mode::Read).is_ok()
    }

    /// Deletes what is here of a log that another node wrote, unless it is in use; the bytes freed. Blocks.
    pub fn discard_copy(&self, key: StreamKey) -> io::Result<u64> {
        let Some(_claim) = self.shared.claim(key) else { return Ok(0) };
        let path = self.shared.data_dir.join(key.log_path());
        let mut freed = 0;
        // The mark last: without it a part would be taken for the whole.
        for form in [path.clone(), compressed_path(&path), partial_path(&path)] {
            let size = match self.shared.disk.open(&form, Mode::Read) {
                Err(error) if is_absent(&error) => continue,
                file => file?.size()?,
            };
            self.shared.disk.remove(&form)?;
            freed += size;
        }
        if freed > 0 {
            self.shared.disk.sync_dir(path.parent().unwrap_or(&self.shared.data_dir))?;
        }
        Ok(freed)
    }

    /// What is appended from now on goes on with logs of another journal, as they are in front of this message of it. Blocks
    /// until that is recorded.
    pub fn adopt(&self, journal: &str, sequence: u64) -> io::Result<()> {
        let (reply, answer) = sync_channel(1);
        let order = Order::Adopt { journal: journal.to_owned(), sequence, reply };
        self.shared.queue.push(order).map_err(|_| io::Error::other("the log is closed"))?;
        answer.recv().unwrap_or_else(|_| Err(io::Error::other("the log is closed")))
    }

    /// From now on logs may be archived, and those that are can be read. Once; blocks.
    pub fn attach_archive(&self, options: ArchiveOptions) -> io::Result<()> {
        let archive = Archive::open(&self.shared.disk, &self.shared.data_dir, options)?;
        self.shared.archive.set(archive).map_err(|_| io::Error::other("there is an archive already"))
    }

    /// The store of the archive, and what this data directory is called there; none without an archive.
    pub fn archive_store(&self) -> Option<(Arc<PatientStore>, String)> {
        self.shared.archive().map(|archive| (archive.source.clone(), archive.owner.clone()))
    }

    /// Opens a log for reading; one that is archived is waited for. Blocks.
    pub fn reader(&self, key: StreamKey) -> Result<LogReader, OpenReaderError> {
        match self.local_reader(key) {
            Err(OpenReaderError::Archived(pointer)) => match self.shared.archive() {
                Some(archive) => archive.reader(key, *pointer, &self.shared.frames),
                None => Err(not_set()),
            },
            opened => opened,
        }
    }

    /// As [`LogRoot::reader`], and the caller waits for what has to be fetched. Blocks for no longer than a disk does.
    pub fn opening(&self, key: StreamKey) -> Result<Opening, OpenReaderError> {
        match self.local_reader(key) {
            Err(OpenReaderError::Archived(pointer)) => match self.shared.archive() {
                Some(archive) => archive.opening(key, *pointer, &self.shared.frames),
                None => Err(not_set()),
            },
            opened => opened.map(Opening::Ready),
        }
    }

    /// Opens what is in its place on the disk.
    pub(super) fn local_reader(&self, key: StreamKey) -> Result<LogReader, OpenReaderError> {
        LogReader::on(&self.shared.disk, &self.shared.data_dir, key, &self.shared.frames)
    }

    /// When a log is about to be asked about and opened; nothing if something may be on its way into it.
    pub fn moment(&self, key: StreamKey) -> Option<Moment> {
        // In this order: what claims the log behind the second has been counted by the first, or is counted later.
        let now = self.shared.ended.now();
        self.shared.is_at_rest(key).then_some(now)
    }

    /// Finds the end of a log that nothing appends to; with `limit`, as if there were at most so many bytes. `since` is from
    /// before its row was asked, which says that it has neither failed nor been deleted, and before it was opened. Blocks.
    pub fn at_rest(
        &self,
        reader: LogReader,
        key: StreamKey,
        limit: Option<u64>,
        since: Option<Moment>,
    ) -> io::Result<AtRest> {
        let log = AtRest::of(reader, key, limit)?;
        if let Some(since) = since.filter(|_| limit.is_none()) {
            self.shared.ended.remember(key, &log, since);
        }
        Ok(log)
    }

    /// A log that has ended, if it was opened not long ago.
    pub fn remembered(&self, key: StreamKey) -> Option<Arc<AtRest>> {
        self.shared.ended.find(key).filter(|_| self.shared.is_at_rest(key))
    }

    /// Whether anything can be appended.
    pub fn journal_state(&self) -> JournalState {
        self.shared.journal.state()
    }

    pub fn metrics(&self) -> LogMetrics {
        let frames_unpacked = self.shared.frames.unpacked.load(Ordering::Relaxed);
        LogMetrics { frames_unpacked, ..self.shared.counters.read() }
    }

    pub fn distributions(&self) -> LogDistributions {
        self.shared.counters.distributions()
    }

    /// The service stops: batches that wait for a journal that does not answer are given up within a few seconds.
    pub fn stop_waiting(&self) {
        self.shared.journal.closing();
    }

    /// Finishes the batches in flight, syncs every log and leaves the journal empty. Later batches are refused. Blocks.
    pub fn close(&self) {
        self.threads.stop(true);
        // Last, since a share that hangs holds its threads: what is written must not wait for what is read.
        if let Some(archive) = self.shared.archive() {
            archive.stop();
        }
    }
}

fn not_set() -> OpenReaderError {
    OpenReaderError::ArchiveUnavailable("no object store is set".into())
}

struct Threads<J: Journal> {
    shared: Arc<Shared<J>>,
    writing: Mutex<Vec<JoinHandle<()>>>,
    checkpointer: Mutex<Option<JoinHandle<()>>>,
}

impl<J: Journal> Threads<J> {
    fn start(shared: &Arc<Shared<J>>, committer: Committer<J>) -> io::Result<Self> {
        let threads = Self { shared: shared.clone(), writing: Mutex::default(), checkpointer: Mutex::default() };
        let journal = shared.journal.clone();
        *lock(&threads.checkpointer) = Some(spawn("log-checkpoint", move || journal.checkpoint_loop())?);
        lock(&threads.writing).push(spawn("log-commit", move || committer.run())?);
        for _ in 0..shared.options.direct_threads.max(1) {
            let (direct, journal) = (shared.direct.clone(), shared.journal.clone());
            let counters = shared.counters.clone();
            lock(&threads.writing).push(spawn("log-direct", move || direct::run(&direct, &*journal, &counters))?);
        }
        Ok(threads)
    }

    /// Finishes the batches in flight. The committer stops first, since it may hand batches to the direct writers, and
    /// may be waiting for the checkpointer, which stops last.
    fn stop(&self, checkpoint: bool) {
        self.shared.queue.close();
        self.shared.journal.closing();
        let mut writing = std::mem::take(&mut *lock(&self.writing)).into_iter();
        writing.next().map(JoinHandle::join);
        self.shared.direct.close();
        writing.for_each(|thread| drop(thread.join()));
        self.shared.journal.end(checkpoint);
        let checkpointer = lock(&self.checkpointer).take();
        checkpointer.map(JoinHandle::join);
    }
}

impl<J: Journal> Drop for Threads<J> {
    /// Without [`LogRoot::close`] the journal is left to the next start. Waits only for batches in flight.
    fn drop(&mut self) {
        self.stop(false);
    }
}
