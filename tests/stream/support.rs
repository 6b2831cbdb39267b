//! What the tests of streams share: a folder with one stream in it, its lives, and what its file holds.

use std::collections::HashSet;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix::Arbiter;
use ade::domain::sequence::Start;
use ade::domain::{ConfigurationId, RunId, StreamKey, WorkspaceId};
use ade::event::{Draft, Identity, Source, codec};
use ade::log::disk::Disk;
use ade::log::verify::verify_log;
use ade::log::{Durability, LogOptions, LogRoot, RealDisk};
use ade::stream::{Chunk, End, Follow, Item, MetersByKind, StreamHandle, StreamOptions, open};
use serde_json::json;

use super::gated_disk::GatedDisk;

/// Nothing here takes this long unless it hangs.
const LONG: Duration = ade_test_support::TIMEOUT;

pub fn options() -> StreamOptions {
    let meters = MetersByKind::default();
    StreamOptions { heartbeat: Duration::from_secs(600), max_subscribers: 1000, meters, replicas: None }
}

/// Runs a test on a system of its own, within a bounded time.
pub fn in_system<T>(test: impl Future<Output = T>) -> T {
    quiet_planned_panics();
    actix::System::new().block_on(async { tokio::time::timeout(LONG, test).await.expect("the test hangs") })
}

/// Panics that a test asks for need no backtrace in its output.
fn quiet_planned_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().downcast_ref::<&str>().is_some_and(|text| text.starts_with("planned fault")) {
                usual(info);
            }
        }));
    });
}

pub fn from_environment(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A data folder with the log of one run, which may have several lives.
pub struct World {
    pub folder: tempfile::TempDir,
    pub identity: Identity,
    pub durability: Durability,
    pub disk: Arc<dyn Disk>,
}

impl World {
    pub fn new() -> Self {
        Self::on(Arc::new(RealDisk::default()))
    }

    pub fn on(disk: Arc<dyn Disk>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, identity: new_identity(WorkspaceId::generate()), durability: Durability::Fsync, disk }
    }

    /// On real files that are never synced, for tests of other promises than that of the disk.
    pub fn quick() -> Self {
        Self::on(GatedDisk::quick())
    }

    pub fn key(&self) -> StreamKey {
        self.identity.key()
    }

    /// For another stream in the same folder.
    pub fn sibling(&self) -> Identity {
        new_identity(self.key().workspace_id())
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join(self.key().log_path())
    }

    pub fn root(&self) -> LogRoot {
        let options = LogOptions { durability: self.durability, segment_bytes: 1 << 20, ..LogOptions::default() };
        LogRoot::open(self.folder.path(), self.disk.clone(), options).unwrap().0
    }

    pub async fn live(&self) -> Life {
        self.live_within(None).await
    }

    /// With what is beyond `limit` cut off.
    pub async fn live_within(&self, limit: Option<u64>) -> Life {
        let (root, arbiter) = (self.root(), Arbiter::new());
        let stream = open(root.clone(), self.identity.clone(), limit, options(), arbiter.handle()).await.unwrap();
        Life { root, stream, arbiter }
    }

    /// The events in the file, which must be a lawful log.
    pub fn events(&self, must_be_terminal: bool) -> Result<Vec<Stored>, String> {
        let root = self.root();
        let report = verify_log(&root.reader(self.key()).unwrap(), self.key(), must_be_terminal).unwrap();
        root.close();
        if !report.violations.is_empty() {
            return Err(format!("the file is not lawful: {:?}", report.violations));
        }
        let bytes = std::fs::read(self.path()).unwrap();
        Ok(bytes.split_inclusive(|&byte| byte == b'\n').map(Stored::read).collect())
    }
}

fn new_identity(workspace_id: WorkspaceId) -> Identity {
    Identity::new(StreamKey::of(workspace_id, RunId::generate()), ConfigurationId::generate())
}

/// One opening of the world's log, from start to stop.
pub struct Life {
    pub root: LogRoot,
    pub stream: StreamHandle,
    pub arbiter: Arbiter,
}

