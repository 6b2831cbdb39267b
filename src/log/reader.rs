//! Reading a log: where it ends, where a sequence begins, and the next lines, as the bytes that were written.
//!
//! Law: a reader never writes and knows no writer. Its caller, who knows what is durable, says how far it may read; a log
//! that is closed ends with its last whole event. Offsets are those of the lines, compressed or not.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memrchr;

use super::compressed::{CompressedFile, FrameCache};
use super::disk::{COMPRESSED, Disk, DiskFile, Mode, ReadAt, RealDisk, compressed_path};
use super::error::OpenReaderError;
use super::lines::{Chunk, fill, read_lines};
use super::pointer::{Pointer, pointer_path};
use super::scan::{scan_end, scan_segment};
use super::seek;
use super::segments::{self, Joined, first_sequence, has_segments};
use crate::domain::StreamKey;

/// A log opened for reading. Clones share the open file.
#[derive(Clone)]
pub struct LogReader {
    form: Form,
    origin: Origin,
    /// Of a log that has ended, where it is known already.
    end: Option<Arc<Tail>>,
    /// Its file is a copy of what is in the archive, kept while there is room for it.
    is_fetched: bool,
}

#[derive(Clone)]
enum Form {
    /// The file as it was written, or all segments of a log that has some.
    Plain(Arc<dyn ReadAt>),
    Compressed(Arc<CompressedFile>),
}

/// Where a log begins, and its newest segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    /// The oldest sequence that is still there; the next one of a log without events.
    first: u64,
    newest: u64,
}

impl Origin {
    /// Of a log in one file.
    const WHOLE: Self = Self { first: 1, newest: 0 };
}

/// The end of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// 0 if there is no event yet.
    pub last_sequence: u64,
    /// Where the last whole event ends; a torn end is not counted.
    pub bytes: u64,
    pub last_line: Option<Bytes>,
}

/// Bytes of frames that a reader without a log root keeps.
const CACHE: usize = 4 << 20;

impl LogReader {
    /// Opens the file of one log by itself, even while it is being written. If it has been compressed since, that form is
    /// opened. Blocks.
    pub fn open(path: &Path) -> Result<Self, OpenReaderError> {
        let cache = FrameCache::new(CACHE);
        if path.extension().is_some_and(|extension| extension == COMPRESSED) {
            return Self::open_compressed(&RealDisk::default(), path, &cache);
        }
        match Self::from_disk(&RealDisk::default(), path, &cache) {
            Err(OpenReaderError::NotFound) if RealDisk::default().open(&pointer_path(path), Mode::Read).is_ok() => {
                let why = "its lines are in the object store; a service that has it gives them".to_owned();
                Err(OpenReaderError::ArchiveUnavailable(why))
            }
            opened => opened,
        }
    }

    /// For a moment of compressing both forms exist. Then the plain one counts: it is removed last.
    pub(super) fn from_disk(disk: &dyn Disk, path: &Path, cache: &Arc<FrameCache>) -> Result<Self, OpenReaderError> {
        match Self::open_plain(disk, path) {
            Err(OpenReaderError::NotFound) => Self::open_compressed(disk, &compressed_path(path), cache),
            opened => opened,
        }
    }

    pub(super) fn open_plain(disk: &dyn Disk, path: &Path) -> Result<Self, OpenReaderError> {
        let file = disk.open(path, Mode::Read).map_err(OpenReaderError::from_io)?;
        Ok(Self { form: Form::Plain(file), origin: Origin::WHOLE, end: None, is_fetched: false })
    }

    pub(super) fn open_compressed(
        disk: &dyn Disk,
        path: &Path,
        cache: &Arc<FrameCache>,
    ) -> Result<Self, OpenReaderError> {
        let file = disk.open(path, Mode::Read).map_err(OpenReaderError::from_io)?;
        Self::of_compressed(file, path, cache)
    }

    /// `path` names the log among the frames that are kept.
    pub(super) fn of_compressed(
        file: Arc<dyn DiskFile>,
        path: &Path,
        cache: &Arc<FrameCache>,
    ) -> Result<Self, OpenReaderError> {
        let compressed = CompressedFile::open(file, path, cache.clone()).map_err(OpenReaderError::Io)?;
        Ok(Self { form: Form::Compressed(Arc::new(compressed)), origin: Origin::WHOLE, end: None, is_fetched: false })
    }

