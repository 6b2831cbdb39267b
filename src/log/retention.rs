//! Retention of logs that have ended: they are compressed, and finally deleted.
//!
//! Law: at whatever step a crash comes, the whole log exists in at least one of its forms, and a reader finds it. The
//! compressed form gets its name when it is on the disk and has been read back, byte for byte; only then is the plain one
//! removed. Until then the plain one is the log. It is synced before it is removed, because the journal drops the records
//! of a log that is not there: should a crash bring the name back, the file must be whole without them. Readers that have
//! it open are not disturbed. A log that has not ended, that has failed, or that may be written is left alone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memchr_iter;

use super::compressed::FrameCache;
use super::counters::Counters;
use super::disk::{Disk, DiskFile, Mode, compressed_path, read_full};
use super::ended::has_ended;
use super::error::OpenReaderError;
use super::frames::{FRAME_BYTES, Packer};
use super::journal::Journal;
use super::local_journal::LocalJournal;
use super::pointer::{Pointer, PointerError, intent_path, pointer_path};
use super::reader::LogReader;
use super::root::LogRoot;
use super::shared::Shared;
use super::stream_file::Claim;
use crate::domain::StreamKey;
use crate::event::codec;
use crate::files::is_absent;
use crate::objects::ObjectError;

/// A sync of more would hold up those of others for too long.
const SYNC_EVERY: u64 = 8 << 20;

/// Why a log is not compressed.
#[derive(Debug, thiserror::Error)]
pub enum CompressError {
    #[error("log not found")]
    NotFound,
    #[error("the log is open for writing")]
    InUse,
    #[error("the log has failed and has not been opened since")]
    Failed,
    #[error("the log has not ended")]
    Unfinished,
    /// An index of it would lead to wrong lines.
    #[error("the sequences of the log are not dense from 1")]
    Damaged,
    #[error("the compressed log does not read back as the original")]
    Mismatch,
    #[error("stopped on request")]
    Stopped,
    #[error("cannot compress the log: {0}")]
    Io(#[from] io::Error),
}

/// Why a log is not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error("the log is open for writing")]
    InUse,
    #[error("the log has failed and has not been opened since")]
    Failed,
    #[error("the log has not ended")]
    Unfinished,
    /// Its object is still there, so what leads to it stays too.
    #[error("the archived log is not deleted: {0}")]
    Archive(String),
    /// Nor would that of another log be.
    #[error("the archived log is not deleted: {0}")]
    ArchiveUnavailable(String),
    #[error("stopped on request")]
    Stopped,
    #[error("cannot delete the log: {0}")]
    Io(#[from] io::Error),
}

/// How large a log was and is, in bytes on the disk; the same twice if there was nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shrunk {
    pub before: u64,
    pub after: u64,
}

impl<J: Journal> LogRoot<J> {
    /// Compresses a log that has ended. Checks periodically whether it should stop; then nothing has changed. Blocks.
    pub fn compress(&self, key: StreamKey, should_stop: &dyn Fn() -> bool) -> Result<Shrunk, CompressError> {
        let claim = self.shared.claim(key).ok_or(CompressError::InUse)?;
        if claim.failed().is_some() {
            return Err(CompressError::Failed);
        }
        let shrunk = Files::of(&self.shared, key).compress(key, &claim, should_stop)?;
        Counters::add(&self.shared.counters.compressed_logs, u64::from(shrunk.before != shrunk.after));
        Counters::add(&self.shared.counters.freed_bytes, shrunk.before.saturating_sub(shrunk.after));
        Ok(shrunk)
    }

