//! A journal in a cluster, while its servers and its owners die: what was acknowledged is there once and in order, and
//! nothing is acknowledged that the cluster does not have. Real servers; left out, loudly, where they cannot be installed.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use ade::domain::StreamKey;
use ade::log::verify::verify_log;
use ade::log::{
    ClusterOptions, CommitError, Durability, LogOptions, LogRoot, OpenClusterError, OpenRootError, RealDisk,
    ReplayReport,
};
use ade_test_support::nats::{self, Nats};
use ade_test_support::{eventually, wait_until};
use bytes::Bytes;
use serde_json::{Value, json};

use super::contract::{commit, content, key, lines, options};

/// A node of a cluster.
pub struct Node {
    pub folder: tempfile::TempDir,
    pub options: ClusterOptions,
}

impl Node {
    pub fn new(nats: &Nats) -> Self {
        let options = ClusterOptions::new(nats.servers(), "test", &ulid::Ulid::generate().to_string());
        Self { folder: tempfile::tempdir().unwrap(), options }
    }

    /// The same node on a disk that has nothing.
    pub fn on_another_disk(&self) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), options: self.options.clone() }
    }

    pub fn open(&self) -> Result<(LogRoot, ReplayReport), OpenRootError> {
        self.open_with(options())
    }

    fn open_with(&self, options: LogOptions) -> Result<(LogRoot, ReplayReport), OpenRootError> {
        let folder = self.folder.path();
        LogRoot::open_in_cluster(folder, Arc::new(RealDisk::within(folder)), options, &self.options)
    }

    pub fn refusal(&self) -> OpenClusterError {
        match self.open() {
            Err(OpenRootError::Cluster(error)) => error,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it was opened"),
        }
    }

    pub fn stream(&self) -> String {
        self.options.stream()
    }
}

/// Between a node and a server: passes everything on, or keeps what the server says to itself.
struct Proxy {
    port: u16,
    keeps_answers: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (keeps_answers, connections) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<TcpStream>>>::default());
        let (server, keeps, opened) = (server.replace("nats://", ""), keeps_answers.clone(), connections.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let upstream = TcpStream::connect(&server).unwrap();
                let of = |stream: &TcpStream| stream.try_clone().unwrap();
                opened.lock().unwrap().extend([of(&client), of(&upstream)]);
                let (asking, asked) = (of(&client), of(&upstream));
                std::thread::spawn(move || pass_on(asking, asked, &AtomicBool::new(false)));
                let keeps = keeps.clone();
                std::thread::spawn(move || pass_on(upstream, client, &keeps));
            }
        });
        Self { port, keeps_answers, connections }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    fn cut(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, keeps: &AtomicBool) {
    let mut buffer = [0; 64 << 10];
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        if !keeps.load(Ordering::Acquire) && to.write_all(&buffer[..size]).is_err() {
            break;
        }
    }
}

#[test]
fn a_round_whose_answer_is_lost_is_looked_up_and_not_stored_again() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let mut node = Node::new(&nats);
    let proxy = Proxy::before(&nats.servers()[0]);
    node.options.servers = vec![proxy.url()];
    let (root, _) = node.open().unwrap();
    let key = key();
    let mut writer = root.writer(key, None).unwrap().0;
    commit(&mut writer, &lines(key, 1..=1, 10));
    let last = || nats.info(&node.stream())["state"]["last_seq"].as_u64().unwrap();
    let before = last();
    proxy.keeps_answers.store(true, Ordering::Release);
    let waiting = writer.commit(lines(key, 2..=2, 10), true);
    wait_until("the round is stored", || last() == before + 1);
    // Not once: it is published again, and its refusal is lost too.
    wait_until("it is tried again", || root.journal_state().retries >= 2);
    proxy.keeps_answers.store(false, Ordering::Release);
    proxy.cut();
    waiting.wait().unwrap();
    commit(&mut writer, &lines(key, 3..=3, 10));
    assert_eq!(last(), before + 2);
}

/// What writers were told: each log and its acknowledged bytes.
pub type Acknowledged = HashMap<StreamKey, Vec<u8>>;

/// Streams that write event by event for as long as `meanwhile` takes. Each is given another batch only when the last is
/// acknowledged, so of each there is at most one more than is told.
pub fn under_load(root: &LogRoot, streams: usize, meanwhile: impl FnOnce()) -> Acknowledged {
    let (over, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Acknowledged::new())));
    let writing: Vec<_> = (0..streams)
        .map(|_| {
            let (root, over, told) = (root.clone(), over.clone(), told.clone());
            std::thread::spawn(move || write_until(&root, &over, &told))
        })
        .collect();
    // When this panics nobody waits for them: they may wait for servers that are gone.
    meanwhile();
    over.store(true, Ordering::Release);
    writing.into_iter().for_each(|thread| thread.join().unwrap());
    std::mem::take(&mut told.lock().unwrap())
}

