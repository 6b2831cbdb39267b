//! The live end of a stream, shared between its actor and its readers.
//!
//! Law: the tail and the batches move together under one lock, so a reader that polls finds either its next event here,
//! or that it must read the file up to a tail that is durable, or that there is nothing yet and that it will be woken.
//! There is no fourth case, and so no gap and no duplicate.
//!
//! Readers own positions, not queues. The window is bounded in bytes; a reader that falls out of it reads the file. The
//! hub outlives its actor, so a restart of the actor leaves subscribers in place (docs/adr/0006).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Waker};
use std::time::Instant;

use bytes::Bytes;

use super::error::SubscribeError;
use super::meters::StreamMeters;
use crate::log::LogReader;

/// A heartbeat interval in ticks. A heartbeat is due when nothing was sent for one tick less: the hub checks only at a
/// tick, and a reader must never be left without a byte for longer than the interval.
pub const HEARTBEAT_TICKS: u32 = 8;
const QUIET_TICKS: u64 = HEARTBEAT_TICKS as u64 - 1;

/// Bytes of lines that a live window keeps; their SSE form, made on demand, takes about as much again.
pub const WINDOW_BYTES: usize = 4 << 20;

/// Events that became durable together.
#[derive(Debug)]
pub struct Batch {
    pub first: u64,
    /// Where the first line begins in the file.
    pub offset: u64,
    pub lines: Bytes,
    /// Where each line ends in `lines`.
    pub ends: Box<[u32]>,
    /// When its first event was taken.
    admitted: Instant,
    /// Clients wait for it, and none has it yet.
    is_awaited: AtomicBool,
    sse: OnceLock<Framed>,
}

/// The SSE form of a batch, made once for all its readers.
#[derive(Debug)]
pub struct Framed {
    pub bytes: Bytes,
    pub ends: Box<[u32]>,
}

impl Batch {
    pub fn new(first: u64, offset: u64, lines: Bytes, ends: Box<[u32]>, admitted: Instant) -> Self {
        debug_assert!(!ends.is_empty() && ends.last().copied() == Some(lines.len() as u32));
        Self { first, offset, lines, ends, admitted, is_awaited: AtomicBool::new(false), sse: OnceLock::new() }
    }

    pub fn last(&self) -> u64 {
        self.first + self.ends.len() as u64 - 1
    }

    pub fn events(&self) -> u64 {
        self.ends.len() as u64
    }

    pub(super) fn admitted(&self) -> Instant {
        self.admitted
    }

    /// True for the first client that takes it, if one was waiting. For all others it is one look at what they read anyway.
    pub(super) fn is_first_delivery(&self) -> bool {
        self.is_awaited.load(Ordering::Relaxed) && self.is_awaited.swap(false, Ordering::Relaxed)
    }

    /// `frame` appends one event's frame; every caller must pass the same one.
    pub fn framed(&self, frame: impl Fn(&mut Vec<u8>, u64, &[u8])) -> &Framed {
        self.sse.get_or_init(|| {
            let mut bytes = Vec::with_capacity(self.lines.len() + 48 * self.ends.len());
            let mut ends = Vec::with_capacity(self.ends.len());
            let mut start = 0;
            for (sequence, &end) in (self.first..).zip(&self.ends) {
                frame(&mut bytes, sequence, &self.lines[start..end as usize]);
                ends.push(bytes.len() as u32);
                start = end as usize;
            }
            Framed { bytes: bytes.into(), ends: ends.into() }
        })
    }
}

/// The durable end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    pub sequence: u64,
    /// Length of the durable part of the file.
    pub bytes: u64,
    pub closed: bool,
}

/// Why a stream that has not ended gives no more events here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    Degraded,
    Draining,
}

/// What a reader gets when it polls.
#[derive(Debug)]
pub enum PollOutcome {
    Live(Arc<Batch>),
    /// Its next event is in the file only.
    Behind(Tail),
    Closed,
    Halted(Halt),
    /// Nothing was sent to it for a heartbeat interval.
    Heartbeat,
    /// Nothing yet; the waker is kept.
    Pending,
}

