//! Copies of another node's logs, and how its work is taken over: every copy is a prefix of its log at any time, whatever dies
//! meanwhile. Real servers; left out, loudly, where they cannot be installed.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ade::domain::StreamKey;
use ade::log::verify::verify_log;
use ade::log::{ClusterOptions, CopyObserver, JournalFollower, LogRoot, Stop, fence_off};
use ade_test_support::nats::{self, Nats};
use ade_test_support::{eventually, wait_until};

use super::cluster::{Acknowledged, Node, rounds_more, under_load};
use super::contract::{commit, content, key, lines};

const LONG: Duration = Duration::from_secs(60);

/// Puts together what it is told, from where that begins, and insists that it goes on where it ended.
#[derive(Default)]
struct Seen(Mutex<HashMap<StreamKey, (u64, Vec<u8>)>>);

impl CopyObserver for Seen {
    fn appended(&self, key: StreamKey, offset: u64, bytes: &[u8]) {
        let mut seen = self.0.lock().unwrap();
        let (start, seen) = seen.entry(key).or_insert((offset, Vec::new()));
        assert!(offset <= *start + seen.len() as u64, "{key}: {offset} behind {}", *start + seen.len() as u64);
        seen.truncate((offset - *start) as usize);
        seen.extend_from_slice(bytes);
    }

    fn changed(&self, _: StreamKey) {}

    fn given_up(&self, _: StreamKey) {}
}

impl Seen {
    fn of(&self, key: StreamKey) -> Vec<u8> {
        self.0.lock().unwrap().get(&key).map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }
}

fn follow(root: &LogRoot, other: &Node) -> (JournalFollower, Arc<Seen>) {
    let seen = Arc::<Seen>::default();
    (root.follow(other.options.clone(), seen.clone()).unwrap(), seen)
}

fn copied(node: &Node, key: StreamKey) -> Vec<u8> {
    fs::read(node.folder.path().join(key.log_path())).unwrap_or_default()
}

/// The end of a node's stream.
fn end(nats: &Nats, node: &Node) -> u64 {
    nats.info(&node.stream())["state"]["last_seq"].as_u64().unwrap()
}

fn assert_copied(node: &Node, acknowledged: &Acknowledged) {
    for (key, bytes) in acknowledged {
        let copy = copied(node, *key);
        assert!(copy.starts_with(bytes), "{key}: {} bytes of {}", copy.len(), bytes.len());
    }
}

#[test]
fn a_copy_is_its_log_byte_for_byte_and_is_told_in_order() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let (a, b) = (Node::new(&nats), Node::new(&nats));
    let ((of_a, _), (of_b, _)) = (a.open().unwrap(), b.open().unwrap());
    let key = key();
    let mut writer = of_a.writer(key, None).unwrap().0;
    commit(&mut writer, &lines(key, 1..=3, 50));
    let (follower, seen) = follow(&of_b, &a);
    // A batch of several rounds, and a line that is larger than one.
    commit(&mut writer, &lines(key, 4..=3000, 500));
    commit(&mut writer, &lines(key, 3001..=3001, 900_000));
    commit(&mut writer, &lines(key, 3002..=3002, 10));
    let whole = content(&of_a.reader(key).unwrap());
    wait_until("it is copied", || copied(&b, key) == whole);
    wait_until("it is told", || seen.of(key) == whole);
    assert!(follower.has_synced(end(&nats, &a), LONG));
    let progress = follower.progress();
    assert!(progress.is_caught_up && !progress.has_holes && progress.trouble.is_none(), "{progress:?}");
    // What is cut off is cut off from the copy.
    let shorter = whole.len() as u64 - lines(key, 3002..=3002, 10).len() as u64;
    drop(writer);
    let mut writer = of_a.writer(key, Some(shorter)).unwrap().0;
    commit(&mut writer, &lines(key, 3002..=3002, 33));
    let whole = content(&of_a.reader(key).unwrap());
    wait_until("the new end is copied", || copied(&b, key) == whole);
}