fn write_until(root: &LogRoot, over: &AtomicBool, told: &Mutex<Acknowledged>) {
    let (key, mut bytes) = (key(), Vec::new());
    let mut writer = root.writer(key, None).unwrap().0;
    for sequence in 1.. {
        let batch = lines(key, sequence..=sequence, 200);
        if over.load(Ordering::Acquire) || writer.commit(batch.clone(), true).wait().is_err() {
            break;
        }
        bytes.extend_from_slice(&batch);
        told.lock().unwrap().insert(key, bytes.clone());
    }
}

/// What was acknowledged is there, once and in order, and at most one batch more of each log.
fn assert_there(root: &LogRoot, acknowledged: &Acknowledged) {
    for (key, bytes) in acknowledged {
        let reader = root.reader(*key).unwrap();
        let found = content(&reader);
        assert!(found.starts_with(bytes), "{key}: {} bytes of {}", found.len(), bytes.len());
        let report = verify_log(&reader, *key, false).unwrap();
        assert_eq!(report.violations, [], "{key}");
        let told = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert!(report.events <= told + 1, "{key}: {} events, {told} acknowledged", report.events);
    }
}

/// Waits until it has tried this many times more to store a round.
fn tries_more(root: &LogRoot, more: u64) {
    let before = root.journal_state().retries;
    wait_until("it is tried again", || root.journal_state().retries >= before + more);
}

/// Waits until the journal has stored this many rounds more.
pub fn rounds_more(root: &LogRoot, more: u64) {
    let before = root.journal_state().rounds;
    wait_until("rounds are stored", || root.journal_state().rounds >= before + more);
}

#[test]
fn leaders_die_under_load_and_no_round_is_lost_or_doubled() {
    if !nats::is_there() {
        return;
    }
    let mut nats = Nats::start();
    let node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    let acknowledged = under_load(&root, 6, || {
        for _ in 0..3 {
            rounds_more(&root, 20);
            nats.kill(nats.leader(&node.stream()));
            rounds_more(&root, 20);
            nats.revive();
        }
    });
    assert!(acknowledged.len() == 6 && root.journal_state().retries > 0);
    assert_there(&root, &acknowledged);
    drop(root);
    let other = node.on_another_disk();
    let (root, report) = other.open().unwrap();
    assert_eq!((report.logs, report.gaps), (6, 0));
    assert_there(&root, &acknowledged);
}

#[test]
fn nothing_is_acknowledged_without_a_majority_and_all_of_it_is_there_afterwards() {
    if !nats::is_there() {
        return;
    }
    let mut nats = Nats::start();
    let node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    let acknowledged = under_load(&root, 4, || {
        for killed in [vec![0, 1], vec![0, 1, 2]] {
            rounds_more(&root, 20);
            killed.into_iter().for_each(|server| nats.kill(server));
            wait_until("the trouble is seen", || root.journal_state().unreachable.is_some());
            // A round that the majority had stored just before may be found by the first of these.
            tries_more(&root, 3);
            let before = root.journal_state().rounds;
            tries_more(&root, 3);
            assert_eq!(root.journal_state().rounds, before, "a round was stored by a minority");
            nats.revive();
            rounds_more(&root, 20);
            wait_until("it is over", || root.journal_state().trouble().is_none());
        }
    });
    assert_there(&root, &acknowledged);
    drop(root);
    let other = node.on_another_disk();
    let (root, _) = other.open().unwrap();
    assert_there(&root, &acknowledged);
}

#[test]
fn a_later_process_takes_over_and_the_earlier_one_acknowledges_nothing_more() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let node = Node::new(&nats);
    let (first, _) = node.open().unwrap();
    let mut second = None;
    let acknowledged = under_load(&first, 4, || {
        rounds_more(&first, 50);
        let other = node.on_another_disk();
        second = Some((other.open().unwrap(), other));
        wait_until("the first one is halted", || first.journal_state().halted.is_some());
    });
    let ((second, report), _other) = second.unwrap();
    assert_eq!(report.gaps, 0);
    // Everything that the first one acknowledged is in front of the fence.
    assert_there(&second, &acknowledged);
    let halted = first.writer(key(), None).unwrap().0.commit(lines(key(), 1..=1, 10), true).wait();
    assert!(matches!(halted, Err(CommitError::Halted(_))), "{halted:?}");
    let (key, before) = (key(), nats.info(&node.stream())["state"]["last_seq"].clone());
    commit(&mut second.writer(key, None).unwrap().0, &lines(key, 1..=1, 10));
    assert_eq!(nats.info(&node.stream())["state"]["last_seq"], before.as_u64().unwrap() + 1);
}