/// Where a stream's actor publishes and its readers subscribe. It outlives incarnations of the actor.
pub struct Hub {
    reader: LogReader,
    meters: Arc<StreamMeters>,
    state: Mutex<State>,
    /// Held by the commit in flight until its outcome is published. An actor that is restarted after a panic waits for
    /// it: if it read the log while the old commit was still being written, it would give the same sequences again.
    pipeline: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    tail: Tail,
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    halt: Option<Halt>,
    ticks: u64,
    slots: Vec<SubscriberSlot>,
    free: Vec<usize>,
    /// Subscribers that count towards the limit.
    limited: usize,
}

/// What the hub keeps of one reader: how to wake it, and when something was last sent to it.
#[derive(Default)]
struct SubscriberSlot {
    is_limited: bool,
    waker: Option<Waker>,
    /// Its next event is being read from the file: it is woken for a heartbeat only.
    is_reading: bool,
    /// The tick at which something was last sent to it.
    quiet_since: u64,
}

impl SubscriberSlot {
    fn is_due(&self, ticks: u64) -> bool {
        ticks - self.quiet_since >= QUIET_TICKS
    }

    /// Keeps the waker until there is something for the reader.
    fn park(&mut self, is_reading: bool, context: &Context<'_>) {
        self.is_reading = is_reading;
        match &mut self.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }
}

impl Hub {
    pub fn new(reader: LogReader, tail: Tail, meters: Arc<StreamMeters>) -> Arc<Self> {
        let state = Mutex::new(State { tail, ..State::default() });
        Arc::new(Self { reader, meters, state, pipeline: Arc::default() })
    }

    pub fn tail(&self) -> Tail {
        self.lock().tail
    }

    pub fn halt(&self) -> Option<Halt> {
        self.lock().halt
    }

    pub fn subscribers(&self) -> usize {
        let state = self.lock();
        state.slots.len() - state.free.len()
    }

    /// Bytes of lines in the live window: at most [`WINDOW_BYTES`], or one batch that is larger.
    pub fn window_bytes(&self) -> usize {
        self.lock().bytes
    }

    pub fn reader(&self) -> &LogReader {
        &self.reader
    }

    pub(super) fn meters(&self) -> &StreamMeters {
        &self.meters
    }

    pub(super) fn pipeline(&self) -> Arc<tokio::sync::Mutex<()>> {
        self.pipeline.clone()
    }

