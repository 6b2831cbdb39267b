//! The only way to a stream: append, follow, and know when it is over.
//!
//! A handle survives restarts of its actor. An append that the panicking actor had not yet handed to the log goes to the
//! next one; one that it had handed over is answered by its commit. So neither is lost or doubled.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, ArbiterHandle};

use super::actor::StreamActor;
use super::clock::LogClock;
use super::error::{AppendError, OpenStreamError, SubscribeError};
use super::follow::Follow;
use super::message::{Append, Appended, Panic, Retire};
use super::meters::MetersByKind;
use super::replica::Replicas;
use super::sequencer::Sequencer;
use super::window::{Halt, Hub, Tail};
use crate::domain::StreamKey;
use crate::domain::sequence::Start;
use crate::domain::time::Timestamp;
use crate::event::{Draft, Identity, codec};
use crate::log::{LogRoot, LogWriter, Recovered};
use crate::supervision::{ExitGuard, Policy, Supervised, Verdict};

/// How streams behave; the same for the whole service.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    pub heartbeat: Duration,
    pub max_subscribers: usize,
    pub meters: MetersByKind,
    /// Of streams that other nodes write: who goes on with one here keeps its readers.
    pub replicas: Option<Replicas>,
}

/// A panicking stream actor is restarted, unless it panics again and again.
const RESTARTS: Policy = Policy::Retry { times: 20, within: Duration::from_secs(60) };

/// The most messages that wait for a stream actor; each is a batch whose producer awaits the answer.
const MAILBOX: usize = 1024;

#[derive(Clone)]
pub struct StreamHandle {
    key: StreamKey,
    hub: Arc<Hub>,
    options: StreamOptions,
    clock: LogClock,
    actor: Supervised<StreamActor>,
}

/// Opens a stream's log, creating it if it is new, and starts its actor on `arbiter`.
///
/// `limit` is the durable length that was recorded when the log failed; what is beyond it is cut off.
pub async fn open(
    log: LogRoot,
    identity: Identity,
    limit: Option<u64>,
    options: StreamOptions,
    arbiter: ArbiterHandle,
) -> Result<StreamHandle, OpenStreamError> {
    let key = identity.key();
    let (writer, recovered) = open_log(log.clone(), key, limit).await?;
    let reader = log.reader(key)?;
    let sequencer = resume(key, &recovered);
    let clock = LogClock::resume(last_time(&recovered));
    let tail = tail(&sequencer, &recovered);
    let hub = match options.replicas.as_ref().and_then(|replicas| replicas.give_up(key)) {
        Some(hub) => {
            hub.reset(tail);
            hub
        }
        None => Hub::new(reader, tail, options.meters.of(key.kind())),
    };
    let stream = Stream { log, identity, options: options.clone(), clock, hub: hub.clone(), arbiter };
    let actor = stream.supervise(writer, sequencer);
    Ok(StreamHandle { key, hub, options, clock, actor })
}

impl StreamHandle {
    pub fn key(&self) -> StreamKey {
        self.key
    }

    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub fn tail(&self) -> Tail {
        self.hub.tail()
    }

    /// The time by this log's clock: compare it, and no other, with the times of its events.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Appends events; when it returns, they are durable.
    pub async fn append(&self, drafts: Arc<[Draft]>) -> Result<Appended, AppendError> {
        let is_lost = |outcome: &Result<_, _>| matches!(outcome, Err(AppendError::Lost));
        self.actor.send_unless(|| Append(drafts.clone()), is_lost).await.map_err(|_| self.gone())?
    }

    pub async fn append_one(&self, draft: Draft) -> Result<Appended, AppendError> {
        self.append(Arc::from([draft])).await
    }

    /// Begins to read.
    pub fn follow(&self, start: Start) -> Result<Follow, SubscribeError> {
        Follow::new(self.hub.clone(), start, self.options.max_subscribers)
    }

    /// As [`StreamHandle::follow`], for the service itself: does not count towards the limit.
    pub fn follow_inside(&self, start: Start) -> Result<Follow, SubscribeError> {
        Follow::inside(self.hub.clone(), start)
    }

    /// Returns when the stream has its terminal event or its actor is gone for good.
    pub async fn ended(&self) {
        self.actor.gone().await;
    }

    /// Stops the actor without ending the stream: everything appended is durable, readers are asked to reconnect, and the
    /// log can be opened again. Producers must have stopped.
    pub async fn retire(&self) {
        // One that panics before it has retired leaves that to the next.
        if self.actor.send(|| Retire).await.is_ok() {
            self.ended().await;
        }
    }

    /// Makes the actor panic, for tests.
    pub async fn panic(&self) {
        if let Ok((generation, address)) = self.actor.after(0).await {
            let _ = address.send(Panic).await;
            let _ = self.actor.after(generation).await;
        }
    }

