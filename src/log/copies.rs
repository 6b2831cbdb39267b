//! Copies of the logs that other nodes write, brought here from their journals.
//!
//! Law: a copy is a prefix of its log. Bytes go to their own offset and only behind bytes that are there; a log of which bytes
//! are missing here is left as it is until it is fetched from elsewhere, and is never continued. A log that this process
//! writes itself, or is changing, is not touched. Nothing is taken for durable before [`Copies::sync`].

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{DiskFile, Mode, compressed_path};
use super::journal::Journal;
use super::pointer::pointer_path;
use super::segments::{first_sequence, has_segments, sealed, sealed_path};
use super::shared::Shared;
use super::stream_file::Claim;
use super::threads::in_parallel;
use crate::domain::StreamKey;
use crate::files::is_absent;

/// Copies that are open at once.
const MOST_OPEN: usize = 2048;

/// Beside a copy that lacks bytes.
pub(super) fn partial_path(log: &Path) -> PathBuf {
    log.with_added_extension("partial")
}

/// What became of bytes for a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copied {
    /// They stand at their place.
    Written,
    /// All of them were there.
    Known,
    /// Bytes in front of them are missing here.
    Gap,
    /// It is not a copy: this process has it, or it has been compressed, or put elsewhere.
    NotOurs,
}

pub(super) struct Copies<J> {
    shared: Arc<Shared<J>>,
    open: HashMap<StreamKey, Copy>,
    /// Directories in which names are new since the last sync.
    changed: BTreeSet<PathBuf>,
    unsynced: u64,
}

struct Copy {
    /// Held for as long as the file is open: nobody else changes the log meanwhile.
    _claim: Claim,
    file: Arc<dyn DiskFile>,
    size: u64,
    is_dirty: bool,
    /// Nothing has been written to it since the last sync but one.
    is_idle: bool,
}

impl<J: Journal> Copies<J> {
    pub(super) fn new(shared: Arc<Shared<J>>) -> Self {
        Self { shared, open: HashMap::new(), changed: BTreeSet::new(), unsynced: 0 }
    }

    /// Bytes that were written since the last sync.
    pub(super) fn unsynced(&self) -> u64 {
        self.unsynced
    }

    /// These bytes stand at this offset of the log.
    pub(super) fn write(&mut self, key: StreamKey, offset: u64, bytes: &[u8]) -> io::Result<Copied> {
        if offset > 0 && has_segments(key) && self.is_empty(key)? && self.unseal(key, offset)? {
            tracing::debug!(stream = %key, "a segment goes on");
        }
        let Some(copy) = self.copy(key, offset == 0)? else {
            if offset == 0 || !self.is_missing(key)? {
                return Ok(Copied::NotOurs);
            }
            self.give_up(key)?;
            return Ok(Copied::Gap);
        };
        if offset > copy.size {
            self.give_up(key)?;
            return Ok(Copied::Gap);
        }
        let (end, size) = (offset + bytes.len() as u64, copy.size);
        // Also what is there: a power cut may have left a file of this size without its bytes.
        copy.file.write_all_at(bytes, offset)?;
        (copy.size, copy.is_dirty, copy.is_idle) = (end.max(size), true, false);
        self.unsynced += bytes.len() as u64;
        Ok(if end > size { Copied::Written } else { Copied::Known })
    }

    /// The log was cut to this length; whether that has taken anything from the copy.
    pub(super) fn cut(&mut self, key: StreamKey, length: u64) -> io::Result<bool> {
        let Some(copy) = self.copy(key, false)? else { return Ok(false) };
        if copy.size <= length {
            return Ok(false);
        }
        if length == 0 && has_segments(key) {
            return self.seal(key).map(|()| true);
        }
        copy.file.set_len(length)?;
        (copy.size, copy.is_dirty, copy.is_idle) = (length, true, false);
        Ok(true)
    }

    /// The node has moved what its log had into a segment, and begins a new file.
    fn seal(&mut self, key: StreamKey) -> io::Result<()> {
        let Some(copy) = self.open.remove(&key) else { return Ok(()) };
        let path = self.path(key);
        let Some(first) = first_sequence(&*copy.file, copy.size)? else { return copy.file.set_len(0) };
        copy.file.sync_data()?;
        self.shared.disk.rename(&path, &sealed_path(&path, first))?;
        self.shared.disk.sync_dir(path.parent().unwrap_or(&self.shared.data_dir))
    }

    /// The node has died before its file was moved, and goes on with it: so does the copy, if that is as long.
    fn unseal(&mut self, key: StreamKey, size: u64) -> io::Result<bool> {
        let path = self.path(key);
        let newest = sealed(&*self.shared.disk, &path)?.pop().filter(|segment| segment.size == size);
        let Some(newest) = newest else { return Ok(false) };
        self.open.remove(&key);
        self.shared.disk.rename(&newest.path, &path)?;
        self.shared.disk.sync_dir(path.parent().unwrap_or(&self.shared.data_dir))?;
        Ok(true)
    }

