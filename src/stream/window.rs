//! The live end of a stream, shared between its actor and its readers.
//!
//! Law: the tail and the batches move together under one lock, so a reader that looks finds either
//! its next event here, or that it must read the file up to a tail that is durable, or that there
//! is nothing yet and that it will be woken. There is no fourth case, and so no gap and no duplicate.
//!
//! Readers own positions, not queues. The window is bounded in bytes; who falls out of it reads the file.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Waker};

use bytes::Bytes;

use super::error::SubscribeError;
use crate::log::LogReader;

/// A heartbeat's time in ticks. A reader is due a beat when nothing was sent to it for one tick less: between two ticks
/// nobody looks, and it must never be silent for longer than a heartbeat's time.
pub const HEARTBEAT_TICKS: u32 = 8;
const QUIET_TICKS: u64 = HEARTBEAT_TICKS as u64 - 1;

/// Bytes of lines that a live window keeps; their SSE form, made on demand, costs about as much again.
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
    sse: OnceLock<Framed>,
}

/// The SSE form of a batch, made once for all its readers.
#[derive(Debug)]
pub struct Framed {
    pub bytes: Bytes,
    pub ends: Box<[u32]>,
}

impl Batch {
    pub fn new(first: u64, offset: u64, lines: Bytes, ends: Box<[u32]>) -> Self {
        debug_assert!(!ends.is_empty() && ends.last().copied() == Some(lines.len() as u32));
        Self { first, offset, lines, ends, sse: OnceLock::new() }
    }

