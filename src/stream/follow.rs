//! Following a stream from a position: the file up to the tail, then live, back to the file when behind.
//!
//! Law: chunks are contiguous. The first event of each is the one after the last event of the one
//! before, across every change between file and live (checked at each step).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::error::SubscribeError;
use super::window::{Batch, Halt, Hub, PollOutcome, Tail};
use crate::domain::sequence::Start;

/// A run of whole events, in order.
#[derive(Debug, Clone)]
pub enum Chunk {
    /// Events `from..to` of a batch that other readers share.
    Live {
        batch: Arc<Batch>,
        from: usize,
        to: usize,
    },
    File {
        first: u64,
        last: u64,
        lines: Bytes,
    },
}

impl Chunk {
    pub fn first(&self) -> u64 {
        match self {
            Self::Live { batch, from, .. } => batch.first + *from as u64,
            Self::File { first, .. } => *first,
        }
    }

    pub fn last(&self) -> u64 {
        match self {
            Self::Live { batch, to, .. } => batch.first + *to as u64 - 1,
            Self::File { last, .. } => *last,
        }
    }

    /// How many bytes of lines.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Live { batch, from, to } => {
                let start = if *from == 0 { 0 } else { batch.ends[from - 1] };
                (batch.ends[to - 1] - start) as usize
            }
            Self::File { lines, .. } => lines.len(),
        }
    }

    /// The stored lines, newlines included.
    pub fn lines(&self) -> Bytes {
        match self {
            Self::Live { batch, from, to } => slice(&batch.lines, &batch.ends, *from, *to),
            Self::File { lines, .. } => lines.clone(),
        }
    }

    /// Each event's sequence and line.
    pub fn for_each(&self, mut visit: impl FnMut(u64, &[u8])) {
        let lines = self.lines();
        let mut start = 0;
        for (sequence, newline) in (self.first()..).zip(memchr::memchr_iter(b'\n', &lines)) {
            visit(sequence, &lines[start..=newline]);
            start = newline + 1;
        }
    }

    /// The chunk in the form that `frame` gives each event. It is made once per batch for all live
    /// readers, so every caller must pass the same `frame`.
    pub fn framed(&self, frame: impl Fn(&mut Vec<u8>, u64, &[u8])) -> Bytes {
        match self {
            Self::Live { batch, from, to } => {
                let framed = batch.framed(frame);
                slice(&framed.bytes, &framed.ends, *from, *to)
            }
            Self::File { .. } => self.rendered(frame),
        }
    }

    /// As [`Chunk::framed`], for this reader alone.
    pub fn rendered(&self, frame: impl Fn(&mut Vec<u8>, u64, &[u8])) -> Bytes {
        let mut out = Vec::with_capacity(self.lines().len() + 48 * (self.last() - self.first() + 1) as usize);
        self.for_each(|sequence, line| frame(&mut out, sequence, line));
        out.into()
    }
}

fn slice(bytes: &Bytes, ends: &[u32], from: usize, to: usize) -> Bytes {
    let start = if from == 0 { 0 } else { ends[from - 1] as usize };
    bytes.slice(start..ends[to - 1] as usize)
}

/// Why there is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The terminal event has been delivered.
    Closed,
    Halted(Halt),
}

#[derive(Debug)]
pub enum Item {
    Chunk(Chunk),
    /// Nothing was sent for a heartbeat interval ([`Follow::sent`]).
    Heartbeat,
    End(End),
}

/// Smallest and largest chunk, in bytes of lines.
const CHUNK: (usize, usize) = (4 << 10, 128 << 10);
/// A reader that takes longer than this to ask for more gets the smallest chunks again.
const PROMPT: Duration = Duration::from_millis(50);

/// How much a reader gets at once. What it got lies in its connection's write buffer until its socket takes it, so a
/// reader earns larger chunks by having taken many small ones, and one that never reads costs little more than an idle
/// one.
#[derive(Debug)]
struct ChunkBudget {
    taken: usize,
    last: Option<Instant>,
}