    /// Makes everything durable that was written, and closes what nothing comes for any more.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let dirty: Vec<_> = self.open.values().filter(|copy| copy.is_dirty).map(|copy| copy.file.clone()).collect();
        in_parallel(&dirty, |file| file.sync_data())?;
        // From the innermost directory on: a name counts when the one above it does.
        for directory in self.changed.iter().rev() {
            self.shared.disk.sync_dir(directory)?;
        }
        self.changed.clear();
        self.unsynced = 0;
        self.open.retain(|_, copy| !copy.is_idle);
        for copy in self.open.values_mut() {
            (copy.is_dirty, copy.is_idle) = (false, true);
        }
        Ok(())
    }

    /// As [`Copies::sync`], and lets go of all: others may change the logs from now on.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.sync()?;
        self.open.clear();
        Ok(())
    }

    /// The copy, opened if need be; `make` says whether there may be none yet.
    fn copy(&mut self, key: StreamKey, make: bool) -> io::Result<Option<&mut Copy>> {
        if !self.open.contains_key(&key) {
            if self.open.len() >= MOST_OPEN {
                self.make_room()?;
            }
            let Some(copy) = self.open(key, make)? else { return Ok(None) };
            self.open.insert(key, copy);
        }
        Ok(self.open.get_mut(&key))
    }

    /// Closes what has been idle, and half of the rest where that is not enough.
    fn make_room(&mut self) -> io::Result<()> {
        self.sync()?;
        let mut left = MOST_OPEN / 2;
        self.open.retain(|_, _| {
            left = left.saturating_sub(1);
            left > 0
        });
        Ok(())
    }

    fn open(&mut self, key: StreamKey, make: bool) -> io::Result<Option<Copy>> {
        let Some(claim) = self.shared.claim(key) else { return Ok(None) };
        let path = self.path(key);
        if self.is_there(&partial_path(&path))? {
            return Ok(None);
        }
        let file = match self.shared.disk.open(&path, Mode::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !make || self.is_sealed(&path)? {
                    return Ok(None);
                }
                self.make(key, &path)?
            }
            // An engine has put something in its place, at a time when the log was this node's.
            Err(error) if is_absent(&error) => return Ok(None),
            file => file?,
        };
        let size = file.size()?;
        Ok(Some(Copy { _claim: claim, file, size, is_dirty: false, is_idle: false }))
    }

    /// Marks a copy that lacks bytes in the middle, so that nothing is ever put behind the hole.
    pub(super) fn give_up(&mut self, key: StreamKey) -> io::Result<()> {
        let path = self.path(key);
        tracing::warn!(stream = %key, "a copy of this log lacks bytes; it is read from the node that has it");
        self.make_directory(key)?;
        self.shared.disk.open(&partial_path(&path), Mode::Create)?;
        self.open.remove(&key);
        Ok(())
    }

    fn make(&mut self, key: StreamKey, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.make_directory(key)?;
        self.shared.disk.open(path, Mode::Create)
    }

    fn make_directory(&mut self, key: StreamKey) -> io::Result<()> {
        let relative = key.log_path();
        let directories: Vec<_> = relative.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
        for directory in directories.iter().rev() {
            let directory = self.shared.data_dir.join(directory);
            self.shared.disk.create_dir(&directory)?;
            self.changed.insert(directory.parent().unwrap_or(&self.shared.data_dir).to_owned());
        }
        self.changed
            .insert(self.shared.data_dir.join(key.log_path()).parent().unwrap_or(&self.shared.data_dir).to_owned());
        Ok(())
    }

    /// There is no form of the log here, and nobody is about to make one.
    pub(super) fn is_missing(&self, key: StreamKey) -> io::Result<bool> {
        let path = self.path(key);
        let has_older = has_segments(key) && !sealed(&*self.shared.disk, &path)?.is_empty();
        Ok(!has_older && !self.is_there(&path)? && !self.is_sealed(&path)?)
    }

    /// It is here in another form.
    fn is_sealed(&self, path: &Path) -> io::Result<bool> {
        Ok(self.is_there(&compressed_path(path))? || self.is_there(&pointer_path(path))?)
    }

    fn is_there(&self, path: &Path) -> io::Result<bool> {
        match self.shared.disk.open(path, Mode::Read) {
            Err(error) if is_absent(&error) => Ok(false),
            opened => opened.map(|_| true),
        }
    }

    /// There is no newest segment, or nothing in it.
    fn is_empty(&self, key: StreamKey) -> io::Result<bool> {
        match self.open.get(&key) {
            Some(copy) => Ok(copy.size == 0),
            None => match self.shared.disk.open(&self.path(key), Mode::Read) {
                Err(error) if is_absent(&error) => Ok(true),
                file => Ok(file?.size()? == 0),
            },
        }
    }

    fn path(&self, key: StreamKey) -> PathBuf {
        self.shared.data_dir.join(key.log_path())
    }
}
