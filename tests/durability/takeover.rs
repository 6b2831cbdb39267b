//! Whose the journal in a cluster is: a data directory that is behind, or a copy, does not take it from a node that is at
//! work, and one that has a right to it always gets it. Real servers; left out, loudly, where they cannot be installed.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ade::domain::StreamKey;
use ade::log::disk::{Disk, DiskFile, Mode};
use ade::log::{LogRoot, OpenClusterError, OpenRootError, RealDisk};
use ade_test_support::nats::{self, Nats};
use ade_test_support::wait_until;
use serde_json::Value;

use super::cluster::Node;
use super::contract::{commit, key, lines, options};

impl Node {
    fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The same node on a disk that has what this one has.
    fn copied(&self) -> Self {
        let copy = self.on_another_disk();
        copy_all(self.data_dir(), copy.data_dir());
        copy
    }

    /// What an operator does who means it.
    fn forget_stream(&self) {
        fs::remove_file(self.marker()).unwrap();
    }

    /// What a release wrote that did not note its fence.
    fn forget_fence(&self) {
        let mut known: Value = serde_json::from_slice(&fs::read(self.marker()).unwrap()).unwrap();
        let fields = known.as_object_mut().unwrap();
        fields.retain(|name, _| ["format", "stream", "created", "synced", "is_open"].contains(&name.as_str()));
        assert_eq!(fields.len(), 5);
        fs::write(self.marker(), known.to_string()).unwrap();
    }

    fn marker(&self) -> PathBuf {
        self.data_dir().join("journal/stream.json")
    }

    fn open_local(&self) -> LogRoot {
        LogRoot::open(self.data_dir(), Arc::new(RealDisk::within(self.data_dir())), options()).unwrap().0
    }

    /// A start that ends when the file beside the logs is about to be replaced, or has just been, for the last of so many
    /// times.
    fn die_opening(&self, replaced: usize, when: Death) {
        let disk = Dying { disk: RealDisk::within(self.data_dir()), left: AtomicUsize::new(replaced), when };
        let opened = LogRoot::open_in_cluster(self.data_dir(), Arc::new(disk), options(), &self.options);
        let error = opened.err().expect("it has died");
        assert!(!matches!(error, OpenRootError::Cluster(_)), "{error}");
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Before,
    After,
}

/// A disk on which a process ends when `stream.json` is replaced for the last time that is left.
struct Dying {
    disk: RealDisk,
    left: AtomicUsize,
    when: Death,
}

impl Disk for Dying {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path, mode)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let is_last = to.ends_with("stream.json") && self.left.fetch_sub(1, Ordering::AcqRel) == 1;
        if !is_last || self.when == Death::After {
            self.disk.rename(from, to)?;
        }
        if is_last { Err(io::Error::other("it has died")) } else { Ok(()) }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }
}

/// Before a server: holds the first fence back that a client publishes, as a leader does whose followers are late, and
/// passes everything else on.
#[derive(Default)]
struct Late {
    held: Mutex<Option<(TcpStream, Vec<u8>)>>,
    fences: AtomicUsize,
}

impl Late {
    /// Also where it listens. `before_end` is called when a client asks how far the stream goes and the fence is held.
    fn before(server: &str, before_end: impl Fn(&Self) + Send + Sync + 'static) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let (late, server) = (Arc::<Self>::default(), server.replace("nats://", ""));
        let (shared, before_end) = (late.clone(), Arc::new(before_end));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let upstream = TcpStream::connect(&server).unwrap();
                let (asking, mut asked) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
                let (late, before_end) = (shared.clone(), before_end.clone());
                std::thread::spawn(move || late.pass_on(asking, &mut asked, &*before_end));
                std::thread::spawn(move || io::copy(&mut &upstream, &mut &client));
            }
        });
        (late, url)
    }

    /// What the client says, command by command.
    fn pass_on(&self, from: TcpStream, to: &mut TcpStream, before_end: &dyn Fn(&Self)) {
        let mut from = BufReader::new(from);
        while let Some(command) = command(&mut from) {
            let says = |text: &[u8]| command.windows(text.len()).any(|window| window == text);
            if says(b"PUB ade-") && self.fences.fetch_add(1, Ordering::AcqRel) == 0 {
                *self.held.lock().unwrap() = Some((to.try_clone().unwrap(), command));
                continue;
            }
            if says(b".STREAM.INFO.") && self.held.lock().unwrap().is_some() {
                before_end(self);
            }
            if to.write_all(&command).is_err() {
                break;
            }
        }
    }

    fn let_through(&self, nats: &Nats, stream: &str) {
        let end = || nats.info(stream)["state"]["last_seq"].as_u64().unwrap();
        let (mut server, fence) = self.held.lock().unwrap().take().expect("a fence is held back");
        let before = end();
        server.write_all(&fence).unwrap();
        wait_until("the late fence is stored", || end() > before);
    }
}