    /// A poisoned lock is taken over: no holder can panic between two changes that belong together.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Shows a durable batch to the readers.
    pub(super) fn publish(&self, batch: Arc<Batch>, closed: bool) {
        // Woken after the lock is released: a reader that runs at once would wait for it.
        let wakers = {
            let mut state = self.lock();
            debug_assert_eq!(state.tail.sequence + 1, batch.first, "batches are published in order");
            let bytes = batch.offset + batch.lines.len() as u64;
            state.tail = Tail { sequence: batch.last(), bytes, closed };
            state.bytes += batch.lines.len();
            let (wakers, is_awaited) = state.take_wakers();
            batch.is_awaited.store(is_awaited, Ordering::Relaxed);
            state.batches.push_back(batch);
            // The newest stays however large it is, so that readers who have everything else need no file.
            while state.bytes > WINDOW_BYTES && state.batches.len() > 1 {
                let oldest = state.batches.pop_front().expect("there are at least two");
                state.bytes -= oldest.lines.len();
            }
            wakers
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// A new incarnation of the actor has read its log. What its predecessor wrote and never published is in the file
    /// only, so the window would have a hole: it is emptied, and readers continue from the file.
    pub(super) fn reset(&self, tail: Tail) {
        self.change(|state| {
            state.batches.clear();
            state.bytes = 0;
            state.tail = tail;
        });
    }

    /// A stream that is degraded stays degraded: a later shutdown must not promise readers that it goes on.
    pub fn set_halt(&self, halt: Halt) {
        self.change(|state| {
            if state.halt != Some(Halt::Degraded) {
                state.halt = Some(halt);
            }
        });
    }

    /// Wakes readers whose heartbeat is due.
    pub(super) fn tick(&self) {
        let wakers: Vec<_> = {
            let mut state = self.lock();
            state.ticks += 1;
            let ticks = state.ticks;
            let due = state.slots.iter_mut().filter(|subscriber| subscriber.is_due(ticks));
            due.filter_map(|subscriber| subscriber.waker.take()).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.lock();
            change(&mut state);
            state.take_wakers().0
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Takes a slot. With a limit, fails when that many subscribers with a limit are there; without one, never.
    pub(super) fn subscribe(&self, limit: Option<usize>) -> Result<usize, SubscribeError> {
        let mut state = self.lock();
        if let Some(limit) = limit.filter(|limit| state.limited >= *limit) {
            return Err(SubscribeError::TooMany { limit });
        }
        state.limited += usize::from(limit.is_some());
        self.meters.readers.add(i64::from(limit.is_some()));
        let subscriber =
            SubscriberSlot { quiet_since: state.ticks, is_limited: limit.is_some(), ..SubscriberSlot::default() };
        if let Some(slot) = state.free.pop() {
            state.slots[slot] = subscriber;
            return Ok(slot);
        }
        state.slots.push(subscriber);
        Ok(state.slots.len() - 1)
    }

    pub(super) fn unsubscribe(&self, slot: usize) {
        let mut state = self.lock();
        state.slots[slot].waker = None;
        let is_limited = state.slots[slot].is_limited;
        state.limited -= usize::from(is_limited);
        self.meters.readers.add(-i64::from(is_limited));
        state.free.push(slot);
    }

    /// What the subscriber in `slot`, which has everything up to `after`, does next. `sent` says whether something was
    /// sent to it since it last polled.
    pub(super) fn poll(&self, slot: usize, after: u64, sent: bool, context: &Context<'_>) -> PollOutcome {
        let mut state = self.lock();
        if state.takes_heartbeat(slot, sent) {
            return PollOutcome::Heartbeat;
        }
        if after < state.tail.sequence {
            return state.next_after(after);
        }
        if state.tail.closed {
            return PollOutcome::Closed;
        }
        if let Some(halt) = state.halt {
            return PollOutcome::Halted(halt);
        }
        // Under the same lock that a batch is published under: none can become durable between the look and the waker.
        state.slots[slot].park(false, context);
        PollOutcome::Pending
    }

    /// Whether a heartbeat is due for the subscriber in `slot`, which waits for its file; if not, it is woken when one is.
    pub(super) fn heartbeat_while_reading(&self, slot: usize, sent: bool, context: &Context<'_>) -> bool {
        let mut state = self.lock();
        let due = state.takes_heartbeat(slot, sent);
        if !due {
            state.slots[slot].park(true, context);
        }
        due
    }
}

impl State {
    fn next_after(&self, after: u64) -> PollOutcome {
        let next = after + 1;
        if self.batches.front().is_none_or(|oldest| next < oldest.first) {
            return PollOutcome::Behind(self.tail);
        }
        let index = self.batches.partition_point(|batch| batch.last() < next);
        PollOutcome::Live(self.batches[index].clone())
    }

    /// Whether the subscriber in `slot` sends a heartbeat now.
    fn takes_heartbeat(&mut self, slot: usize, sent: bool) -> bool {
        let ticks = self.ticks;
        let subscriber = &mut self.slots[slot];
        let due = !sent && subscriber.is_due(ticks);
        if sent || due {
            subscriber.quiet_since = ticks;
        }
        due
    }

    /// Those of readers that wait for an event, and whether a client is among them. One that waits for its file would only
    /// poll in vain.
    fn take_wakers(&mut self) -> (Vec<Waker>, bool) {
        let mut has_client = false;
        let waiting = self.slots.iter_mut().filter(|subscriber| !subscriber.is_reading);
        let wakers = waiting.filter_map(|subscriber| {
            let waker = subscriber.waker.take()?;
            has_client |= subscriber.is_limited;
            Some(waker)
        });
        (wakers.collect(), has_client)
    }
}