    pub fn last(&self) -> u64 {
        self.first + self.ends.len() as u64 - 1
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

/// What a reader finds when it looks.
#[derive(Debug)]
pub enum Look {
    Live(Arc<Batch>),
    /// Its next event is in the file only.
    Behind(Tail),
    Closed,
    Halted(Halt),
    /// Nothing was sent to it for a heartbeat's time.
    Beat,
    /// Nothing yet; the waker is kept.
    Pending,
}

/// The meeting point of a stream's actor and its readers. It outlives incarnations of the actor.
pub struct Hub {
    reader: LogReader,
    state: Mutex<State>,
    /// Held by the commit in flight until its outcome is shown; a new incarnation waits for it.
    pipeline: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    tail: Tail,
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    halt: Option<Halt>,
    ticks: u64,
    seats: Vec<Seat>,
    free: Vec<usize>,
    /// Taken seats that count towards the limit.
    guests: usize,
}

/// A reader's place to be woken at.
#[derive(Default)]
struct Seat {
    is_guest: bool,
    waker: Option<Waker>,
    /// Its next event is on the way from the file: it is woken for a beat only.
    is_reading: bool,
    /// The tick at which something was last sent to it.
    quiet_since: u64,
}

impl Seat {
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
    pub fn new(reader: LogReader, tail: Tail) -> Arc<Self> {
        Arc::new(Self { reader, state: Mutex::new(State { tail, ..State::default() }), pipeline: Arc::default() })
    }

    pub fn tail(&self) -> Tail {
        self.lock().tail
    }

    pub fn halt(&self) -> Option<Halt> {
        self.lock().halt
    }

    pub fn subscribers(&self) -> usize {
        let state = self.lock();
        state.seats.len() - state.free.len()
    }

    /// Bytes of lines in the live window: at most [`WINDOW_BYTES`], or one batch that is larger.
    pub fn window_bytes(&self) -> usize {
        self.lock().bytes
    }

    pub fn reader(&self) -> &LogReader {
        &self.reader
    }

    pub(super) fn pipeline(&self) -> Arc<tokio::sync::Mutex<()>> {
        self.pipeline.clone()
    }

    /// A poisoned lock is taken over: no invariant here is broken half-way by a panic of its holder.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Shows a durable batch to the readers.
    pub(super) fn publish(&self, batch: Arc<Batch>, closed: bool) {
        let wakers = {
            let mut state = self.lock();
            debug_assert_eq!(state.tail.sequence + 1, batch.first, "batches are published in order");
            let bytes = batch.offset + batch.lines.len() as u64;
            state.tail = Tail { sequence: batch.last(), bytes, closed };
            state.bytes += batch.lines.len();
            state.batches.push_back(batch);
            while state.bytes > WINDOW_BYTES && state.batches.len() > 1 {
                let oldest = state.batches.pop_front().expect("there are at least two");
                state.bytes -= oldest.lines.len();
            }
            state.take_wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// A new incarnation of the actor has read its log: what the last one did not publish is in the file.
    pub(super) fn reset(&self, tail: Tail) {
        self.change(|state| {
            state.batches.clear();
            state.bytes = 0;
            state.tail = tail;
        });
    }

    /// A stream that is degraded stays so.
    pub fn set_halt(&self, halt: Halt) {
        self.change(|state| {
            if state.halt != Some(Halt::Degraded) {
                state.halt = Some(halt);
            }
        });
    }

    /// Time passes: readers to whom nothing was sent for long are woken to say that the stream is alive.
    pub(super) fn tick(&self) {
        let wakers: Vec<_> = {
            let mut state = self.lock();
            state.ticks += 1;
            let ticks = state.ticks;
            let due = state.seats.iter_mut().filter(|seat| seat.is_due(ticks));
            due.filter_map(|seat| seat.waker.take()).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.lock();
            change(&mut state);
            state.take_wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// With a limit, a place as long as fewer than that many of these are taken; without one, always.
    pub(super) fn sit_down(&self, limit: Option<usize>) -> Result<usize, SubscribeError> {
        let mut state = self.lock();
        if let Some(limit) = limit.filter(|limit| state.guests >= *limit) {
            return Err(SubscribeError::TooMany { limit });
        }
        state.guests += usize::from(limit.is_some());
        let seat = Seat { quiet_since: state.ticks, is_guest: limit.is_some(), ..Seat::default() };
        if let Some(place) = state.free.pop() {
            state.seats[place] = seat;
            return Ok(place);
        }
        state.seats.push(seat);
        Ok(state.seats.len() - 1)
    }

    pub(super) fn stand_up(&self, place: usize) {
        let mut state = self.lock();
        state.seats[place].waker = None;
        state.guests -= usize::from(state.seats[place].is_guest);
        state.free.push(place);
    }

    /// What the reader at `place`, which has everything up to `after`, does next. `sent` says whether something was sent
    /// to it since it last looked.
    pub(super) fn look(&self, place: usize, after: u64, sent: bool, context: &Context<'_>) -> Look {
        let mut state = self.lock();
        if state.takes_beat(place, sent) {
            return Look::Beat;
        }
        if after < state.tail.sequence {
            return state.next_after(after);
        }
        if state.tail.closed {
            return Look::Closed;
        }
        if let Some(halt) = state.halt {
            return Look::Halted(halt);
        }
        state.seats[place].park(false, context);
        Look::Pending
    }

    /// Whether the reader at `place`, which waits for its file, is due a beat; it is woken when it will be.
    pub(super) fn beat_while_reading(&self, place: usize, sent: bool, context: &Context<'_>) -> bool {
        let mut state = self.lock();
        let beat = state.takes_beat(place, sent);
        if !beat {
            state.seats[place].park(true, context);
        }
        beat
    }
}

impl State {
    fn next_after(&self, after: u64) -> Look {
        let next = after + 1;
        if self.batches.front().is_none_or(|oldest| next < oldest.first) {
            return Look::Behind(self.tail);
        }
        let index = self.batches.partition_point(|batch| batch.last() < next);
        Look::Live(self.batches[index].clone())
    }

    /// Whether the reader at `place` says now that the stream is alive.
    fn takes_beat(&mut self, place: usize, sent: bool) -> bool {
        let ticks = self.ticks;
        let seat = &mut self.seats[place];
        let beat = !sent && seat.is_due(ticks);
        if sent || beat {
            seat.quiet_since = ticks;
        }
        beat
    }

    /// Those of readers that wait for an event.
    fn take_wakers(&mut self) -> Vec<Waker> {
        let waiting = self.seats.iter_mut().filter(|seat| !seat.is_reading);
        waiting.filter_map(|seat| seat.waker.take()).collect()
    }
}
