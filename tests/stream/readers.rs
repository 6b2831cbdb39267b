//! A reader holds a position: it delays nobody, and its lag costs nothing.

use ade::stream::window::WINDOW_BYTES;
use ade::stream::{Chunk, End, Follow, Item, SubscribeError};
use futures_util::future::join_all;

use super::support::{Given, World, in_system, last_word, line, options, poll_once};

#[test]
fn ten_thousand_appends_do_not_wait_for_a_reader_that_never_reads() {
    const PRODUCERS: u64 = 8;
    const EACH: u64 = 1250;
    in_system(async {
        let world = World::quick();
        let life = world.live().await;
        let (mut never, mut once) = (life.follow(0), life.follow(0));
        assert!(poll_once(&mut once).is_none());
        let produced = (0..PRODUCERS).map(|producer| {
            let stream = life.stream.clone();
            async move {
                for index in 0..EACH {
                    stream.append_one(line(format!("{producer}-{index}"), 1000)).await.unwrap();
                }
            }
        });
        join_all(produced).await;
        let tail = life.stream.tail();
        assert_eq!(tail.sequence, PRODUCERS * EACH);
        assert!(tail.bytes as usize > 2 * WINDOW_BYTES, "they are far behind the window");
        assert!(life.stream.hub().window_bytes() <= WINDOW_BYTES, "and the window has not grown");
        life.stream.append_one(last_word("end")).await.unwrap();
        for follow in [&mut never, &mut once] {
            let mut given = Given::after(0);
            assert_eq!(given.catch_up(follow).await, Some(End::Closed));
            assert_eq!(given.position(), PRODUCERS * EACH + 1);
        }
        life.end().await;
    });
}

#[test]
fn a_reader_resumes_from_its_position_alone() {
    assert!(size_of::<Follow>() <= 128, "{} bytes", size_of::<Follow>());
}

#[test]
fn one_batch_larger_than_the_window_is_all_that_it_keeps() {
    in_system(async {
        let world = World::quick();
        let life = world.live().await;
        let mut follow = life.follow(0);
        for round in 0..3 {
            let large = (0..6).map(|index| line(format!("{round}-{index}"), 1_000_000)).collect();
            life.stream.append(large).await.unwrap();
            let kept = life.stream.hub().window_bytes();
            assert!(kept > WINDOW_BYTES && kept < 2 * WINDOW_BYTES, "{kept} bytes after round {round}");
        }
        let mut given = Given::after(0);
        given.catch_up(&mut follow).await;
        assert_eq!(given.position(), 18);
        life.end().await;
    });
}

/// Whether each chunk came from the live window, changes only.
async fn sources(follow: &mut Follow, given: &mut Given) -> Vec<&'static str> {
    let mut sources = Vec::new();
    while given.position() < follow.hub().tail().sequence {
        let Item::Chunk(chunk) = follow.next().await.unwrap() else { panic!("an open stream gave no chunk") };
        given.take(&chunk).unwrap();
        sources.push(if matches!(chunk, Chunk::Live { .. }) { "live" } else { "file" });
    }
    sources.dedup();
    sources
}

#[test]
fn a_reader_behind_the_window_is_demoted_and_catches_up() {
    in_system(async {
        let world = World::quick();
        let life = world.live().await;
        let append = async |count: usize, padding| {
            for _ in 0..count {
                life.stream.append_one(line("x", padding)).await.unwrap();
            }
        };
        let (mut follow, mut given) = (life.follow(0), Given::default());
        append(3, 10).await;
        assert_eq!(sources(&mut follow, &mut given).await, ["live"]);
        append(30, 500_000).await;
        assert_eq!(sources(&mut follow, &mut given).await, ["file", "live"], "demoted, then promoted");
        append(3, 10).await;
        assert_eq!(sources(&mut follow, &mut given).await, ["live"], "and it stays there");
        assert_eq!(given.position(), 36);
        life.end().await;
        given.check(&world.events(false).unwrap()).unwrap();
    });
}

#[test]
fn slots_are_bounded_and_released() {
    in_system(async {
        let world = World::quick();
        let life = world.live().await;
        let mut readers: Vec<_> = (0..options().max_subscribers).map(|_| life.follow(0)).collect();
        let refused = life.stream.follow(Default::default());
        assert!(matches!(refused, Err(SubscribeError::TooMany { limit }) if limit == options().max_subscribers));
        readers.pop();
        readers.push(life.follow(0));
        life.stream.append_one(line("x", 10)).await.unwrap();
        assert!(readers.iter_mut().all(|follow| matches!(poll_once(follow), Some(Item::Chunk(_)))));
        drop(readers);
        assert_eq!(life.stream.hub().subscribers(), 0);
        life.end().await;
    });
}
