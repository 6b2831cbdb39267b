//! The feeds of all workspaces: opened when they are needed, closed when they are idle.
//!
//! Law: each workspace has at most one open feed. Opening and closing run to their end even when their caller is dropped:
//! half an opening would leave a log that cannot be opened again.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use actix::ArbiterHandle;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, oneshot, watch};

use super::entry::{Entry, entry};
use super::error::FeedError;
use super::options::FeedOptions;
use super::owners::Owners;
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

/// A feed that is neither read nor written is closed after this.
const IDLE: Duration = Duration::from_secs(300);
/// A feed whose writer has stopped is opened again for the entries that it did not append, at most this often.
const ATTEMPTS: usize = 3;
/// A follower that panics starts over; [`DeliveredIndex`](super::entry::DeliveredIndex) drops what is in the feed already.
const RESTARTS: Policy = Policy::Retry { times: 3, within: Duration::from_secs(60) };

/// Shared by the whole service; cheap to clone.
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
    /// Origins that are being derived.
    deriving: watch::Sender<HashSet<StreamKey>>,
    stopping: AtomicBool,
    /// Unset: all feeds are this node's.
    owners: OnceLock<Owners>,
}

impl Feeds {
    /// `arbiter` chooses the thread of the next feed.
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
            deriving: watch::Sender::default(),
            stopping: AtomicBool::new(false),
            owners: OnceLock::new(),
        }))
    }

    /// From now on a feed may be that of another node that shares the database.
    pub fn share(&self) {
        let _ = self.0.owners.set(Owners::new(self.0.store.clone(), self.0.node_id));
    }

    /// The node that writes the feed of a workspace.
    pub async fn owner(&self, workspace_id: WorkspaceId) -> Result<NodeId, StoreError> {
        match self.0.owners.get() {
            Some(owners) => owners.of(workspace_id).await,
            None => Ok(self.0.node_id),
        }
    }

    async fn is_own(&self, workspace_id: WorkspaceId) -> Result<bool, StoreError> {
        Ok(self.owner(workspace_id).await? == self.0.node_id)
    }

    /// Origins of any node that the feeds of this one owe something, and that no task derives.
    pub async fn owed_to_all(&self) -> Result<Vec<FeedOrigin>, StoreError> {
        let mut owed = self.0.store.owed_by_feeds_of(self.0.node_id).await?;
        let deriving = self.0.deriving.borrow();
        owed.retain(|origin| !deriving.contains(&origin.key));
        Ok(owed)
    }

    /// Enters this stream in the outbox. Must be done before the row of the work is stored: a crash between the two leaves
    /// an origin without a log, which is harmless, instead of work that the feed never reports.
    pub async fn expect(&self, key: StreamKey) -> Result<(), StoreError> {
        // Of another node's feed everything is looked through for what it has of this stream.
        let is_own = self.is_own(key.workspace_id()).await?;
        let after = if is_own { self.position(key.workspace_id()).await } else { 0 };
        self.0.store.insert_feed_origin(&FeedOrigin { key, node_id: self.0.node_id, after }).await
    }

    /// Origins of this node whose terminal event is not yet in the feed, oldest first.
    pub async fn owed(&self) -> Result<Vec<FeedOrigin>, StoreError> {
        self.0.store.feed_origins(self.0.node_id).await
    }

    /// Copies a live stream's lifecycle events into the feed until it ends, in the background. Must be called within an
    /// actix system.
    pub fn follow(&self, stream: StreamHandle) {
        let feeds = self.clone();
        self.0.following.send_modify(|count| *count += 1);
        let counted = CountedFollower(self.clone());
        actix::spawn(async move {
            let _counted = counted;
            // The node that writes the feed sees that it owes something, and reads the copy of the stream.
            if !feeds.is_own(stream.key().workspace_id()).await.unwrap_or(false) {
                return;
            }
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
                tracing::error!(stream = %stream.key(), error = %error, "cannot follow the stream; the feed is behind until the next start");
            }
        });
    }

    /// Whether the terminal event of a stream is not yet in the feed.
    pub async fn owes(&self, key: StreamKey) -> Result<bool, StoreError> {
        self.0.store.has_feed_origin(key).await
    }

    /// Waits until no other task derives this origin; none does while the answer is held. Once an origin is removed from
    /// the outbox, the index forgets what was delivered, so a second task would deliver all of it again.
    pub async fn turn(&self, key: StreamKey) -> OriginLock {
        let (mut changes, mut waited) = (self.0.deriving.subscribe(), false);
        while !self.0.deriving.send_if_modified(|deriving| deriving.insert(key)) {
            waited = true;
            let _ = changes.wait_for(|deriving| !deriving.contains(&key)).await;
        }
        OriginLock { feeds: self.clone(), key, waited }
    }

    /// As [`Feeds::turn`]; none where another task has it.
    pub fn try_turn(&self, key: StreamKey) -> Option<OriginLock> {
        let is_free = self.0.deriving.send_if_modified(|deriving| deriving.insert(key));
        is_free.then(|| OriginLock { feeds: self.clone(), key, waited: false })
    }

    /// Appends what is not yet in the feed, and removes the origin from the outbox after its terminal event. A stream that
    /// halts stays pending. The caller holds its [`OriginLock`].
    pub async fn derive(&self, key: StreamKey, mut follow: Follow) -> Result<(), FeedError> {
        loop {
            match follow.next().await? {
                Item::Chunk(chunk) => self.deliver(key, &chunk).await?,
                Item::Heartbeat => {}
                Item::End(End::Closed) => return Ok(self.strike_off(key).await?),
                Item::End(End::Halted(_)) => return Ok(()),
            }
        }
    }

    /// Removes a stream from the outbox: all of its events are in the feed.
    pub async fn strike_off(&self, key: StreamKey) -> Result<(), StoreError> {
        self.0.store.delete_feed_origin(key).await?;
        if let Some(feed) = &*self.slot(key.workspace_id()).read().await {
            feed.forget(key).await;
        }
        Ok(())
    }

    /// The hub of a workspace's feed, which is opened for that.
    pub async fn hub(&self, workspace_id: WorkspaceId) -> Result<Arc<Hub>, FeedError> {
        let hub = self.opened(workspace_id, false).await?.stream.hub().clone();
        if self.0.stopping.load(Ordering::Acquire) {
            hub.set_halt(Halt::Draining);
        }
        Ok(hub)
    }

    /// Closes idle feeds periodically, for as long as the service runs.
    pub async fn close_idle_ones(&self) {
        loop {
            tokio::time::sleep(IDLE / 5).await;
            self.close_idle(IDLE).await;
        }
    }

    /// Closes feeds without readers that were not used for so long; returns how many.
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

    /// Deletes the files of a feed whose last entry is older than `before`; the newest file stays.
    pub async fn expire(&self, workspace_id: WorkspaceId, before: Timestamp) -> Result<Expired, FeedError> {
        let mut slot = self.slot(workspace_id).write_owned().await;
        let (log, key) = (self.0.log.clone(), StreamKey::feed(workspace_id));
        let expired = self.detached(async move { slot::expire(&mut slot, key, log, before).await }).await;
        Ok(expired.ok_or(FeedError::Gone)??)
    }

    /// Waits until every stream that is followed has ended and is in its feed.
    pub async fn quiet(&self) {
        let _ = self.0.following.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Sends the readers of a workspace's feed away. Those who come back learn what has become of it.
    pub async fn dismiss(&self, workspace_id: WorkspaceId) {
        if let Some(feed) = &*self.slot(workspace_id).read().await {
            feed.stream.hub().set_halt(Halt::Draining);
        }
    }

    /// Tells all readers, present and future, that the service is stopping.
    pub async fn halt(&self) {
        self.0.stopping.store(true, Ordering::Release);
        for slot in self.slots() {
            if let Some(feed) = &*slot.read().await {
                feed.stream.hub().set_halt(Halt::Draining);
            }
        }
    }

    async fn deliver(&self, key: StreamKey, chunk: &Chunk) -> Result<(), FeedError> {
        let mut entries = Vec::new();
        chunk.for_each(|_, line| entries.extend(entry(key, line)));
        if entries.is_empty() {
            return Ok(());
        }
        let entries: Arc<[Entry]> = entries.into();
        let mut recorded = Ok(());
        for _ in 0..ATTEMPTS {
            recorded = self.opened(key.workspace_id(), true).await?.record(key, entries.clone()).await;
            if recorded != Err(AppendError::Gone) {
                break;
            }
        }
        Ok(recorded?)
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

    /// The open feed, which is not closed while the answer is held. With `to_write`, one with room in its file.
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
            slot::start_new_file(&mut slot, key, log.clone()).await;
        }
        // Another task may have opened it between the two locks.
        if !slot.as_ref().is_some_and(Feed::is_alive) {
            if let Some(dead) = slot.take() {
                dead.close().await;
            }
            let owed = self.owed_by(workspace_id).await?;
            let opening =
                Opening { log: log.clone(), options: self.0.options.clone(), arbiter: (self.0.arbiter)(), owed };
            Feed::open(&mut slot, key, opening).await?;
        }
        Ok(slot.downgrade())
    }

    async fn owed_by(&self, workspace_id: WorkspaceId) -> Result<Vec<FeedOrigin>, StoreError> {
        if self.0.owners.get().is_some() {
            return self.0.store.owed_by_feed(workspace_id).await;
        }
        let mut owed = self.owed().await?;
        owed.retain(|origin| origin.key.workspace_id() == workspace_id);
        Ok(owed)
    }

    /// Runs on a thread of the streams, to its end even if the caller is dropped.
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

/// The right to derive an origin.
pub struct OriginLock {
    feeds: Feeds,
    key: StreamKey,
    /// Another task had it before, and may have finished the origin.
    waited: bool,
}

impl Drop for OriginLock {
    fn drop(&mut self) {
        self.feeds.0.deriving.send_modify(|deriving| {
            deriving.remove(&self.key);
        });
    }
}

/// Counts a follower out, even when its task panics or is dropped.
struct CountedFollower(Feeds);

impl Drop for CountedFollower {
    fn drop(&mut self) {
        self.0.0.following.send_modify(|count| *count -= 1);
    }
}