    fn gone(&self) -> AppendError {
        let tail = self.hub.tail();
        match self.hub.halt() {
            _ if tail.closed => AppendError::Closed,
            Some(Halt::Degraded) => AppendError::Degraded { durable_bytes: tail.bytes },
            _ => AppendError::Gone,
        }
    }
}

/// What every incarnation of a stream's actor is started with.
struct Stream {
    log: LogRoot,
    identity: Identity,
    options: StreamOptions,
    clock: LogClock,
    hub: Arc<Hub>,
    arbiter: ArbiterHandle,
}

impl Stream {
    /// Runs every incarnation, the first on the log as it was just opened.
    fn supervise(self, writer: LogWriter, sequencer: Sequencer) -> Supervised<StreamActor> {
        let stream = Arc::new(self);
        let (starting, finishing) = (stream.clone(), stream.clone());
        let mut first = Some((writer, sequencer));
        let start = move |generation, guard| {
            starting.hub.meters().restarts.add(u64::from(generation > 1));
            let (stream, first) = (starting.clone(), first.take());
            async move { stream.incarnate(first, guard).await }
        };
        let (actor, supervision) =
            Supervised::start_until(RESTARTS, start, async move |verdict| finishing.finish(verdict).await);
        stream.arbiter.spawn(async move {
            supervision.await;
        });
        actor
    }

    async fn incarnate(
        &self,
        opened: Option<(LogWriter, Sequencer)>,
        guard: ExitGuard,
    ) -> Result<Addr<StreamActor>, OpenStreamError> {
        let (writer, sequencer) = match opened {
            Some(opened) => opened,
            None => self.reopen().await?,
        };
        let (identity, clock, hub, heartbeat) =
            (self.identity.clone(), self.clock, self.hub.clone(), self.options.heartbeat);
        Ok(StreamActor::start_in_arbiter(&self.arbiter, move |context| {
            context.set_mailbox_capacity(MAILBOX);
            StreamActor::new(identity, clock, sequencer, writer, hub, heartbeat, guard)
        }))
    }

    /// Waits for the last commit of the incarnation that panicked, then continues from what the file holds.
    async fn reopen(&self) -> Result<(LogWriter, Sequencer), OpenStreamError> {
        let settled = self.hub.pipeline().lock_owned().await;
        if self.hub.halt() == Some(Halt::Degraded) {
            return Err(OpenStreamError::Degraded);
        }
        let (writer, recovered) = open_log(self.log.clone(), self.identity.key(), None).await?;
        let (found, shown) = (recovered.bytes, self.hub.tail().bytes);
        // Sequences that readers have already seen would be given to other events.
        if found < shown {
            return Err(OpenStreamError::Shrunk { found, shown });
        }
        let sequencer = resume(self.identity.key(), &recovered);
        self.hub.reset(tail(&sequencer, &recovered));
        drop(settled);
        Ok((writer, sequencer))
    }

    /// Announces the end to readers and producers, but only after the last commit has settled: its batch may have ended
    /// the stream, and then the stream is closed, not degraded.
    async fn finish(&self, verdict: &Verdict<OpenStreamError>) {
        let settled = self.hub.pipeline().lock_owned().await;
        let is_draining = self.hub.halt() == Some(Halt::Draining);
        // A log that cannot be opened because the journal is over has not failed.
        let retired = is_draining && (matches!(verdict, Verdict::Stopped) || self.log.journal_state().is_over);
        if !self.hub.tail().closed && !retired {
            tracing::error!(stream = %self.identity.key(), ?verdict, "stream degraded: its actor is not restarted");
            self.hub.set_halt(Halt::Degraded);
        }
        drop(settled);
    }
}

async fn open_log(log: LogRoot, key: StreamKey, limit: Option<u64>) -> Result<(LogWriter, Recovered), OpenStreamError> {
    let opened = tokio::task::spawn_blocking(move || log.writer(key, limit)).await;
    Ok(opened.map_err(std::io::Error::other)??)
}

fn resume(key: StreamKey, recovered: &Recovered) -> Sequencer {
    let last = recovered.last_line.as_deref().and_then(|line| codec::decode(line).ok());
    Sequencer::resume(key, last.as_ref())
}

fn last_time(recovered: &Recovered) -> Option<Timestamp> {
    recovered.last_line.as_deref().and_then(|line| codec::decode(line).ok()).map(|event| event.created_at)
}

fn tail(sequencer: &Sequencer, recovered: &Recovered) -> Tail {
    Tail { sequence: sequencer.last(), bytes: recovered.bytes, closed: sequencer.is_closed() }
}
