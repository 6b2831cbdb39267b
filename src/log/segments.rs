//! Logs that never end are kept in segments: the newest is the log's own file, older ones stand beside it, named by
//! their first sequence (`events-<first>.ndjson`), and are never written again.
//!
//! Law: the segments together are the log, without hole or overlap. Offsets are counted over all that were there when
//! the log was opened. The newest event is never deleted: the next sequence is read from it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFile, Mode, ReadAt};
use super::lines::read_lines;
use super::scan::scan_segment;
use crate::domain::StreamKey;
use crate::domain::time::Timestamp;
use crate::event::codec;

const PREFIX: &str = "events-";
const SUFFIX: &str = ".ndjson";

/// Whether the logs of these streams are kept in segments.
pub(super) fn has_segments(key: StreamKey) -> bool {
    key.is_feed()
}

/// An older segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) first: u64,
    pub(super) size: u64,
}

/// The older segments of a log, oldest first; `log` is the path of its newest.
pub(super) fn sealed(disk: &dyn Disk, log: &Path) -> io::Result<Vec<Segment>> {
    let folder = log.parent().unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for name in disk.list(folder)? {
        let first = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
        if let Some(first) = first.and_then(|digits| digits.parse().ok()) {
            let path = folder.join(name);
            let size = disk.open(&path, Mode::Read)?.size()?;
            found.push(Segment { path, first, size });
        }
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}

/// The path of the segment whose first event has this sequence.
pub(super) fn sealed_path(log: &Path, first: u64) -> PathBuf {
    log.with_file_name(format!("{PREFIX}{first:020}{SUFFIX}"))
}

/// The last event of a segment: its line, and when it was admitted.
pub(super) fn last_event(disk: &dyn Disk, segment: &Segment) -> io::Result<Option<(u64, bytes::Bytes, Timestamp)>> {
    let file = disk.open(&segment.path, Mode::Read)?;
    let Some(last) = scan_segment(&*file, segment.size)?.last else { return Ok(None) };
    let created_at = codec::decode(&last.line).map_err(io::Error::other)?.created_at;
    Ok(Some((last.sequence, last.line, created_at)))
}

/// The sequence of a file's first event; none when it is not whole, as after a crash.
pub(super) fn first_sequence(file: &dyn ReadAt, size: u64) -> io::Result<Option<u64>> {
    match read_lines(file, 0, size, 1) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        first => Ok(codec::decode(&first?.lines).ok().map(|event| event.sequence)),
    }
}

/// All segments as one file to read. Older ones are opened when they are read, since there may be many.
pub(super) struct Joined {
    disk: Arc<dyn Disk>,
    /// Each with the offset behind its end.
    sealed: Vec<(Segment, u64)>,
    /// None between the sealing of one and the first opening of the next.
    newest: Option<Arc<dyn DiskFile>>,
}

impl Joined {
    pub(super) fn new(disk: Arc<dyn Disk>, sealed: Vec<Segment>, newest: Option<Arc<dyn DiskFile>>) -> Self {
        let mut end = 0;
        let placed = sealed.into_iter().map(|segment| {
            end += segment.size;
            (segment, end)
        });
        Self { disk, sealed: placed.collect(), newest }
    }

    /// The offset at which the newest segment begins.
    pub(super) fn newest_start(&self) -> u64 {
        self.sealed.last().map_or(0, |(_, end)| *end)
    }
}

