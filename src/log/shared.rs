//! What the root of all logs and their writers share, and how a log is opened for writing.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, OnceLock};

use super::archive::Archive;
use super::at_rest::EndedLogs;
use super::commit::{Order, Request};
use super::compressed::FrameCache;
use super::counters::Counters;
use super::direct::Direct;
use super::disk::{Disk, DiskFile, Mode, compressed_path};
use super::error::OpenLogError;
use super::jetstream::Followed;
use super::journal::Journal;
use super::options::LogOptions;
use super::pointer::pointer_path;
use super::queue::Queue;
use super::recovery::Recovered;
use super::segments::{last_event, sealed};
use super::stream_file::{Claim, StreamFile, Streams};
use super::threads::lock;
use crate::domain::StreamKey;
use crate::files::{STUCK, is_absent};

pub struct Shared<J> {
    pub(super) options: LogOptions,
    pub(super) queue: Arc<Queue<Order>>,
    pub(super) direct: Arc<Queue<Direct>>,
    pub(super) journal: Arc<J>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) data_dir: PathBuf,
    pub(super) frames: Arc<FrameCache>,
    pub(super) ended: EndedLogs,
    /// Directories shared by many streams that are known to be durable.
    pub(super) folders: Mutex<HashSet<PathBuf>>,
    pub(super) streams: Arc<Streams>,
    pub(super) counters: Arc<Counters>,
    /// The journals of other nodes of which copies are made here.
    pub(super) followed: Followed,
    /// Unset: logs stay on the disk.
    pub(super) archive: OnceLock<Archive>,
}

impl<J: Journal> Shared<J> {
    /// The right to change a log; none if it is taken.
    pub(super) fn claim(&self, key: StreamKey) -> Option<Claim> {
        let claim = self.streams.claim(&claimed_path(key))?;
        self.ended.forget(key);
        Some(claim)
    }

    /// Nothing is on its way into the log, and it has not failed.
    pub(super) fn is_at_rest(&self, key: StreamKey) -> bool {
        self.streams.is_at_rest(&claimed_path(key))
    }

    /// Batches of at least this size take the direct path; what does not fit into a round does in any case.
    pub(super) fn direct_bytes(&self) -> usize {
        self.options.direct_bytes.min((self.journal.round_limit() as usize / 2).saturating_sub(1024))
    }

    /// A log that failed is taken over only as far as it was durable.
    pub(super) fn limit_after_failure(&self, claim: &Claim, limit: Option<u64>) -> Result<Option<u64>, OpenLogError> {
        let Some(failed) = claim.failed() else { return Ok(limit) };
        if failed.tainted && (failed.durable.is_none() || self.journal.end_of(&claim.path) > 0) {
            return Err(OpenLogError::Unavailable);
        }
        Ok(limit.into_iter().chain(failed.durable).min())
    }

    pub(super) fn archive(&self) -> Option<&Archive> {
        self.archive.get()
    }

    /// A plain file beside the compressed one, or beside a pointer to the archive, has not yet been removed: then it is
    /// the log. Without one there is nothing to append to, and an empty log must never take the place of one that is
    /// elsewhere; so what cannot be looked at is refused too.
    pub(super) fn refuse_sealed(&self, key: &StreamKey) -> Result<(), OpenLogError> {
        let path = self.data_dir.join(key.log_path());
        let is_there = |path: &Path| match self.disk.open(path, Mode::Read) {
            Err(error) if is_absent(&error) => Ok(false),
            opened => opened.map(|_| true),
        };
        match is_there(&path)? {
            true => Ok(()),
            false if is_there(&compressed_path(&path))? => Err(OpenLogError::Compressed),
            false if is_there(&pointer_path(&path))? => Err(OpenLogError::Archived),
            false => Ok(()),
        }
    }

    /// Opens the file and makes it durable with the directories above it, even if they were there: the process that
    /// created them may have been killed before it synced them.
    pub(super) fn open_durably(&self, key: &StreamKey) -> io::Result<Arc<dyn DiskFile>> {
        let relative = key.log_path();
        let folders: Vec<_> = relative.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
        let shared = key.directory();
        for folder in folders.iter().rev() {
            // Directories above the work's own hold those of many streams. They are few, so they are remembered, and the
            // next stream saves their syncs.
            let holds_many = shared.starts_with(folder) && shared != **folder;
            if holds_many && lock(&self.folders).contains(*folder) {
                continue;
            }
            let folder = self.data_dir.join(folder);
            self.create_dir(&folder, holds_many)?;
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

    fn create_dir(&self, folder: &Path, holds_many: bool) -> io::Result<()> {
        match self.disk.create_dir(folder) {
            // A directory that holds the work of others too is never moved away: that is for the operator to decide.
            Err(error) if !holds_many && is_absent(&error) && error.kind() != io::ErrorKind::NotFound => {
                self.set_aside(folder)?;
                self.disk.create_dir(folder)
            }
            made => made,
        }
    }

    /// An engine has put a link, a pipe or the like in the place of its log. It is kept under another name, and a new log
    /// is started, so that the stream can still get its terminal event.
    fn set_aside(&self, path: &Path) -> io::Result<()> {
        let aside = path.with_file_name(format!("{STUCK}{}", ulid::Ulid::generate()));
        tracing::error!(path = %path.display(), aside = %aside.display(), "something else is in the place of the log; it has been set aside");
        self.disk.rename(path, &aside)
    }

    /// Takes older segments into account: where the newest begins, and, if that is empty, the last event before it.
    pub(super) fn continue_segments(&self, key: StreamKey, recovered: &mut Recovered) -> io::Result<u64> {
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

    /// If the log was cut below what the journal has of it, records the cut there too: a replay must not bring it back.
    /// Those who follow this journal may have what `was_cut` off from another one.
    pub(super) fn void_journal_beyond(
        &self,
        stream: &Arc<StreamFile>,
        length: u64,
        was_cut: bool,
    ) -> Result<(), OpenLogError> {
        let is_followed = self.journal.stream().is_some();
        if self.journal.end_of(&stream.path) <= length && !(is_followed && was_cut) {
            return Ok(());
        }
        self.cut_in_journal(stream, length)
    }

    /// Records that the log's file begins anew: those who follow the journal put theirs aside, too.
    pub(super) fn void_journal(&self, stream: &Arc<StreamFile>) -> Result<(), OpenLogError> {
        match self.journal.stream() {
            Some(_) => self.cut_in_journal(stream, 0),
            None => self.void_journal_beyond(stream, 0, false),
        }
    }

    fn cut_in_journal(&self, stream: &Arc<StreamFile>, length: u64) -> Result<(), OpenLogError> {
        let (reply, answer) = sync_channel(1);
        let order = Order::Commit(Request::Cut { stream: stream.clone(), length, reply });
        let voided = self.queue.push(order).is_ok() && matches!(answer.recv(), Ok(Ok(())));
        // A journal that has failed may have been removed meanwhile, and then there is nothing left to void.
        let is_void = || self.journal.stream().is_none() && self.journal.end_of(&stream.path) <= length;
        if voided || is_void() { Ok(()) } else { Err(OpenLogError::Unavailable) }
    }
}

fn claimed_path(key: StreamKey) -> String {
    key.log_path().into_os_string().into_string().expect("log paths are made of ids")
}
