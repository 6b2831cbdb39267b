//! The same promises on real files.

use std::path::Path;
use std::sync::Arc;

use ade::domain::{ConfigurationId, EventId, RunId, StreamKey, WorkspaceId, time};
use ade::event::{Draft, Identity, Source, codec};
use ade::log::verify::verify_log;
use ade::log::{CommitError, Durability, LogOptions, LogRoot, OpenLogError, OpenReaderError, RealDisk};
use bytes::Bytes;
use serde_json::json;

fn open(folder: &Path, durability: Durability) -> LogRoot {
    let options = LogOptions { durability, segment_bytes: 1 << 20, direct_bytes: 32 << 10, ..LogOptions::default() };
    LogRoot::open(folder, Arc::new(RealDisk::default()), options).unwrap().0
}

fn key() -> StreamKey {
    StreamKey::of(WorkspaceId::generate(), RunId::generate())
}

fn lines(key: StreamKey, sequences: std::ops::RangeInclusive<u64>, padding: usize) -> Bytes {
    let identity = Identity::new(key, ConfigurationId::generate());
    let mut batch = Vec::new();
    for sequence in sequences {
        let event_id = EventId::from_ulid(ulid::Ulid::from_parts(sequence, 0));
        let stamp = codec::Stamp { sequence, event_id, created_at: time::micros(chrono::Utc::now()) };
        let draft = Draft::new("console.line", Source::Engine, &json!({ "message": "x".repeat(padding) }));
        codec::encode(&mut batch, &identity, stamp, &draft);
    }
    batch.into()
}

#[test]
fn a_hundred_concurrent_streams_are_read_back_in_order() {
    const ROUNDS: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let root = open(folder.path(), Durability::Fsync);
    let keys: Vec<_> = (0..100).map(|_| key()).collect();
    std::thread::scope(|scope| {
        for part in keys.chunks(10) {
            let root = root.clone();
            scope.spawn(move || {
                let mut writers: Vec<_> = part.iter().map(|key| (root.writer(*key, None).unwrap().0, *key)).collect();
                for round in 0..ROUNDS {
                    let padding = if round % 10 == 9 { 20_000 } else { 100 };
                    let batch = |key| lines(key, round * 2 + 1..=round * 2 + 2, padding);
                    let commits: Vec<_> = writers.iter_mut().map(|(w, key)| w.commit(batch(*key), false)).collect();
                    assert!(commits.into_iter().all(|commit| commit.wait().is_ok()));
                }
            });
        }
    });
    let metrics = root.metrics();
    assert_eq!((metrics.batches, metrics.failed_batches), (100 * ROUNDS, 0));
    assert!(metrics.direct_batches > 0 && metrics.journal_syncs > 0, "{metrics:?}");
    assert!(metrics.journal_syncs < metrics.batches / 2, "batches share syncs: {metrics:?}");
    root.close();
    drop(root);

    let root = open(folder.path(), Durability::Fsync);
    for key in keys {
        let report = verify_log(&root.reader(key).unwrap(), key, false).unwrap();
        assert_eq!((report.events, report.violations), (2 * ROUNDS, vec![]));
        let (_, recovered) = root.writer(key, None).unwrap();
        assert_eq!((recovered.last_sequence, recovered.cut_bytes), (2 * ROUNDS, 0));
    }
}

#[test]
fn events_only_in_the_journal_are_recovered_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let key = key();
    let root = open(folder.path(), Durability::Fsync);
    let (mut writer, _) = root.writer(key, None).unwrap();
    writer.commit(lines(key, 1..=2, 10), false).wait().unwrap();
    let durable = writer.commit(lines(key, 3..=3, 10), false).wait().unwrap();
    drop((writer, root));

    // As if the host had gone down before the file was synced.
    let path = folder.path().join(key.log_path());
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(whole.len() as u64, durable);
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();

    let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
    let (root, report) = LogRoot::open(folder.path(), Arc::new(RealDisk::default()), options.clone()).unwrap();
    assert_eq!((report.logs, report.bytes, report.gone), (1, durable, 0));
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    root.close();
    let (_, report) = LogRoot::open(folder.path(), Arc::new(RealDisk::default()), options).unwrap();
    assert_eq!(report.rounds, 0, "a clean stop leaves nothing to replay");
}