/// With its payload; none at the end.
fn command(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut command = Vec::new();
    from.read_until(b'\n', &mut command).ok().filter(|size| *size > 0)?;
    let line = String::from_utf8_lossy(&command).into_owned();
    if line.starts_with("PUB ") || line.starts_with("HPUB ") {
        let size: u64 = line.split_whitespace().last()?.parse().ok()?;
        from.take(size + 2).read_to_end(&mut command).ok()?;
    }
    Some(command)
}

/// Everybody who is fenced learns it.
fn is_at_work(root: &LogRoot) -> bool {
    let key = key();
    root.writer(key, None).unwrap().0.commit(lines(key, 1..=1, 10), true).wait().is_ok()
}

fn append(root: &LogRoot, key: StreamKey, sequence: u64) {
    commit(&mut root.writer(key, None).unwrap().0, &lines(key, sequence..=sequence, 10));
}

#[test]
fn a_copy_of_a_directory_at_work_is_refused_and_the_node_goes_on() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    let key = key();
    append(&root, key, 1);
    let copy = node.copied();
    let error = copy.refusal().to_string();
    assert!(error.contains("is a copy") && error.contains("stream.json"), "{error}");
    assert!(is_at_work(&root));
    append(&root, key, 2);
    // Who has a right to it starts again after a crash, as often as need be.
    drop(root);
    for sequence in 3..=4 {
        append(&node.open().unwrap().0, key, sequence);
    }
    let error = copy.refusal().to_string();
    assert!(error.contains("taken the journal of this node over"), "{error}");
    copy.forget_stream();
    let (root, _) = copy.open().unwrap();
    assert_eq!(root.reader(key).unwrap().tail().unwrap().last_sequence, 4);
}

#[test]
fn a_directory_that_was_stopped_cleanly_may_be_moved_and_the_original_is_refused_from_then_on() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    let key = key();
    append(&root, key, 1);
    root.close();
    drop(root);
    let moved = node.copied();
    let (root, _) = moved.open().unwrap();
    append(&root, key, 2);
    let error = node.refusal().to_string();
    assert!(error.contains("taken the journal of this node over"), "{error}");
    assert!(is_at_work(&root));
    root.close();
    drop(root);
    // Nor when nobody is at work: it does not have what the other one wrote into its logs beside the journal.
    let error = node.refusal().to_string();
    assert!(error.contains("taken the journal of this node over"), "{error}");
}

#[test]
fn who_was_taken_over_by_a_blank_disk_is_refused_until_its_operator_means_it() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    let key = key();
    append(&root, key, 1);
    let other = node.on_another_disk();
    let (taken, _) = other.open().unwrap();
    wait_until("the first one is halted", || root.journal_state().halted.is_some());
    root.close();
    drop(root);
    let error = node.refusal().to_string();
    assert!(error.contains("taken the journal of this node over") && error.contains("epoch 2"), "{error}");
    append(&taken, key, 2);
    assert!(is_at_work(&taken));
    node.forget_stream();
    let (root, _) = node.open().unwrap();
    assert!(!is_at_work(&taken));
    assert_eq!(root.reader(key).unwrap().tail().unwrap().last_sequence, 2);
}

#[test]
fn a_start_that_dies_around_its_fence_is_made_again() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    let key = key();
    append(&root, key, 1);
    drop(root);
    let fences = || nats.info(&node.stream())["state"]["last_seq"].as_u64().unwrap();
    // Its claim is noted first, then the fence is stored, then that is noted. Each may be the last that happens, and after
    // each any other.
    let (before_claim, claimed) = ((1, Death::Before), (1, Death::After));
    let (fenced, noted) = ((2, Death::Before), (2, Death::After));
    for (times, when) in [claimed, fenced, fenced, claimed, before_claim, claimed, noted, fenced, noted, claimed] {
        let before = fences();
        node.die_opening(times, when);
        assert_eq!(fences() - before, u64::from(times == 2), "a fence was to be stored, or none: {times} {when:?}");
    }
    let (root, _) = node.open().unwrap();
    append(&root, key, 2);
    assert_eq!(root.reader(key).unwrap().tail().unwrap().last_sequence, 2);
}

