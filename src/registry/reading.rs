//! Reading: a stream that is live or over, and rows that are never behind an end that a client has seen.

use actix::Addr;

use super::actor::Registry;
use super::error::ReadError;
use super::message::Find;
use super::services::Services;
use crate::domain::build::Build;
use crate::domain::principal::Scope;
use crate::domain::run::Run;
use crate::domain::sequence::Start;
use crate::domain::{BuildId, RunId, StreamKey};
use crate::event::codec;
use crate::log::LogRoot;
use crate::store::StoreError;
use crate::stream::window::Halt;
use crate::stream::{Follow, Hub, Tail};
use std::sync::Arc;

/// Where a stream is read from.
pub async fn hub(services: &Services, registry: &Addr<Registry>, key: StreamKey) -> Result<Arc<Hub>, ReadError> {
    if let StreamKey::Feed { workspace_id } = key {
        return Ok(services.feeds.hub(workspace_id).await?);
    }
    if let Ok(Some(entry)) = registry.send(Find(key)).await {
        return Ok(entry.stream.hub().clone());
    }
    let log = services.log.clone();
    let sealed = tokio::task::spawn_blocking(move || sealed_hub(&log, key)).await;
    let hub = sealed.map_err(std::io::Error::other)??;
    if !hub.tail().closed {
        hub.set_halt(why_open(services, key).await?);
    }
    Ok(hub)
}

/// Why nobody appends to a log that has not ended: it has failed, or its work waits for the next start.
async fn why_open(services: &Services, key: StreamKey) -> Result<Halt, StoreError> {
    let store = &services.store;
    let degraded = match key {
        StreamKey::Run { id, .. } => store.find_run(&Scope::All, id).await?.is_some_and(|run| run.log_degraded),
        StreamKey::Build { id, .. } => store.find_build(&Scope::All, id).await?.is_some_and(|build| build.log_degraded),
        StreamKey::Feed { .. } => false,
    };
    Ok(if degraded { Halt::Degraded } else { Halt::Draining })
}

/// A stream without an actor is read from its file.
fn sealed_hub(log: &LogRoot, key: StreamKey) -> Result<Arc<Hub>, ReadError> {
    let reader = log.reader(key)?;
    let end = reader.tail()?;
    let closed =
        end.last_line.as_deref().and_then(|line| codec::decode(line).ok()).is_some_and(|event| event.is_terminal(key));
    Ok(Hub::new(reader, Tail { sequence: end.last_sequence, bytes: end.bytes, closed }))
}

pub async fn follow(
    services: &Services,
    registry: &Addr<Registry>,
    key: StreamKey,
    start: Start,
) -> Result<Follow, ReadError> {
    let hub = hub(services, registry, key).await?;
    Ok(Follow::new(hub, start, services.stream_options().max_subscribers)?)
}

/// The row of a run, after waiting for it to catch up with a log that has ended.
pub async fn settled_run(
    services: &Services,
    registry: &Addr<Registry>,
    scope: &Scope,
    id: RunId,
) -> Result<Option<Run>, StoreError> {
    let Some(mut run) = services.store.find_run(scope, id).await? else { return Ok(None) };
    if run.state.status.is_terminal() {
        return Ok(Some(run));
    }
    if let Some(last) = catch_up(registry, run.stream_key()).await {
        run = services.store.find_run(scope, id).await?.unwrap_or(run);
        run.last_sequence = run.last_sequence.max(last);
    }
    Ok(Some(run))
}

/// As [`settled_run`], for a build.
pub async fn settled_build(
    services: &Services,
    registry: &Addr<Registry>,
    scope: &Scope,
    id: BuildId,
) -> Result<Option<Build>, StoreError> {
    let Some(mut build) = services.store.find_build(scope, id).await? else { return Ok(None) };
    if build.state.status.is_terminal() {
        return Ok(Some(build));
    }
    if let Some(last) = catch_up(registry, build.stream_key()).await {
        build = services.store.find_build(scope, id).await?.unwrap_or(build);
        build.last_sequence = build.last_sequence.max(last);
    }
    Ok(Some(build))
}

/// The last sequence of the live stream; waits for the row when the stream has ended.
async fn catch_up(registry: &Addr<Registry>, key: StreamKey) -> Option<u64> {
    match registry.send(Find(key)).await {
        Ok(Some(entry)) => {
            let tail = entry.stream.tail();
            if tail.closed {
                entry.settled().await;
            }
            Some(tail.sequence)
        }
        // It left the registry since the row was read, so the row is final now.
        _ => Some(0),
    }
}
