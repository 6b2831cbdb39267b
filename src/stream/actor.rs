//! The actor of one stream: lifecycle and handlers around the pure sequencer.
//!
//! Law: a handler numbers and enqueues in one turn and never awaits; the acknowledgement is a future
//! of its own. At most one commit is in flight, and what arrives meanwhile joins the next (group commit).
//! A commit in flight belongs to a task of its own, so a panic of the actor cannot lose its outcome:
//! an acknowledgement that is dropped means that its events were never handed to the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, ResponseFuture, WrapFuture};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::clock::LogClock;
use super::error::AppendError;
use super::message::{Append, Appended, Panic, Retire};
use super::meters::StreamMeters;
use super::sequencer::Sequencer;
use super::window::{Batch, HEARTBEAT_TICKS, Halt, Hub};
use crate::domain::EventId;
use crate::event::{Draft, Identity, Source, codec};
use crate::log::{CommitError, LogWriter};
use crate::supervision::ExitGuard;

/// The most bytes of lines that wait for the commit in flight. Producers that await their acknowledgements stay far
/// below it.
const MAX_WAITING_BYTES: usize = 64 << 20;

type Ack = oneshot::Sender<Result<Appended, AppendError>>;

/// Owns the stream: its counter, its log and what readers see.
pub struct StreamActor {
    identity: Identity,
    clock: LogClock,
    sequencer: Sequencer,
    log: LogWriter,
    hub: Arc<Hub>,
    heartbeat: Duration,
    waiting: Waiting,
    committing: bool,
    retiring: bool,
    /// The last field, so that it is dropped last: once it reports the exit, the next incarnation claims the log, which
    /// the writer above must have released.
    _guard: ExitGuard,
}

/// Numbered and encoded, not yet handed to the log.
#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    ends: Vec<u32>,
    acks: Vec<(Ack, Appended)>,
    sync: bool,
    /// When the first of them was taken.
    since: Option<Instant>,
}

/// Handed to the log.
struct InFlight {
    batch: Batch,
    acks: Vec<(Ack, Appended)>,
    closes: bool,
}

impl StreamActor {
    pub fn new(
        identity: Identity,
        clock: LogClock,
        sequencer: Sequencer,
        log: LogWriter,
        hub: Arc<Hub>,
        heartbeat: Duration,
        guard: ExitGuard,
    ) -> Self {
        Self {
            identity,
            clock,
            sequencer,
            log,
            hub,
            heartbeat,
            waiting: Waiting::default(),
            committing: false,
            retiring: false,
            _guard: guard,
        }
    }

    fn refusal(&self) -> Option<AppendError> {
        if self.sequencer.is_closed() {
            return Some(AppendError::Closed);
        }
        if self.retiring {
            return Some(AppendError::Gone);
        }
        (self.waiting.lines.len() > MAX_WAITING_BYTES).then_some(AppendError::Overloaded)
    }

    /// The answer to an append of no drafts: the sequence that the next event gets.
    fn nothing(&self) -> Appended {
        let last = self.sequencer.last();
        Appended { first: last + 1, last, created_at: self.clock.now() }
    }

