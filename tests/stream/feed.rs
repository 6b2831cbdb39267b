//! Feeds: every lifecycle event of every stream once, in order, whatever happens in between.

use std::collections::HashMap;
use std::sync::Arc;

use actix::Arbiter;
use ade::domain::id::NodeId;
use ade::domain::sequence::{NoPosition, Start};
use ade::domain::{BuildId, ConfigurationId, RunId, StreamKey, WorkspaceId};
use ade::event::codec;
use ade::event::{Draft, Identity, Source};
use ade::feed::{FeedOptions, Feeds};
use ade::log::verify::verify_log;
use ade::log::{LogOptions, LogRoot};
use ade::store::Store;
use ade::stream::window::Halt;
use ade::stream::{End, Follow, Item, StreamHandle, SubscribeError, open};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::gated_disk::GatedDisk;
use super::support::{in_system, options};

/// A data folder with a database and one workspace.
struct World {
    folder: tempfile::TempDir,
    workspace_id: WorkspaceId,
    node_id: NodeId,
    segment_bytes: u64,
}

/// One life of the service in it.
struct Life {
    root: LogRoot,
    feeds: Feeds,
    arbiter: Arbiter,
}

impl World {
    fn new(segment_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, workspace_id: WorkspaceId::generate(), node_id: NodeId::generate(), segment_bytes }
    }

    async fn live(&self) -> Life {
        let url = format!("sqlite://{}?mode=rwc", self.folder.path().join("ade.db").display());
        let store = Store::connect(&url, 2).await.unwrap();
        store.migrate().await.unwrap();
        let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
        let (root, _) = LogRoot::open(self.folder.path(), GatedDisk::quick(), options).unwrap();
        let (arbiter, node_id) = (Arbiter::new(), self.node_id);
        let handle = arbiter.handle();
        let options = FeedOptions {
            stream: super::support::options(),
            segment_bytes: self.segment_bytes,
            segment_age: TimeDelta::hours(24),
        };
        let feeds = Feeds::new(root.clone(), store, node_id, options, move || handle.clone());
        Life { root, feeds, arbiter }
    }

    fn feed(&self) -> StreamKey {
        StreamKey::feed(self.workspace_id)
    }

    fn run(&self) -> StreamKey {
        StreamKey::of(self.workspace_id, RunId::generate())
    }
}

impl Life {
    async fn open(&self, key: StreamKey) -> StreamHandle {
        let identity = Identity::new(key, ConfigurationId::generate());
        open(self.root.clone(), identity, None, options(), self.arbiter.handle()).await.unwrap()
    }

    /// Begins a run that the feed tells of.
    async fn begin(&self, key: StreamKey) -> StreamHandle {
        self.feeds.expect(key).await.unwrap();
        let stream = self.open(key).await;
        self.feeds.follow(stream.clone());
        stream.append_one(draft("run.queued")).await.unwrap();
        stream
    }

    /// Tells what an earlier life has left out.
    async fn complete(&self) {
        for owed in self.feeds.owed().await.unwrap() {
            let stream = self.open(owed.key).await;
            if !stream.tail().closed {
                stream.append_one(draft("run.completed")).await.unwrap();
            }
            self.feeds.derive(owed.key, stream.follow_inside(Start::default()).unwrap()).await.unwrap();
        }
    }

    async fn follow(&self, world: &World, start: Start) -> Result<Follow, SubscribeError> {
        Follow::new(self.feeds.hub(world.workspace_id).await.unwrap(), start, 10)
    }

    /// The next event of the feed, for a reader that comes back when it is told to.
    async fn first_after(&self, world: &World, after: u64) -> u64 {
        loop {
            let mut reader = self.follow(world, Start::after(after)).await.unwrap();
            match reader.next().await.unwrap() {
                Item::Chunk(chunk) => return chunk.first(),
                Item::End(End::Halted(Halt::Draining)) | Item::Heartbeat => {}
                Item::End(end) => panic!("{end:?}"),
            }
        }
    }