#[test]
fn a_follower_goes_on_where_it_ended_and_never_changes_what_is_this_node_s_own() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let (a, b) = (Node::new(&nats), Node::new(&nats));
    let (of_a, _) = a.open().unwrap();
    let (copied_key, own) = (key(), key());
    let mut writer = of_a.writer(copied_key, None).unwrap().0;
    for round in 0..4 {
        let (of_b, _) = b.open().unwrap();
        let (follower, _) = follow(&of_b, &a);
        commit(&mut writer, &lines(copied_key, round * 10 + 1..=round * 10 + 10, 50));
        let mut mine = of_b.writer(own, None).unwrap().0;
        commit(&mut mine, &lines(own, round + 1..=round + 1, 50));
        assert!(follower.has_synced(end(&nats, &a), LONG));
        assert_eq!(copied(&b, copied_key), content(&of_a.reader(copied_key).unwrap()), "round {round}");
        drop((follower, mine, of_b));
    }
    // An id that both say is theirs cannot be; a node that says so changes nothing here all the same.
    let (of_b, _) = b.open().unwrap();
    let mine = of_b.writer(own, None).unwrap().0;
    let before = copied(&b, own);
    let (follower, _) = follow(&of_b, &a);
    commit(&mut of_a.writer(own, None).unwrap().0, &lines(own, 1..=9, 50));
    assert!(follower.has_synced(end(&nats, &a), LONG));
    assert_eq!(copied(&b, own), before);
    drop(mine);
}

#[test]
fn what_is_followed_is_whole_however_often_servers_and_followers_die() {
    if !nats::is_there() {
        return;
    }
    let mut nats = Nats::start();
    let (a, b) = (Node::new(&nats), Node::new(&nats));
    let (of_a, _) = a.open().unwrap();
    let (mut of_b, mut follower) = (Some(b.open().unwrap().0), None);
    let acknowledged = under_load(&of_a, 4, || {
        for _ in 0..3 {
            follower = of_b.as_ref().map(|root| follow(root, &a));
            rounds_more(&of_a, 20);
            nats.kill(nats.leader(&a.stream()));
            rounds_more(&of_a, 20);
            nats.revive();
            drop((follower.take(), of_b.take()));
            rounds_more(&of_a, 20);
            of_b = Some(eventually("b can start", || b.open().ok()).0);
        }
    });
    let of_b = of_b.unwrap();
    let (follower, _) = follow(&of_b, &a);
    assert!(follower.has_synced(end(&nats, &a), LONG));
    assert_copied(&b, &acknowledged);
    for key in acknowledged.keys() {
        assert_eq!(copied(&b, *key), content(&of_a.reader(*key).unwrap()), "{key}");
    }
}

#[test]
fn work_of_a_lost_node_goes_on_elsewhere_and_a_third_one_sees_it_whole() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let [a, b, c] = [(); 3].map(|()| Node::new(&nats));
    let (of_a, _) = a.open().unwrap();
    let ((of_b, _), (of_c, _)) = (b.open().unwrap(), c.open().unwrap());
    let (follower, _) = follow(&of_b, &a);
    let acknowledged = under_load(&of_a, 4, || rounds_more(&of_a, 50));
    let fenced = fence_off(&a.options, "b", &Stop::default()).unwrap().unwrap();
    assert_eq!((fenced.by.as_str(), fenced.sequence), ("b", end(&nats, &a)));
    wait_until("a is halted", || of_a.journal_state().halted.is_some());
    assert!(follower.has_synced(fenced.sequence, LONG));
    assert_copied(&b, &acknowledged);
    // A third one has the taker's journal before that of the lost one.
    let (of_taker, _) = follow(&of_c, &b);
    of_b.adopt(&fenced.journal, fenced.sequence).unwrap();
    for (key, bytes) in &acknowledged {
        let (mut writer, recovered) = of_b.writer(*key, None).unwrap();
        assert!(recovered.bytes >= bytes.len() as u64);
        commit(&mut writer, &lines(*key, recovered.last_sequence + 1..=recovered.last_sequence + 5, 50));
    }
    let (of_lost, _) = follow(&of_c, &a);
    assert!(of_lost.has_synced(fenced.sequence, LONG) && of_taker.has_synced(end(&nats, &b), LONG));
    for key in acknowledged.keys() {
        assert_eq!(copied(&c, *key), content(&of_b.reader(*key).unwrap()), "{key}");
    }
    // Nor does a start of the third one change that, which reads both again.
    drop((of_lost, of_taker, of_c));
    fs::remove_dir_all(c.folder.path().join("journal/followed")).unwrap();
    let (of_c, _) = c.open().unwrap();
    let (of_taker, of_lost) = (follow(&of_c, &b).0, follow(&of_c, &a).0);
    assert!(of_lost.has_synced(fenced.sequence, LONG) && of_taker.has_synced(end(&nats, &b), LONG));
    for key in acknowledged.keys() {
        assert_eq!(copied(&c, *key), content(&of_b.reader(*key).unwrap()), "{key}");
    }
    for key in acknowledged.keys() {
        let report = verify_log(&of_b.reader(*key).unwrap(), *key, false).unwrap();
        assert_eq!(report.violations, [], "{key}");
    }
}

