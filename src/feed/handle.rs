//! The feeds of all workspaces: opened when they are needed, closed when nobody does.
//!
//! Law: of each workspace there is at most one open feed. Opening and closing are carried out whether or not whoever
//! asked stays to see it: half an opening would leave a log that nobody can open again.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::ArbiterHandle;
use chrono::{TimeDelta, Utc};
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot, watch};

use super::entry::{Book, Entry, entry};
use super::writer::{Command, INBOX, Writer};
use crate::domain::feed::FeedOrigin;
use crate::domain::id::NodeId;
use crate::domain::principal::Scope;
use crate::domain::sequence::Start;
use crate::domain::time::Timestamp;
use crate::domain::{StreamKey, WorkspaceId};
use crate::event::{Identity, codec};
use crate::log::{Expired, LogRoot};
use crate::store::{Store, StoreError};
use crate::stream::window::Halt;
use crate::stream::{
    self, AppendError, Chunk, End, Follow, Hub, Item, OpenStreamError, StreamHandle, StreamOptions, SubscribeError,
};
use crate::supervision::{Policy, Verdict, supervise};

#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error(transparent)]
    Open(#[from] OpenStreamError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the feed's log cannot be read: {0}")]
    Log(#[from] io::Error),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    #[error("the feed takes no more: {0}")]
    Append(#[from] AppendError),
    #[error("the threads of the service have ended")]
    Gone,
}

/// How feeds behave; the same for all of a service.
#[derive(Debug, Clone, Copy)]
pub struct FeedOptions {
    pub stream: StreamOptions,
    /// A file is followed by another from this size on,
    pub segment_bytes: u64,
    /// and from this age on.
    pub segment_age: TimeDelta,
}

impl From<StreamOptions> for FeedOptions {
    fn from(stream: StreamOptions) -> Self {
        Self { stream, segment_bytes: 8 << 20, segment_age: TimeDelta::hours(24) }
    }
}

/// Shared by all of the service; cheap to clone.
#[derive(Clone)]
pub struct Feeds(Arc<Shared>);

struct Shared {
    log: LogRoot,
    store: Store,
    node_id: NodeId,
    options: FeedOptions,
    arbiter: Box<dyn Fn() -> ArbiterHandle + Send + Sync>,
    slots: Mutex<HashMap<WorkspaceId, Slot>>,
    /// How many streams are being followed.
    following: watch::Sender<usize>,
    stopping: std::sync::atomic::AtomicBool,
}

type Slot = Arc<tokio::sync::Mutex<Option<Feed>>>;

/// An open feed.
#[derive(Clone)]
struct Feed {
    stream: StreamHandle,
    commands: mpsc::Sender<Command>,
    used: Arc<Mutex<Instant>>,
    /// When the first event of the file was admitted that is being written.
    begun: Timestamp,
}

impl Feed {
    fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    fn is_idle(&self, since: Duration) -> bool {
        lock(&self.used).elapsed() >= since && self.stream.hub().subscribers() == 0
    }

    /// Its file is large or old enough to be followed by another.
    fn is_full(&self, options: &FeedOptions) -> bool {
        let hub = self.stream.hub();
        let size = hub.tail().bytes - hub.reader().newest_start();
        size >= options.segment_bytes || (size > 0 && Utc::now() - self.begun >= options.segment_age)
    }

    async fn record(&self, key: StreamKey, entries: Arc<[Entry]>) -> Result<(), AppendError> {
        let (done, told) = oneshot::channel();
        let command = Command::Record { origin: key.id(), entries, done };
        self.commands.send(command).await.map_err(|_| AppendError::Gone)?;
        told.await.unwrap_or(Err(AppendError::Gone))
    }

    /// After what was told before. The log can be opened again when this returns.
    async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
        self.stream.retire().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A feed that nobody reads and nobody writes is closed after this.
const IDLE: Duration = Duration::from_secs(300);
/// A feed may be closed between being found and being used; more often than this something else is wrong.
const ATTEMPTS: usize = 3;
/// A follower that panics begins again, and the book keeps what it tells twice from being told twice.
const RESTARTS: Policy = Policy::Retry { times: 3, within: Duration::from_secs(60) };

impl Feeds {
    /// `arbiter` says on which thread the next feed runs.
    pub fn new(
        log: LogRoot,
        store: Store,
        node_id: NodeId,
        options: FeedOptions,
        arbiter: impl Fn() -> ArbiterHandle + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            log,
            store,
            node_id,
            options,
            arbiter: Box::new(arbiter),
            slots: Mutex::default(),
            following: watch::Sender::new(0),
            stopping: Default::default(),
        }))
    }

    /// Notes that the feed owes this stream's lifecycle. To be done before the row of the work is stored.
    pub async fn expect(&self, key: StreamKey) -> Result<(), StoreError> {
        let after = self.position(key.workspace_id()).await;
        self.0.store.insert_feed_origin(&FeedOrigin { key, node_id: self.0.node_id, after }).await
    }

    /// Streams of this node that are not told to their end, oldest first.
    pub async fn owed(&self) -> Result<Vec<FeedOrigin>, StoreError> {
        self.0.store.feed_origins(self.0.node_id).await
    }

    /// Tells a live stream's lifecycle until it ends, in the background. Must be called within an actix system.
    pub fn follow(&self, stream: StreamHandle) {
        let feeds = self.clone();
        self.0.following.send_modify(|count| *count += 1);
        let leave = Leave(self.clone());
        actix::spawn(async move {
            let _leave = leave;
            let verdict = supervise(RESTARTS, |_, guard| {
                let (feeds, key, follow) = (feeds.clone(), stream.key(), stream.follow_inside(Start::default()));
                async move {
                    let task = actix::spawn(async move {
                        let _guard = guard;
                        feeds.derive(key, follow?).await
                    });
                    task.await.unwrap_or(Ok(()))
                }
            })
            .await;
            if let Verdict::NotStarted(error) = &verdict {
                tracing::error!(stream = %stream.key(), error = %error, "the feed is behind until the next start");
            }
        });
    }

    /// Tells what of a stream is not told yet, and strikes it off when its end is. A stream that halts stays owed.
    pub async fn derive(&self, key: StreamKey, mut follow: Follow) -> Result<(), FeedError> {
        loop {
            match follow.next().await? {
                Item::Chunk(chunk) => self.tell(key, &chunk).await?,
                Item::Beat => {}
                Item::End(End::Closed) => return Ok(self.strike_off(key).await?),
                Item::End(End::Halted(_)) => return Ok(()),
            }
        }
    }

    /// There is nothing more to tell of this stream.
    pub async fn strike_off(&self, key: StreamKey) -> Result<(), StoreError> {
        self.0.store.delete_feed_origin(key).await?;
        let feed = self.slot(key.workspace_id()).lock().await.clone();
        if let Some(feed) = feed {
            // A feed that has closed meanwhile has no book to strike it off from.
            let _ = feed.commands.send(Command::Forget(key.id())).await;
        }
        Ok(())
    }

    async fn tell(&self, key: StreamKey, chunk: &Chunk) -> Result<(), FeedError> {
        let mut entries = Vec::new();
        chunk.for_each(|_, line| entries.extend(entry(key, line)));
        if entries.is_empty() {
            return Ok(());
        }
        let entries: Arc<[Entry]> = entries.into();
        for attempt in 1.. {
            let mut feed = self.open(key.workspace_id()).await?;
            if feed.is_full(&self.0.options) {
                self.turn(key.workspace_id()).await?;
                feed = self.open(key.workspace_id()).await?;
            }
            let told = feed.record(key, entries.clone()).await;
            match told {
                Err(AppendError::Gone) if attempt < ATTEMPTS => {}
                told => return Ok(told?),
            }
        }
        unreachable!("the last attempt is an answer")
    }

    /// Where a workspace's feed is read; it is opened for that.
    pub async fn hub(&self, workspace_id: WorkspaceId) -> Result<Arc<Hub>, FeedError> {
        let hub = self.open(workspace_id).await?.stream.hub().clone();
        if self.0.stopping.load(std::sync::atomic::Ordering::Acquire) {
            hub.set_halt(Halt::Draining);
        }
        Ok(hub)
    }

    /// Closes feeds that nobody needs, now and then, for as long as the service lives.
    pub async fn close_idle_ones(&self) {
        loop {
            tokio::time::sleep(IDLE / 5).await;
            self.close_idle(IDLE).await;
        }
    }

    /// Closes feeds that nobody reads and that nothing was told to for so long; says how many.
    pub async fn close_idle(&self, since: Duration) -> usize {
        let slots: Vec<Slot> = lock(&self.0.slots).values().cloned().collect();
        let mut closed = 0;
        for slot in slots {
            let mut slot = slot.lock_owned().await;
            if slot.as_ref().is_some_and(|feed| feed.is_idle(since)) {
                self.detached(async move {
                    if let Some(feed) = slot.take() {
                        feed.close().await;
                    }
                })
                .await;
                closed += 1;
            }
        }
        closed
    }

    /// Deletes what feeds have told before `before`, file by file; the newest file of each stays.
    pub async fn expire(&self, before: Timestamp) -> Result<Expired, FeedError> {
        let mut all = Expired::default();
        for workspace in self.0.store.workspaces(&Scope::All).await? {
            let slot = self.slot(workspace.id).lock_owned().await;
            let (feeds, key) = (self.clone(), StreamKey::feed(workspace.id));
            let expired = self.detached(async move { feeds.expire_one(key, slot, before).await }).await;
            let expired = expired.ok_or(FeedError::Gone)??;
            all.segments += expired.segments;
            all.bytes += expired.bytes;
        }
        Ok(all)
    }

    async fn expire_one(
        &self,
        key: StreamKey,
        mut slot: OwnedMutexGuard<Option<Feed>>,
        before: Timestamp,
    ) -> Result<Expired, FeedError> {
        let log = self.0.log.clone();
        if !blocking(move || log.expires(key, before)).await? {
            return Ok(Expired::default());
        }
        // Readers come back, and learn what is gone.
        if let Some(feed) = slot.take() {
            feed.close().await;
        }
        let log = self.0.log.clone();
        Ok(blocking(move || log.expire(key, before)).await?)
    }

    /// Goes on in a new file, if nobody has done that meanwhile. Readers are told to come back.
    async fn turn(&self, workspace_id: WorkspaceId) -> Result<(), FeedError> {
        let mut slot = self.slot(workspace_id).lock_owned().await;
        if !slot.as_ref().is_some_and(|feed| feed.is_full(&self.0.options)) {
            return Ok(());
        }
        let log = self.0.log.clone();
        let turned = self.detached(async move {
            if let Some(feed) = slot.take() {
                feed.close().await;
            }
            blocking(move || log.seal(StreamKey::feed(workspace_id)).map_err(OpenStreamError::from)).await
        });
        Ok(turned.await.ok_or(FeedError::Gone)??)
    }

    /// Waits until everything that has ended is told.
    pub async fn quiet(&self) {
        let _ = self.0.following.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Tells all readers, these and later ones, that the service stops.
    pub async fn halt(&self) {
        self.0.stopping.store(true, std::sync::atomic::Ordering::Release);
        let slots: Vec<Slot> = lock(&self.0.slots).values().cloned().collect();
        for slot in slots {
            if let Some(feed) = &*slot.lock().await {
                feed.stream.hub().set_halt(Halt::Draining);
            }
        }
    }

    /// The last sequence of a feed, without opening it for writing; 0, which is never wrong, when that is not known.
    async fn position(&self, workspace_id: WorkspaceId) -> u64 {
        if let Ok(slot) = self.slot(workspace_id).try_lock()
            && let Some(feed) = &*slot
        {
            return feed.stream.tail().sequence;
        }
        let log = self.0.log.clone();
        let tail = move || Some(log.reader(StreamKey::feed(workspace_id)).ok()?.tail().ok()?.last_sequence);
        tokio::task::spawn_blocking(tail).await.ok().flatten().unwrap_or(0)
    }

    fn slot(&self, workspace_id: WorkspaceId) -> Slot {
        lock(&self.0.slots).entry(workspace_id).or_default().clone()
    }

    async fn open(&self, workspace_id: WorkspaceId) -> Result<Feed, FeedError> {
        let slot = self.slot(workspace_id).lock_owned().await;
        if let Some(feed) = slot.as_ref().filter(|feed| feed.is_alive()) {
            feed.touch();
            return Ok(feed.clone());
        }
        let feeds = self.clone();
        self.detached(async move { feeds.reopen(workspace_id, slot).await }).await.ok_or(FeedError::Gone)?
    }

    /// On a thread of the streams, to its end.
    async fn detached<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (answer, outcome) = oneshot::channel();
        (self.0.arbiter)().spawn(async move {
            let _ = answer.send(work.await);
        });
        outcome.await.ok()
    }

    async fn reopen(
        &self,
        workspace_id: WorkspaceId,
        mut slot: OwnedMutexGuard<Option<Feed>>,
    ) -> Result<Feed, FeedError> {
        if let Some(dead) = slot.take() {
            dead.close().await;
        }
        let Shared { log, options, arbiter, .. } = &*self.0;
        let arbiter = arbiter();
        let stream =
            stream::open(log.clone(), Identity::of_feed(workspace_id), None, options.stream, arbiter.clone()).await?;
        let (commands, inbox) = mpsc::channel(INBOX);
        let begun = begun(&stream).await?.unwrap_or_else(Utc::now);
        let feed = Feed { stream: stream.clone(), commands, used: Arc::new(Mutex::new(Instant::now())), begun };
        // In its place before it is complete: what is in the slot can be closed.
        *slot = Some(feed.clone());
        let book = self.book(&stream).await?;
        arbiter.spawn(Writer { stream, book, inbox }.run());
        Ok(feed)
    }

    /// What the feed has told of what it owes.
    async fn book(&self, stream: &StreamHandle) -> Result<Book, FeedError> {
        let mut owed = self.owed().await?;
        owed.retain(|origin| origin.key.workspace_id() == stream.key().workspace_id());
        let mut book = Book::of(owed.iter().map(|origin| origin.key.id()));
        let tail = stream.tail().sequence;
        let Some(after) = owed.iter().map(|origin| origin.after).min() else { return Ok(book) };
        let after = after.min(tail).max(stream.hub().reader().first_sequence() - 1);
        let mut follow = stream.follow_inside(Start::after(after))?;
        while follow.position() < tail {
            match follow.next().await? {
                Item::Chunk(chunk) => chunk.for_each(|_, line| book.fold(line)),
                Item::Beat => {}
                Item::End(_) => break,
            }
        }
        Ok(book)
    }
}

/// When the first event of the newest file was admitted.
async fn begun(stream: &StreamHandle) -> Result<Option<Timestamp>, io::Error> {
    let (reader, end) = (stream.hub().reader().clone(), stream.tail().bytes);
    let first = blocking(move || reader.read(reader.newest_start(), end, 1)).await?;
    Ok(codec::decode(&first.lines).ok().map(|event| event.created_at))
}

async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<io::Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Leaves the number of those that follow, however that ends.
struct Leave(Feeds);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.0.following.send_modify(|count| *count -= 1);
    }
}