impl Life {
    /// Stops the threads of the stream and of the log, whatever they were at.
    pub async fn end(self) {
        let Self { root, stream, arbiter } = self;
        drop(stream);
        arbiter.stop();
        let ended = tokio::task::spawn_blocking(move || {
            arbiter.join().expect("a stream's thread outlives its actors");
            root.close();
        });
        ended.await.unwrap();
    }

    pub fn follow(&self, after: u64) -> Follow {
        self.stream.follow(Start::after(after)).unwrap()
    }

    /// Returns when the stream's thread has run everything that was ready before.
    pub async fn round_trip(&self) {
        for _ in 0..50 {
            let (done, answer) = tokio::sync::oneshot::channel();
            self.arbiter.spawn(async move { done.send(()).unwrap_or_default() });
            answer.await.unwrap();
        }
    }
}

/// An event as its file holds it.
#[derive(Debug, Clone)]
pub struct Stored {
    pub created_at: ade::domain::time::Timestamp,
    pub tag: String,
    pub line: Vec<u8>,
}

impl Stored {
    fn read(line: &[u8]) -> Self {
        let event = codec::decode(line).unwrap();
        let payload: serde_json::Value = serde_json::from_str(event.payload.get()).unwrap();
        let tag = payload["tag"].as_str().unwrap_or_default().to_owned();
        Self { created_at: event.created_at, tag, line: line.to_owned() }
    }
}

/// A line that a child might have said, recognisable by its tag.
pub fn line(tag: impl Into<String>, padding: usize) -> Draft {
    let (tag, message) = (tag.into(), "x".repeat(padding));
    Draft::new("console.line", Source::Engine, &json!({ "tag": tag, "message": message }))
}

/// The terminal event of a run.
pub fn last_word(tag: impl Into<String>) -> Draft {
    Draft::new("run.completed", Source::Api, &json!({ "tag": tag.into(), "status": "succeeded" }))
}

/// One look at a reader, as its connection would take it.
pub fn poll_once(follow: &mut Follow) -> Option<Item> {
    match follow.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(item) => Some(item.unwrap()),
        Poll::Pending => None,
    }
}

/// What a reader was given, checked as it comes.
#[derive(Debug, Default)]
pub struct Given {
    pub start: u64,
    pub lines: Vec<Vec<u8>>,
}

impl Given {
    pub fn after(start: u64) -> Self {
        Self { start, lines: Vec::new() }
    }

    pub fn position(&self) -> u64 {
        self.start + self.lines.len() as u64
    }

    pub fn take(&mut self, chunk: &Chunk) -> Result<(), String> {
        if chunk.first() != self.position() + 1 {
            return Err(format!("a reader at {} was given {}..={}", self.position(), chunk.first(), chunk.last()));
        }
        chunk.for_each(|_, line| self.lines.push(line.to_owned()));
        if self.position() == chunk.last() { Ok(()) } else { Err(format!("a chunk is not {} long", chunk.last())) }
    }

    /// Reads until the stream's present tail, or its end.
    pub async fn catch_up(&mut self, follow: &mut Follow) -> Option<End> {
        while self.position() < follow.hub().tail().sequence || follow.hub().tail().closed {
            match follow.next().await.unwrap() {
                Item::Chunk(chunk) => self.take(&chunk).unwrap(),
                Item::Heartbeat => {}
                Item::End(end) => return Some(end),
            }
        }
        None
    }

    /// Whether these are exactly the events of the file behind the start.
    pub fn check(&self, file: &[Stored]) -> Result<(), String> {
        let expected = file.iter().skip(self.start as usize).map(|event| &event.line);
        if self.lines.iter().eq(expected) {
            return Ok(());
        }
        Err(format!("a reader from {} has {} of {} events", self.start, self.lines.len(), file.len()))
    }
}

/// No event is in the file twice.
pub fn check_no_doubles(file: &[Stored]) -> Result<(), String> {
    let mut seen = HashSet::new();
    match file.iter().find(|event| !seen.insert(&event.tag)) {
        Some(double) => Err(format!("{} is in the file twice", double.tag)),
        None => Ok(()),
    }
}
