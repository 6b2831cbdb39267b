//! The contract of a log, whatever disk and journal it is made of: every implementation passes every one of these.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use ade::domain::{ConfigurationId, EventId, RunId, StreamKey, WorkspaceId, time};
use ade::event::{Draft, Identity, Source, codec};
use ade::log::disk::{Disk, Mode};
use ade::log::memory::{MemoryDisk, MemoryJournal, MemoryRounds};
use ade::log::{
    ClusterOptions, Journal, LogOptions, LogReader, LogRoot, LogWriter, NodeJournal, RealDisk, ReplayReport,
};
use ade_test_support::nats::{self, Nats};
use bytes::Bytes;
use serde_json::json;

use super::sim_disk::SimDisk;

/// What logs are kept on, across restarts.
trait Medium {
    type Journal: Journal;
    /// Large batches may be synced in their own file.
    const GOES_DIRECT: bool = true;

    /// Whether this machine has what it takes.
    fn is_there() -> bool {
        true
    }

    fn new() -> Self;
    fn data_dir(&self) -> PathBuf;
    fn disk(&self) -> Arc<dyn Disk>;
    fn open(&self) -> (LogRoot<Self::Journal>, ReplayReport);
    /// As if a crash had left only a part of the last round. No root is open.
    fn tear_last_round(&self);

    fn root(&self) -> LogRoot<Self::Journal> {
        self.open().0
    }

    /// As if the host had gone down before any byte of this log's own file was on the disk.
    fn lose_file(&self, key: StreamKey) {
        let file = self.disk().open(&self.data_dir().join(key.log_path()), Mode::Write).unwrap();
        file.set_len(0).unwrap();
    }
}

/// Small enough for checkpoints and for batches that go past the journal.
pub fn options() -> LogOptions {
    LogOptions { segment_bytes: 64 << 10, direct_bytes: 8 << 10, direct_threads: 2, ..LogOptions::default() }
}

struct Real(tempfile::TempDir);

impl Medium for Real {
    type Journal = NodeJournal;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn data_dir(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(RealDisk::within(self.0.path()))
    }

    fn open(&self) -> (LogRoot, ReplayReport) {
        LogRoot::open(self.0.path(), self.disk(), options()).unwrap()
    }

    fn tear_last_round(&self) {
        tear_segment(&*self.disk(), self.0.path());
    }
}

/// A disk of which every handle is of the same content.
trait SharedDisk: Disk + Clone + 'static {
    fn blank() -> Self;
}

impl SharedDisk for SimDisk {
    fn blank() -> Self {
        SimDisk::new(1, false)
    }
}

impl SharedDisk for MemoryDisk {
    fn blank() -> Self {
        MemoryDisk::default()
    }
}

/// The local journal's format on a disk that is not one.
struct Local<D>(D);

impl<D: SharedDisk> Medium for Local<D> {
    type Journal = NodeJournal;

    fn new() -> Self {
        Self(D::blank())
    }

    fn data_dir(&self) -> PathBuf {
        "/data".into()
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.0.clone())
    }

    fn open(&self) -> (LogRoot, ReplayReport) {
        LogRoot::open(&self.data_dir(), self.disk(), options()).unwrap()
    }

    fn tear_last_round(&self) {
        tear_segment(&self.0, &self.data_dir());
    }
}

type Simulated = Local<SimDisk>;
type Files = Local<MemoryDisk>;

#[derive(Default)]
struct Memory(MemoryDisk, MemoryRounds);

impl Medium for Memory {
    type Journal = MemoryJournal;

    fn new() -> Self {
        Self::default()
    }

    fn data_dir(&self) -> PathBuf {
        "/data".into()
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.0.clone())
    }

    fn open(&self) -> (LogRoot<MemoryJournal>, ReplayReport) {
        let opened = MemoryJournal::open(self.1.clone(), &self.0, &self.data_dir()).unwrap();
        LogRoot::with_journal(&self.data_dir(), self.disk(), options(), opened).unwrap()
    }

    fn tear_last_round(&self) {
        let mut rounds = self.1.lock().unwrap();
        let round = rounds.last_mut().unwrap();
        let half = round.len() / 2;
        round[half..].fill(0);
    }
}

