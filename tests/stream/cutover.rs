//! Where the file meets the live end: every order of a reader's steps and a writer's.

use ade::stream::{End, Follow, Item, StreamHandle};
use futures_util::future::join_all;

use super::support::{Given, World, in_system, last_word, line, options, poll_once};

/// A move of one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    /// An event becomes durable.
    Append,
    /// The actor dies and its successor empties the live window.
    Reset,
    /// The reader subscribes; then by turns looks once, and takes what it was waiting for.
    Reader,
}

/// Every way to put `theirs` between `readers` moves of the reader, each in its own order.
fn schedules(theirs: &[Move], readers: usize) -> Vec<Vec<Move>> {
    let mut all = Vec::new();
    if readers == 0 {
        return vec![theirs.to_vec()];
    }
    if let Some((first, rest)) = theirs.split_first() {
        let shorter = schedules(rest, readers);
        all.extend(shorter.into_iter().map(|rest| [&[*first], &rest[..]].concat()));
    }
    let shorter = schedules(theirs, readers - 1);
    all.extend(shorter.into_iter().map(|rest| [&[Move::Reader], &rest[..]].concat()));
    all
}

/// A reader moved by hand.
struct Reader {
    follow: Option<Follow>,
    moves: usize,
    given: Given,
    /// It has begun to read the file and not yet taken the outcome.
    reading: bool,
}

impl Reader {
    async fn step(&mut self, stream: &StreamHandle) {
        let Some(follow) = &mut self.follow else {
            self.follow = Some(stream.follow(ade::domain::sequence::Start::after(self.given.start)).unwrap());
            return;
        };
        self.moves += 1;
        let item = match self.reading && self.moves.is_multiple_of(2) {
            true => Some(follow.next().await.unwrap()),
            false => poll_once(follow),
        };
        self.reading = item.is_none() && follow.position() < stream.tail().sequence;
        match item {
            Some(Item::Chunk(chunk)) => self.given.take(&chunk).unwrap(),
            Some(other) => panic!("an open stream gave {other:?}"),
            None => {}
        }
    }
}

async fn play(stream: StreamHandle, schedule: &[Move], start: u64) -> (Given, Option<End>) {
    stream.append((0..3).map(|index| line(format!("before-{index}"), 10)).collect()).await.unwrap();
    // The window is emptied, so that what was before is in the file only.
    stream.panic().await;
    let mut reader = Reader { follow: None, moves: 0, given: Given::after(start), reading: false };
    for (index, next) in schedule.iter().enumerate() {
        match next {
            Move::Append => drop(stream.append_one(line(format!("during-{index}"), 10)).await.unwrap()),
            Move::Reset => stream.panic().await,
            Move::Reader => reader.step(&stream).await,
        }
    }
    stream.append_one(last_word("end")).await.unwrap();
    let Reader { follow, mut given, .. } = reader;
    let end = given.catch_up(&mut follow.expect("it has subscribed")).await;
    (given, end)
}

fn in_every_order(theirs: &[Move]) {
    in_system(async {
        let world = World::quick();
        let life = world.live().await;
        let schedules = schedules(theirs, 6);
        let cases = schedules.iter().flat_map(|schedule| [0, 1, 3].map(|start| (schedule, start)));
        let played = cases.map(async |(schedule, start)| {
            let identity = world.sibling();
            let stream = ade::stream::open(life.root.clone(), identity, None, options(), life.arbiter.handle());
            let (given, end) = play(stream.await.unwrap(), schedule, start).await;
            let appends = theirs.iter().filter(|next| **next == Move::Append).count() as u64;
            assert_eq!((given.position(), end), (4 + appends, Some(End::Closed)), "from {start}: {schedule:?}");
        });
        join_all(played).await;
        life.end().await;
    });
}

#[test]
fn a_reader_and_two_appends_interleave_in_every_order() {
    assert_eq!(schedules(&[Move::Append, Move::Append], 6).len(), 28);
    in_every_order(&[Move::Append, Move::Append]);
}

#[test]
fn readers_and_appends_interleave_when_the_actor_dies_between_them() {
    in_every_order(&[Move::Append, Move::Reset, Move::Append]);
}
