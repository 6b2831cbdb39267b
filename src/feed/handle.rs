//! The feeds of all workspaces: opened when they are needed, closed when nobody does.
//!
//! Law: of each workspace there is at most one open feed. Opening and closing are carried out whether or not whoever
//! asked stays to see it: half an opening would leave a log that nobody can open again.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::ArbiterHandle;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, oneshot, watch};

use super::entry::{Entry, entry};
use super::error::FeedError;
use super::options::FeedOptions;
use super::slot::{self, Feed, Opening, Slot};
use crate::domain::feed::FeedOrigin;
use crate::domain::id::NodeId;
use crate::domain::sequence::Start;
use crate::domain::time::Timestamp;
use crate::domain::{StreamKey, WorkspaceId};
use crate::log::{Expired, LogRoot};
use crate::store::{Store, StoreError};
use crate::stream::window::Halt;
use crate::stream::{AppendError, Chunk, End, Follow, Hub, Item, StreamHandle};
use crate::supervision::{Policy, Verdict, supervise};

/// A feed that nobody reads and nobody writes is closed after this.
const IDLE: Duration = Duration::from_secs(300);
/// A feed whose writer has died is opened again for what it did not tell; more often than this it is left alone.
const ATTEMPTS: usize = 3;
/// A follower that panics begins again, and the book keeps what it tells twice from being told twice.
const RESTARTS: Policy = Policy::Retry { times: 3, within: Duration::from_secs(60) };

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
    /// Streams that somebody has the turn of.
    turns: watch::Sender<HashSet<StreamKey>>,
    stopping: AtomicBool,
}

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
            turns: watch::Sender::default(),
            stopping: AtomicBool::new(false),
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
            let turn = feeds.turn(stream.key()).await;
            if turn.waited && !feeds.owes(stream.key()).await.unwrap_or(true) {
                return;
            }
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

    /// Whether a stream is not told to its end.
    pub async fn owes(&self, key: StreamKey) -> Result<bool, StoreError> {
        self.0.store.has_feed_origin(key).await
    }

    /// Waits until nobody else tells of this stream; nobody does as long as the answer is held. What is struck off
    /// counts as untold again, so no stream may be told by two.
    pub async fn turn(&self, key: StreamKey) -> Turn {
        let (mut changes, mut waited) = (self.0.turns.subscribe(), false);
        while !self.0.turns.send_if_modified(|turns| turns.insert(key)) {
            waited = true;
            let _ = changes.wait_for(|turns| !turns.contains(&key)).await;
        }
        Turn { feeds: self.clone(), key, waited }
    }

    /// Tells what of a stream is not told yet, and strikes it off when its end is. A stream that halts stays owed.
    /// The caller has its turn.
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
        if let Some(feed) = &*self.slot(key.workspace_id()).read().await {
            feed.forget(key).await;
        }
        Ok(())
    }

    /// Where a workspace's feed is read; it is opened for that.
    pub async fn hub(&self, workspace_id: WorkspaceId) -> Result<Arc<Hub>, FeedError> {
        let hub = self.opened(workspace_id, false).await?.stream.hub().clone();
        if self.0.stopping.load(Ordering::Acquire) {
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
        let mut closed = 0;
        for slot in self.slots() {
            let mut slot = slot.write_owned().await;
            if slot.as_ref().is_some_and(|feed| feed.is_idle(since)) {
                let closing = async move {
                    if let Some(feed) = slot.take() {
                        feed.close().await;
                    }
                };
                self.detached(closing).await;
                closed += 1;
            }
        }
        closed
    }

    /// Deletes what a feed has told before `before`, file by file; the newest file stays.
    pub async fn expire(&self, workspace_id: WorkspaceId, before: Timestamp) -> Result<Expired, FeedError> {
        let mut slot = self.slot(workspace_id).write_owned().await;
        let (log, key) = (self.0.log.clone(), StreamKey::feed(workspace_id));
        let expired = self.detached(async move { slot::expire(&mut slot, key, log, before).await }).await;
        Ok(expired.ok_or(FeedError::Gone)??)
    }

    /// Waits until everything that has ended is told.
    pub async fn quiet(&self) {
        let _ = self.0.following.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Tells all readers, these and later ones, that the service stops.
    pub async fn halt(&self) {
        self.0.stopping.store(true, Ordering::Release);
        for slot in self.slots() {
            if let Some(feed) = &*slot.read().await {
                feed.stream.hub().set_halt(Halt::Draining);
            }
        }
    }

    async fn tell(&self, key: StreamKey, chunk: &Chunk) -> Result<(), FeedError> {
        let mut entries = Vec::new();
        chunk.for_each(|_, line| entries.extend(entry(key, line)));
        if entries.is_empty() {
            return Ok(());
        }
        let entries: Arc<[Entry]> = entries.into();
        let mut told = Ok(());
        for _ in 0..ATTEMPTS {
            told = self.opened(key.workspace_id(), true).await?.record(key, entries.clone()).await;
            if told != Err(AppendError::Gone) {
                break;
            }
        }
        Ok(told?)
    }

    /// The last sequence of a feed, without opening it for writing; 0, which is never wrong, when that is not known.
    async fn position(&self, workspace_id: WorkspaceId) -> u64 {
        if let Ok(slot) = self.slot(workspace_id).try_read()
            && let Some(feed) = &*slot
        {
            return feed.stream.tail().sequence;
        }
        let log = self.0.log.clone();
        let tail = move || Some(log.reader(StreamKey::feed(workspace_id)).ok()?.tail().ok()?.last_sequence);
        tokio::task::spawn_blocking(tail).await.ok().flatten().unwrap_or(0)
    }

    /// The open feed; nobody closes it as long as the answer is held. Who is to write gets one with room in its file.
    async fn opened(&self, workspace_id: WorkspaceId, to_write: bool) -> Result<Opened, FeedError> {
        let is_fit = |feed: &Feed| feed.is_alive() && !(to_write && feed.is_full(&self.0.options));
        let slot = self.slot(workspace_id);
        let mut open = slot.clone().read_owned().await;
        if !open.as_ref().is_some_and(is_fit) {
            drop(open);
            let slot = slot.write_owned().await;
            let feeds = self.clone();
            let opening = async move { feeds.reopen(workspace_id, slot, to_write).await };
            open = self.detached(opening).await.ok_or(FeedError::Gone)??;
        }
        let open = OwnedRwLockReadGuard::try_map(open, Option::as_ref).map_err(|_| FeedError::Gone)?;
        open.touch();
        Ok(open)
    }

    async fn reopen(
        &self,
        workspace_id: WorkspaceId,
        mut slot: OwnedRwLockWriteGuard<Option<Feed>>,
        to_write: bool,
    ) -> Result<OwnedRwLockReadGuard<Option<Feed>>, FeedError> {
        let (log, key) = (&self.0.log, StreamKey::feed(workspace_id));
        if slot.as_ref().is_some_and(|feed| to_write && feed.is_alive() && feed.is_full(&self.0.options)) {
            slot::turn(&mut slot, key, log.clone()).await;
        }
        // Somebody else may have opened it meanwhile.
        if !slot.as_ref().is_some_and(Feed::is_alive) {
            if let Some(dead) = slot.take() {
                dead.close().await;
            }
            let mut owed = self.owed().await?;
            owed.retain(|origin| origin.key.workspace_id() == workspace_id);
            let opening = Opening { log: log.clone(), options: self.0.options, arbiter: (self.0.arbiter)(), owed };
            Feed::open(&mut slot, key, opening).await?;
        }
        Ok(slot.downgrade())
    }

    /// On a thread of the streams, to its end.
    async fn detached<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (answer, outcome) = oneshot::channel();
        (self.0.arbiter)().spawn(async move {
            let _ = answer.send(work.await);
        });
        outcome.await.ok()
    }

    fn slot(&self, workspace_id: WorkspaceId) -> Slot {
        self.lock().entry(workspace_id).or_default().clone()
    }

    fn slots(&self) -> Vec<Slot> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WorkspaceId, Slot>> {
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Opened = OwnedRwLockReadGuard<Option<Feed>, Feed>;

/// The turn to tell of a stream.
pub struct Turn {
    feeds: Feeds,
    key: StreamKey,
    /// Somebody else had it before, and may have told all there is.
    waited: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.feeds.0.turns.send_modify(|turns| {
            turns.remove(&self.key);
        });
    }
}

/// Leaves the number of those that follow, however that ends.
struct Leave(Feeds);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.0.following.send_modify(|count| *count -= 1);
    }
}