/// Three real servers, and a stream of its own for each law.
struct Cluster {
    folder: tempfile::TempDir,
    options: ClusterOptions,
}

/// One for all laws. They end with this process.
static SERVERS: LazyLock<Nats> = LazyLock::new(|| Nats::start_for_program("contract"));

impl Medium for Cluster {
    type Journal = NodeJournal;
    const GOES_DIRECT: bool = false;

    fn is_there() -> bool {
        nats::is_there()
    }

    fn new() -> Self {
        let options = ClusterOptions::new(SERVERS.servers(), "contract", &ulid::Ulid::generate().to_string());
        Self { folder: tempfile::tempdir().unwrap(), options: ClusterOptions { keep_bytes: 1 << 20, ..options } }
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(RealDisk::within(self.folder.path()))
    }

    fn open(&self) -> (LogRoot, ReplayReport) {
        LogRoot::open_in_cluster(self.folder.path(), self.disk(), options(), &self.options).unwrap()
    }

    /// A message is stored whole or not at all: of a round that a crash broke off there is nothing.
    fn tear_last_round(&self) {
        let stream = self.options.stream();
        let info = SERVERS.info(&stream);
        let mut messages = SERVERS.messages(&stream);
        messages.pop();
        SERVERS.ask(&format!("$JS.API.STREAM.DELETE.{stream}"), &json!({}));
        SERVERS.ask(&format!("$JS.API.STREAM.CREATE.{stream}"), &info["config"]);
        for message in messages {
            let stored = SERVERS.publish(&stream, &message.unwrap());
            assert!(stored["error"].is_null(), "{stored}");
        }
        // To the node this is the stream that it knows.
        let marker = self.folder.path().join("journal/stream.json");
        let mut known: serde_json::Value = serde_json::from_slice(&std::fs::read(&marker).unwrap()).unwrap();
        known["created"] = SERVERS.info(&stream)["created"].clone();
        std::fs::write(marker, known.to_string()).unwrap();
    }
}

/// Of the segment that a new journal begins with.
fn tear_segment(disk: &dyn Disk, data_dir: &Path) {
    let file = disk.open(&data_dir.join("journal/0.wal"), Mode::Write).unwrap();
    let mut content = vec![0; file.size().unwrap() as usize];
    assert_eq!(file.read_at(&mut content, 0).unwrap(), content.len());
    let end = content.iter().rposition(|byte| *byte != 0).unwrap();
    file.write_all_at(&[0; 8], end as u64 - 8).unwrap();
}

pub fn key() -> StreamKey {
    StreamKey::of(WorkspaceId::generate(), RunId::generate())
}

fn event(key: StreamKey, kind: &'static str, sequence: u64, padding: usize) -> Vec<u8> {
    let identity = Identity::new(key, ConfigurationId::generate());
    let event_id = EventId::from_ulid(ulid::Ulid::from_parts(sequence, 0));
    let stamp = codec::Stamp { sequence, event_id, created_at: time::micros(chrono::Utc::now()) };
    let draft = Draft::new(kind, Source::Engine, &json!({ "message": "x".repeat(padding) }));
    let mut line = Vec::new();
    codec::encode(&mut line, &identity, stamp, &draft);
    line
}

pub fn lines(key: StreamKey, sequences: RangeInclusive<u64>, padding: usize) -> Bytes {
    sequences.flat_map(|sequence| event(key, "console.line", sequence, padding)).collect::<Vec<_>>().into()
}