impl ChunkBudget {
    fn chunk(&mut self, now: Instant) -> usize {
        if self.last.is_some_and(|last| now.duration_since(last) > PROMPT) {
            self.taken = 0;
        }
        self.last = Some(now);
        (self.taken / 64).clamp(CHUNK.0, CHUNK.1)
    }
}

/// How much a reader gets before it yields to the other tasks of its thread, in bytes of lines.
const YIELD_AFTER: usize = 64 << 10;

/// A reader's position in a stream. It holds no events.
pub struct Follow {
    hub: Arc<Hub>,
    slot: usize,
    after: u64,
    /// Where the event after `after` begins in the file, once known.
    offset: Option<u64>,
    reading: Option<JoinHandle<io::Result<FileRead>>>,
    budget: ChunkBudget,
    /// Bytes since it last yielded.
    since_yield: usize,
    /// Something was sent since the hub was last polled.
    sent: bool,
    /// Not the service itself.
    is_client: bool,
    /// It has had everything that there was.
    was_live: bool,
}

struct FileRead {
    first: u64,
    lines: Bytes,
    next_offset: u64,
}

impl Follow {
    /// Subscribes at the hub, which takes at most `limit` of these, and begins at `start`.
    pub fn new(hub: Arc<Hub>, start: Start, limit: usize) -> Result<Self, SubscribeError> {
        let slot = hub.subscribe(Some(limit))?;
        Self::at(hub, slot, start, true)
    }

    /// For the service itself, which must never be crowded out by readers: does not count towards their limit.
    pub fn inside(hub: Arc<Hub>, start: Start) -> Result<Self, SubscribeError> {
        let slot = hub.subscribe(None)?;
        Self::at(hub, slot, start, false)
    }

    fn at(hub: Arc<Hub>, slot: usize, start: Start, is_client: bool) -> Result<Self, SubscribeError> {
        let budget = ChunkBudget { taken: 0, last: None };
        // A `Follow` from here on, so that the slot is given back if the position is refused.
        let mut follow = Self {
            hub,
            slot,
            after: 0,
            offset: None,
            reading: None,
            budget,
            since_yield: 0,
            sent: false,
            is_client,
            was_live: false,
        };
        let tail = follow.hub.tail();
        let first = follow.hub.reader().first_sequence();
        follow.after = start.resolve(first, tail.sequence)?;
        if follow.after + 1 == first {
            follow.offset = Some(0);
        } else if follow.after == tail.sequence {
            follow.offset = Some(tail.bytes);
        }
        Ok(follow)
    }

    /// The last event that this reader has.
    pub fn position(&self) -> u64 {
        self.after
    }

    /// Whether it waits for its file. A reader of several streams reads one file at a time.
    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Something was sent to the client that reads through this; what a filter leaves out does not count.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// Whether it has every event that there is.
    pub fn is_caught_up(&self) -> bool {
        !self.is_reading() && self.after == self.hub.tail().sequence
    }

    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// True when everything there will ever be has been delivered: up to the end, or to where the log failed.
    pub fn is_finished(&self) -> bool {
        let tail = self.hub.tail();
        let over = tail.closed || self.hub.halt() == Some(Halt::Degraded);
        self.reading.is_none() && over && self.after == tail.sequence
    }

