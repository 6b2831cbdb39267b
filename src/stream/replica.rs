//! Streams that other nodes write, for the readers of this one: hubs without an actor, fed by the copies of their logs.
//!
//! Law: what a replica's hub shows is what its copy has, each event once and in order. Bytes that were put right behind the
//! tail are published as they are; after anything else the tail is read from the copy again, under the same lock. A hub is
//! kept as long as somebody reads through it.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::meters::MetersByKind;
use super::window::{Batch, HEARTBEAT_TICKS, Halt, Hub, Tail};
use crate::domain::StreamKey;
use crate::event::codec;
use crate::log::{CopyObserver, LogReader, LogRoot, OpenReaderError};

/// The replicas of a node; clones share them.
#[derive(Clone)]
pub struct Replicas(Arc<Shared>);

struct Shared {
    log: LogRoot,
    meters: MetersByKind,
    hubs: Mutex<HashMap<StreamKey, Arc<Replica>>>,
}

/// Locked while its hub is made, or made to show what has been appended.
#[derive(Default)]
struct Replica(Mutex<Weak<Hub>>);

/// Why there is no hub.
#[derive(Debug, thiserror::Error)]
pub enum OpenReplicaError {
    #[error(transparent)]
    Reader(#[from] OpenReaderError),
    #[error("the copy cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl std::fmt::Debug for Replicas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replicas").field("hubs", &lock(&self.0.hubs).len()).finish()
    }
}

impl Replicas {
    pub fn new(log: LogRoot, meters: MetersByKind) -> Self {
        Self(Arc::new(Shared { log, meters, hubs: Mutex::default() }))
    }

    /// Where the stream is read from, as far as it is here. Blocks.
    pub fn hub(&self, key: StreamKey) -> Result<Arc<Hub>, OpenReplicaError> {
        let replica = lock(&self.0.hubs).entry(key).or_default().clone();
        let mut kept = lock(&replica.0);
        if let Some(hub) = kept.upgrade() {
            return Ok(hub);
        }
        let reader = self.0.log.reader(key)?;
        let tail = self.tail(&reader, key)?;
        let hub = Hub::new(reader, tail, self.0.meters.of(key.kind()));
        *kept = Arc::downgrade(&hub);
        Ok(hub)
    }

    /// Hands the hub of a stream, if somebody reads through it, to whoever goes on with the stream here.
    pub fn give_up(&self, key: StreamKey) -> Option<Arc<Hub>> {
        let replica = lock(&self.0.hubs).remove(&key)?;
        lock(&replica.0).upgrade()
    }

    /// Wakes readers whose heartbeat is due, and forgets hubs that nobody reads through; for as long as the service runs.
    pub async fn tick(&self, heartbeat: Duration) {
        loop {
            tokio::time::sleep(heartbeat / HEARTBEAT_TICKS).await;
            let mut read = Vec::new();
            lock(&self.0.hubs).retain(|_, replica| match replica.0.try_lock().map(|hub| hub.upgrade()) {
                Ok(Some(hub)) => {
                    read.push(hub);
                    true
                }
                Ok(None) => Arc::strong_count(replica) > 1,
                // It is being made or fed.
                Err(_) => true,
            });
            read.iter().for_each(|hub| hub.tick());
        }
    }

    fn tail(&self, reader: &LogReader, key: StreamKey) -> io::Result<Tail> {
        let log = self.0.log.at_rest(reader.clone(), key, None, None)?;
        Ok(Tail { sequence: log.tail.last_sequence, bytes: log.tail.bytes, closed: log.has_ended })
    }

    /// The hub of a replica that is read, with the lock that others must have to change what it shows.
    fn with_hub(&self, key: StreamKey, show: impl FnOnce(&Hub)) {
        let Some(replica) = lock(&self.0.hubs).get(&key).cloned() else { return };
        let kept = lock(&replica.0);
        if let Some(hub) = kept.upgrade() {
            show(&hub);
        }
    }

    fn read_again(&self, hub: &Hub, key: StreamKey) {
        match self.tail(hub.reader(), key) {
            Ok(tail) if tail != hub.tail() => hub.reset(tail),
            Ok(_) => {}
            Err(error) => tracing::error!(stream = %key, %error, "a copy cannot be read; its readers wait"),
        }
    }
}

impl CopyObserver for Replicas {
    fn appended(&self, key: StreamKey, offset: u64, bytes: &[u8]) {
        self.with_hub(key, |hub| {
            let tail = hub.tail();
            if tail.closed || offset + bytes.len() as u64 <= tail.bytes {
                return;
            }
            match batch_behind(tail, key, offset, bytes) {
                Some((batch, closed)) => hub.publish(Arc::new(batch), closed),
                None => self.read_again(hub, key),
            }
        });
    }

    fn changed(&self, key: StreamKey) {
        self.with_hub(key, |hub| self.read_again(hub, key));
    }

    fn given_up(&self, key: StreamKey) {
        // They come back, and are led to the node that has the stream.
        if let Some(hub) = self.give_up(key) {
            hub.set_halt(Halt::Draining);
        }
    }
}

/// These bytes as events behind the tail, and whether the last of them is the end; none if they are something else, as a part
/// of a line.
fn batch_behind(tail: Tail, key: StreamKey, offset: u64, bytes: &[u8]) -> Option<(Batch, bool)> {
    if offset != tail.bytes || bytes.last() != Some(&b'\n') {
        return None;
    }
    let ends: Vec<u32> = memchr::memchr_iter(b'\n', bytes).map(|at| at as u32 + 1).collect();
    let start = ends.len().checked_sub(2).map_or(0, |before| ends[before] as usize);
    let last = codec::decode(&bytes[start..]).ok()?;
    if last.sequence != tail.sequence + ends.len() as u64 {
        return None;
    }
    let lines = Bytes::copy_from_slice(bytes);
    let closed = last.is_terminal(key);
    Some((Batch::new(tail.sequence + 1, offset, lines, ends.into(), Instant::now()), closed))
}

/// A poisoned lock is taken over: no holder leaves what it guards half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