    /// All segments of a log, as one. They are never compressed.
    pub(super) fn of_segments(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, OpenReaderError> {
        let sealed = segments::sealed(&*disk, path).map_err(OpenReaderError::Io)?;
        let newest = match disk.open(path, Mode::Read).map_err(OpenReaderError::from_io) {
            Err(OpenReaderError::NotFound) if !sealed.is_empty() => None,
            opened => Some(opened?),
        };
        let first = match (sealed.first(), &newest) {
            (Some(oldest), _) => oldest.first,
            (None, Some(newest)) => {
                let first = newest.size().and_then(|size| first_sequence(&**newest, size));
                first.map_err(OpenReaderError::Io)?.unwrap_or(1)
            }
            (None, None) => 1,
        };
        let joined = Joined::new(disk, sealed, newest);
        let origin = Origin { first, newest: joined.newest_start() };
        Ok(Self { form: Form::Plain(Arc::new(joined)), origin, end: None, is_fetched: false })
    }

    /// Opens the log of this key by itself, even while it is being written. Blocks.
    pub fn of(data_dir: &Path, key: StreamKey) -> Result<Self, OpenReaderError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::within(data_dir));
        Self::on(&disk, data_dir, key, &FrameCache::new(CACHE))
    }

    /// In this order: who archives a log writes the pointer before the compressed form goes, as that is written before
    /// the plain one goes.
    pub(super) fn on(
        disk: &Arc<dyn Disk>,
        data_dir: &Path,
        key: StreamKey,
        cache: &Arc<FrameCache>,
    ) -> Result<Self, OpenReaderError> {
        let path = data_dir.join(key.log_path());
        if has_segments(key) {
            return Self::of_segments(disk.clone(), &path);
        }
        match Self::from_disk(&**disk, &path, cache) {
            Err(OpenReaderError::NotFound) => match Pointer::read(&**disk, &pointer_path(&path), key)? {
                Some(pointer) => Err(OpenReaderError::Archived(Box::new(pointer))),
                None => Err(OpenReaderError::NotFound),
            },
            opened => opened,
        }
    }

    #[cfg(test)]
    pub(super) fn of_file(file: Arc<dyn ReadAt>) -> Self {
        Self { form: Form::Plain(file), origin: Origin::WHOLE, end: None, is_fetched: false }
    }

    /// The lines, whatever form they are in.
    pub(super) fn lines(&self) -> &dyn ReadAt {
        match &self.form {
            Form::Plain(file) => &**file,
            Form::Compressed(file) => &**file,
        }
    }

    pub fn is_compressed(&self) -> bool {
        matches!(self.form, Form::Compressed(_))
    }

    /// The oldest sequence that is still there; the next one when there is none.
    pub fn first_sequence(&self) -> u64 {
        self.origin.first
    }

    /// The offset at which the file begins that is being written.
    pub fn newest_start(&self) -> u64 {
        self.origin.newest
    }

    /// From the archive.
    pub(super) fn fetched(self) -> Self {
        Self { is_fetched: true, ..self }
    }

    pub(super) fn is_fetched(&self) -> bool {
        self.is_fetched
    }

    /// The end of a log that nothing is appended to any more, so that it need not be looked for again.
    pub(super) fn ending_with(self, end: Tail) -> Self {
        Self { end: Some(Arc::new(end)), ..self }
    }

    /// The end, if it is known without looking.
    pub fn known_tail(&self) -> Option<&Tail> {
        self.end.as_deref()
    }

    pub fn tail(&self) -> io::Result<Tail> {
        self.tail_within(u64::MAX)
    }

    /// As if there were at most so many bytes.
    pub fn tail_within(&self, limit: u64) -> io::Result<Tail> {
        if let Some(end) = self.end.as_ref().filter(|end| end.bytes <= limit) {
            return Ok(Tail::clone(end));
        }
        let scan = if self.origin == Origin::WHOLE { scan_end } else { scan_segment };
        let end = scan(self.lines(), self.size()?.min(limit))?;
        let last_sequence = end.last.as_ref().map_or(0, |last| last.sequence);
        Ok(Tail { last_sequence, bytes: end.bytes, last_line: end.last.map(|last| last.line) })
    }

    /// The offset of the first line with a sequence above `after`, or `end_bytes` if there is none before it.
    pub fn seek(&self, after: u64, end_bytes: u64) -> io::Result<u64> {
        match &self.form {
            Form::Plain(file) => seek::seek(&**file, after, 0..end_bytes),
            Form::Compressed(file) => file.seek(after, end_bytes),
        }
    }

    /// The whole lines from `offset` on that fit into `max_bytes`, at least one unless `offset` is the end.
    pub fn read(&self, offset: u64, end_bytes: u64, max_bytes: usize) -> io::Result<Chunk> {
        read_lines(self.lines(), offset, end_bytes, max_bytes)
    }

    /// The bytes at an offset, wherever lines begin and end; an error if there are not as many.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        fill(self.lines(), buffer, offset)
    }

    /// The file that is the log byte for byte, if it is one.
    pub fn file(&self) -> Option<&File> {
        match &self.form {
            Form::Plain(file) => file.file(),
            Form::Compressed(_) => None,
        }
    }

    /// As [`LogReader::read`], without ever waiting for a device: `None` when the kernel does not have the bytes in
    /// memory, when the next line is longer than `max_bytes`, or when the log is compressed.
    pub fn read_cached(&self, offset: u64, end_bytes: u64, max_bytes: usize) -> Option<Chunk> {
        let Form::Plain(file) = &self.form else { return None };
        let mut bytes = vec![0; end_bytes.saturating_sub(offset).min(max_bytes as u64) as usize];
        let count = file.read_cached_at(&mut bytes, offset).ok()?;
        bytes.truncate(memrchr(b'\n', &bytes[..count])? + 1);
        Some(Chunk { next_offset: offset + bytes.len() as u64, lines: bytes.into() })
    }

    /// All bytes there are, whole events or not.
    pub fn size(&self) -> io::Result<u64> {
        self.lines().size()
    }

    /// Of a compressed log: where each frame begins, and with which sequence, as its index says.
    pub(super) fn beginnings(&self) -> io::Result<Vec<(u64, u64)>> {
        match &self.form {
            Form::Plain(_) => Ok(Vec::new()),
            Form::Compressed(file) => file.beginnings(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;

    #[test]
    fn chunks_are_whole_lines_and_together_the_log() {
        let sample = Sample::new();
        let content: Vec<u8> = (1..=80).flat_map(|n| sample.line(n, (n as usize * 37) % 900)).collect();
        let reader = sample.reader(&content);
        let end = content.len() as u64;
        for max_bytes in [0, 1, 300, 2000, 10_000, 1 << 20] {
            let (mut read, mut offset) = (Vec::new(), 0);
            while offset < end {
                let chunk = reader.read(offset, end, max_bytes).unwrap();
                let count = memchr::memchr_iter(b'\n', &chunk.lines).count();
                assert!(chunk.lines.ends_with(b"\n") && (chunk.lines.len() <= max_bytes || count == 1));
                assert_eq!(chunk.next_offset, offset + chunk.lines.len() as u64);
                // What was just read is in memory, and nothing else may come of reading it from there.
                let cached = reader.read_cached(offset, end, max_bytes);
                assert!(cached.is_none_or(|cached| cached == chunk));
                offset = chunk.next_offset;
                read.extend_from_slice(&chunk.lines);
            }
            assert_eq!(read, content);
        }
        assert!(reader.read(end, end, 100).unwrap().lines.is_empty());
    }

    #[test]
    fn a_log_that_is_not_what_it_was_said_to_be_is_an_error_and_no_endless_wait() {
        let sample = Sample::new();
        let content = sample.lines(3, 10);
        let reader = sample.reader(&content);
        let size = content.len() as u64;
        assert!(reader.read(0, size + 10, 1 << 20).is_err(), "shorter than said");
        assert!(reader.read(size - 20, size - 5, 1 << 20).is_err(), "an end inside a line");
    }

    #[test]
    fn the_tail_is_the_last_whole_event_and_the_file_is_left_as_it_is() {
        let sample = Sample::new();
        let whole = sample.lines(9, 50);
        let torn = [&whole[..], b"{\"type\":\"x", &[0; 5000]].concat();
        let tail = sample.reader(&torn).tail().unwrap();
        assert_eq!((tail.last_sequence, tail.bytes), (9, whole.len() as u64));
        assert_eq!(tail.last_line.as_deref(), whole.split_inclusive(|byte| *byte == b'\n').next_back());
        assert_eq!(sample.content(), torn);
        let within = sample.reader(&torn).tail_within(whole.len() as u64 - 1).unwrap();
        assert_eq!((within.last_sequence, within.bytes < whole.len() as u64), (8, true));
        let empty = sample.reader(b"").tail().unwrap();
        assert_eq!((empty.last_sequence, empty.bytes, empty.last_line), (0, 0, None));
    }
}
