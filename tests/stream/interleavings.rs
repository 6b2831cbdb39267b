//! Producers, readers, deaths and restarts in any order, and what must hold afterwards.
//!
//! `ADE_CASES=2000` for a long hunt.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use ade::log::Durability;
use ade::stream::{AppendError, Appended, End, Item, StreamHandle};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::support::{Given, Life, Stored, World, check_no_doubles, from_environment, in_system, last_word, line};

const PRODUCERS: usize = 3;
/// Below the restart budget of one life.
const DEATHS_PER_LIFE: usize = 15;
const LARGE: usize = 600_000;

#[derive(Debug, Clone)]
enum Step {
    /// A producer gives this many small events and, if so, a large one.
    Append { producer: usize, small: usize, large: bool },
    /// As above, with the terminal event as the last.
    End { producer: usize },
    /// A reader begins at this share of the log.
    Subscribe { percent: u64, pace: Pace },
    /// The actor dies, at whatever it is.
    Die,
    /// Everything is dropped, and opened again from the disk.
    Restart,
    /// All appends are answered before the next step.
    Settle,
}

#[derive(Debug, Clone, Copy)]
enum Pace {
    Brisk,
    /// Gives way this often before each look.
    Slow(usize),
    /// Takes one item, and the rest when everything else is over.
    Asleep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let producer = 0..PRODUCERS;
    let append = (producer.clone(), 1usize..6, prop::bool::weighted(0.2))
        .prop_map(|(producer, small, large)| Step::Append { producer, small, large });
    let pace = prop_oneof![Just(Pace::Brisk), (1usize..40).prop_map(Pace::Slow), Just(Pace::Asleep)];
    let step = prop_oneof![
        20 => append,
        7 => (0u64..=100, pace).prop_map(|(percent, pace)| Step::Subscribe { percent, pace }),
        4 => Just(Step::Die),
        3 => Just(Step::Settle),
        2 => Just(Step::Restart),
        1 => producer.prop_map(|producer| Step::End { producer }),
    ];
    prop::collection::vec(step, 1..50)
}

/// One append and its answer.
struct Attempt {
    tags: Vec<String>,
    outcome: Result<Appended, AppendError>,
}

enum Order {
    Append(StreamHandle, Vec<String>, bool),
    Settled(oneshot::Sender<()>),
}

/// Makes appends one after the other.
struct Producer {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<Vec<Attempt>>,
    given: Cell<usize>,
}

impl Producer {
    fn start() -> Self {
        let (orders, mut waiting) = mpsc::unbounded_channel();
        let task = actix::spawn(async move {
            let mut attempts = Vec::new();
            while let Some(order) = waiting.recv().await {
                match order {
                    Order::Append(stream, tags, ends) => {
                        let outcome = stream.append(drafts(&tags, ends)).await;
                        attempts.push(Attempt { tags, outcome });
                    }
                    Order::Settled(told) => drop(told.send(())),
                }
            }
            attempts
        });
        Self { orders, task, given: Cell::new(0) }
    }

    fn append(&self, name: usize, stream: &StreamHandle, small: usize, large: bool, ends: bool) {
        let serial = self.given.replace(self.given.get() + 1);
        let mut tags: Vec<_> = (0..small).map(|index| format!("{name}-{serial}-{index}")).collect();
        if large {
            tags.push(format!("{name}-{serial}-large"));
        }
        if ends {
            tags.push(format!("{name}-{serial}-end"));
        }
        let _ = self.orders.send(Order::Append(stream.clone(), tags, ends));
    }

    async fn settle(&self) {
        let (told, settled) = oneshot::channel();
        let _ = self.orders.send(Order::Settled(told));
        settled.await.unwrap();
    }
}