#[test]
fn an_idle_process_notices_that_it_was_taken_over() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let node = Node::new(&nats);
    let (first, _) = node.open().unwrap();
    let other = node.on_another_disk();
    let (_second, _) = other.open().unwrap();
    let why = eventually("the first one is halted", || first.journal_state().halted);
    assert!(why.contains("epoch 2"), "{why}");
}

#[test]
fn of_processes_that_start_at_once_one_is_left() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let node = Node::new(&nats);
    let barrier = Barrier::new(4);
    let nodes: Vec<_> = (0..4).map(|_| node.on_another_disk()).collect();
    let roots: Vec<_> = std::thread::scope(|scope| {
        let open = |node: &Node| {
            barrier.wait();
            node.open().unwrap().0
        };
        let threads: Vec<_> = nodes.iter().map(|node| scope.spawn(move || open(node))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let outcome = |root: &LogRoot| {
        let key = key();
        root.writer(key, None).unwrap().0.commit(lines(key, 1..=1, 10), true).wait().is_ok()
    };
    assert_eq!(roots.iter().filter(|root| outcome(root)).count(), 1);
    assert_eq!(roots.iter().filter(|root| root.journal_state().halted.is_none()).count(), 1);
}

#[test]
fn a_message_of_somebody_else_halts_the_journal() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    let key = key();
    let mut writer = root.writer(key, None).unwrap().0;
    commit(&mut writer, &lines(key, 1..=1, 10));
    nats.publish(&node.stream(), b"hello");
    let refused = writer.commit(lines(key, 2..=2, 10), true).wait();
    assert!(matches!(refused, Err(CommitError::Halted(_))), "{refused:?}");
    drop((writer, root));
    // Nor does the next start pass it over.
    let OpenClusterError::Unreadable { sequence: 3, .. } = node.refusal() else { panic!("it was passed over") };
}

#[test]
fn a_batch_of_many_messages_is_whole_and_behind_a_stop_nothing_waits() {
    if !nats::is_there() {
        return;
    }
    let mut nats = Nats::start();
    let node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    let key = key();
    let mut writer = root.writer(key, None).unwrap().0;
    // Less than a checkpoint is made for; then far more than the room until one, in lines of which no message could carry
    // the last.
    let small = lines(key, 1..=1, 10);
    commit(&mut writer, &small);
    let large = Bytes::from([&lines(key, 2..=6, 500_000)[..], &lines(key, 7..=7, 1_500_000)].concat());
    commit(&mut writer, &large);
    let both = [small, large].concat();
    assert_eq!((root.metrics().direct_batches, content(&root.reader(key).unwrap())), (0, both.clone()));
    (0..3).for_each(|server| nats.kill(server));
    let waiting = writer.commit(lines(key, 8..=8, 10), true);
    wait_until("the trouble is seen", || root.journal_state().unreachable.is_some());
    root.close();
    assert!(matches!(waiting.wait(), Err(CommitError::Unanswered(_))));
    drop((writer, root));
    nats.revive();
    let other = node.on_another_disk();
    let (root, _) = other.open().unwrap();
    assert!(content(&root.reader(key).unwrap()).starts_with(&both));
}

#[test]
fn a_stream_that_cannot_be_relied_on_is_refused_and_told_why() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let made = |change: &dyn Fn(&mut Value)| {
        let node = Node::new(&nats);
        let stream = node.stream();
        let mut config = json!({
            "name": stream, "subjects": [stream], "storage": "file", "num_replicas": 3, "retention": "limits",
            "discard": "new", "allow_direct": true
        });
        change(&mut config);
        let made = nats.ask(&format!("$JS.API.STREAM.CREATE.{stream}"), &config);
        assert!(made["error"].is_null(), "{made}");
        node
    };
    assert!(made(&|_| {}).open().is_ok());
    type Change = fn(&mut Value);
    let unfit: [(&str, Change); 5] = [
        ("1 replicas", |config| config["num_replicas"] = 1.into()),
        ("memory", |config| config["storage"] = "memory".into()),
        ("discards old", |config| config["discard"] = "old".into()),
        ("max_age", |config| config["max_age"] = 1_000_000_000_000_u64.into()),
        ("workqueue", |config| config["retention"] = "workqueue".into()),
    ];
    for (word, change) in unfit {
        let error = made(&change).refusal().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
    let written = Node::new(&nats).open_with(LogOptions { durability: Durability::Write, ..options() });
    assert!(matches!(written, Err(OpenRootError::Cluster(OpenClusterError::Durability))));
}

#[test]
fn what_the_stream_has_lost_is_told_and_what_a_newer_version_wrote_is_refused() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    let (early, late) = (key(), key());
    for (key, sequences) in [(early, 1..=1), (early, 2..=2), (late, 1..=1)] {
        commit(&mut root.writer(key, None).unwrap().0, &lines(key, sequences, 50));
    }
    drop(root);
    // Messages 2 to 4 are behind the fence; without the first, the log that it begins is not whole.
    nats.ask(&format!("$JS.API.STREAM.MSG.DELETE.{}", node.stream()), &json!({ "seq": 2 }));
    assert!(matches!(node.refusal(), OpenClusterError::Missing { from: 2, to: 2 }));
    let lost = node.on_another_disk();
    let (root, report) = lost.open().unwrap();
    assert_eq!((report.logs, report.gaps), (1, 2), "the hole, and the log in it");
    assert!(root.reader(early).is_err(), "a log without its beginning is not shown as if it were whole");
    assert_eq!(root.reader(late).unwrap().tail().unwrap().last_sequence, 1);
    root.close();
    drop(root);
    let newer = newer_round(&nats.messages(&node.stream()));
    nats.publish(&node.stream(), &newer);
    let error = lost.refusal().to_string();
    assert!(error.contains("newer version"), "{error}");
}