    pub async fn next(&mut self) -> io::Result<Item> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Item>> {
        if self.since_yield >= YIELD_AFTER {
            self.since_yield = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.poll_item(context);
        match &polled {
            Poll::Ready(Ok(Item::Chunk(chunk))) => self.since_yield += chunk.bytes(),
            _ => self.since_yield = 0,
        }
        polled
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Item>> {
        loop {
            if self.reading.is_some() {
                return self.poll_reading(context);
            }
            match self.hub.poll(self.slot, self.after, std::mem::take(&mut self.sent), context) {
                PollOutcome::Live(batch) => return Poll::Ready(Ok(Item::Chunk(self.take_live(batch)))),
                PollOutcome::Behind(tail) => {
                    self.count_demotion(tail);
                    if let Some(read) = self.read_cached(tail) {
                        return Poll::Ready(self.take_file(read).map(Item::Chunk));
                    }
                }
                PollOutcome::Closed => return Poll::Ready(Ok(Item::End(End::Closed))),
                PollOutcome::Halted(halt) => return Poll::Ready(Ok(Item::End(End::Halted(halt)))),
                PollOutcome::Heartbeat => return Poll::Ready(Ok(Item::Heartbeat)),
                PollOutcome::Pending => {
                    self.was_live = true;
                    return Poll::Pending;
                }
            }
        }
    }

    /// A client that had everything there was is behind now.
    fn count_demotion(&mut self, tail: Tail) {
        if std::mem::take(&mut self.was_live) && self.is_client {
            let meters = self.hub.meters();
            meters.demotions.add(1);
            meters.lag.observe(tail.sequence - self.after);
        }
    }

    fn take_live(&mut self, batch: Arc<Batch>) -> Chunk {
        self.was_live = true;
        if self.is_client && batch.is_first_delivery() {
            self.hub.meters().delivery.observe_time(batch.admitted().elapsed());
        }
        let from = (self.after + 1 - batch.first) as usize;
        let start = if from == 0 { 0 } else { batch.ends[from - 1] as usize };
        let limit = start + self.budget.chunk(Instant::now());
        let to = batch.ends.partition_point(|&end| end as usize <= limit).max(from + 1);
        let end = batch.ends[to - 1] as usize;
        self.advance(batch.first + to as u64 - 1, batch.offset + end as u64, end - start);
        Chunk::Live { batch, from, to }
    }

    /// What is in the page cache is read at once: a blocking thread would cost more than the read. Otherwise one does it.
    fn read_cached(&mut self, tail: Tail) -> Option<FileRead> {
        let max = self.budget.chunk(Instant::now());
        let cached = self.offset.and_then(|offset| self.hub.reader().read_cached(offset, tail.bytes, max));
        if cached.is_none() {
            self.start_reading(tail, max);
        }
        cached.map(|chunk| FileRead { first: self.after + 1, lines: chunk.lines, next_offset: chunk.next_offset })
    }

    fn start_reading(&mut self, tail: Tail, max: usize) {
        let reader = self.hub.reader().clone();
        let (after, offset) = (self.after, self.offset);
        self.reading = Some(tokio::task::spawn_blocking(move || {
            let offset = match offset {
                Some(offset) => offset,
                None => reader.seek(after, tail.bytes)?,
            };
            let chunk = reader.read(offset, tail.bytes, max)?;
            Ok(FileRead { first: after + 1, lines: chunk.lines, next_offset: chunk.next_offset })
        }));
    }

    fn poll_reading(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Item>> {
        match self.poll_file(context).map_ok(Item::Chunk) {
            Poll::Pending if self.hub.heartbeat_while_reading(self.slot, std::mem::take(&mut self.sent), context) => {
                Poll::Ready(Ok(Item::Heartbeat))
            }
            polled => polled,
        }
    }

    fn poll_file(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        let reading = self.reading.as_mut().expect("polled only while reading");
        let outcome = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        Poll::Ready(self.take_file(outcome.map_err(io::Error::other)??))
    }

    fn take_file(&mut self, FileRead { first, lines, next_offset }: FileRead) -> io::Result<Chunk> {
        let count = memchr::memchr_iter(b'\n', &lines).count() as u64;
        // The file is shorter than what was shown: something other than this service has cut it. Going on would skip
        // events or wait for ever.
        if count == 0 || first != self.after + 1 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the log is shorter than its tail"));
        }
        let last = self.after + count;
        self.advance(last, next_offset, lines.len());
        Ok(Chunk::File { first, last, lines })
    }

    fn advance(&mut self, last: u64, offset: u64, bytes: usize) {
        self.after = last;
        self.offset = Some(offset);
        self.budget.taken += bytes;
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.hub.unsubscribe(self.slot);
    }
}