    /// The threads stop where they are.
    async fn end(self) {
        let Self { root, feeds, arbiter } = self;
        drop(feeds);
        arbiter.stop();
        tokio::task::spawn_blocking(move || {
            arbiter.join().unwrap();
            root.close();
        })
        .await
        .unwrap();
    }
}

fn draft(kind: &'static str) -> Draft {
    Draft::new(kind, Source::Api, &json!({"text": "x".repeat(100)}))
}

/// What the feed has told, by its origins, in its order; its log must be lawful.
fn told(root: &LogRoot, world: &World) -> HashMap<String, Vec<(String, u64)>> {
    let reader = root.reader(world.feed()).unwrap();
    assert_eq!(verify_log(&reader, world.feed(), false).unwrap().violations, []);
    let (mut told, mut offset, tail) = (HashMap::<_, Vec<_>>::new(), 0, reader.tail().unwrap());
    while offset < tail.bytes {
        let chunk = reader.read(offset, tail.bytes, 1 << 16).unwrap();
        offset = chunk.next_offset;
        for line in chunk.lines.split_inclusive(|byte| *byte == b'\n') {
            let event = codec::decode(line).unwrap();
            let payload: Value = serde_json::from_str(event.payload.get()).unwrap();
            let (stream, sequence) = (&payload["origin"]["stream"], &payload["origin"]["sequence"]);
            let own = told.entry(stream.as_str().unwrap().to_owned()).or_default();
            own.push((event.kind.into_owned(), sequence.as_u64().unwrap()));
        }
    }
    told
}

fn files(world: &World) -> usize {
    std::fs::read_dir(world.folder.path().join(world.feed().directory())).unwrap().count()
}

fn lived(sequences: [u64; 3]) -> Vec<(String, u64)> {
    ["run.queued", "run.started", "run.completed"].map(str::to_owned).into_iter().zip(sequences).collect()
}

#[test]
fn many_streams_are_delivered_in_order_across_many_files() {
    in_system(async {
        let world = World::new(3000);
        let life = world.live().await;
        let keys: Vec<_> = (0..20).map(|_| world.run()).collect();
        let work = keys.iter().map(|&key| {
            let life = &life;
            async move {
                let stream = life.begin(key).await;
                let noise: Arc<[Draft]> = (0..50).map(|_| draft("console.line")).collect();
                stream.append(noise).await.unwrap();
                stream.append_one(draft("run.started")).await.unwrap();
                stream.append_one(draft("run.completed")).await.unwrap();
            }
        });
        futures_util::future::join_all(work).await;
        life.feeds.quiet().await;
        assert!(files(&world) > 3, "{}", files(&world));
        let told = told(&life.root, &world);
        assert_eq!(told.len(), 20);
        for key in keys {
            assert_eq!(told[&key.to_string()], lived([1, 52, 53]), "{key}");
        }
        assert_eq!(life.feeds.owed().await.unwrap(), []);
        life.end().await;
    });
}

#[test]
fn a_build_is_reported_from_its_own_stream_only() {
    in_system(async {
        let world = World::new(1 << 20);
        let life = world.live().await;
        let key = StreamKey::of(world.workspace_id, BuildId::generate());
        life.feeds.expect(key).await.unwrap();
        let stream = life.open(key).await;
        life.feeds.follow(stream.clone());
        for kind in ["build.created", "build.started", "console.line", "build.completed"] {
            stream.append_one(draft(kind)).await.unwrap();
        }
        let run = life.begin(world.run()).await;
        for kind in ["build.created", "build.completed", "run.completed"] {
            run.append_one(draft(kind)).await.unwrap();
        }
        life.feeds.quiet().await;
        let told = told(&life.root, &world);
        assert_eq!(told[&key.to_string()], [("build.created".to_owned(), 1), ("build.completed".to_owned(), 4)]);
        assert_eq!(told[&run.key().to_string()], [("run.queued".to_owned(), 1), ("run.completed".to_owned(), 4)]);
        life.end().await;
    });
}