#[test]
fn a_blank_disk_gets_what_one_server_has_damaged_from_the_others() {
    if !nats::is_there() {
        return;
    }
    let mut nats = Nats::start();
    let node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    let keys: Vec<_> = (0..5).map(|_| key()).collect();
    for key in &keys {
        commit(&mut root.writer(*key, None).unwrap().0, &lines(*key, 1..=1, 500));
    }
    drop(root);
    let damaged = (nats.leader(&node.stream()) + 1) % 3;
    nats.stop(damaged);
    nats.damage(damaged, &node.stream(), keys[2].log_path().to_str().unwrap().as_bytes());
    nats.revive();
    wait_until("the server is back", || nats.answers(damaged));
    let mut other = node.on_another_disk();
    // It answers what is read through it.
    other.options.servers = vec![nats.servers()[damaged].clone()];
    let (root, report) = other.open().unwrap();
    assert_eq!((report.logs, report.gaps), (5, 0));
    for key in keys {
        assert_eq!(root.reader(key).unwrap().tail().unwrap().last_sequence, 1, "{key}");
    }
}

/// The last round, as a version would make it that knows another kind of record.
fn newer_round(messages: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut round = messages.iter().flatten().next_back().unwrap().clone();
    round[20] = 200;
    let sum = crc32(&round[8..]);
    round[4..8].copy_from_slice(&sum.to_le_bytes());
    round
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn the_stream_keeps_what_it_may_and_a_local_start_does_not_pass_it_over() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let mut node = Node::new(&nats);
    node.options.keep_bytes = 128 << 10;
    let (root, _) = node.open().unwrap();
    let key = key();
    let mut writer = root.writer(key, None).unwrap().0;
    // 64 KiB between two checkpoints.
    for sequence in 1..=200 {
        commit(&mut writer, &lines(key, sequence..=sequence, 4000));
    }
    let stored = |nats: &Nats| nats.info(&node.stream())["state"]["bytes"].as_u64().unwrap();
    wait_until("what is durable here was purged", || stored(&nats) < 400 << 10);
    assert!(stored(&nats) >= 128 << 10, "more was purged than may be");
    drop((writer, root));
    let local = |folder: &Path| LogRoot::open(folder, Arc::new(RealDisk::within(folder)), options());
    let refused = local(node.folder.path()).err().map(|error| error.to_string());
    assert!(refused.is_some_and(|error| error.contains("cluster_nats")), "a journal in a cluster was passed over");
    let (root, report) = node.open().unwrap();
    assert!(report.rounds > 0 && report.gaps == 0, "{report:?}");
    root.close();
    drop(root);
    let (root, _) = local(node.folder.path()).unwrap();
    assert_eq!(verify_log(&root.reader(key).unwrap(), key, false).unwrap().events, 200);
}
