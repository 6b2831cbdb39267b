//! Reading: a stream that is live or over, and rows that are never behind an end that a client has seen.

use actix::Addr;

use super::actor::Registry;
use super::error::ReadError;
use super::message::Find;
use super::services::Services;
use crate::domain::build::Build;
use crate::domain::execution::Execution;
use crate::domain::principal::Scope;
use crate::domain::run::Run;
use crate::domain::sequence::Start;
use crate::domain::{BuildId, ExecutionId, RunId, StreamKey};
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
    let facts = services.store.log_facts(key).await?;
    if facts.is_some_and(|facts| facts.state.is_expired()) {
        return Err(ReadError::Expired);
    }
    let failed = facts.filter(|facts| facts.degraded);
    let (log, limit) = (services.log.clone(), failed.and_then(|facts| facts.durable_bytes));
    let sealed = tokio::task::spawn_blocking(move || sealed_hub(&log, key, limit)).await;
    let hub = sealed.map_err(std::io::Error::other)??;
    if !hub.tail().closed {
        // Nobody appends to it: it has failed, or its work waits for the next start.
        hub.set_halt(if failed.is_some() { Halt::Degraded } else { Halt::Draining });
    }
    Ok(hub)
}

/// A stream without an actor is read from its file; of a log that has failed, only what is durable.
pub fn sealed_hub(log: &LogRoot, key: StreamKey, limit: Option<u64>) -> Result<Arc<Hub>, ReadError> {
    let reader = log.reader(key)?;
    let end = reader.tail_within(limit.unwrap_or(u64::MAX))?;
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
    let Some(mut run) = services.store.find::<Run>(scope, id).await? else { return Ok(None) };
    if run.state.status.is_terminal() {
        return Ok(Some(run));
    }
    if let Some(last) = catch_up(registry, run.stream_key()).await {
        run = services.store.find::<Run>(scope, id).await?.unwrap_or(run);
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
    let Some(mut build) = services.store.find::<Build>(scope, id).await? else { return Ok(None) };
    if build.state.status.is_terminal() {
        return Ok(Some(build));
    }
    if let Some(last) = catch_up(registry, build.stream_key()).await {
        build = services.store.find::<Build>(scope, id).await?.unwrap_or(build);
        build.last_sequence = build.last_sequence.max(last);
    }
    Ok(Some(build))
}

/// As [`settled_run`], for an execution.
pub async fn settled_execution(
    services: &Services,
    registry: &Addr<Registry>,
    scope: &Scope,
    id: ExecutionId,
) -> Result<Option<Execution>, StoreError> {
    let Some(mut execution) = services.store.find::<Execution>(scope, id).await? else { return Ok(None) };
    if execution.state.status.is_terminal() {
        return Ok(Some(execution));
    }
    if let Some(last) = catch_up(registry, execution.stream_key()).await {
        execution = services.store.find::<Execution>(scope, id).await?.unwrap_or(execution);
        execution.last_sequence = execution.last_sequence.max(last);
    }
    Ok(Some(execution))
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

/// Whether somebody is at work on this, or its row is not yet final.
pub async fn is_live(registry: &Addr<Registry>, key: StreamKey) -> bool {
    // A registry that does not answer is one that is going down: nothing may be assumed then.
    registry.send(Find(key)).await.map_or(true, |entry| entry.is_some())
}