#[test]
fn a_fence_that_is_stored_after_the_next_start_has_died_too_is_known_for_the_directorys_own() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let mut node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    let key = key();
    append(&root, key, 1);
    drop(root);
    let servers = nats.servers();
    let late = [0, 1].map(|server| {
        let (late, url) = Late::before(&servers[server], |_| {});
        node.options.servers = vec![url];
        node.die_opening(2, Death::Before);
        late
    });
    late[0].let_through(&nats, &node.stream());
    node.options.servers = servers;
    let (root, _) = node.open().unwrap();
    append(&root, key, 2);
    assert_eq!(root.reader(key).unwrap().tail().unwrap().last_sequence, 2);
}

#[test]
fn a_fence_that_is_stored_after_it_was_looked_for_is_the_starts_own() {
    if !nats::is_there() {
        return;
    }
    let nats = Arc::new(Nats::start());
    let mut node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    let key = key();
    append(&root, key, 1);
    drop(root);
    for (sequence, is_blank) in [(2, false), (3, true)] {
        if is_blank {
            node = node.on_another_disk();
        }
        let (servers, stream) = (Arc::downgrade(&nats), node.stream());
        let (_, url) = Late::before(&nats.servers()[0], move |late| {
            late.let_through(&servers.upgrade().expect("the test goes on"), &stream);
        });
        node.options.servers = vec![url];
        let (root, _) = node.open().unwrap();
        append(&root, key, sequence);
        assert_eq!(root.reader(key).unwrap().tail().unwrap().last_sequence, sequence);
    }
    assert_eq!(nats.info(&node.stream())["state"]["last_seq"], 6, "three fences, and a round behind each");
}

#[test]
fn a_directory_of_a_release_that_did_not_note_its_fence_takes_over_as_it_did() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    append(&root, key(), 1);
    drop(root);
    node.forget_fence();
    let other = node.on_another_disk();
    let (taken, _) = other.open().unwrap();
    let (root, _) = node.open().unwrap();
    assert!(is_at_work(&root) && !is_at_work(&taken));
    // By now it has noted its own.
    let copy = node.copied();
    let error = copy.refusal().to_string();
    assert!(error.contains("is a copy"), "{error}");
}

#[test]
fn a_directory_of_an_earlier_release_that_stopped_cleanly_is_refused_when_somebody_has_written_since() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let node = Node::new(&nats);
    for _ in 0..2 {
        let (root, _) = node.open().unwrap();
        append(&root, key(), 1);
        root.close();
        drop(root);
        // It has everything, and goes on.
        node.forget_fence();
    }
    let other = node.on_another_disk();
    let (taken, _) = other.open().unwrap();
    let error = node.refusal().to_string();
    assert!(error.contains("taken the journal of this node over"), "{error}");
    assert!(is_at_work(&taken));
}

#[test]
fn at_rest_neither_a_copy_nor_a_directory_that_did_not_note_its_fence_takes_the_node() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let node = Node::new(&nats);
    let (root, _) = node.open().unwrap();
    append(&root, key(), 1);
    root.close();
    drop(root);
    let mut at_rest = node.copied();
    at_rest.options.may_begin = false;
    assert!(matches!(at_rest.refusal(), OpenClusterError::Copied));
    at_rest.forget_fence();
    assert!(matches!(at_rest.refusal(), OpenClusterError::NeverBegun));
    node.open().unwrap();
}

#[test]
fn what_the_stream_had_before_the_logs_went_on_without_it_is_void() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let node = Node::new(&nats);
    let (key, other) = (key(), key());
    let (root, _) = node.open().unwrap();
    append(&root, key, 1);
    root.close();
    drop(root);
    let root = node.open_local();
    let mut writer = root.writer(key, Some(0)).unwrap().0;
    commit(&mut writer, &lines(key, 1..=2, 20));
    root.close();
    drop((writer, root));
    // Also when the way back needs more than one start.
    node.die_opening(2, Death::Before);
    let (root, _) = node.open().unwrap();
    append(&root, key, 3);
    append(&root, other, 1);
    let state = nats.info(&node.stream())["state"].clone();
    assert_eq!(state["messages"], 3, "the fence and what is behind it: {state}");
    drop(root);
    let lost = node.on_another_disk();
    let (root, report) = lost.open().unwrap();
    assert!(root.reader(key).is_err(), "a log without its beginning is not shown as if it were whole");
    assert_eq!((report.logs, root.reader(other).unwrap().tail().unwrap().last_sequence), (1, 1));
}
