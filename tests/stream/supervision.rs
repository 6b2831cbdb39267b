//! Actors that die: their stream goes on under the eyes of its readers, until it has died too often.

use ade::stream::window::Halt;
use ade::stream::{AppendError, End, Item, StreamHandle};

use super::gated_disk::GatedDisk;
use super::support::{Given, World, check_no_doubles, in_system, last_word, line, poll_once};

/// How often an actor may die before its stream is given up.
const RESTARTS: usize = 20;

async fn die(stream: &StreamHandle, times: usize) {
    for _ in 0..times {
        stream.panic().await;
    }
}

#[test]
fn a_restarted_stream_continues_for_its_connected_readers() {
    in_system(async {
        let world = World::new();
        let life = world.live().await;
        let mut follow = life.follow(0);
        let mut given = Given::default();
        for round in 1..=5 {
            assert!(poll_once(&mut follow).is_none(), "the reader waits while the actor dies");
            life.stream.panic().await;
            let appended = life.stream.append_one(line(format!("{round}"), 10)).await.unwrap();
            assert_eq!(appended.first, round);
            assert!(given.catch_up(&mut follow).await.is_none());
        }
        life.stream.append_one(last_word("end")).await.unwrap();
        assert_eq!(given.catch_up(&mut follow).await, Some(End::Closed));
        life.end().await;
        given.check(&world.events(true).unwrap()).unwrap();
    });
}

#[test]
fn an_append_in_flight_when_the_actor_dies_is_applied_once() {
    in_system(async {
        let (disk, gate) = GatedDisk::new();
        let world = World::on(disk);
        let life = world.live().await;
        gate.shut();
        let send = |tag: &'static str| {
            let stream = life.stream.clone();
            actix::spawn(async move { stream.append_one(line(tag, 10)).await })
        };
        let in_flight = send("in flight");
        gate.blocked().await;
        let waiting = send("waiting");
        let stream = life.stream.clone();
        let dying = actix::spawn(async move { stream.panic().await });
        life.round_trip().await;
        let late = send("late");
        life.round_trip().await;
        gate.open();
        dying.await.unwrap();
        assert_eq!(in_flight.await.unwrap().unwrap().first, 1, "its commit answers it");
        let (waiting, late) = (waiting.await.unwrap().unwrap(), late.await.unwrap().unwrap());
        assert_eq!(waiting.first.min(late.first), 2, "the others are taken by the next actor");
        life.end().await;
        let file = world.events(false).unwrap();
        assert_eq!(file.len(), 3);
        check_no_doubles(&file).unwrap();
    });
}

#[test]
fn a_stream_whose_actor_dies_too_often_is_abandoned_and_reports_it() {
    in_system(async {
        let world = World::new();
        let life = world.live().await;
        life.stream.append_one(line("before", 10)).await.unwrap();
        let mut follow = life.follow(1);
        die(&life.stream, RESTARTS).await;
        assert_eq!(life.stream.append_one(line("still", 10)).await.unwrap().first, 2);
        die(&life.stream, 1).await;
        life.stream.ended().await;
        let durable_bytes = life.stream.tail().bytes;
        assert_eq!(life.stream.append_one(line("x", 10)).await, Err(AppendError::Degraded { durable_bytes }));
        let mut given = Given::after(1);
        assert!(given.catch_up(&mut follow).await.is_none());
        assert!(matches!(follow.next().await.unwrap(), Item::End(End::Halted(Halt::Degraded))));
        life.end().await;
        assert_eq!(world.events(false).unwrap().len(), 2);
    });
}

#[test]
fn a_stream_is_abandoned_only_when_its_last_commit_is_known() {
    in_system(async {
        let (disk, gate) = GatedDisk::new();
        let world = World::on(disk);
        let life = world.live().await;
        die(&life.stream, RESTARTS).await;
        gate.shut();
        let stream = life.stream.clone();
        let in_flight = actix::spawn(async move { stream.append_one(line("in flight", 10)).await });
        gate.blocked().await;
        let stream = life.stream.clone();
        let dying = actix::spawn(async move { stream.panic().await });
        let stream = life.stream.clone();
        let told = actix::spawn(async move {
            stream.ended().await;
            stream.tail()
        });
        life.round_trip().await;
        tokio::task::yield_now().await;
        gate.open();
        dying.await.unwrap();
        assert_eq!(in_flight.await.unwrap().unwrap().last, 1);
        // Whoever is told of the end notes this length, and the next start cuts the log to it.
        let tail = told.await.unwrap();
        assert_eq!(tail.sequence, 1, "an acknowledged event counts as durable when the stream is given up");
        life.end().await;
        let life = world.live_within(Some(tail.bytes)).await;
        assert_eq!(life.stream.tail().sequence, 1);
        life.end().await;
    });
}

#[test]
fn a_degraded_stream_stays_so_while_the_service_drains() {
    in_system(async {
        let (disk, gate) = GatedDisk::new();
        let world = World::on(disk);
        let life = world.live().await;
        gate.break_down(super::gated_disk::Fault::Sync);
        assert!(life.stream.append_one(line("x", 10)).await.is_err());
        life.stream.ended().await;
        life.stream.hub().set_halt(Halt::Draining);
        assert!(matches!(life.follow(0).next().await.unwrap(), Item::End(End::Halted(Halt::Degraded))));
        assert_eq!(life.stream.append_one(line("x", 10)).await, Err(AppendError::Degraded { durable_bytes: 0 }));
        gate.open();
        life.end().await;
    });
}