    /// Checks whether a log may be deleted: it has ended, or does not exist. It cannot be opened for writing while the
    /// answer is held. Blocks.
    pub fn deletable(&self, key: StreamKey) -> Result<Deletable<J>, DeleteError> {
        let claim = self.shared.claim(key).ok_or(DeleteError::InUse)?;
        if claim.failed().is_some() {
            return Err(DeleteError::Failed);
        }
        let deletable = Deletable { shared: self.shared.clone(), key, claim };
        match self.local_reader(key) {
            Ok(reader) if !has_ended(&reader, key)? => Err(DeleteError::Unfinished),
            Ok(_) | Err(OpenReaderError::NotFound) => Ok(deletable),
            // It was archived only because it had ended; it is not fetched to find that out again.
            Err(
                OpenReaderError::Archived(_)
                | OpenReaderError::ArchiveUnavailable(_)
                | OpenReaderError::ArchiveDamaged(_),
            ) => Ok(deletable),
            Err(OpenReaderError::Io(error)) => Err(error.into()),
        }
    }
}

/// A log that may be deleted, and that cannot be opened for writing while this is held.
pub struct Deletable<J: Journal = LocalJournal> {
    shared: Arc<Shared<J>>,
    key: StreamKey,
    claim: Claim,
}

impl<J: Journal> Deletable<J> {
    /// Deletes every form of it; returns the bytes freed. May be repeated after a crash. Checks whether it should stop while
    /// it waits for the archive. Blocks.
    pub fn delete(self, should_stop: &dyn Fn() -> bool) -> Result<u64, DeleteError> {
        let files = Files::of(&self.shared, self.key);
        let mut pointers = Vec::new();
        for path in [&files.pointer, &files.intent] {
            pointers.extend(self.delete_object(path, should_stop)?);
        }
        let freed = files.delete(&self.claim)?;
        // No fetch finds a pointer any more.
        if let Some(archive) = self.shared.archive() {
            pointers.iter().for_each(|pointer| archive.forget(self.key, pointer, &self.shared.frames));
        }
        if freed > 0 {
            Counters::add(&self.shared.counters.deleted_logs, 1);
            Counters::add(&self.shared.counters.freed_bytes, freed);
        }
        Ok(freed)
    }
}

impl<J: Journal> Deletable<J> {
    /// The object first: what leads to it stays until it is gone. One that another data directory has put there, of which
    /// this one was made, is that one's to delete.
    fn delete_object(&self, pointer: &Path, should_stop: &dyn Fn() -> bool) -> Result<Option<Pointer>, DeleteError> {
        let pointer = match Pointer::read(&*self.shared.disk, pointer, self.key) {
            Ok(None) => return Ok(None),
            Ok(Some(pointer)) => pointer,
            Err(PointerError::Io(error)) => return Err(error.into()),
            Err(PointerError::Damaged(why)) => {
                tracing::warn!(stream = %self.key, %why, "what leads to an archived log is deleted, and no object with it");
                return Ok(None);
            }
        };
        let Some(archive) = self.shared.archive() else {
            return Err(DeleteError::Archive("no object store is set".into()));
        };
        if pointer.uploaded_by != archive.owner {
            return Ok(Some(pointer));
        }
        archive.source.delete(&pointer.object, should_stop).map_err(|error| match error {
            ObjectError::Stopped => DeleteError::Stopped,
            ObjectError::Unavailable(_) => DeleteError::ArchiveUnavailable(error.to_string()),
            ObjectError::Refused(_) | ObjectError::NotFound | ObjectError::Local(_) => {
                DeleteError::Archive(error.to_string())
            }
        })?;
        Ok(Some(pointer))
    }
}

/// Where a log is, in each of its forms.
struct Files<'a> {
    disk: &'a dyn Disk,
    frames: &'a Arc<FrameCache>,
    plain: PathBuf,
    compressed: PathBuf,
    /// The compressed form as long as it does not count.
    unfinished: PathBuf,
    /// What leads to the archive, and what led there before it counted.
    pointer: PathBuf,
    intent: PathBuf,
}

impl<'a> Files<'a> {
    fn of<J>(shared: &'a Shared<J>, key: StreamKey) -> Self {
        let plain = shared.data_dir.join(key.log_path());
        let compressed = compressed_path(&plain);
        let unfinished = compressed.with_added_extension("tmp");
        let (pointer, intent) = (pointer_path(&plain), intent_path(&plain));
        Self { disk: &*shared.disk, frames: &shared.frames, plain, compressed, unfinished, pointer, intent }
    }