pub fn content(reader: &LogReader) -> Vec<u8> {
    let mut bytes = vec![0; reader.tail().unwrap().bytes as usize];
    reader.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

pub fn commit<J: Journal>(writer: &mut LogWriter<J>, batch: &Bytes) -> u64 {
    writer.commit(batch.clone(), false).wait().unwrap()
}

/// Five streams with two batches each; what each holds then.
fn written<J: Journal>(root: &LogRoot<J>) -> Vec<(StreamKey, Vec<u8>)> {
    let keys: Vec<_> = (0..5).map(|_| key()).collect();
    let mut writers: Vec<_> = keys.iter().map(|key| root.writer(*key, None).unwrap().0).collect();
    let mut contents = vec![Vec::new(); keys.len()];
    for sequences in [1..=3, 4..=4] {
        let batches: Vec<_> = keys.iter().map(|key| lines(*key, sequences.clone(), 50)).collect();
        let both = writers.iter_mut().zip(&batches);
        let commits: Vec<_> = both.map(|(writer, batch)| writer.commit(batch.clone(), false)).collect();
        for ((content, batch), commit) in contents.iter_mut().zip(batches).zip(commits) {
            content.extend_from_slice(&batch);
            assert_eq!(commit.wait().unwrap(), content.len() as u64);
        }
    }
    keys.into_iter().zip(contents).collect()
}

mod laws {
    use ade::event::codec;
    use ade::log::verify::verify_log;
    use ade::log::{CommitError, OpenLogError, OpenReaderError};

    use super::*;

    pub fn what_is_acknowledged_is_read_back_after_a_clean_stop_that_leaves_no_round<M: Medium>() {
        let medium = M::new();
        let root = medium.root();
        let written = written(&root);
        root.close();
        drop(root);
        let (root, report) = medium.open();
        assert_eq!(report, ReplayReport::default());
        assert!(written.iter().all(|(key, bytes)| content(&root.reader(*key).unwrap()) == *bytes));
    }

    pub fn what_is_acknowledged_is_read_back_after_a_crash_that_took_the_files<M: Medium>() {
        let medium = M::new();
        let root = medium.root();
        let written = written(&root);
        drop(root);
        written.iter().for_each(|(key, _)| medium.lose_file(*key));
        let (root, report) = medium.open();
        assert_eq!((report.logs, report.gone, report.gaps), (written.len() as u64, 0, 0));
        for (key, bytes) in written {
            assert_eq!(content(&root.reader(key).unwrap()), bytes);
            assert_eq!(root.writer(key, None).unwrap().1.last_sequence, 4);
        }
    }

    pub fn a_replay_is_harmless_as_often_as_it_is_done<M: Medium>() {
        let medium = M::new();
        let written = written(&medium.root());
        for _ in 0..3 {
            let root = medium.root();
            assert!(written.iter().all(|(key, bytes)| content(&root.reader(*key).unwrap()) == *bytes));
        }
    }

    pub fn a_torn_round_is_cut_whole_and_no_part_of_it_is_seen<M: Medium>() {
        let medium = M::new();
        let root = medium.root();
        let written = written(&root);
        let mut more = Vec::new();
        for (key, _) in &written {
            let mut writer = root.writer(*key, None).unwrap().0;
            more.push(lines(*key, 5..=7, 50));
            writer.commit(more.last().unwrap().clone(), false).wait().unwrap();
        }
        drop(root);
        medium.tear_last_round();
        written.iter().for_each(|(key, _)| medium.lose_file(*key));
        let root = medium.root();
        // The batches came one after the other, so the last round held the last one alone.
        let last = written.len() - 1;
        for (index, ((key, bytes), more)) in written.iter().zip(&more).enumerate() {
            let expected = if index == last { bytes.clone() } else { [&bytes[..], more].concat() };
            assert_eq!(content(&root.reader(*key).unwrap()), expected, "stream {index}");
        }
    }

    pub fn batches_stand_in_the_order_of_their_acknowledgements_in_every_stream<M: Medium>() {
        let medium = M::new();
        let root = medium.root();
        let keys: Vec<_> = (0..6).map(|_| key()).collect();
        std::thread::scope(|scope| {
            for key in &keys {
                let root = root.clone();
                scope.spawn(move || {
                    let (mut writer, mut end) = (root.writer(*key, None).unwrap().0, 0);
                    for round in 0..40 {
                        // Every tenth goes past the journal; together they fill its segments several times.
                        let batch =
                            lines(*key, round * 3 + 1..=round * 3 + 3, if round % 10 == 9 { 4000 } else { 300 });
                        end += batch.len() as u64;
                        assert_eq!(commit(&mut writer, &batch), end);
                    }
                });
            }
        });
        drop(root);
        let root = medium.root();
        for key in keys {
            let report = verify_log(&root.reader(key).unwrap(), key, false).unwrap();
            assert_eq!((report.events, report.violations), (120, vec![]));
        }
    }

    pub fn what_was_cut_off_does_not_come_back<M: Medium>() {
        let medium = M::new();
        let (root, key) = (medium.root(), key());
        let (first, second) = (lines(key, 1..=2, 50), lines(key, 3..=9, 50));
        let mut writer = root.writer(key, None).unwrap().0;
        let kept = commit(&mut writer, &first);
        commit(&mut writer, &second);
        drop(writer);
        let (mut writer, recovered) = root.writer(key, Some(kept)).unwrap();
        assert_eq!((recovered.last_sequence, recovered.cut_bytes), (2, second.len() as u64));
        let other = lines(key, 3..=3, 10);
        commit(&mut writer, &other);
        drop((writer, root));
        medium.lose_file(key);
        assert_eq!(content(&medium.root().reader(key).unwrap()), [first, other].concat());
    }

    pub fn large_batches_that_go_past_the_journal_stand_between_small_ones<M: Medium>() {
        let medium = M::new();
        let (root, key) = (medium.root(), key());
        let batches = [lines(key, 1..=2, 50), lines(key, 3..=4, 20_000), lines(key, 5..=5, 50)];
        let mut writer = root.writer(key, None).unwrap().0;
        for batch in &batches {
            commit(&mut writer, batch);
        }
        assert_eq!(root.metrics().direct_batches, u64::from(M::GOES_DIRECT));
        drop((writer, root));
        assert_eq!(content(&medium.root().reader(key).unwrap()), batches.concat());
    }

    pub fn reads_are_bounded_and_made_of_whole_lines<M: Medium>() {
        let medium = M::new();
        let (root, key) = (medium.root(), key());
        let all = lines(key, 1..=60, 200);
        let mut writer = root.writer(key, None).unwrap().0;
        let end = commit(&mut writer, &all);
        let reader = root.reader(key).unwrap();
        for limit in [1, 1000, 5000, 1 << 20] {
            let (mut offset, mut read) = (0, Vec::new());
            while offset < end {
                let chunk = reader.read(offset, end, limit).unwrap();
                let count = chunk.lines.iter().filter(|byte| **byte == b'\n').count();
                assert!(chunk.lines.ends_with(b"\n") && (chunk.lines.len() <= limit || count == 1));
                offset = chunk.next_offset;
                read.extend_from_slice(&chunk.lines);
            }
            assert_eq!(read, all);
        }
        let from = reader.seek(40, end).unwrap();
        assert_eq!(codec::decode(&reader.read(from, end, 1).unwrap().lines).unwrap().sequence, 41);
    }

    pub fn a_reader_finds_what_is_acknowledged_while_the_log_is_written<M: Medium>() {
        let medium = M::new();
        let (root, key) = (medium.root(), key());
        assert!(matches!(root.reader(key), Err(OpenReaderError::NotFound)));
        let mut writer = root.writer(key, None).unwrap().0;
        let reader = root.reader(key).unwrap();
        for sequence in 1..=5 {
            let end = commit(&mut writer, &lines(key, sequence..=sequence, 50));
            let tail = reader.tail().unwrap();
            assert_eq!((tail.last_sequence, tail.bytes), (sequence, end));
        }
    }

    pub fn a_log_has_one_writer_and_the_next_goes_on_behind_it<M: Medium>() {
        let medium = M::new();
        let (root, key) = (medium.root(), key());
        let mut writer = root.writer(key, None).unwrap().0;
        assert!(matches!(root.writer(key, None), Err(OpenLogError::InUse)));
        let refused = writer.commit(Bytes::from_static(b"half a line"), false).wait();
        assert!(matches!(refused, Err(CommitError::NotWholeLines)));
        let end = commit(&mut writer, &lines(key, 1..=2, 50));
        drop(writer);
        let (mut writer, recovered) = root.writer(key, None).unwrap();
        assert_eq!((recovered.last_sequence, recovered.bytes, recovered.cut_bytes), (2, end, 0));
        commit(&mut writer, &lines(key, 3..=3, 50));
        root.close();
        let refused = writer.commit(lines(key, 4..=4, 50), false).wait();
        assert!(matches!(refused, Err(CommitError::Closed)));
        drop((writer, root));
        assert_eq!(medium.root().writer(key, None).unwrap().1.last_sequence, 3);
    }

    pub fn sealed_segments_are_one_log_and_the_oldest_go_first<M: Medium>() {
        let medium = M::new();
        let (root, key) = (medium.root(), StreamKey::feed(WorkspaceId::generate()));
        for sequences in [1..=3, 4..=5, 6..=6] {
            // What the events tell of is all the same to the segments.
            let batch = lines(StreamKey::of(key.workspace_id(), RunId::generate()), sequences, 50);
            commit(&mut root.writer(key, None).unwrap().0, &batch);
            root.seal(key).unwrap();
        }
        drop(root);
        let root = medium.root();
        let reader = root.reader(key).unwrap();
        assert_eq!((reader.first_sequence(), reader.tail().unwrap().last_sequence), (1, 6));
        let tomorrow = chrono::Utc::now() + chrono::Days::new(1);
        assert_eq!(root.expire(key, tomorrow).unwrap().segments, 2);
        let reader = root.reader(key).unwrap();
        assert_eq!((reader.first_sequence(), reader.tail().unwrap().last_sequence), (6, 6));
        assert_eq!(root.writer(key, None).unwrap().1.last_sequence, 6);
    }

    pub fn a_log_that_has_ended_reads_the_same_when_compressed_and_is_gone_when_deleted<M: Medium>() {
        let medium = M::new();
        let (root, key) = (medium.root(), key());
        let all = Bytes::from([lines(key, 1..=99, 50).to_vec(), event(key, "run.completed", 100, 10)].concat());
        commit(&mut root.writer(key, None).unwrap().0, &all);
        let shrunk = root.compress(key, &|| false).unwrap();
        assert!(shrunk.after < shrunk.before);
        drop(root);
        let root = medium.root();
        let reader = root.reader(key).unwrap();
        assert!(reader.is_compressed() && content(&reader) == all);
        assert!(matches!(root.writer(key, None), Err(OpenLogError::Compressed)));
        assert_eq!(root.deletable(key).unwrap().delete(&|| false).unwrap(), shrunk.after);
        assert!(matches!(root.reader(key), Err(OpenReaderError::NotFound)));
    }
}

macro_rules! each_law {
    ($medium:ty: $($law:ident),* $(,)?) => {
        $(#[test]
        fn $law() {
            if !<$medium as super::Medium>::is_there() {
                return;
            }
            laws::$law::<$medium>();
        })*
    };
}

macro_rules! contract {
    ($($name:ident: $medium:ident),* $(,)?) => {
        $(mod $name {
            use super::{$medium, laws};

            each_law! {
                $medium:
                what_is_acknowledged_is_read_back_after_a_clean_stop_that_leaves_no_round,
                what_is_acknowledged_is_read_back_after_a_crash_that_took_the_files,
                a_replay_is_harmless_as_often_as_it_is_done,
                a_torn_round_is_cut_whole_and_no_part_of_it_is_seen,
                batches_stand_in_the_order_of_their_acknowledgements_in_every_stream,
                what_was_cut_off_does_not_come_back,
                large_batches_that_go_past_the_journal_stand_between_small_ones,
                reads_are_bounded_and_made_of_whole_lines,
                a_reader_finds_what_is_acknowledged_while_the_log_is_written,
                a_log_has_one_writer_and_the_next_goes_on_behind_it,
                sealed_segments_are_one_log_and_the_oldest_go_first,
                a_log_that_has_ended_reads_the_same_when_compressed_and_is_gone_when_deleted,
            }
        })*
    };
}

contract! {
    real_disk: Real,
    simulated_disk: Simulated,
    memory_disk: Files,
    memory_journal: Memory,
    cluster: Cluster,
}