#[test]
fn a_node_whose_work_was_taken_over_gets_its_journal_back_and_has_what_became_of_its_logs() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let (a, b) = (Node::new(&nats), Node::new(&nats));
    let ((of_a, _), (of_b, _)) = (a.open().unwrap(), b.open().unwrap());
    let (follower, _) = follow(&of_b, &a);
    let (taken, kept) = (key(), key());
    commit(&mut of_a.writer(taken, None).unwrap().0, &lines(taken, 1..=3, 50));
    commit(&mut of_a.writer(kept, None).unwrap().0, &lines(kept, 1..=3, 50));
    let fenced = fence_off(&a.options, "b", &Stop::default()).unwrap().unwrap();
    assert!(follower.has_synced(fenced.sequence, LONG));
    of_b.adopt(&fenced.journal, fenced.sequence).unwrap();
    commit(&mut of_b.writer(taken, None).unwrap().0, &lines(taken, 4..=6, 50));
    drop(of_a);
    let (of_a, _) = a.open().unwrap();
    let (of_taker, _) = follow(&of_a, &b);
    commit(&mut of_a.writer(kept, None).unwrap().0, &lines(kept, 4..=5, 50));
    assert!(of_taker.has_synced(end(&nats, &b), LONG) && follower.has_synced(end(&nats, &a), LONG));
    for (one, other, key) in [(&a, &b, taken), (&b, &a, kept)] {
        assert_eq!(copied(one, key), copied(other, key), "{key}");
    }
    assert_eq!(content(&of_a.reader(taken).unwrap()), content(&of_b.reader(taken).unwrap()));
    // And once more.
    let fenced = fence_off(&a.options, "b", &Stop::default()).unwrap().unwrap();
    wait_until("a is halted", || of_a.journal_state().halted.is_some());
    assert!(fenced.epoch > 3 && follower.has_synced(fenced.sequence, LONG));
    drop((of_taker, of_a));
    a.open().unwrap();
}

#[test]
fn of_those_who_take_a_node_over_at_once_one_does() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let a = Node::new(&nats);
    let (of_a, _) = a.open().unwrap();
    let takers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|taker| {
                let options: &ClusterOptions = &a.options;
                scope.spawn(move || fence_off(options, &format!("n{taker}"), &Stop::default()).unwrap().unwrap())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(takers.iter().all(|fenced| *fenced == takers[0]), "{takers:?}");
    wait_until("a is halted", || of_a.journal_state().halted.is_some());
    // A journal that nobody has written has no owner.
    assert_eq!(fence_off(&Node::new(&nats).options, "n", &Stop::default()).unwrap(), None);
}

#[test]
fn a_log_whose_beginning_was_gone_is_not_taken_for_whole() {
    if !nats::is_there() {
        return;
    }
    let nats = Nats::start();
    let (mut a, b) = (Node::new(&nats), Node::new(&nats));
    a.options.keep_bytes = 0;
    let ((of_a, _), (of_b, _)) = (a.open().unwrap(), b.open().unwrap());
    let (old, new) = (key(), key());
    let (mut writing_old, mut writing_new) = (of_a.writer(old, None).unwrap().0, None);
    let (follower, _) = follow(&of_b, &a);
    commit(&mut writing_old, &lines(old, 1..=2, 50));
    assert!(follower.has_synced(end(&nats, &a), LONG));
    drop(follower);
    let first = || nats.info(&a.stream())["state"]["first_seq"].as_u64().unwrap();
    let (before, mut sequence) = (first(), 3);
    // Checkpoints, and what they cover is purged.
    wait_until("the stream is purged", || {
        commit(&mut writing_old, &lines(old, sequence..=sequence + 99, 200));
        sequence += 100;
        first() > before + 5
    });
    let (follower, _) = follow(&of_b, &a);
    let writer = writing_new.insert(of_a.writer(new, None).unwrap().0);
    commit(writer, &lines(new, 1..=2, 50));
    commit(&mut writing_old, &lines(old, sequence..=sequence, 50));
    assert!(follower.has_synced(end(&nats, &a), LONG));
    assert!(follower.progress().has_holes && !follower.progress().begins_late);
    assert!(of_b.is_partial(old) && !of_b.is_partial(new));
    let copy = copied(&b, old);
    assert!(copy == lines_of(&of_a, old, copy.len()), "what is there is the beginning of the log");
    assert_eq!(copied(&b, new), content(&of_a.reader(new).unwrap()));
}

fn lines_of(root: &LogRoot, key: StreamKey, bytes: usize) -> Vec<u8> {
    content(&root.reader(key).unwrap())[..bytes].to_vec()
}