    fn compress(&self, key: StreamKey, claim: &Claim, should_stop: &dyn Fn() -> bool) -> Result<Shrunk, CompressError> {
        let plain = match LogReader::open_plain(self.disk, &self.plain) {
            Ok(plain) => plain,
            Err(OpenReaderError::NotFound) => return self.compressed_already(key),
            Err(OpenReaderError::Io(error)) => return Err(error.into()),
            Err(error) => return Err(io::Error::other(error).into()),
        };
        if !has_ended(&plain, key)? {
            return Err(CompressError::Unfinished);
        }
        let made = self.make(&plain, should_stop);
        if made.is_err() {
            // The next attempt starts over in any case; this only frees the space.
            let _ = self.disk.remove(&self.unfinished);
        }
        let after = made?;
        self.disk.rename(&self.unfinished, &self.compressed)?;
        self.frames.forget(&self.compressed);
        self.sync_dir()?;
        self.remove_plain(claim)?;
        self.sync_dir()?;
        Ok(Shrunk { before: plain.size()?, after })
    }

    /// Its size; 0 if it is not there.
    fn remove_plain(&self, claim: &Claim) -> io::Result<u64> {
        let file = match self.disk.open(&self.plain, Mode::Write) {
            Err(error) if is_absent(&error) => return Ok(0),
            opened => opened?,
        };
        claim.sync(&*file)?;
        self.disk.remove(&self.plain)?;
        file.size()
    }

    /// A crash came between the last steps, or before the row said that it is compressed; or the row is older than the
    /// directory, and the log has gone further.
    fn compressed_already(&self, key: StreamKey) -> Result<Shrunk, CompressError> {
        let file = match self.disk.open(&self.compressed, Mode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.archived_already(key),
            opened => opened?,
        };
        self.sync_dir()?;
        let size = file.size()?;
        Ok(Shrunk { before: size, after: size })
    }

    fn archived_already(&self, key: StreamKey) -> Result<Shrunk, CompressError> {
        match Pointer::read(self.disk, &self.pointer, key) {
            Ok(Some(_)) => Ok(Shrunk { before: 0, after: 0 }),
            Ok(None) => Err(CompressError::NotFound),
            Err(error) => Err(io::Error::other(error).into()),
        }
    }

    /// The compressed form, on the disk and read back, under a name that does not count; its size.
    fn make(&self, plain: &LogReader, should_stop: &dyn Fn() -> bool) -> Result<u64, CompressError> {
        let file = self.disk.open(&self.unfinished, Mode::Create)?;
        file.set_len(0)?;
        let size = pack(plain, &*file, FRAME_BYTES, should_stop)?;
        file.sync_data()?;
        // A cache of its own, so that it is the file that is read, and readers keep what they have there.
        let read_back = LogReader::open_compressed(self.disk, &self.unfinished, &FrameCache::new(0));
        let read_back = read_back.map_err(|error| CompressError::Io(io::Error::other(error)))?;
        if same_bytes(plain, &read_back, should_stop)? { Ok(size) } else { Err(CompressError::Mismatch) }
    }

