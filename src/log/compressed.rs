//! Reading a compressed log as if it were not: the same bytes at the same offsets.
//!
//! Law: a read costs the frames it touches and no others, wherever it is. No reader keeps a frame: those read last are
//! kept in one place for all, so what readers cost does not grow with their number or with the log.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::disk::ReadAt;
use super::frames::{Index, damaged, unpack};
use super::seek::seek;
use super::threads::lock;

/// The frames that were read last, of all logs.
pub(super) struct FrameCache {
    frames: Mutex<VecDeque<Cached>>,
    limit: usize,
    /// Frames that had to be decompressed.
    pub(super) unpacked: AtomicU64,
}

struct Cached {
    path: Arc<Path>,
    /// Where they begin in the log.
    offset: u64,
    lines: Bytes,
}

impl Cached {
    fn holds(&self, path: &Arc<Path>, offset: u64) -> bool {
        offset.checked_sub(self.offset).is_some_and(|at| at < self.lines.len() as u64) && self.path == *path
    }
}

impl FrameCache {
    /// Keeps frames up to this many bytes, or one.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { frames: Mutex::default(), limit, unpacked: AtomicU64::new(0) })
    }

    /// The frame that holds this offset of a log, and where it begins.
    fn find(&self, path: &Arc<Path>, offset: u64) -> Option<(u64, Bytes)> {
        let mut frames = lock(&self.frames);
        let at = frames.iter().position(|frame| frame.holds(path, offset))?;
        let found = frames.remove(at)?;
        let frame = (found.offset, found.lines.clone());
        frames.push_front(found);
        Some(frame)
    }

    fn put(&self, path: &Arc<Path>, offset: u64, lines: Bytes) {
        let mut frames = lock(&self.frames);
        frames.push_front(Cached { path: path.clone(), offset, lines });
        let mut held: usize = frames.iter().map(|frame| frame.lines.len()).sum();
        while held > self.limit && frames.len() > 1 {
            held -= frames.pop_back().map_or(0, |oldest| oldest.lines.len());
        }
    }

    /// The file at this path is replaced or deleted.
    pub(super) fn forget(&self, path: &Path) {
        lock(&self.frames).retain(|frame| *frame.path != *path);
    }
}

/// A compressed log, open.
pub(super) struct CompressedFile {
    file: Arc<dyn ReadAt>,
    path: Arc<Path>,
    index: Index,
    cache: Arc<FrameCache>,
}

impl CompressedFile {
    /// `path` names the log in the cache.
    pub(super) fn open(file: Arc<dyn ReadAt>, path: &Path, cache: Arc<FrameCache>) -> io::Result<Self> {
        let index = Index::open(&*file)?;
        Ok(Self { file, path: path.into(), index, cache })
    }

    /// As [`super::seek::seek`] over the whole log: the index leads to the one frame in which to look.
    pub(super) fn seek(&self, after: u64, end: u64) -> io::Result<u64> {
        let number = self.index.find(&*self.file, |entry| entry.first_sequence <= after.saturating_add(1))?;
        if after == 0 || self.index.frames() == 0 {
            return Ok(0);
        }
        let (frame, next) = self.index.frame(&*self.file, number)?;
        seek(self, after, frame.offset.min(end)..next.offset.min(end))
    }

    /// Where each frame begins in the lines, and with which sequence.
    pub(super) fn beginnings(&self) -> io::Result<Vec<(u64, u64)>> {
        let entry =
            |number| self.index.frame(&*self.file, number).map(|(entry, _)| (entry.offset, entry.first_sequence));
        (0..self.index.frames()).map(entry).collect()
    }

    /// The lines of a frame, and where they begin.
    fn frame_at(&self, offset: u64) -> io::Result<(u64, Bytes)> {
        if let Some(found) = self.cache.find(&self.path, offset) {
            return Ok(found);
        }
        let number = self.index.find(&*self.file, |entry| entry.offset <= offset)?;
        let (frame, next) = self.index.frame(&*self.file, number)?;
        let lines = Bytes::from(unpack(&*self.file, frame, next)?);
        self.cache.unpacked.fetch_add(1, Ordering::Relaxed);
        self.cache.put(&self.path, frame.offset, lines.clone());
        Ok((frame.offset, lines))
    }
}

impl ReadAt for CompressedFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.index.bytes())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.index.bytes() || buffer.is_empty() {
            return Ok(0);
        }
        let (start, lines) = self.frame_at(offset)?;
        let within = offset.checked_sub(start).and_then(|at| lines.get(at as usize..)).filter(|rest| !rest.is_empty());
        let rest = within.ok_or_else(|| damaged("a frame is not where its entry says"))?;
        let size = rest.len().min(buffer.len());
        buffer[..size].copy_from_slice(&rest[..size]);
        Ok(size)
    }
}