    /// Numbers and encodes; all drafts or, when one comes after the end, none.
    fn enqueue(&mut self, drafts: &[Draft], ack: Ack) -> Result<(), AppendError> {
        // A copy, taken over only when every draft is in: a refusal leaves no gap in the numbers.
        let mut sequencer = self.sequencer.clone();
        let (now, fresh) = (self.clock.now(), EventId::generate());
        let (lines_before, ends_before) = (self.waiting.lines.len(), self.waiting.ends.len());
        for draft in drafts {
            let Ok(stamp) = sequencer.admit(&draft.kind, now, fresh) else {
                self.waiting.lines.truncate(lines_before);
                self.waiting.ends.truncate(ends_before);
                return Err(AppendError::Closed);
            };
            codec::encode(&mut self.waiting.lines, &self.identity, stamp, draft);
            self.waiting.ends.push(self.waiting.lines.len() as u32);
            self.waiting.sync |= must_sync(draft);
        }
        let appended = Appended { first: self.sequencer.last() + 1, last: sequencer.last(), created_at: now };
        self.sequencer = sequencer;
        self.waiting.acks.push((ack, appended));
        self.waiting.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn commit_waiting(&mut self, context: &mut Context<Self>) {
        if self.committing || self.waiting.acks.is_empty() {
            return;
        }
        let Waiting { lines, ends, acks, sync, since } = std::mem::take(&mut self.waiting);
        let lines = Bytes::from(lines);
        let (first, offset) = (acks[0].1.first, self.log.durable_bytes());
        let batch = Batch::new(first, offset, lines.clone(), ends.into(), since.unwrap_or_else(Instant::now));
        let in_flight = InFlight { batch, acks, closes: self.sequencer.is_closed() };
        let hub = self.hub.clone();
        let pipeline =
            hub.pipeline().try_lock_owned().expect("one commit at a time, and none before the last is settled");
        // From here to the task nothing may panic: the log has the lines, and producers whose acknowledgement is dropped
        // take them for lost and send them again.
        let commit = self.log.commit(lines, sync);
        self.committing = true;
        let (settled, done) = oneshot::channel();
        // A task of its own, not the actor's: if the actor panics, the outcome is still published and acknowledged.
        actix::spawn(async move {
            let committed = commit.await;
            if let Err(CommitError::Halted(_)) = committed {
                // Another process may own this stream by now. Nothing is said of it here, and nobody who waits concludes
                // anything: the service ends.
                hub.set_halt(Halt::Draining);
                return std::future::pending().await;
            }
            let outcome = in_flight.settle(committed, &hub);
            drop(pipeline);
            let _ = settled.send(outcome);
        });
        context.spawn(done.into_actor(self).map(|outcome, actor, context| {
            actor.committed(outcome.unwrap_or(Settled::Failed), context);
        }));
    }

    fn committed(&mut self, outcome: Settled, context: &mut Context<Self>) {
        self.committing = false;
        match outcome {
            Settled::Durable => {
                self.commit_waiting(context);
                self.stop_if_retired(context);
            }
            Settled::Ended => context.stop(),
            Settled::Failed => {
                let durable_bytes = self.log.durable_bytes();
                self.fail(AppendError::Degraded { durable_bytes }, context);
            }
            Settled::Unknown => self.fail(AppendError::Gone, context),
        }
    }

    /// Stops when it is retiring and nothing is left to commit.
    fn stop_if_retired(&mut self, context: &mut Context<Self>) {
        if self.retiring && !self.committing {
            self.hub.set_halt(Halt::Draining);
            context.stop();
        }
    }

    /// Fail-stop: what could not be made durable is never acknowledged, and never written again. After a failed sync the
    /// kernel may report success for pages that it has dropped.
    fn fail(&mut self, answer: AppendError, context: &mut Context<Self>) {
        for (ack, _) in std::mem::take(&mut self.waiting).acks {
            let _ = ack.send(Err(answer.clone()));
        }
        context.stop();
    }
}

impl InFlight {
    /// Publishes what has become durable, then acknowledges it; on failure both readers and producers learn of it.
    fn settle(self, outcome: Result<u64, CommitError>, hub: &Hub) -> Settled {
        let Self { batch, acks, closes } = self;
        let answer = match outcome {
            Ok(_) => {
                count(&batch, hub.meters());
                hub.publish(Arc::new(batch), closes);
                Ok(())
            }
            // As a crash would leave it: the machines that keep the journal may have the batch, and the next start reads it there.
            Err(CommitError::Unanswered(_)) => {
                hub.set_halt(Halt::Draining);
                Err(AppendError::Gone)
            }
            Err(error) => {
                tracing::error!(durable_bytes = batch.offset, error = %error, "log failed, stream is degraded");
                hub.meters().degraded.add(1);
                hub.set_halt(Halt::Degraded);
                Err(AppendError::Degraded { durable_bytes: batch.offset })
            }
        };
        for (ack, appended) in acks {
            // A producer that no longer waits has lost nothing: its events are in the log.
            let _ = ack.send(answer.clone().map(|()| appended));
        }
        match answer {
            Ok(()) if closes => Settled::Ended,
            Ok(()) => Settled::Durable,
            Err(AppendError::Gone) => Settled::Unknown,
            Err(_) => Settled::Failed,
        }
    }
}

/// Once for each batch, and before anybody can see it: whoever has an event finds it counted.
fn count(batch: &Batch, meters: &StreamMeters) {
    meters.events.add(batch.events());
    meters.batch_events.observe(batch.events());
    meters.append.observe_time(batch.admitted().elapsed());
}

/// The outcome of a commit.
#[derive(Debug, Clone, Copy)]
enum Settled {
    Durable,
    /// The terminal event is durable.
    Ended,
    Failed,
    /// The service stops before the journal has said.
    Unknown,
}

/// Lifecycle events are always synced; output of a child process follows the configured policy.
fn must_sync(draft: &Draft) -> bool {
    draft.source != Source::Engine && draft.kind != "console.line"
}

impl Actor for StreamActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if self.sequencer.is_closed() {
            context.stop();
            return;
        }
        context.run_interval(self.heartbeat / HEARTBEAT_TICKS, |actor, _| actor.hub.tick());
    }
}

impl Handler<Append> for StreamActor {
    type Result = ResponseFuture<Result<Appended, AppendError>>;

    fn handle(&mut self, Append(drafts): Append, context: &mut Self::Context) -> Self::Result {
        let (ack, outcome) = oneshot::channel();
        let answered = match self.refusal() {
            Some(refusal) => Some(Err(refusal)),
            None if drafts.is_empty() => Some(Ok(self.nothing())),
            None => self.enqueue(&drafts, ack).err().map(Err),
        };
        if let Some(answer) = answered {
            return Box::pin(std::future::ready(answer));
        }
        self.commit_waiting(context);
        Box::pin(async move { outcome.await.unwrap_or(Err(AppendError::Lost)) })
    }
}

impl Handler<Retire> for StreamActor {
    type Result = ();

    fn handle(&mut self, _: Retire, context: &mut Self::Context) {
        self.retiring = true;
        self.stop_if_retired(context);
    }
}

impl Handler<Panic> for StreamActor {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("planned fault of the stream actor");
    }
}