    /// The plain form first: while only another one is there, the log cannot be opened for writing.
    fn delete(&self, claim: &Claim) -> io::Result<u64> {
        let mut freed = self.remove_plain(claim)?;
        for path in [&self.compressed, &self.unfinished, &self.intent, &self.pointer] {
            freed += remove_if_there(self.disk, path)?;
        }
        self.frames.forget(&self.compressed);
        match self.sync_dir() {
            Err(error) if is_absent(&error) => Ok(freed),
            synced => synced.map(|()| freed),
        }
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir(self.plain.parent().expect("a log is in a folder"))
    }
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<u64> {
    let size = match disk.open(path, Mode::Read) {
        Err(error) if is_absent(&error) => return Ok(0),
        opened => opened?.size()?,
    };
    disk.remove(path)?;
    Ok(size)
}

/// Writes the frames and their index; the size of all of it.
pub(super) fn pack(
    plain: &LogReader,
    out: &dyn DiskFile,
    frame_bytes: usize,
    should_stop: &dyn Fn() -> bool,
) -> Result<u64, CompressError> {
    let (end, mut packer) = (plain.size()?, Packer::new()?);
    let (mut offset, mut size, mut synced) = (0, 0, 0);
    while offset < end {
        if should_stop() {
            return Err(CompressError::Stopped);
        }
        let lines = plain.read(offset, end, frame_bytes)?;
        offset = lines.next_offset;
        let frame = packer.pack(&lines.lines, dense_lines(&lines.lines, packer.next_sequence())?)?;
        out.write_all_at(&frame, size)?;
        size += frame.len() as u64;
        if size - synced >= SYNC_EVERY {
            out.sync_data()?;
            synced = size;
        }
    }
    let index = packer.finish()?;
    out.write_all_at(&index, size)?;
    Ok(size + index.len() as u64)
}

/// How many lines these are, if the first and the last have the sequences that this makes them have.
fn dense_lines(lines: &[u8], first: u64) -> Result<u64, CompressError> {
    let count = memchr_iter(b'\n', lines).count() as u64;
    let mut split = lines.split_inclusive(|byte| *byte == b'\n');
    let sequence = |line: Option<&[u8]>| line.and_then(|line| codec::decode(line).ok()).map(|event| event.sequence);
    let dense = sequence(split.clone().next()) == Some(first) && sequence(split.next_back()) == Some(first + count - 1);
    if dense { Ok(count) } else { Err(CompressError::Damaged) }
}

fn same_bytes(one: &LogReader, other: &LogReader, should_stop: &dyn Fn() -> bool) -> Result<bool, CompressError> {
    let size = one.size()?;
    if other.size()? != size {
        return Ok(false);
    }
    let [mut left, mut right] = [(); 2].map(|()| vec![0; FRAME_BYTES]);
    let mut offset = 0;
    while offset < size {
        if should_stop() {
            return Err(CompressError::Stopped);
        }
        let read = read_full(one.lines(), &mut left, offset)?;
        if read == 0 || read_full(other.lines(), &mut right, offset)? != read || left[..read] != right[..read] {
            return Ok(false);
        }
        offset += read as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::disk::RealDisk;
    use super::super::error::OpenLogError;
    use super::super::options::LogOptions;
    use super::super::sample::Sample;
    use super::super::verify::{LogReport, ViolationKind, verify_log};
    use super::*;

    /// A data folder with one log in it.
    struct World {
        folder: tempfile::TempDir,
        sample: Sample,
        lines: Vec<u8>,
        root: LogRoot,
    }

    impl World {
        /// The last event ends the log.
        fn with(events: u64) -> Self {
            let sample = Sample::new();
            let mut lines = sample.lines(events - 1, 300);
            lines.extend(sample.event("run.completed", events, 10));
            Self::holding(sample, lines)
        }

        fn holding(sample: Sample, lines: Vec<u8>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
            let (root, _) = LogRoot::open(folder.path(), Arc::new(RealDisk::default()), options).unwrap();
            let world = Self { folder, sample, lines, root };
            std::fs::create_dir_all(world.path().parent().unwrap()).unwrap();
            std::fs::write(world.path(), &world.lines).unwrap();
            world
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join(self.sample.key.log_path())
        }

        fn compress(&self) -> Result<Shrunk, CompressError> {
            self.root.compress(self.sample.key, &|| false)
        }

        fn reader(&self) -> LogReader {
            self.root.reader(self.sample.key).unwrap()
        }

        fn names(&self) -> Vec<String> {
            let entries = std::fs::read_dir(self.path().parent().unwrap()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    fn content(reader: &LogReader) -> Vec<u8> {
        let mut bytes = vec![0; reader.size().unwrap() as usize];
        reader.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn a_compressed_log_reads_as_before_is_smaller_and_takes_no_more() {
        let world = World::with(5000);
        let before = world.reader().tail().unwrap();
        let shrunk = world.compress().unwrap();
        assert_eq!(shrunk.before, world.lines.len() as u64);
        assert!(shrunk.after * 4 < shrunk.before, "{shrunk:?}");
        assert_eq!(world.names(), ["events.ndjson.zst"]);
        let reader = world.reader();
        assert!(reader.is_compressed());
        assert_eq!((content(&reader), reader.tail().unwrap()), (world.lines.clone(), before));
        let report = verify_log(&reader, world.sample.key, true).unwrap();
        assert_eq!(report, LogReport { events: 5000, violations: vec![] });
        assert!(matches!(world.root.writer(world.sample.key, None), Err(OpenLogError::Compressed)));
        assert_eq!(world.names(), ["events.ndjson.zst"], "the refusal made no file");
        let metrics = world.root.metrics();
        assert_eq!((metrics.compressed_logs, metrics.freed_bytes), (1, shrunk.before - shrunk.after));
        assert_eq!(world.compress().unwrap(), Shrunk { before: shrunk.after, after: shrunk.after }, "again");
        assert_eq!(world.root.metrics().compressed_logs, 1);
    }

    #[test]
    fn any_zstd_makes_the_log_of_it_again() {
        let world = World::with(3000);
        world.compress().unwrap();
        let packed = std::fs::read(compressed_path(&world.path())).unwrap();
        assert_eq!(zstd::stream::decode_all(&packed[..]).unwrap(), world.lines);
    }

    #[test]
    fn who_has_the_plain_log_open_reads_on() {
        let world = World::with(3000);
        let (early, middle) = (world.reader(), world.lines.len() as u64 / 2);
        world.compress().unwrap();
        let offset = early.seek(1500, world.lines.len() as u64).unwrap();
        assert_eq!(offset, world.reader().seek(1500, world.lines.len() as u64).unwrap());
        assert!(!early.read(offset, world.lines.len() as u64, 1000).unwrap().lines.is_empty());
        let reader = world.reader();
        world.root.deletable(world.sample.key).unwrap().delete(&|| false).unwrap();
        assert_eq!(content(&early), world.lines);
        let mut rest = vec![0; world.lines.len() - middle as usize];
        reader.read_exact_at(&mut rest, middle).unwrap();
        assert_eq!(rest, world.lines[middle as usize..], "the same of the compressed one");
    }

    #[test]
    fn with_both_forms_there_the_plain_one_is_the_log() {
        let world = World::with(100);
        world.compress().unwrap();
        std::fs::write(world.path(), &world.lines).unwrap();
        assert!(!world.reader().is_compressed());
        // As if the compressing had been cut short there, whatever the other holds.
        std::fs::write(compressed_path(&world.path()), b"half of something").unwrap();
        assert_eq!(content(&world.reader()), world.lines);
        world.compress().unwrap();
        assert_eq!((world.names(), content(&world.reader())), (vec!["events.ndjson.zst".to_owned()], world.lines));
    }

    #[test]
    fn a_log_that_has_not_ended_or_is_not_whole_is_left_alone() {
        let unfinished = World::holding(Sample::new(), Vec::new());
        assert!(matches!(unfinished.compress(), Err(CompressError::Unfinished)));
        let sample = Sample::new();
        let lines = sample.lines(10, 10);
        let open = World::holding(sample, lines);
        assert!(matches!(open.compress(), Err(CompressError::Unfinished)));
        assert!(matches!(open.root.deletable(open.sample.key), Err(DeleteError::Unfinished)));
        let sample = Sample::new();
        let lines = [sample.line(1, 0), sample.line(3, 0), sample.event("run.completed", 4, 0)].concat();
        let holey = World::holding(sample, lines);
        assert!(matches!(holey.compress(), Err(CompressError::Damaged)));
        let torn = World::with(10);
        std::fs::write(torn.path(), [&torn.lines[..], b"{\"type\":"].concat()).unwrap();
        assert!(matches!(torn.compress(), Err(CompressError::Unfinished)));
        for world in [unfinished, open, holey, torn] {
            assert_eq!(world.names(), ["events.ndjson"]);
        }
    }

    #[test]
    fn a_log_that_somebody_may_write_is_left_alone() {
        let world = World::with(10);
        let (writer, _) = world.root.writer(world.sample.key, None).unwrap();
        assert!(matches!(world.compress(), Err(CompressError::InUse)));
        assert!(matches!(world.root.deletable(world.sample.key), Err(DeleteError::InUse)));
        drop(writer);
        let deletable = world.root.deletable(world.sample.key).unwrap();
        assert!(matches!(world.root.writer(world.sample.key, None), Err(OpenLogError::InUse)));
        drop(deletable);
        world.compress().unwrap();
    }

    #[test]
    fn a_log_that_is_remembered_is_forgotten_when_it_is_compressed_or_deleted() {
        let world = World::with(10);
        let (root, key) = (&world.root, world.sample.key);
        let found = || root.remembered(key).map(|log| log.reader.is_compressed());
        let open = |since| root.at_rest(root.reader(key).unwrap(), key, None, since).unwrap();
        let before = root.moment(key);
        assert_eq!(found(), None);
        assert!(open(before).has_ended && found() == Some(false));
        world.compress().unwrap();
        open(before);
        assert_eq!(found(), None, "it has changed since");
        open(root.moment(key));
        assert_eq!(found(), Some(true));
        let deletable = root.deletable(key).unwrap();
        open(root.moment(key));
        assert_eq!(found(), None, "it may be deleted at any moment");
        deletable.delete(&|| false).unwrap();
        assert!(root.reader(key).is_err() && found().is_none());
    }

    #[test]
    fn who_asks_to_stop_finds_the_log_as_it_was() {
        let world = World::with(3000);
        for looks in 0..4 {
            let looked = std::cell::Cell::new(0);
            let should_stop = || looked.replace(looked.get() + 1) >= looks;
            assert!(matches!(world.root.compress(world.sample.key, &should_stop), Err(CompressError::Stopped)));
            assert_eq!(world.names(), ["events.ndjson"], "after {looks} looks");
        }
    }

    #[test]
    fn a_deleted_log_is_gone_in_every_form_and_may_be_deleted_again() {
        let world = World::with(100);
        world.compress().unwrap();
        std::fs::write(world.path(), &world.lines).unwrap();
        let sizes = world.lines.len() as u64 + std::fs::metadata(compressed_path(&world.path())).unwrap().len();
        assert_eq!(world.root.deletable(world.sample.key).unwrap().delete(&|| false).unwrap(), sizes);
        assert!(matches!(world.root.reader(world.sample.key), Err(OpenReaderError::NotFound)));
        assert_eq!(world.root.deletable(world.sample.key).unwrap().delete(&|| false).unwrap(), 0);
        assert!(matches!(world.compress(), Err(CompressError::NotFound)));
        let never = Sample::new().key;
        assert_eq!(world.root.deletable(never).unwrap().delete(&|| false).unwrap(), 0);
        assert_eq!(world.root.metrics().deleted_logs, 1);
    }

    #[test]
    fn an_index_that_leads_elsewhere_is_a_violation() {
        let world = World::with(3000);
        let file = RealDisk::default().open(&compressed_path(&world.path()), Mode::Create).unwrap();
        let mut packer = Packer::new().unwrap();
        let half = world.reader().seek(1500, world.lines.len() as u64).unwrap() as usize;
        let first = packer.pack(&world.lines[..half], 1400).unwrap();
        let second = packer.pack(&world.lines[half..], 1600).unwrap();
        let whole = [first, second, packer.finish().unwrap()].concat();
        file.write_all_at(&whole, 0).unwrap();
        std::fs::remove_file(world.path()).unwrap();
        let report = verify_log(&world.reader(), world.sample.key, true).unwrap();
        assert_eq!(
            report.violations.iter().map(|v| (v.line, v.kind.clone())).collect::<Vec<_>>(),
            [(1501, ViolationKind::Index)]
        );
    }

    /// The compressed form of these lines, in frames of this size.
    fn compressed(sample: &Sample, plain: &LogReader, frame_bytes: usize, cache: usize) -> LogReader {
        let path = sample.directory().join("compressed.zst");
        let file = RealDisk::default().open(&path, Mode::Create).unwrap();
        file.set_len(0).unwrap();
        pack(plain, &*file, frame_bytes, &|| false).unwrap();
        LogReader::open_compressed(&RealDisk::default(), &path, &FrameCache::new(cache)).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn any_log_in_any_frames_reads_the_same_from_any_position(
            paddings in prop::collection::vec(prop_oneof![8 => 0usize..400, 2 => 400usize..9000, 1 => 9000usize..100_000], 0..50),
            frame_bytes in prop_oneof![1usize..300, 300usize..5000, 5000usize..300_000],
            max_bytes in 1usize..20_000,
            cache in prop_oneof![Just(0usize), Just(1 << 20)],
        ) {
            let sample = Sample::new();
            let numbered = (1..).zip(&paddings);
            let lines: Vec<u8> = numbered.flat_map(|(sequence, padding)| sample.line(sequence, *padding)).collect();
            let plain = sample.reader(&lines);
            let packed = compressed(&sample, &plain, frame_bytes, cache);
            let end = lines.len() as u64;
            prop_assert_eq!(packed.size().unwrap(), end);
            prop_assert_eq!(packed.tail().unwrap(), plain.tail().unwrap());
            prop_assert_eq!(&content(&packed), &lines);
            for after in 0..=paddings.len() as u64 + 1 {
                let offset = plain.seek(after, end).unwrap();
                prop_assert_eq!(packed.seek(after, end).unwrap(), offset, "after {}", after);
                let read = |reader: &LogReader| reader.read(offset, end, max_bytes).unwrap();
                prop_assert_eq!(read(&packed), read(&plain), "after {}", after);
            }
            // A tail that is told to the reader may be anywhere that a line ends.
            for end in (0..=paddings.len() as u64).map(|after| plain.seek(after, end).unwrap()) {
                prop_assert_eq!(packed.seek(3, end).unwrap(), plain.seek(3, end).unwrap());
            }
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_other_lines() {
        let sample = Sample::new();
        let lines = sample.lines(12, 60);
        let plain = sample.reader(&lines);
        let path = sample.directory().join("compressed.zst");
        drop(compressed(&sample, &plain, 700, 0));
        let good = std::fs::read(&path).unwrap();
        let mut refused = 0;
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            std::fs::write(&path, &bad).unwrap();
            let opened = LogReader::open_compressed(&RealDisk::default(), &path, &FrameCache::new(0));
            let mut read = vec![0; lines.len()];
            match opened.map(|reader| reader.read_exact_at(&mut read, 0)) {
                Ok(Ok(())) => assert_eq!(read, lines, "byte {at}"),
                Ok(Err(_)) | Err(OpenReaderError::Io(_)) => refused += 1,
                Err(error) => panic!("it is there: {error}"),
            }
        }
        // All but what no reader looks at: the header for foreign tools, and bits of zstd's own that mean nothing.
        assert!(refused > good.len() - 40, "{refused} of {}", good.len());
        for size in 0..good.len() {
            std::fs::write(&path, &good[..size]).unwrap();
            assert!(
                LogReader::open_compressed(&RealDisk::default(), &path, &FrameCache::new(0)).is_err(),
                "{size} bytes"
            );
        }
    }

    #[test]
    fn the_end_of_a_long_log_costs_a_frame_or_two_and_the_next_reader_none() {
        let world = World::with(20_000);
        world.compress().unwrap();
        let end = world.lines.len() as u64;
        let read = || {
            let reader = world.reader();
            let offset = reader.seek(19_990, end).unwrap();
            reader.read(offset, end, 1 << 20).unwrap().lines
        };
        let lines = read();
        assert!(world.lines.ends_with(&lines) && memchr_iter(b'\n', &lines).count() == 10);
        let unpacked = world.root.metrics().frames_unpacked;
        assert!((1..=2).contains(&unpacked), "{unpacked}");
        assert_eq!(read(), lines);
        assert_eq!(world.root.metrics().frames_unpacked, unpacked);
    }
}