fn drafts(tags: &[String], ends: bool) -> std::sync::Arc<[ade::event::Draft]> {
    let draft = |(index, tag): (usize, &String)| match tag.ends_with("large") {
        _ if ends && index + 1 == tags.len() => last_word(tag.as_str()),
        true => line(tag.as_str(), LARGE),
        false => line(tag.as_str(), 10),
    };
    tags.iter().enumerate().map(draft).collect()
}

/// Reads to the end of the stream through all of its lives, as a client that reconnects does.
async fn read(
    mut lives: watch::Receiver<StreamHandle>,
    mut over: watch::Receiver<bool>,
    start: u64,
    pace: Pace,
) -> Result<Given, String> {
    let mut given = Given::after(start);
    let mut items = 0;
    loop {
        let stream = lives.borrow_and_update().clone();
        let mut follow = stream
            .follow(ade::domain::sequence::Start::after(given.position()))
            .map_err(|error| format!("a reader came back to less than it had been given: {error}"))?;
        drop(stream);
        loop {
            match pace {
                Pace::Slow(times) => {
                    futures_util::future::join_all((0..times).map(|_| tokio::task::yield_now())).await.clear()
                }
                Pace::Asleep if items > 0 => drop(over.wait_for(|over| *over).await),
                _ => {}
            }
            tokio::select! {
                item = follow.next() => match item.map_err(|error| error.to_string())? {
                    Item::Chunk(chunk) => given.take(&chunk)?,
                    Item::End(End::Closed) => return Ok(given),
                    other => return Err(format!("a reader was given {other:?}")),
                },
                _ = lives.changed() => break,
            }
            items += 1;
        }
    }
}

/// What a case leaves behind.
struct Outcome {
    file: Vec<Stored>,
    attempts: Vec<Attempt>,
    readers: Vec<Given>,
}

struct Play {
    world: World,
    life: Option<Life>,
    lives: watch::Sender<StreamHandle>,
    over: watch::Sender<bool>,
    producers: Vec<Producer>,
    readers: Vec<JoinHandle<Result<Given, String>>>,
    deaths: Rc<RefCell<Vec<JoinHandle<()>>>>,
}

impl Play {
    async fn begin(world: World) -> Self {
        let life = world.live().await;
        Self {
            lives: watch::channel(life.stream.clone()).0,
            over: watch::channel(false).0,
            world,
            life: Some(life),
            producers: (0..PRODUCERS).map(|_| Producer::start()).collect(),
            readers: Vec::new(),
            deaths: Rc::default(),
        }
    }

    fn stream(&self) -> StreamHandle {
        self.lives.borrow().clone()
    }

    async fn step(&mut self, step: &Step) {
        let stream = self.stream();
        match *step {
            Step::Append { producer, small, large } => {
                self.producers[producer].append(producer, &stream, small, large, false);
            }
            Step::End { producer } => self.producers[producer].append(producer, &stream, 1, false, true),
            Step::Subscribe { percent, pace } => {
                let start = stream.tail().sequence * percent / 100;
                let reading = read(self.lives.subscribe(), self.over.subscribe(), start, pace);
                self.readers.push(actix::spawn(reading));
            }
            Step::Die if self.deaths.borrow().len() < DEATHS_PER_LIFE => {
                self.deaths.borrow_mut().push(actix::spawn(async move { stream.panic().await }));
            }
            Step::Die => {}
            Step::Restart => self.restart().await,
            Step::Settle => self.settle().await,
        }
        tokio::task::yield_now().await;
    }

    async fn restart(&mut self) {
        self.life.take().expect("there is always one").end().await;
        self.settle().await;
        self.deaths.borrow_mut().clear();
        let life = self.world.live().await;
        self.lives.send_replace(life.stream.clone());
        self.life = Some(life);
    }

    async fn settle(&self) {
        for producer in &self.producers {
            producer.settle().await;
        }
    }

