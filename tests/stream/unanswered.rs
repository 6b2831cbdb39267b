//! A stream whose journal is in a cluster that has gone, when the service stops waiting for it. Real servers; left out,
//! loudly, where they cannot be installed.

use std::sync::Arc;

use actix::Arbiter;
use ade::log::{ClusterOptions, LogOptions, LogRoot, RealDisk};
use ade::stream::window::Halt;
use ade::stream::{AppendError, End, Item, open};
use ade_test_support::nats::{self, Nats};

use super::support::{Given, Life, World, in_system, line, options};

async fn live(world: &World, cluster: &ClusterOptions) -> Life {
    let (folder, cluster) = (world.folder.path().to_owned(), cluster.clone());
    let disk = Arc::new(RealDisk::default());
    let opened = move || LogRoot::open_in_cluster(&folder, disk, LogOptions::default(), &cluster).unwrap().0;
    let root = tokio::task::spawn_blocking(opened).await.unwrap();
    let arbiter = Arbiter::new();
    let stream = open(root.clone(), world.identity.clone(), None, options(), arbiter.handle()).await.unwrap();
    Life { root, stream, arbiter }
}

/// The machines may have the batch: to say that the log has failed at its end here would have it cut there.
#[test]
fn a_batch_that_is_given_up_leaves_the_stream_to_the_next_start() {
    if !nats::is_there() {
        return;
    }
    for actor_dies in [false, true] {
        let (mut nats, world) = (Nats::start(), World::new());
        let cluster = ClusterOptions::new(nats.servers(), "test", &ulid::Ulid::generate().to_string());
        in_system(async {
            let life = live(&world, &cluster).await;
            life.stream.append_one(line("before", 10)).await.unwrap();
            let mut follow = life.follow(0);
            let mut given = Given::after(0);
            given.catch_up(&mut follow).await;
            (0..3).for_each(|server| nats.kill(server));
            let send = |tag: &'static str| {
                let stream = life.stream.clone();
                actix::spawn(async move { stream.append_one(line(tag, 10)).await })
            };
            let in_flight = send("in flight");
            life.round_trip().await;
            // Behind the one in flight, if its actor lives.
            let waiting = (!actor_dies).then(|| send("waiting"));
            life.round_trip().await;
            if actor_dies {
                let stream = life.stream.clone();
                actix::spawn(async move { stream.panic().await });
                life.round_trip().await;
            }
            life.root.stop_waiting();
            assert_eq!(in_flight.await.unwrap(), Err(AppendError::Gone));
            if let Some(waiting) = waiting {
                assert_eq!(waiting.await.unwrap(), Err(AppendError::Gone));
            }
            life.stream.ended().await;
            assert!(life.root.journal_state().is_over && life.root.journal_state().halted.is_none());
            assert_eq!(life.stream.hub().halt(), Some(Halt::Draining));
            assert!(matches!(follow.next().await.unwrap(), Item::End(End::Halted(Halt::Draining))));
            assert_eq!(life.stream.append_one(line("after", 10)).await, Err(AppendError::Gone));
            life.end().await;
            nats.revive();
            let life = live(&world, &cluster).await;
            // It is not known whether the servers have the batch in flight; they have not the one behind it.
            let last = life.stream.tail().sequence;
            assert!(last == 1 || last == 2, "{last}");
            assert_eq!(life.stream.append_one(line("again", 10)).await.unwrap().first, last + 1);
            life.end().await;
        });
    }
}
