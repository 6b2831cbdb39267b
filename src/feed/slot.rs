//! One workspace's feed: open or not, and how it is opened, closed, and moved to a new file.
//!
//! Law: a task that appends to the feed holds its slot for reading, a task that opens or closes it holds it for writing.
//! So nothing is appended to a feed that is being closed.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix::ArbiterHandle;
use chrono::Utc;
use tokio::sync::{RwLock, mpsc, oneshot};

use super::entry::{DeliveredIndex, Entry};
use super::error::FeedError;
use super::options::FeedOptions;
use super::writer::{Command, INBOX, Writer};
use crate::blocking::blocking;
use crate::domain::StreamKey;
use crate::domain::feed::FeedOrigin;
use crate::domain::sequence::Start;
use crate::domain::time::Timestamp;
use crate::event::{Identity, codec};
use crate::log::{Expired, LogRoot};
use crate::stream::{self, AppendError, Item, StreamHandle};

pub type Slot = Arc<RwLock<Option<Feed>>>;

/// What a feed needs to be opened.
pub struct Opening {
    pub log: LogRoot,
    pub options: FeedOptions,
    pub arbiter: ArbiterHandle,
    /// Origins of this workspace whose terminal event is not yet in the feed.
    pub owed: Vec<FeedOrigin>,
}

/// An open feed.
pub struct Feed {
    pub stream: StreamHandle,
    commands: mpsc::Sender<Command>,
    used: Mutex<Instant>,
    /// When the first event of the current file was admitted.
    started: Timestamp,
}

impl Feed {
    /// Puts an open feed into the slot. The stream is in the slot before anything else can fail: only then can it be closed,
    /// and its log opened again.
    pub async fn open(slot: &mut Option<Self>, key: StreamKey, opening: Opening) -> Result<(), FeedError> {
        let Opening { log, options, arbiter, owed } = opening;
        let identity = Identity::of_feed(key.workspace_id());
        let stream = stream::open(log, identity, None, options.stream, arbiter.clone()).await?;
        let (commands, inbox) = mpsc::channel(INBOX);
        let used = Mutex::new(Instant::now());
        let feed = slot.insert(Self { stream: stream.clone(), commands, used, started: Utc::now() });
        if let Some(started) = started(&stream).await? {
            feed.started = started;
        }
        let index = delivered(&stream, &owed).await?;
        arbiter.spawn(Writer { stream, index, inbox }.run());
        Ok(())
    }

    /// Closes it after the entries that were sent before. The log can be opened again when this returns.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
        self.stream.retire().await;
    }

    pub fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    pub fn touch(&self) {
        *self.used() = Instant::now();
    }

    /// It has no readers, and was not used for so long.
    pub fn is_idle(&self, since: Duration) -> bool {
        self.used().elapsed() >= since && self.stream.hub().subscribers() == 0
    }

    /// Its file is large or old enough for a new one to be started.
    pub fn is_full(&self, options: &FeedOptions) -> bool {
        let hub = self.stream.hub();
        let size = hub.tail().bytes - hub.reader().newest_start();
        size >= options.segment_bytes || (size > 0 && Utc::now() - self.started >= options.segment_age)
    }

    pub async fn record(&self, key: StreamKey, entries: Arc<[Entry]>) -> Result<(), AppendError> {
        let (done, recorded) = oneshot::channel();
        let command = Command::Record { origin: key.id(), entries, done };
        self.commands.send(command).await.map_err(|_| AppendError::Gone)?;
        recorded.await.unwrap_or(Err(AppendError::Gone))
    }

    /// Its terminal event is in the feed. A feed that has stopped has no index to remove it from.
    pub async fn forget(&self, key: StreamKey) {
        let _ = self.commands.send(Command::Forget(key.id())).await;
    }

    fn used(&self) -> MutexGuard<'_, Instant> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the feed already has of the pending origins.
async fn delivered(stream: &StreamHandle, owed: &[FeedOrigin]) -> Result<DeliveredIndex, FeedError> {
    let mut index = DeliveredIndex::of(owed.iter().map(|origin| origin.key.id()));
    let tail = stream.tail().sequence;
    let Some(after) = owed.iter().map(|origin| origin.after).min() else { return Ok(index) };
    let after = after.min(tail).max(stream.hub().reader().first_sequence() - 1);
    let mut follow = stream.follow_inside(Start::after(after))?;
    while follow.position() < tail {
        match follow.next().await? {
            Item::Chunk(chunk) => chunk.for_each(|_, line| index.fold(line)),
            Item::Heartbeat => {}
            Item::End(_) => break,
        }
    }
    Ok(index)
}

/// When the first event of the newest file was admitted.
async fn started(stream: &StreamHandle) -> io::Result<Option<Timestamp>> {
    let (reader, end) = (stream.hub().reader().clone(), stream.tail().bytes);
    let first = blocking(move || reader.read(reader.newest_start(), end, 1)).await?;
    Ok(codec::decode(&first.lines).ok().map(|event| event.created_at))
}

/// Closes the feed and moves what it holds into a segment of its own.
pub async fn start_new_file(slot: &mut Option<Feed>, key: StreamKey, log: LogRoot) {
    if let Some(feed) = slot.take() {
        feed.close().await;
    }
    if let Err(error) = blocking(move || log.seal(key).map_err(io::Error::other)).await {
        tracing::warn!(workspace = %key, error = %error, "cannot start a new file; the feed continues in the old one");
    }
}

/// Deletes files whose last entry is older than `before`. Readers are asked to reconnect, and then learn what is gone.
pub async fn expire(slot: &mut Option<Feed>, key: StreamKey, log: LogRoot, before: Timestamp) -> io::Result<Expired> {
    let looking = log.clone();
    if !blocking(move || looking.expires(key, before)).await? {
        return Ok(Expired::default());
    }
    if let Some(feed) = slot.take() {
        feed.close().await;
    }
    blocking(move || log.expire(key, before)).await
}