    async fn end(mut self) -> Result<Outcome, String> {
        self.settle().await;
        self.producers[0].append(0, &self.stream(), 0, false, true);
        self.settle().await;
        self.over.send_replace(true);
        let mut readers = Vec::new();
        for reader in self.readers.drain(..) {
            readers.push(reader.await.map_err(|error| error.to_string())??);
        }
        let mut attempts = Vec::new();
        for Producer { orders, task, .. } in self.producers.drain(..) {
            drop(orders);
            attempts.extend(task.await.map_err(|error| error.to_string())?);
        }
        self.life.take().expect("there is always one").end().await;
        Ok(Outcome { file: self.world.events(true)?, attempts, readers })
    }
}

impl Outcome {
    fn check(&self) -> Result<(), String> {
        check_no_doubles(&self.file)?;
        let places: HashMap<&str, usize> =
            self.file.iter().enumerate().map(|(index, event)| (event.tag.as_str(), index)).collect();
        let answered = self.attempts.iter().map(|attempt| attempt.tags.len()).sum::<usize>();
        if places.len() > answered {
            return Err(format!("{} events of {answered} that were sent", places.len()));
        }
        self.attempts.iter().try_for_each(|attempt| self.check_attempt(attempt, &places))?;
        self.readers.iter().try_for_each(|given| given.check(&self.file))
    }

    fn check_attempt(&self, attempt: &Attempt, places: &HashMap<&str, usize>) -> Result<(), String> {
        let Attempt { tags, outcome } = attempt;
        let found = tags.iter().filter_map(|tag| places.get(tag.as_str())).count();
        match outcome {
            Ok(appended) => {
                let stored = self.file.get(appended.first as usize - 1..appended.last as usize).unwrap_or_default();
                let same = stored.iter().map(|event| &event.tag).eq(tags)
                    && stored.iter().all(|event| event.created_at == appended.created_at);
                if same { Ok(()) } else { Err(format!("{tags:?} is not at {appended:?}, but {stored:?}")) }
            }
            Err(AppendError::Closed) if found == 0 => Ok(()),
            // Cut short by a restart: all or nothing of it.
            Err(AppendError::Gone) if found == 0 || found == tags.len() => Ok(()),
            Err(error) => Err(format!("{tags:?} was answered {error:?}, and {found} of it are there")),
        }
    }
}

fn play(steps: &[Step], durability: Durability, quick: bool) -> Result<(), String> {
    in_system(async {
        let world = if quick { World::quick() } else { World::new() };
        let mut play = Play::begin(World { durability, ..world }).await;
        for step in steps {
            play.step(step).await;
        }
        play.end().await?.check()
    })
}

#[test]
fn every_reader_gets_every_event_once_and_every_response_is_correct() {
    let cases = from_environment("ADE_CASES", 24);
    let config = Config { cases, max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let durability = prop_oneof![Just(Durability::Fsync), Just(Durability::Write)];
    let plays = (steps(), durability, prop::bool::weighted(0.85));
    let outcome = TestRunner::new(config)
        .run(&plays, |(steps, durability, quick)| play(&steps, durability, quick).map_err(TestCaseError::fail));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// The check above must be able to fail.
#[test]
fn missing_duplicate_and_reordered_events_are_detected() {
    let lawful = || {
        in_system(async {
            let mut play = Play::begin(World::quick()).await;
            play.step(&Step::Subscribe { percent: 0, pace: Pace::Brisk }).await;
            play.step(&Step::Append { producer: 1, small: 3, large: false }).await;
            play.end().await.unwrap()
        })
    };
    let mut lost = lawful();
    lost.check().unwrap();
    lost.file.remove(1);
    assert!(lost.check().is_err());
    let mut doubled = lawful();
    let again = doubled.file[0].clone();
    doubled.file.insert(1, again);
    assert!(doubled.check().unwrap_err().contains("twice"));
    let mut moved = lawful();
    moved.file.swap(0, 1);
    assert!(moved.check().is_err());
    let mut unread = lawful();
    unread.readers[0].lines.pop();
    assert!(unread.check().unwrap_err().contains("a reader"));
}
