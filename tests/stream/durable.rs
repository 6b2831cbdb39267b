//! No acknowledgement and no reader before the disk.

use ade::stream::window::Halt;
use ade::stream::{AppendError, End, Item};

use super::gated_disk::{Fault, GatedDisk};
use super::support::{Given, Life, World, in_system, line, poll_once};

/// Appends one event of this size with the gate shut, and lets the syncs pass one by one: until the last has passed,
/// nobody may know of it.
async fn nobody_knows_before_the_last_sync(padding: usize) -> usize {
    let (disk, gate) = GatedDisk::new();
    let world = World::on(disk);
    let life = world.live().await;
    life.stream.append_one(line("before", 10)).await.unwrap();
    let mut live = life.follow(1);
    assert!(poll_once(&mut live).is_none());

    gate.shut();
    let stream = life.stream.clone();
    let mut ack = actix::spawn(async move { stream.append_one(line("gated", padding)).await });
    let mut passed = 0;
    let acknowledged = loop {
        tokio::select! {
            outcome = &mut ack => break outcome.unwrap(),
            () = gate.blocked() => {}
        }
        life.round_trip().await;
        assert!(!ack.is_finished(), "acknowledged after {passed} syncs");
        assert!(poll_once(&mut live).is_none(), "shown live after {passed} syncs");
        assert_eq!(life.stream.tail().sequence, 1);
        let mut given = Given::after(0);
        assert!(given.catch_up(&mut life.follow(0)).await.is_none());
        assert_eq!(given.position(), 1, "shown from the file after {passed} syncs");
        assert!(life.stream.follow(ade::domain::sequence::Start::after(2)).is_err(), "2 is ahead of what is durable");
        gate.let_pass().await;
        passed += 1;
    };
    gate.open();
    assert_eq!(acknowledged.unwrap().last, 2);
    assert!(matches!(poll_once(&mut live), Some(Item::Chunk(chunk)) if chunk.last() == 2));
    life.end().await;
    assert_eq!(world.events(false).unwrap().len(), 2);
    passed
}

#[test]
fn nothing_is_acknowledged_or_shown_before_the_journal_is_synced() {
    in_system(async { assert_eq!(nobody_knows_before_the_last_sync(10).await, 1) });
}

#[test]
fn nothing_of_a_large_event_is_acknowledged_or_shown_before_its_own_syncs() {
    in_system(async { assert!(nobody_knows_before_the_last_sync(1 << 20).await > 1) });
}

#[test]
fn appends_during_a_sync_wait_for_the_next_one() {
    in_system(async {
        let (disk, gate) = GatedDisk::new();
        let world = World::on(disk);
        let life = world.live().await;
        gate.shut();
        let send = |tag: String| {
            let stream = life.stream.clone();
            actix::spawn(async move { stream.append_one(line(tag, 10)).await })
        };
        let first = send("first".into());
        gate.blocked().await;
        let later: Vec<_> = (0..20).map(|index| send(format!("later-{index}"))).collect();
        life.round_trip().await;
        gate.let_pass().await;
        assert_eq!(first.await.unwrap().unwrap().last, 1);
        gate.blocked().await;
        life.round_trip().await;
        assert_eq!(life.stream.tail().sequence, 1);
        assert!(later.iter().all(|ack| !ack.is_finished()));
        let before = life.root.metrics().journal_syncs;
        gate.open();
        for (index, ack) in later.into_iter().enumerate() {
            assert_eq!(ack.await.unwrap().unwrap().first, index as u64 + 2, "numbered as they arrived");
        }
        assert_eq!(life.root.metrics().journal_syncs, before + 1, "one sync for all of them");
        life.end().await;
    });
}

/// The stream takes nothing and shows nothing more; how much of it counts is said.
async fn is_degraded(life: &Life, last: u64) -> u64 {
    let mut given = Given::after(0);
    let mut follow = life.follow(0);
    given.catch_up(&mut follow).await;
    assert_eq!(given.position(), last);
    assert!(matches!(follow.next().await.unwrap(), Item::End(End::Halted(Halt::Degraded))));
    match life.stream.append_one(line("refused", 10)).await {
        Err(AppendError::Degraded { durable_bytes }) => durable_bytes,
        other => panic!("a degraded stream answered {other:?}"),
    }
}

/// The next life has the durable events, and gives the next one the next number.
async fn goes_on_after(world: &World, durable_bytes: u64, last: u64) {
    let life = world.live_within(Some(durable_bytes)).await;
    assert_eq!((life.stream.tail().sequence, life.stream.tail().bytes), (last, durable_bytes));
    assert_eq!(life.stream.append_one(line("after", 10)).await.unwrap().first, last + 1);
    life.end().await;
    let tags: Vec<_> = world.events(false).unwrap().into_iter().map(|event| event.tag).collect();
    assert_eq!(tags.len() as u64, last + 1);
    assert!(!tags.iter().any(|tag| tag == "refused" || tag == "failing"), "{tags:?}");
}

#[test]
fn a_failed_disk_ends_the_stream_until_it_is_reopened() {
    in_system(async {
        for (padding, fault) in [(10, Fault::Sync), (1 << 20, Fault::Sync), (10, Fault::LogWrite)] {
            let (disk, gate) = GatedDisk::new();
            let world = World::on(disk);
            let life = world.live().await;
            life.stream.append_one(line("before", 10)).await.unwrap();
            let mut live = life.follow(1);
            gate.shut();
            let send = |tag: &'static str| {
                let stream = life.stream.clone();
                actix::spawn(async move { stream.append_one(line(tag, padding)).await })
            };
            let failing = send("failing");
            gate.blocked().await;
            let waiting = send("refused");
            life.round_trip().await;
            gate.break_down(fault);
            assert!(matches!(failing.await.unwrap(), Err(AppendError::Degraded { .. })));
            assert!(matches!(waiting.await.unwrap(), Err(AppendError::Degraded { .. })));
            assert!(matches!(live.next().await.unwrap(), Item::End(End::Halted(Halt::Degraded))));
            gate.open();
            let durable_bytes = is_degraded(&life, 1).await;
            life.end().await;
            goes_on_after(&world, durable_bytes, 1).await;
        }
    });
}

/// Nothing of what failed is there, and nothing is taken after it, though another actor could open the log.
#[test]
fn a_commit_that_fails_for_a_dead_actor_ends_the_stream_too() {
    in_system(async {
        for fault in [Fault::Sync, Fault::LogWrite] {
            let (disk, gate) = GatedDisk::new();
            let world = World::on(disk);
            let life = world.live().await;
            life.stream.append_one(line("before", 10)).await.unwrap();
            gate.shut();
            let stream = life.stream.clone();
            let failing = actix::spawn(async move { stream.append_one(line("failing", 10)).await });
            gate.blocked().await;
            let stream = life.stream.clone();
            let dying = actix::spawn(async move { stream.panic().await });
            life.round_trip().await;
            gate.break_down(fault);
            assert!(matches!(failing.await.unwrap(), Err(AppendError::Degraded { .. })));
            gate.open();
            dying.await.unwrap();
            let durable_bytes = is_degraded(&life, 1).await;
            life.end().await;
            goes_on_after(&world, durable_bytes, 1).await;
        }
    });
}
