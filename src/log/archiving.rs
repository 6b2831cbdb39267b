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

use super::archive::Archive;
use super::compressed::FrameCache;
use super::counters::Counters;
use super::disk::{Disk, DiskFile, Mode, compressed_path, read_range};
use super::ended::has_ended;
use super::error::OpenReaderError;
use super::journal::Journal;
use super::pointer::{Described, Pointer, PointerError, checksum, intent_path, pointer_path};
use super::reader::LogReader;
use super::root::LogRoot;
use crate::domain::StreamKey;
use crate::files::is_absent;
use crate::objects::ObjectError;

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
    /// The store does not answer, whatever it is asked for.
    #[error("{0}")]
    Unavailable(String),
    /// The store does not take this log.
    #[error("{0}")]
    Refused(String),
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
            ObjectError::Refused(_) => Self::Refused(error.to_string()),
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

fn put(
    archive: &Archive,
    pointer: &Pointer,
    file: &Arc<dyn DiskFile>,
    should_stop: &dyn Fn() -> bool,
) -> Result<(), ArchiveError> {
    let mut read = |at, size: usize| Ok(Bytes::from(read_range(&**file, at, at + size as u64)?));
    match archive.source.put_whole(pointer.expected(), &mut read, should_stop)? {
        true => Ok(()),
        false => Err(ArchiveError::Mismatch),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::super::archive::{ArchiveOptions, Opening};
    use super::super::disk::RealDisk;
    use super::super::error::OpenLogError;
    use super::super::options::LogOptions;
    use super::super::retention::{CompressError, DeleteError};
    use super::super::sample::Sample;
    use super::*;
    use crate::objects::memory::{Faults, MemoryStore};

    /// A data folder with one log in it, and a store.
    struct World {
        folder: tempfile::TempDir,
        sample: Sample,
        lines: Vec<u8>,
        store: MemoryStore,
        root: LogRoot,
    }

    fn open(folder: &Path, store: Option<&MemoryStore>) -> LogRoot {
        let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
        let (root, _) = LogRoot::open(folder, Arc::new(RealDisk::default()), options).unwrap();
        if let Some(store) = store {
            let store = Arc::new(store.clone());
            root.attach_archive(ArchiveOptions { store, cache_bytes: 1 << 20, min_free: 0, pause: Duration::ZERO })
                .unwrap();
        }
        root
    }

    impl World {
        fn with(events: u64) -> Self {
            let (sample, folder, store) = (Sample::new(), tempfile::tempdir().unwrap(), MemoryStore::default());
            let mut lines = sample.lines(events - 1, 300);
            lines.extend(sample.event("run.completed", events, 10));
            let root = open(folder.path(), Some(&store));
            let world = Self { folder, sample, lines, store, root };
            std::fs::create_dir_all(world.path().parent().unwrap()).unwrap();
            std::fs::write(world.path(), &world.lines).unwrap();
            world
        }

        fn archived(events: u64) -> Self {
            let world = Self::with(events);
            world.root.compress(world.sample.key, &|| false).unwrap();
            assert!(world.archive().unwrap() > 0);
            world
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join(self.sample.key.log_path())
        }

        fn names(&self) -> Vec<String> {
            let folder = std::fs::read_dir(self.path().parent().unwrap()).unwrap();
            folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }

        fn archive(&self) -> Result<u64, ArchiveError> {
            self.root.archive(self.sample.key, &|| false)
        }

        fn content(&self) -> Result<Vec<u8>, OpenReaderError> {
            content(&self.root.reader(self.sample.key)?)
        }

        /// As another process would find it.
        fn reopened(mut self, store: Option<&MemoryStore>) -> Self {
            self.root = open(self.folder.path(), store);
            self
        }

        fn forget_cache(self) -> Self {
            let (folder, store) = (self.folder.path().join("archive/cache"), self.store.clone());
            std::fs::remove_dir_all(folder).unwrap();
            self.reopened(Some(&store))
        }
    }

    fn content(reader: &LogReader) -> Result<Vec<u8>, OpenReaderError> {
        let mut bytes = vec![0; reader.size().map_err(OpenReaderError::Io)? as usize];
        reader.read_exact_at(&mut bytes, 0).map_err(OpenReaderError::Io)?;
        Ok(bytes)
    }

    #[test]
    fn an_archived_log_reads_as_before_and_is_fetched_once() {
        let world = World::archived(3000);
        assert_eq!(world.names(), ["events.ndjson.archived"]);
        let before = world.store.gets();
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..20).map(|_| scope.spawn(|| world.content().unwrap())).collect();
            readers.into_iter().for_each(|reader| assert_eq!(reader.join().unwrap(), world.lines));
        });
        assert_eq!(world.store.gets() - before, 1);
        let (reader, end) = (world.root.reader(world.sample.key).unwrap(), world.lines.len() as u64);
        let plain = world.sample.reader(&world.lines);
        for after in [0, 1, 1500, 2999, 3000, 4000] {
            assert_eq!(reader.seek(after, end).unwrap(), plain.seek(after, end).unwrap(), "after {after}");
        }
        assert_eq!(reader.tail().unwrap(), plain.tail().unwrap());
        assert!(world.root.metrics().archived_logs == 1 && world.archive().unwrap() == 0, "done already");
        let store = world.store.clone();
        let world = world.reopened(Some(&store));
        assert_eq!((world.content().unwrap(), world.store.gets() - before), (world.lines.clone(), 1), "it was kept");
    }

    #[test]
    fn only_a_log_that_is_over_and_compressed_is_archived() {
        let world = World::with(50);
        assert!(matches!(world.archive(), Err(ArchiveError::NotCompressed)));
        let never = Sample::new().key;
        assert!(matches!(world.root.archive(never, &|| false), Err(ArchiveError::NotFound)));
        world.root.compress(world.sample.key, &|| false).unwrap();
        assert!(matches!(world.root.archive(world.sample.key, &|| true), Err(ArchiveError::Stopped)));
        let deletable = world.root.deletable(world.sample.key).unwrap();
        assert!(matches!(world.archive(), Err(ArchiveError::InUse)));
        drop(deletable);
        let without = world.reopened(None);
        assert!(matches!(without.archive(), Err(ArchiveError::NotSet)));
        assert_eq!(without.names(), ["events.ndjson.zst"]);
    }

    #[test]
    fn a_store_that_does_not_say_what_is_missing_is_archived_in() {
        let world = World::with(50);
        world.root.compress(world.sample.key, &|| false).unwrap();
        world.store.inject(Faults { refuses: true, ..Faults::default() });
        assert!(matches!(world.archive(), Err(ArchiveError::Refused(_))));
        world.store.inject(Faults { away: true, ..Faults::default() });
        assert!(matches!(world.archive(), Err(ArchiveError::Unavailable(_))));
        world.store.inject(Faults { hides_sizes: true, ..Faults::default() });
        assert!(world.archive().unwrap() > 0);
        assert_eq!(world.names(), ["events.ndjson.archived"]);
    }

    #[test]
    fn no_writer_gets_an_empty_log_in_the_place_of_an_archived_one() {
        let world = World::archived(50);
        assert!(matches!(world.root.writer(world.sample.key, None), Err(OpenLogError::Archived)));
        // A pointer that cannot be read is one all the same.
        std::fs::write(pointer_path(&world.path()), "{").unwrap();
        assert!(matches!(world.root.writer(world.sample.key, None), Err(OpenLogError::Archived)));
        assert!(matches!(world.content(), Err(OpenReaderError::ArchiveDamaged(_))));
        assert!(matches!(world.archive(), Err(ArchiveError::Io(_))));
        assert_eq!(world.names(), ["events.ndjson.archived"]);
    }

    #[test]
    fn a_row_that_is_older_than_its_archived_log_goes_on_from_there() {
        let world = World::archived(50);
        let shrunk = world.root.compress(world.sample.key, &|| false).unwrap();
        assert_eq!((shrunk.before, shrunk.after), (0, 0));
        std::fs::remove_file(pointer_path(&world.path())).unwrap();
        let lost = world.root.compress(world.sample.key, &|| false);
        assert!(matches!(lost, Err(CompressError::NotFound)), "{lost:?}");
    }

    #[test]
    fn what_the_store_does_not_give_is_never_an_empty_log() {
        let world = World::archived(50).forget_cache();
        let object = world.store.names().remove(0);
        world.store.inject(Faults { away: true, ..Faults::default() });
        assert!(matches!(world.content(), Err(OpenReaderError::ArchiveUnavailable(_))));
        for faults in [Faults { corrupt: true, ..Faults::default() }, Faults { truncated: true, ..Faults::default() }] {
            world.store.inject(faults);
            assert!(matches!(world.content(), Err(OpenReaderError::ArchiveDamaged(_))), "{faults:?}");
        }
        world.store.inject(Faults::default());
        assert_eq!(world.content().unwrap(), world.lines, "nothing wrong was kept");
        let world = world.forget_cache();
        world.store.remove(&object);
        assert!(matches!(world.content(), Err(OpenReaderError::ArchiveDamaged(_))));
        let world = world.reopened(None);
        assert!(matches!(world.content(), Err(OpenReaderError::ArchiveUnavailable(_))));
    }

    #[test]
    fn a_damaged_file_of_the_cache_is_fetched_anew() {
        let world = World::archived(50);
        world.content().unwrap();
        let folder = world.folder.path().join("archive/cache");
        let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[10] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let store = world.store.clone();
        let world = world.reopened(Some(&store));
        assert_eq!(world.content().unwrap(), world.lines);
    }

    #[test]
    fn a_stuck_store_holds_up_nobody_but_those_who_want_what_is_in_it() {
        let world = World::archived(50);
        world.content().unwrap();
        let others: Vec<_> = (0..20).map(|_| another(&world)).collect();
        world.store.inject(Faults { stuck: true, deaf: true, ..Faults::default() });
        let waiting: Vec<_> = others.iter().map(|key| world.root.opening(*key).unwrap()).collect();
        assert!(waiting.iter().all(|opening| matches!(opening, Opening::Fetching(_))));
        assert_eq!(world.content().unwrap(), world.lines, "what is here is read");
        // And a stop waits for none of them.
        let (done, stopped) = channel();
        let root = world.root.clone();
        std::thread::spawn(move || {
            root.close();
            done.send(()).unwrap();
        });
        stopped.recv_timeout(Duration::from_secs(20)).expect("it stops");
        world.store.inject(Faults::default());
    }

    /// The pointer of a log that another directory has archived.
    fn another(world: &World) -> StreamKey {
        let sample = Sample::new();
        let described = Described { object_bytes: 10, sha256: "0a".repeat(32), log_bytes: 20, last_sequence: 3 };
        let pointer = Pointer::new(sample.key, &ulid::Ulid::generate().to_string(), described);
        let path = world.folder.path().join(sample.key.log_path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        pointer.write(&RealDisk::default(), &pointer_path(&path)).unwrap();
        sample.key
    }

    #[test]
    fn an_archived_log_is_deleted_with_its_object_and_not_fetched_for_it() {
        let world = World::archived(50);
        let gets = world.store.gets();
        world.store.inject(Faults { away: true, ..Faults::default() });
        let refused = world.root.deletable(world.sample.key).unwrap().delete(&|| false);
        assert!(matches!(refused, Err(DeleteError::ArchiveUnavailable(_))));
        world.store.inject(Faults { stuck: true, ..Faults::default() });
        let stopped = world.root.deletable(world.sample.key).unwrap().delete(&|| true);
        assert!(matches!(stopped, Err(DeleteError::Stopped)));
        world.store.inject(Faults { refuses: true, ..Faults::default() });
        let refused = world.root.deletable(world.sample.key).unwrap().delete(&|| false);
        assert!(
            matches!(refused, Err(DeleteError::Archive(_))) && world.names() == ["events.ndjson.archived"],
            "what leads there stays: {refused:?}"
        );
        world.store.inject(Faults::default());
        world.root.deletable(world.sample.key).unwrap().delete(&|| false).unwrap();
        assert!(world.names().is_empty() && world.store.names().is_empty() && world.store.gets() == gets);
        assert!(matches!(world.root.reader(world.sample.key), Err(OpenReaderError::NotFound)));
    }

    #[test]
    fn what_was_fetched_of_a_log_goes_with_it() {
        let world = World::archived(50);
        world.content().unwrap();
        let folder = world.folder.path().join("archive/cache");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        world.root.deletable(world.sample.key).unwrap().delete(&|| false).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn who_has_not_put_an_object_does_not_delete_it() {
        let world = World::archived(50);
        // What a restored backup has: the pointers, and no name of its own in the store yet.
        std::fs::remove_dir_all(world.folder.path().join("archive")).unwrap();
        let store = world.store.clone();
        let world = world.reopened(Some(&store));
        assert_eq!(world.content().unwrap(), world.lines);
        world.root.deletable(world.sample.key).unwrap().delete(&|| false).unwrap();
        assert!(world.names().is_empty());
        assert_eq!(world.store.names().len(), 1, "it is the other directory's");
    }
}
