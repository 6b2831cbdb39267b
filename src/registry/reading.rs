//! Reading: a stream that is live or over, and rows that are never behind an end that a client has seen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::Core;
use super::error::ReadError;
use super::services::Services;
use crate::blocking::blocking;
use crate::domain::StreamKey;
use crate::domain::principal::Scope;
use crate::domain::sequence::Start;
use crate::domain::work::LogFacts;
use crate::log::{AtRest, LogReader, LogRoot, Moment, OpenReaderError, Opening};
use crate::store::{StoreError, StoredWork};
use crate::stream::window::Halt;
use crate::stream::{Follow, Hub, OpenReplicaError, StreamMeters, Tail};

/// Where a stream is read from, by somebody who says to have its events up to `claimed`.
pub async fn hub(core: &Core, key: StreamKey, claimed: u64) -> Result<Arc<Hub>, ReadError> {
    if key.is_feed() {
        let owner = core.services.feeds.owner(key.workspace_id()).await?;
        if owner != core.services.node_id {
            return Err(ReadError::Elsewhere(owner));
        }
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
    if let Some(facts) = facts.filter(|facts| is_foreign(core, facts)) {
        return replica(core, key, &facts, claimed).await;
    }
    let failed = facts.filter(|facts| facts.degraded);
    let hub = sealed(core, key, failed.and_then(|facts| facts.durable_bytes), since).await?.hub;
    if !hub.tail().closed {
        // Nothing appends to it: it has failed, or its work waits for the next start.
        hub.set_halt(if failed.is_some() { Halt::Degraded } else { Halt::Draining });
    }
    Ok(hub)
}

/// How long a reader waits for a copy to have what was shown to somebody elsewhere.
const CATCH_UP: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// The stream of another node, as it is copied here: only where nobody has been shown more.
async fn replica(core: &Core, key: StreamKey, facts: &LogFacts, claimed: u64) -> Result<Arc<Hub>, ReadError> {
    let elsewhere = ReadError::Elsewhere(facts.node_id);
    if facts.degraded || !core.services.followers.is_current(facts.node_id) {
        return Err(elsewhere);
    }
    let (log, replicas) = (core.services.log.clone(), core.services.replicas.clone());
    let opened = blocking(move || Ok::<_, std::io::Error>((!log.is_partial(key)).then(|| replicas.hub(key)))).await?;
    let hub = match opened {
        None | Some(Err(OpenReplicaError::Reader(OpenReaderError::NotFound))) => return Err(elsewhere),
        Some(Err(OpenReplicaError::Reader(error))) => return Err(error.into()),
        Some(Err(OpenReplicaError::Io(error))) => return Err(error.into()),
        Some(Ok(hub)) => hub,
    };
    // One that was made behind a takeover would be fed by nobody. From here on a takeover finds it.
    let owner = core.services.store.log_facts(key).await?.map(|facts| facts.node_id);
    if owner != Some(facts.node_id) {
        return Err(elsewhere);
    }
    let (last, has_ended) = (facts.last_sequence.max(claimed), facts.has_ended);
    let is_up_to_date = |tail: Tail| tail.closed || tail.sequence >= last && !has_ended;
    let until = Instant::now() + CATCH_UP;
    while !is_up_to_date(hub.tail()) {
        if Instant::now() >= until {
            return Err(elsewhere);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(hub)
}

/// Of nodes without a cluster that share a database each knows its own logs alone.
fn is_foreign(core: &Core, facts: &LogFacts) -> bool {
    facts.node_id != core.services.node_id && !core.services.nodes.is_alone()
}

/// Whether a stream can be read here, or is with another node.
pub async fn is_here(core: &Core, key: StreamKey, claimed: u64) -> bool {
    !matches!(hub(core, key, claimed).await, Err(ReadError::Elsewhere(_)))
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
    from(&core.services, hub(core, key, start.claimed()).await?, start)
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
        let last = match is_foreign(core, &work.log()) {
            true => catch_up_with_copy::<W>(core, scope, &work, id).await,
            false => catch_up(core, work.stream_key()).await,
        };
        work = store.find::<W>(scope, id).await?.unwrap_or(work);
        work.advance_to(last);
    }
    Ok(Some(work))
}

/// The last sequence of the copy of another node's stream. When that has ended, its node is about to say so in the row.
async fn catch_up_with_copy<W: StoredWork>(core: &Core, scope: &Scope, work: &W, id: W::Id) -> u64 {
    let Ok(hub) = replica(core, work.stream_key(), &work.log(), 0).await else { return 0 };
    let until = Instant::now() + CATCH_UP;
    while hub.tail().closed && Instant::now() < until {
        match core.services.store.find::<W>(scope, id).await {
            Ok(Some(row)) if !row.has_ended() => tokio::time::sleep(LOOK).await,
            _ => break,
        }
    }
    hub.tail().sequence
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
