//! The logs of one data folder, and the threads that write them.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::commit::{Committer, Request};
use super::compressed::FrameCache;
use super::counters::{Counters, LogMetrics};
use super::direct::{self, Direct};
use super::disk::{Disk, DiskFile, Mode};
use super::journal::{Journal, open_segments};
use super::queue::Queue;
use super::reader::{LogReader, compressed_path};
use super::recovery::{Recovered, recover, recover_segment};
use super::replay::{ReplayReport, replay};
use super::segments::{Segment, first_sequence, has_segments, last_event, sealed, sealed_path};
use super::stream_file::{Claim, StreamFile, Streams, lock};
use super::writer::LogWriter;
use crate::domain::StreamKey;
use crate::domain::time::Timestamp;
use crate::files::{STUCK, is_absent};

/// When a batch counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is on the disk.
    #[default]
    Fsync,
    /// When it is written: it survives the death of the process, not that of the host.
    Write,
}

#[derive(Debug, Clone)]
pub struct LogOptions {
    pub durability: Durability,
    /// The journal has two segments of this size, reserved on the disk.
    pub segment_bytes: u64,
    /// Batches from this size on are synced in their own file and not written twice.
    pub direct_bytes: usize,
    pub direct_threads: usize,
    /// Logs without a writer that may stay open until the next checkpoint; beyond that each is synced and closed.
    pub idle_files: usize,
    /// How many batches may wait; see [`LogWriter::commit`].
    pub queue_batches: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            segment_bytes: 32 << 20,
            direct_bytes: 128 << 10,
            direct_threads: 8,
            idle_files: 256,
            queue_batches: 1 << 16,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenRootError {
    #[error("cannot open the journal: {0}")]
    Journal(#[source] io::Error),
    #[error("cannot replay the journal: {0}")]
    Replay(#[source] io::Error),
    #[error("cannot reset the journal: {0}")]
    Reset(#[source] io::Error),
    #[error("cannot start the threads of the log: {0}")]
    Threads(#[source] io::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    #[error("the log is open for writing already")]
    InUse,
    /// Its last durable bytes are in the journal only, and come back at the next start.
    #[error("the log cannot be opened again before the next start")]
    Unavailable,
    /// It has ended, and nothing is ever added to it.
    #[error("the log is compressed")]
    Compressed,
    #[error("cannot open the log: {0}")]
    Io(#[from] io::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum OpenReaderError {
    #[error("there is no such log")]
    NotFound,
    #[error("cannot open the log: {0}")]
    Io(#[source] io::Error),
}

impl OpenReaderError {
    pub(super) fn from_io(error: io::Error) -> Self {
        if is_absent(&error) { Self::NotFound } else { Self::Io(error) }
    }
}

/// What of a log was deleted because of its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    pub segments: u64,
    pub bytes: u64,
}

/// All logs of a data folder. Clones are the same root; the last one that goes ends the threads.
#[derive(Clone)]
pub struct LogRoot {
    pub(super) shared: Arc<Shared>,
    threads: Arc<Threads>,
}

pub(super) struct Shared {
    pub(super) options: LogOptions,
    pub(super) queue: Arc<Queue<Request>>,
    pub(super) direct: Arc<Queue<Direct>>,
    pub(super) journal: Arc<Journal>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) data_dir: PathBuf,
    pub(super) frames: Arc<FrameCache>,
    /// Folders shared by many streams that are known to be durable.
    folders: Mutex<HashSet<PathBuf>>,
    pub(super) streams: Arc<Streams>,
    pub(super) counters: Arc<Counters>,
}

/// Frames of compressed logs that are kept for the next reader.
const FRAME_CACHE: usize = 16 << 20;

impl LogRoot {
    /// Replays the journal, then is ready to write. The folder must exist. Blocks.
    pub fn open(
        data_dir: &Path,
        disk: Arc<dyn Disk>,
        options: LogOptions,
    ) -> Result<(Self, ReplayReport), OpenRootError> {
        let folder = data_dir.join("journal");
        let segments = open_segments(&*disk, &folder).map_err(OpenRootError::Journal)?;
        let (report, epochs) = replay(&*disk, data_dir, &segments).map_err(OpenRootError::Replay)?;
        let (journal, appender) = Journal::start(disk.clone(), folder, segments, epochs, options.segment_bytes)
            .map_err(OpenRootError::Reset)?;
        let shared = Arc::new(Shared {
            queue: Arc::new(Queue::new(options.queue_batches)),
            direct: Arc::new(Queue::new(options.queue_batches)),
            options,
            journal: journal.clone(),
            disk,
            data_dir: data_dir.to_owned(),
            frames: FrameCache::new(FRAME_CACHE),
            folders: Mutex::default(),
            streams: Arc::default(),
            counters: Arc::default(),
        });
        let (queue, direct) = (shared.queue.clone(), shared.direct.clone());
        let committer = Committer { queue, direct, journal, appender, counters: shared.counters.clone() };
        let threads = Threads::start(&shared, committer).map_err(OpenRootError::Threads)?;
        Ok((Self { shared, threads: Arc::new(threads) }, report))
    }

    /// Opens a log for writing, and makes it if there is none. Blocks.
    ///
    /// With `limit`, what is beyond that many bytes is cut off first.
    pub fn writer(&self, key: StreamKey, limit: Option<u64>) -> Result<(LogWriter, Recovered), OpenLogError> {
        let path = key.log_path();
        let path = path.to_str().expect("log paths are made of ids");
        let claim = self.shared.streams.claim(path).ok_or(OpenLogError::InUse)?;
        let limit = self.shared.limit_after_failure(&claim, limit)?;
        self.shared.refuse_compressed(&key)?;
        let file = self.shared.open_durably(&key)?;
        let recover = if has_segments(key) { recover_segment } else { recover };
        let mut recovered = recover(&*file, limit, || claim.sync(&*file))?;
        let stream = claim.stream(file, recovered.bytes);
        self.shared.void_journal_beyond(&stream, recovered.bytes)?;
        claim.forget_failure();
        Counters::add(&self.shared.counters.torn_tails, u64::from(recovered.torn));
        let start = if has_segments(key) { self.shared.go_on(key, &mut recovered)? } else { 0 };
        Ok((LogWriter::new(self.shared.clone(), stream, start, claim), recovered))
    }

    /// Gives what a log holds now a file of its own, so that a new one begins. The log must not be open for writing.
    /// Nothing happens to an empty one. Blocks.
    pub fn seal(&self, key: StreamKey) -> Result<(), OpenLogError> {
        if !has_segments(key) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "a log of this kind has one file").into());
        }
        let path = self.shared.data_dir.join(key.log_path());
        let (writer, recovered) = self.writer(key, None)?;
        let (file, size) = (writer.file(), recovered.bytes - writer.start());
        let Some(first) = first_sequence(file, size)? else { return Ok(()) };
        writer.sync()?;
        // The journal must not write into the file that will have this name.
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
            // Each for good before the next: after a crash an older one must not be back where a newer one is missing.
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

    /// Opens a log for reading. Blocks.
    pub fn reader(&self, key: StreamKey) -> Result<LogReader, OpenReaderError> {
        let path = self.shared.data_dir.join(key.log_path());
        match has_segments(key) {
            true => LogReader::of_segments(self.shared.disk.clone(), &path),
            false => LogReader::from_disk(&*self.shared.disk, &path, &self.shared.frames),
        }
    }

    pub fn metrics(&self) -> LogMetrics {
        let frames_unpacked = self.shared.frames.unpacked.load(Ordering::Relaxed);
        LogMetrics { frames_unpacked, ..self.shared.counters.read() }
    }

    /// Ends what is under way, syncs every log and leaves the journal empty. Later batches are refused. Blocks.
    pub fn close(&self) {
        self.threads.stop(true);
    }
}

impl Shared {
    /// From this size on a batch goes the direct way; what does not fit into a round does in any case.
    pub(super) fn direct_bytes(&self) -> usize {
        self.options.direct_bytes.min((self.journal.round_limit() as usize / 2).saturating_sub(1024))
    }

    /// A log that failed is taken over only as far as it was durable.
    fn limit_after_failure(&self, claim: &Claim, limit: Option<u64>) -> Result<Option<u64>, OpenLogError> {
        let Some(failed) = claim.failed() else { return Ok(limit) };
        if failed.tainted && (failed.durable.is_none() || self.journal.end_of(&claim.path) > 0) {
            return Err(OpenLogError::Unavailable);
        }
        Ok(limit.into_iter().chain(failed.durable).min())
    }

    /// A plain file beside the compressed one is what compressing has not yet removed: it is the log.
    fn refuse_compressed(&self, key: &StreamKey) -> Result<(), OpenLogError> {
        let path = self.data_dir.join(key.log_path());
        let is_there = |path: &Path| self.disk.open(path, Mode::Read).is_ok();
        if is_there(&compressed_path(&path)) && !is_there(&path) { Err(OpenLogError::Compressed) } else { Ok(()) }
    }

    /// Opens the file; it and the folders above it are durable after that, whoever made them.
    fn open_durably(&self, key: &StreamKey) -> io::Result<Arc<dyn DiskFile>> {
        let relative = key.log_path();
        let folders: Vec<_> = relative.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
        let shared = key.folder();
        for folder in folders.iter().rev() {
            // Those above the folder of the piece of work hold many; there are few of them, so they are remembered.
            let holds_many = shared.starts_with(folder) && shared != **folder;
            if holds_many && lock(&self.folders).contains(*folder) {
                continue;
            }
            let folder = self.data_dir.join(folder);
            self.make_folder(&folder, holds_many)?;
            self.disk.sync_dir(folder.parent().unwrap_or(&self.data_dir))?;
            if holds_many {
                lock(&self.folders).insert(folder.strip_prefix(&self.data_dir).unwrap_or(&folder).to_owned());
            }
        }
        let path = self.data_dir.join(&relative);
        let file = match self.disk.open(&path, Mode::Create) {
            Err(error) if is_absent(&error) => {
                self.set_aside(&path)?;
                self.disk.open(&path, Mode::Create)?
            }
            opened => opened?,
        };
        self.disk.sync_dir(path.parent().unwrap_or(&self.data_dir))?;
        Ok(file)
    }

    fn make_folder(&self, folder: &Path, holds_many: bool) -> io::Result<()> {
        match self.disk.create_dir(folder) {
            // What holds the work of others too is left to the operator.
            Err(error) if !holds_many && is_absent(&error) && error.kind() != io::ErrorKind::NotFound => {
                self.set_aside(folder)?;
                self.disk.create_dir(folder)
            }
            made => made,
        }
    }

    /// An engine has put a link, a pipe or the like in the place of its log: that is kept under another name, and the
    /// log begins again, so that it can have its end.
    fn set_aside(&self, path: &Path) -> io::Result<()> {
        let aside = path.with_file_name(format!("{STUCK}{}", ulid::Ulid::generate()));
        tracing::error!(path = %path.display(), aside = %aside.display(), "no log is here; what is here is set aside");
        self.disk.rename(path, &aside)
    }

    /// Counts the older segments in: where the newest begins, and what came last if it is empty.
    fn go_on(&self, key: StreamKey, recovered: &mut Recovered) -> io::Result<u64> {
        let older = sealed(&*self.disk, &self.data_dir.join(key.log_path()))?;
        let start = older.iter().map(|segment| segment.size).sum();
        recovered.bytes += start;
        if let (None, Some(newest)) = (&recovered.last_line, older.last())
            && let Some((sequence, line, _)) = last_event(&*self.disk, newest)?
        {
            (recovered.last_sequence, recovered.last_line) = (sequence, Some(line));
        }
        Ok(start)
    }

    /// If the log was cut below what the journal says of it, says that there too: a replay must not bring it back.
    pub(super) fn void_journal_beyond(&self, stream: &Arc<StreamFile>, length: u64) -> Result<(), OpenLogError> {
        if self.journal.end_of(&stream.path) <= length {
            return Ok(());
        }
        let (reply, answer) = sync_channel(1);
        let request = Request::Cut { stream: stream.clone(), length, reply };
        let voided = self.queue.push(request).is_ok() && matches!(answer.recv(), Ok(Ok(())));
        // A journal that has failed may have been given up by now, with nothing left to void.
        if voided || self.journal.end_of(&stream.path) <= length { Ok(()) } else { Err(OpenLogError::Unavailable) }
    }
}

struct Threads {
    shared: Arc<Shared>,
    writing: Mutex<Vec<JoinHandle<()>>>,
    checkpointer: Mutex<Option<JoinHandle<()>>>,
}

impl Threads {
    fn start(shared: &Arc<Shared>, committer: Committer) -> io::Result<Self> {
        let threads = Self { shared: shared.clone(), writing: Mutex::default(), checkpointer: Mutex::default() };
        let journal = shared.journal.clone();
        *lock(&threads.checkpointer) = Some(spawn("log-checkpoint", move || journal.checkpoint_loop())?);
        lock(&threads.writing).push(spawn("log-commit", move || committer.run())?);
        for _ in 0..shared.options.direct_threads.max(1) {
            let (direct, journal) = (shared.direct.clone(), shared.journal.clone());
            let counters = shared.counters.clone();
            lock(&threads.writing).push(spawn("log-direct", move || direct::run(&direct, &journal, &counters))?);
        }
        Ok(threads)
    }

    /// Ends what is under way. The committer first, since it may hand what it has to the direct writers, and wait for
    /// the checkpointer.
    fn stop(&self, checkpoint: bool) {
        self.shared.queue.close();
        let mut writing = std::mem::take(&mut *lock(&self.writing)).into_iter();
        writing.next().map(JoinHandle::join);
        self.shared.direct.close();
        writing.for_each(|thread| drop(thread.join()));
        self.shared.journal.end(checkpoint);
        let checkpointer = lock(&self.checkpointer).take();
        checkpointer.map(JoinHandle::join);
    }
}

impl Drop for Threads {
    /// Without [`LogRoot::close`] the journal is left to the next start. Waits only for what is under way.
    fn drop(&mut self) {
        self.stop(false);
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(work)
}
