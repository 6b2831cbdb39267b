//! Logs that end in pieces: the longest valid beginning counts, and the next event gets the next number.

use ade::log::LogRoot;
use ade::stream::{AppendError, open};
use futures_util::future::join_all;

use super::support::{Given, Life, World, in_system, line, options};

const RECORDS: u64 = 6;

async fn record() -> Vec<u8> {
    let world = World::new();
    let life = world.live().await;
    for index in 0..RECORDS {
        life.stream.append_one(line(format!("record-{index}"), 10)).await.unwrap();
    }
    life.end().await;
    std::fs::read(world.path()).unwrap()
}

/// Opens a log that holds these bytes, appends to it, and reads everything.
async fn goes_on(world: &World, life: &Life, bytes: &[u8]) {
    let whole = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
    let valid = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let identity = world.sibling();
    let path = world.folder.path().join(identity.key().log_path());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let stream = open(life.root.clone(), identity, None, options(), life.arbiter.handle()).await.unwrap();
    assert_eq!((stream.tail().sequence, stream.tail().bytes), (whole, valid as u64), "cut at {}", bytes.len());
    assert_eq!(stream.append_one(line("next", 10)).await.unwrap().first, whole + 1);
    let mut given = Given::after(0);
    given.catch_up(&mut stream.follow(Default::default()).unwrap()).await;
    assert_eq!(given.position(), whole + 1);
    assert_eq!(given.lines[..whole as usize].concat(), &bytes[..valid], "what was valid is untouched");
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_three_records_can_be_continued() {
    in_system(async {
        let bytes = record().await;
        let ends: Vec<_> = memchr::memchr_iter(b'\n', &bytes).map(|at| at + 1).collect();
        let world = World::quick();
        let life = world.live().await;
        let cuts: Vec<_> = (ends[ends.len() - 4]..=bytes.len()).collect();
        for some in cuts.chunks(64) {
            join_all(some.iter().map(|&cut| goes_on(&world, &life, &bytes[..cut]))).await;
        }
        assert!(life.root.metrics().torn_tails as usize >= cuts.len() - 4);
        life.end().await;
    });
}

#[test]
fn a_second_owner_of_a_log_is_refused() {
    in_system(async {
        let world = World::new();
        let life = world.live().await;
        let root: LogRoot = life.root.clone();
        let second = open(root, world.identity.clone(), None, options(), life.arbiter.handle()).await;
        assert!(second.is_err_and(|error| error.to_string().contains("already open for writing")));
        assert_eq!(life.stream.append_one(line("x", 10)).await.unwrap().first, 1);
        life.end().await;
    });
}

#[test]
fn sequences_are_not_reused_when_the_file_is_truncated_under_a_running_stream() {
    in_system(async {
        let world = World::quick();
        let life = world.live().await;
        life.stream.append([line("a", 10), line("b", 10)].into()).await.unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(world.path()).unwrap();
        file.set_len(life.stream.tail().bytes / 2).unwrap();
        life.stream.panic().await;
        let refused = life.stream.append_one(line("c", 10)).await;
        assert!(matches!(refused, Err(AppendError::Degraded { .. })), "{refused:?}");
        life.end().await;
    });
}