#[test]
fn a_missing_log_does_not_stop_the_replay() {
    let folder = tempfile::tempdir().unwrap();
    let key = key();
    let root = open(folder.path(), Durability::Fsync);
    root.writer(key, None).unwrap().0.commit(lines(key, 1..=1, 10), true).wait().unwrap();
    drop(root);
    std::fs::remove_dir_all(folder.path().join(key.directory())).unwrap();
    let (root, report) = LogRoot::open(folder.path(), Arc::new(RealDisk::default()), LogOptions::default()).unwrap();
    assert_eq!((report.logs, report.gone), (0, 1));
    assert!(matches!(root.reader(key), Err(OpenReaderError::NotFound)));
}

type Plant<'a> = Box<dyn Fn(&Path) + 'a>;

/// What an engine may put in the place of its log, or of the folder that the log is in; `others` is not its own.
fn plants(others: &Path) -> Vec<(&'static str, Plant<'_>)> {
    use std::os::unix::fs::symlink;
    vec![
        ("a link", Box::new(|at| symlink(others.join("events.ndjson"), at).unwrap())),
        ("a link to nothing", Box::new(|at| symlink(others.join("nothing"), at).unwrap())),
        ("a folder", Box::new(|at| std::fs::create_dir_all(at.join("inside")).unwrap())),
        (
            "a hole with a byte behind it",
            Box::new(|at| {
                use std::os::unix::fs::FileExt;
                std::fs::File::create(at).unwrap().write_all_at(b"x", 1 << 40).unwrap();
            }),
        ),
        ("a pipe", Box::new(|at| nix::unistd::mkfifo(at, nix::sys::stat::Mode::S_IRWXU).unwrap())),
        (
            "a link in place of the folder",
            Box::new(move |at| {
                std::fs::remove_dir(at.parent().unwrap()).unwrap();
                symlink(others, at.parent().unwrap()).unwrap();
            }),
        ),
    ]
}

#[test]
fn anything_in_place_of_a_log_stops_no_start_and_is_not_written_through() {
    let (folder, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let victim = others.path().join("events.ndjson");
    std::fs::write(&victim, "of others").unwrap();
    let open = || {
        let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
        LogRoot::open(folder.path(), Arc::new(RealDisk::within(folder.path())), options).unwrap()
    };
    for (what, plant) in plants(others.path()) {
        let (one, other) = (key(), key());
        let (root, _) = open();
        for key in [one, other] {
            root.writer(key, None).unwrap().0.commit(lines(key, 1..=3, 10), true).wait().unwrap();
        }
        drop(root);
        let path = folder.path().join(one.log_path());
        std::fs::remove_file(&path).unwrap();
        plant(&path);

        let (root, report) = open();
        assert_eq!((report.logs, report.refused), (1, 1), "{what}: the others are replayed");
        assert!(matches!(root.reader(one), Err(OpenReaderError::NotFound)), "{what} is no log");
        assert_eq!(root.writer(other, None).unwrap().1.last_sequence, 3, "{what}");
        let deleted = root.deletable(one).unwrap().delete(&|| false).unwrap();
        assert_eq!(deleted, 0, "{what} is not deleted as a log");
        // It begins again, so that it can have its end; what was there is kept beside it.
        let (mut writer, recovered) = root.writer(one, None).unwrap();
        assert_eq!(recovered.last_sequence, 0, "{what}");
        writer.commit(lines(one, 1..=1, 10), true).wait().unwrap();
        drop(writer);
        assert_eq!(root.reader(one).unwrap().tail().unwrap().last_sequence, 1, "{what}");
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "of others", "{what}");
        root.close();
        drop(root);
        assert_eq!(open().1.refused, 0, "{what}");
    }
    let left: Vec<_> = std::fs::read_dir(others.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["events.ndjson"], "nothing was made elsewhere");
}

#[test]
fn a_log_with_a_hard_link_continues_and_the_link_keeps_the_old_content() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (key, second) = (key(), backup.path().join("events.ndjson"));
    let disk = Arc::new(RealDisk::within(folder.path()));
    let open = || LogRoot::open(folder.path(), disk.clone(), LogOptions::default()).unwrap();
    let (root, _) = open();
    root.writer(key, None).unwrap().0.commit(lines(key, 1..=3, 10), true).wait().unwrap();
    drop(root);
    let path = folder.path().join(key.log_path());
    let before = std::fs::read(&path).unwrap();
    std::fs::hard_link(&path, &second).unwrap();
    let (root, _) = open();
    let (mut writer, recovered) = root.writer(key, None).unwrap();
    assert_eq!(recovered.last_sequence, 3);
    writer.commit(lines(key, 4..=4, 10), true).wait().unwrap();
    assert_eq!(root.reader(key).unwrap().tail().unwrap().last_sequence, 4);
    assert_eq!(std::fs::read(&second).unwrap(), before);
}