impl ReadAt for Joined {
    fn size(&self) -> io::Result<u64> {
        let newest = self.newest.as_ref().map_or(Ok(0), |newest| newest.size())?;
        Ok(self.newest_start() + newest)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let at = self.sealed.partition_point(|(_, end)| *end <= offset);
        let Some((segment, end)) = self.sealed.get(at) else {
            let newest = self.newest.as_ref();
            return newest.map_or(Ok(0), |newest| newest.read_at(buffer, offset - self.newest_start()));
        };
        let wanted = buffer.len().min((end - offset) as usize);
        let file = self.disk.open(&segment.path, Mode::Read)?;
        match file.read_at(&mut buffer[..wanted], offset - (end - segment.size))? {
            0 if wanted > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }

    /// Only of the newest: to open an older one may wait for a device.
    fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match (&self.newest, offset.checked_sub(self.newest_start())) {
            (Some(newest), Some(within)) => newest.read_cached_at(buffer, within),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::root::LogRoot;
    use super::super::sample::Sample;
    use super::*;
    use crate::log::verify::verify_log;
    use crate::log::{LogOptions, RealDisk, Recovered};

    struct World {
        folder: tempfile::TempDir,
        sample: Sample,
        key: StreamKey,
    }

    impl World {
        fn new() -> Self {
            let sample = Sample::new();
            let key = StreamKey::feed(sample.key.workspace_id());
            Self { folder: tempfile::tempdir().unwrap(), sample, key }
        }

        fn root(&self) -> LogRoot {
            LogRoot::open(self.folder.path(), Arc::new(RealDisk::default()), LogOptions::default()).unwrap().0
        }

        /// Appends the events `from..=to` and says what was there before.
        fn append(&self, root: &LogRoot, from: u64, to: u64) -> Recovered {
            let (mut writer, recovered) = root.writer(self.key, None).unwrap();
            assert_eq!((recovered.last_sequence + 1, writer.durable_bytes()), (from, recovered.bytes));
            let lines: Vec<u8> = (from..=to).flat_map(|sequence| self.sample.line(sequence, 200)).collect();
            let end = recovered.bytes + lines.len() as u64;
            writer.commit(lines.into(), true).wait().unwrap();
            assert_eq!(writer.durable_bytes(), end);
            recovered
        }

        fn names(&self) -> Vec<String> {
            let mut names = RealDisk::default().list(&self.folder.path().join(self.key.directory())).unwrap();
            names.sort();
            names
        }

        /// The sequences that a reader finds behind a position.
        fn read(&self, root: &LogRoot, after: u64) -> Vec<u64> {
            let reader = root.reader(self.key).unwrap();
            let tail = reader.tail().unwrap();
            let (mut offset, mut found) = (reader.seek(after, tail.bytes).unwrap(), Vec::new());
            while offset < tail.bytes {
                let chunk = reader.read(offset, tail.bytes, 1000).unwrap();
                let lines = chunk.lines.split_inclusive(|byte| *byte == b'\n');
                found.extend(lines.map(|line| codec::decode(line).unwrap().sequence));
                offset = chunk.next_offset;
            }
            found
        }
    }

    #[test]
    fn segments_are_one_log_whatever_is_read_of_it() {
        let world = World::new();
        let root = world.root();
        for (from, to) in [(1, 40), (41, 41), (42, 90)] {
            world.append(&root, from, to);
            root.seal(world.key).unwrap();
        }
        assert_eq!(world.append(&root, 91, 120).last_sequence, 90);
        let older = [1, 41, 42].map(|first| format!("events-{first:020}.ndjson"));
        assert_eq!(world.names(), [&older[..], &["events.ndjson".to_owned()]].concat());
        for after in [0, 1, 39, 40, 41, 42, 89, 90, 91, 119, 120] {
            assert!(world.read(&root, after).into_iter().eq(after + 1..=120), "after {after}");
        }
        let reader = root.reader(world.key).unwrap();
        assert_eq!((reader.first_sequence(), reader.tail().unwrap().last_sequence), (1, 120));
        assert_eq!(verify_log(&reader, world.key, false).unwrap().events, 120);
        assert!(root.seal(StreamKey::of(world.key.workspace_id(), crate::domain::RunId::generate())).is_err());
    }

    #[test]
    fn a_life_that_ends_after_a_seal_leaves_every_segment_as_it_was() {
        let world = World::new();
        let root = world.root();
        world.append(&root, 1, 30);
        // Sealed with its bytes in the journal, as after every quick turn.
        root.seal(world.key).unwrap();
        world.append(&root, 31, 35);
        // Without a close the journal is replayed at the next start.
        drop(root);
        let root = world.root();
        assert!(world.read(&root, 0).into_iter().eq(1..=35));
        root.seal(world.key).unwrap();
        drop(root);
        // The newest is empty: the number goes on all the same.
        let root = world.root();
        assert_eq!(world.append(&root, 36, 36).last_sequence, 35);
        root.close();
        assert!(world.read(&world.root(), 30).into_iter().eq(31..=36));
    }

    #[test]
    fn a_torn_end_of_the_newest_is_cut_and_nothing_else() {
        let world = World::new();
        let root = world.root();
        world.append(&root, 1, 30);
        root.seal(world.key).unwrap();
        world.append(&root, 31, 35);
        root.close();
        let newest = world.folder.path().join(world.key.log_path());
        let whole = std::fs::read(&newest).unwrap();
        std::fs::write(&newest, [&whole[..], b"{\"type\":\"half"].concat()).unwrap();
        let root = world.root();
        assert!(world.read(&root, 28).into_iter().eq(29..=35));
        let young = StreamKey::feed(crate::domain::WorkspaceId::generate());
        let path = world.folder.path().join(young.log_path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"{\"type\":\"half").unwrap();
        let reader = root.reader(young).unwrap();
        assert_eq!((reader.first_sequence(), reader.tail().unwrap().last_sequence), (1, 0));
        let recovered = world.append(&root, 36, 36);
        assert!(recovered.torn);
        assert!(world.read(&root, 0).into_iter().eq(1..=36));
    }

    #[test]
    fn old_segments_go_and_the_newest_event_stays() {
        let world = World::new();
        let root = world.root();
        for (from, to) in [(1, 10), (11, 20), (21, 30)] {
            world.append(&root, from, to);
            root.seal(world.key).unwrap();
        }
        let (past, future) = (chrono::Utc::now() - chrono::Days::new(1), chrono::Utc::now() + chrono::Days::new(1));
        assert_eq!(root.expire(world.key, past).unwrap().segments, 0);
        let expired = root.expire(world.key, future).unwrap();
        assert!(expired.segments == 2 && expired.bytes > 4000, "{expired:?}");
        assert_eq!(root.reader(world.key).unwrap().first_sequence(), 21);
        assert!(world.read(&root, 20).into_iter().eq(21..=30));
        assert_eq!(world.append(&root, 31, 31).last_sequence, 30);
        assert_eq!(root.expire(world.key, future).unwrap().segments, 1);
        assert_eq!(world.read(&root, 30), [31]);
        assert_eq!(root.reader(world.key).unwrap().first_sequence(), 31);
        let nothing = StreamKey::feed(crate::domain::WorkspaceId::generate());
        assert_eq!(root.expire(nothing, future).unwrap().segments, 0);
    }
}
