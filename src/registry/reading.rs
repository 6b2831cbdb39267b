//! Reading: a stream that is live or over, and rows that are never behind an end that a client has seen.

use std::sync::Arc;

use super::core::Core;
use super::error::ReadError;
use super::services::Services;
use crate::blocking::blocking;
use crate::domain::StreamKey;
use crate::domain::principal::Scope;
use crate::domain::sequence::Start;
use crate::log::{AtRest, LogReader, LogRoot, Moment, Opening};
use crate::store::{StoreError, StoredWork};
use crate::stream::window::Halt;
use crate::stream::{Follow, Hub, StreamMeters, Tail};

/// Where a stream is read from.
pub async fn hub(core: &Core, key: StreamKey) -> Result<Arc<Hub>, ReadError> {
    if key.is_feed() {
        return Ok(core.services.feeds.hub(key.workspace_id()).await?);
    }
    if let Some(entry) = core.find(key).await {
        return Ok(entry.stream.hub().clone());
    }
    // One that is remembered has not failed, and is forgotten before it is deleted: its row need not be asked.
    if let Some(log) = core.services.log.remembered(key) {
        return Ok(hub_of(&log, core.services.streams.of(key.kind())));
    }
    let since = core.services.log.moment(key);
    let facts = core.services.store.log_facts(key).await?;
    if facts.is_some_and(|facts| facts.state.is_expired()) {
        return Err(ReadError::Expired);
    }
    let failed = facts.filter(|facts| facts.degraded);
    let hub = sealed(core, key, failed.and_then(|facts| facts.durable_bytes), since).await?.hub;
    if !hub.tail().closed {
        // Nothing appends to it: it has failed, or its work waits for the next start.
        hub.set_halt(if failed.is_some() { Halt::Degraded } else { Halt::Draining });
    }
    Ok(hub)
}

/// A log that nothing appends to.
pub struct Sealed {
    pub hub: Arc<Hub>,
    pub last_line: Option<bytes::Bytes>,
}

/// A stream without an actor is read from its file; of a log that has failed, only what is durable.
/// `since` is from before its row was asked.
pub async fn sealed(
    core: &Core,
    key: StreamKey,
    limit: Option<u64>,
    since: Option<Moment>,
) -> Result<Sealed, ReadError> {
    let root = core.services.log.clone();
    let reader = reader(root.clone(), key).await?;
    let log = blocking(move || root.at_rest(reader, key, limit, since)).await?;
    let hub = hub_of(&log, core.services.streams.of(key.kind()));
    Ok(Sealed { hub, last_line: log.tail.last_line })
}

fn hub_of(log: &AtRest, meters: Arc<StreamMeters>) -> Arc<Hub> {
    let tail = Tail { sequence: log.tail.last_sequence, bytes: log.tail.bytes, closed: log.has_ended };
    Hub::new(log.reader.clone(), tail, meters)
}

/// One that is in the archive is waited for without a thread: a store that is stuck takes none from other readers.
async fn reader(log: LogRoot, key: StreamKey) -> Result<LogReader, ReadError> {
    match blocking(move || Ok(log.opening(key))).await?? {
        Opening::Ready(reader) => Ok(reader),
        Opening::Fetching(fetch) => {
            let arrived = fetch.arrived().await;
            Ok(blocking(move || Ok(arrived.open())).await??)
        }
    }
}

pub async fn follow(core: &Core, key: StreamKey, start: Start) -> Result<Follow, ReadError> {
    from(&core.services, hub(core, key).await?, start)
}

/// A reader like any other: it counts towards the limit of the stream.
pub fn from(services: &Services, hub: Arc<Hub>, start: Start) -> Result<Follow, ReadError> {
    Ok(Follow::new(hub, start, services.settings.limits.max_subscribers)?)
}

/// The row of a piece of work, after waiting for it to catch up with a log that has ended.
pub async fn settled<W: StoredWork>(core: &Core, scope: &Scope, id: W::Id) -> Result<Option<W>, StoreError> {
    let store = &core.services.store;
    let Some(mut work) = store.find::<W>(scope, id).await? else { return Ok(None) };
    if !work.has_ended() {
        let last = catch_up(core, work.stream_key()).await;
        work = store.find::<W>(scope, id).await?.unwrap_or(work);
        work.advance_to(last);
    }
    Ok(Some(work))
}

/// The last sequence of the live stream; waits for the row when the stream has ended.
async fn catch_up(core: &Core, key: StreamKey) -> u64 {
    // One that left the registry since its row was read has a final row now.
    let Some(entry) = core.find(key).await else { return 0 };
    let tail = entry.stream.tail();
    if tail.closed {
        entry.settled().await;
    }
    tail.sequence
}
