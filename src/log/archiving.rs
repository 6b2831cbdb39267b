//! Archiving: a compressed log goes to the object store, and a pointer takes its place.
//!
//! Law: at whatever step a crash comes, the whole log is on the disk, or its object has been read back and its pointer is
//! durable; and the next pass finishes what was begun. In this order: what is to be put is noted durably, so that it is
//! never forgotten there; it is put, under a name with its checksum; it is read back; the note becomes the pointer; only then
//! the log is removed here. A log that has not ended, that has failed, or that may be written is left alone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::archive::Archive;
use super::compressed::FrameCache;
use super::counters::Counters;
use super::disk::{Disk, DiskFile, Mode, compressed_path, read_range};
use super::ended::has_ended;
use super::error::OpenReaderError;
use super::journal::Journal;
use super::pointer::{Described, Pointer, PointerError, checksum, hex, intent_path, pointer_path};
use super::reader::LogReader;
use super::root::LogRoot;
use crate::domain::StreamKey;
use crate::files::is_absent;
use crate::objects::{Content, ObjectError};

/// Why a log is not archived.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("no object store is set")]
    NotSet,
    #[error("log not found")]
    NotFound,
    #[error("the log is not compressed")]
    NotCompressed,
    #[error("the log is open for writing")]
    InUse,
    #[error("the log has failed and has not been opened since")]
    Failed,
    #[error("the log has not ended")]
    Unfinished,
    #[error("the object does not read back as the log")]
    Mismatch,
    #[error("stopped on request")]
    Stopped,
    #[error("{0}")]
    Unavailable(String),
    #[error("cannot archive the log: {0}")]
    Io(#[from] io::Error),
}

impl From<ObjectError> for ArchiveError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Stopped => Self::Stopped,
            ObjectError::Local(error) => Self::Io(error),
            // It was there a moment ago.
            ObjectError::NotFound => Self::Mismatch,
            ObjectError::Unavailable(_) => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<PointerError> for ArchiveError {
    fn from(error: PointerError) -> Self {
        match error {
            PointerError::Io(error) => Self::Io(error),
            PointerError::Damaged(why) => Self::Io(io::Error::new(io::ErrorKind::InvalidData, why)),
        }
    }
}

impl<J: Journal> LogRoot<J> {
    /// Archives a log that has ended and is compressed; the bytes that this has freed. Checks periodically whether it
    /// should stop. Blocks.
    pub fn archive(&self, key: StreamKey, should_stop: &dyn Fn() -> bool) -> Result<u64, ArchiveError> {
        let archive = self.shared.archive().ok_or(ArchiveError::NotSet)?;
        let claim = self.shared.claim(key).ok_or(ArchiveError::InUse)?;
        if claim.failed().is_some() {
            return Err(ArchiveError::Failed);
        }
        let files = Files::of(&*self.shared.disk, &self.shared.frames, self.shared.data_dir.join(key.log_path()));
        let freed = files.archive(archive, key, should_stop)?;
        Counters::add(&self.shared.counters.archived_logs, u64::from(freed > 0));
        Counters::add(&self.shared.counters.freed_bytes, freed);
        Ok(freed)
    }
}

/// Where a log is on its way.
struct Files<'a> {
    disk: &'a dyn Disk,
    frames: &'a Arc<FrameCache>,
    plain: PathBuf,
    compressed: PathBuf,
    pointer: PathBuf,
    intent: PathBuf,
}

impl<'a> Files<'a> {
    fn of(disk: &'a dyn Disk, frames: &'a Arc<FrameCache>, plain: PathBuf) -> Self {
        let (pointer, intent) = (pointer_path(&plain), intent_path(&plain));
        Self { disk, frames, compressed: compressed_path(&plain), plain, pointer, intent }
    }

    fn archive(&self, archive: &Archive, key: StreamKey, should_stop: &dyn Fn() -> bool) -> Result<u64, ArchiveError> {
        // As long as it is there it is the log, whatever stands beside it.
        if open(self.disk, &self.plain)?.is_some() {
            return Err(ArchiveError::NotCompressed);
        }
        let Some(file) = open(self.disk, &self.compressed)? else { return self.archived_already(key) };
        let pointer = self.describe(archive, key, &file, should_stop)?;
        pointer.write(self.disk, &self.intent)?;
        self.sync_dir()?;
        put(archive, &pointer, &file, should_stop)?;
        read_back(archive, &pointer, should_stop)?;
        self.disk.rename(&self.intent, &self.pointer)?;
        self.sync_dir()?;
        self.disk.remove(&self.compressed)?;
        self.frames.forget(&self.compressed);
        self.sync_dir()?;
        Ok(pointer.object_bytes)
    }

    /// A crash came before the row said so.
    fn archived_already(&self, key: StreamKey) -> Result<u64, ArchiveError> {
        Pointer::read(self.disk, &self.pointer, key)?.ok_or(ArchiveError::NotFound)?;
        self.sync_dir()?;
        Ok(0)
    }

    fn describe(
        &self,
        archive: &Archive,
        key: StreamKey,
        file: &Arc<dyn DiskFile>,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Pointer, ArchiveError> {
        // A cache of its own, so that it is the file that is read.
        let log = LogReader::of_compressed(file.clone(), &self.compressed, &FrameCache::new(0));
        let log = log.map_err(|error| match error {
            OpenReaderError::Io(error) => error,
            error => io::Error::other(error),
        })?;
        if !has_ended(&log, key)? {
            return Err(ArchiveError::Unfinished);
        }
        let described = Described {
            object_bytes: file.size()?,
            sha256: checksum(file, should_stop)?.ok_or(ArchiveError::Stopped)?,
            log_bytes: log.size()?,
            last_sequence: log.tail()?.last_sequence,
        };
        Ok(Pointer::new(key, &archive.owner, described))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir(self.plain.parent().expect("a log is in a folder"))
    }
}

/// None if there is none.
fn open(disk: &dyn Disk, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
    match disk.open(path, Mode::Read) {
        Err(error) if is_absent(&error) => Ok(None),
        opened => opened.map(Some),
    }
}

/// An object of this name and size was put by an earlier attempt; that it is right is found out in any case.
fn put(
    archive: &Archive,
    pointer: &Pointer,
    file: &Arc<dyn DiskFile>,
    should_stop: &dyn Fn() -> bool,
) -> Result<(), ArchiveError> {
    match archive.source.size(&pointer.object, should_stop) {
        Ok(size) if size == pointer.object_bytes => return Ok(()),
        Ok(_) | Err(ObjectError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    let mut at = 0;
    let mut read = |size: usize| {
        let bytes = read_range(&**file, at, at + size as u64)?;
        at += size as u64;
        Ok(Bytes::from(bytes))
    };
    let content = Content { bytes: pointer.object_bytes, read: &mut read };
    Ok(archive.source.put(&pointer.object, content, should_stop)?)
}

fn read_back(archive: &Archive, pointer: &Pointer, should_stop: &dyn Fn() -> bool) -> Result<(), ArchiveError> {
    let (mut hasher, mut size) = (Sha256::new(), 0);
    let mut take = |piece: &[u8]| {
        hasher.update(piece);
        size += piece.len() as u64;
        Ok(())
    };
    archive.source.get(&pointer.object, &mut take, should_stop)?;
    if size == pointer.object_bytes && hex(hasher) == pointer.sha256 {
        return Ok(());
    }
    // Or the next attempt would find it there, and never put a better one.
    let _ = archive.source.delete(&pointer.object, should_stop);
    Err(ArchiveError::Mismatch)
}