/// Lives that end anywhere, feeds that are closed at any time: each event is told once.
#[test]
fn processes_that_end_anywhere_deliver_every_event_once() {
    in_system(async {
        let world = World::new(2000);
        let mut keys = Vec::new();
        for round in 0..12_usize {
            let life = world.live().await;
            if round > 0 {
                life.complete().await;
            }
            for number in 0..4 {
                let key = world.run();
                keys.push(key);
                let stream = life.begin(key).await;
                stream.append_one(draft("run.started")).await.unwrap();
                if (round + number) % 3 != 0 {
                    stream.append_one(draft("run.completed")).await.unwrap();
                }
                if (round + number) % 4 == 0 {
                    life.feeds.close_idle(std::time::Duration::ZERO).await;
                }
                if number == round % 5 {
                    break;
                }
            }
            // Without waiting for what is under way.
            life.end().await;
        }
        let life = world.live().await;
        life.complete().await;
        let told = told(&life.root, &world);
        assert_eq!(told.len(), keys.len());
        for key in keys {
            assert_eq!(told[&key.to_string()], lived([1, 2, 3]), "{key}");
        }
        assert_eq!(life.feeds.owed().await.unwrap(), []);
        life.end().await;
    });
}

#[test]
fn a_stream_is_delivered_by_one_task_at_a_time_and_not_again_once_completed() {
    in_system(async {
        let world = World::new(1 << 20);
        let life = world.live().await;
        let key = world.run();
        let turn = life.feeds.turn(key).await;
        // Its own follower waits for the turn.
        let stream = life.begin(key).await;
        stream.append_one(draft("run.started")).await.unwrap();
        stream.append_one(draft("run.completed")).await.unwrap();
        life.feeds.derive(key, stream.follow_inside(Start::default()).unwrap()).await.unwrap();
        assert!(!life.feeds.owes(key).await.unwrap());
        drop(turn);
        life.feeds.quiet().await;
        assert_eq!(told(&life.root, &world)[&key.to_string()], lived([1, 2, 3]));
        life.end().await;
    });
}

#[test]
fn a_reader_keeps_an_idle_feed_open_and_a_returning_reader_reopens_it() {
    in_system(async {
        let world = World::new(1 << 20);
        let life = world.live().await;
        let mut reader = life.follow(&world, Start::default()).await.unwrap();
        assert_eq!(life.feeds.close_idle(std::time::Duration::ZERO).await, 0);
        life.begin(world.run()).await;
        assert!(matches!(reader.next().await.unwrap(), Item::Chunk(chunk) if chunk.last() == 1));
        drop(reader);
        assert_eq!(life.feeds.close_idle(std::time::Duration::ZERO).await, 1);
        let mut reader = life.follow(&world, Start::after(1)).await.unwrap();
        life.begin(world.run()).await;
        assert!(matches!(reader.next().await.unwrap(), Item::Chunk(chunk) if chunk.first() == 2));
        drop(reader);
        life.end().await;
    });
}

#[test]
fn a_request_for_expired_events_is_told_so() {
    in_system(async {
        let world = World::new(1);
        let life = world.live().await;
        // One file for each entry, since one byte is enough.
        let stream = life.begin(world.run()).await;
        stream.append_one(draft("run.started")).await.unwrap();
        stream.append_one(draft("run.completed")).await.unwrap();
        life.feeds.quiet().await;
        let last = life.follow(&world, Start::default()).await.unwrap().hub().tail().sequence;
        assert_eq!(last, 3);
        assert_eq!(life.feeds.close_idle(std::time::Duration::ZERO).await, 1);
        let later = Utc::now() + TimeDelta::hours(1);
        // Not in the table of workspaces, so it is not found by itself.
        assert_eq!(life.root.expire(world.feed(), later).unwrap().segments as usize, 3 - files(&world));
        let first = life.root.reader(world.feed()).unwrap().first_sequence();
        assert!(first > 1);
        assert_eq!(life.follow(&world, Start::default()).await.unwrap().position(), first - 1);
        let expired = life.follow(&world, Start::after(0)).await.err().unwrap();
        assert!(matches!(expired, SubscribeError::NoPosition(NoPosition::Expired(_))), "{expired:?}");
        life.begin(world.run()).await;
        assert_eq!(life.first_after(&world, last).await, last + 1);
        life.end().await;
    });
}