#[test]
fn directories_of_other_work_are_not_quarantined() {
    let (folder, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(others.path(), folder.path().join("workspaces")).unwrap();
    let disk = Arc::new(RealDisk::within(folder.path()));
    let (root, _) = LogRoot::open(folder.path(), disk, LogOptions::default()).unwrap();
    assert!(matches!(root.writer(key(), None), Err(OpenLogError::Io(_))));
    assert!(folder.path().join("workspaces").is_symlink());
    assert_eq!(std::fs::read_dir(others.path()).unwrap().count(), 0);
}

#[test]
fn a_log_has_one_writer_and_a_writer_one_batch() {
    let folder = tempfile::tempdir().unwrap();
    let root = open(folder.path(), Durability::Fsync);
    let key = key();
    let (mut writer, recovered) = root.writer(key, None).unwrap();
    assert_eq!((recovered.last_sequence, recovered.bytes), (0, 0));
    assert!(matches!(root.writer(key, None), Err(OpenLogError::InUse)));
    assert!(matches!(writer.commit("half a line".into(), false).wait(), Err(CommitError::NotWholeLines)));
    assert_eq!(writer.commit(Bytes::new(), true).wait().unwrap(), 0);

    // Made beforehand, so that the second is asked for while the first is still being synced; on a busy machine it may be
    // later all the same, hence the tries.
    let (mut last, mut is_refused) = (0, false);
    for _ in 0..100 {
        let (batch, next) = (lines(key, last + 1..=last + 50, 5000), lines(key, last + 51..=last + 51, 1));
        let first = writer.commit(batch, false);
        let second = writer.commit(next, false).wait();
        let durable = first.wait().unwrap();
        last += 50;
        match second {
            Err(CommitError::Busy) => {
                assert_eq!(writer.durable_bytes(), durable);
                is_refused = true;
                break;
            }
            accepted => assert!(accepted.unwrap() > durable),
        }
        last += 1;
    }
    assert!(is_refused, "never while one was being synced");

    // Whoever comes next finds what its predecessor left under way.
    drop(writer.commit(lines(key, last + 1..=last + 49, 5000), false));
    drop(writer);
    assert_eq!(root.writer(key, None).unwrap().1.last_sequence, last + 49);
}

#[test]
fn under_the_write_policy_only_the_necessary_is_synced() {
    let folder = tempfile::tempdir().unwrap();
    let root = open(folder.path(), Durability::Write);
    let key = key();
    let (mut writer, _) = root.writer(key, None).unwrap();
    for sequence in 1..=10 {
        writer.commit(lines(key, sequence..=sequence, 10), false).wait().unwrap();
    }
    assert_eq!((root.metrics().journal_syncs, root.metrics().direct_batches), (0, 0));
    let durable = writer.commit(lines(key, 11..=11, 10), true).wait().unwrap();
    assert_eq!(root.metrics().direct_batches, 1, "a sync reaches what was merely written before");
    assert_eq!(std::fs::metadata(folder.path().join(key.log_path())).unwrap().len(), durable);
}

#[test]
fn after_the_root_is_gone_batches_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = open(folder.path(), Durability::Fsync);
    let key = key();
    let (mut writer, _) = root.writer(key, None).unwrap();
    drop(root);
    assert!(matches!(writer.commit(lines(key, 1..=1, 10), false).wait(), Err(CommitError::Closed)));
    assert!(matches!(writer.commit(lines(key, 1..=1, 10), false).wait(), Err(CommitError::Failed)));
}

#[test]
fn a_tail_beyond_the_durable_bytes_or_torn_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let key = key();
    let first = lines(key, 1..=3, 10);
    let path = folder.path().join(key.log_path());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, [&first[..], &lines(key, 4..=4, 10), b"{\"type\":\"torn"].concat()).unwrap();
    let root = open(folder.path(), Durability::Fsync);
    let (writer, recovered) = root.writer(key, None).unwrap();
    assert_eq!((recovered.last_sequence, recovered.torn, recovered.cut_bytes), (4, true, 13));
    assert_eq!(root.metrics().torn_tails, 1);
    drop(writer);
    let (_, recovered) = root.writer(key, Some(first.len() as u64)).unwrap();
    assert_eq!((recovered.last_sequence, recovered.torn), (3, false));
    assert_eq!(std::fs::read(&path).unwrap(), first);
}
