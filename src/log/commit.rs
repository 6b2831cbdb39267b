//! The committer: one thread that takes every waiting batch, makes all of them durable with one sync of the journal,
//! writes them into their files and acknowledges them. Batches that arrive meanwhile join the next round.
//!
//! Law: a batch is acknowledged only when it is durable under the policy. A batch whose write or sync failed is never
//! retried, and its log accepts no more. A failure of a journal on this disk is not a failure of the logs: the round takes
//! the direct path instead, where each log is synced by itself, and so does everything after it. A journal that other
//! machines keep has no such path: what they do not have is not acknowledged.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use super::append::Append;
use super::counters::Counters;
use super::direct::{self, Direct};
use super::error::CommitError;
use super::journal::{Appender, Item, Journal};
use super::queue::Queue;
use super::record::record_size;
use super::stream_file::StreamFile;

pub(super) enum Request {
    Append(Append),
    /// Voids the records that the journal has of this log beyond `length`.
    Cut {
        stream: Arc<StreamFile>,
        length: u64,
        reply: SyncSender<io::Result<()>>,
    },
}

/// What the committer is asked for.
pub(super) enum Order {
    Commit(Request),
    /// To note that what follows goes on with logs of another journal.
    Adopt {
        journal: String,
        sequence: u64,
        reply: SyncSender<io::Result<()>>,
    },
}

impl Request {
    fn size(&self) -> u64 {
        match self {
            Self::Append(append) => record_size(&append.stream.path, append.batch.len()) as u64,
            Self::Cut { stream, .. } => record_size(&stream.path, 0) as u64,
        }
    }

    fn item(&self) -> Item<'_> {
        match self {
            Self::Append(Append { stream, offset, batch, .. }) => Item::Bytes { stream, offset: *offset, bytes: batch },
            Self::Cut { stream, length, .. } => Item::Cut { stream, length: *length },
        }
    }
}

pub(super) struct Committer<J: Journal> {
    pub(super) queue: Arc<Queue<Order>>,
    pub(super) journal: Arc<J>,
    pub(super) appender: J::Appender,
    pub(super) direct: Arc<Queue<Direct>>,
    pub(super) counters: Arc<Counters>,
}

impl<J: Journal> Committer<J> {
    /// Runs on a thread of its own until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let limit = self.journal.round_limit() / 2;
        let mut round = Vec::new();
        while let Some(waiting) = self.queue.drain() {
            let mut size = 0;
            for order in waiting {
                match order {
                    Order::Commit(Request::Append(append)) if append.unsynced => self.write_only(append),
                    Order::Commit(request) => {
                        size += request.size();
                        round.push(request);
                    }
                    Order::Adopt { journal, sequence, reply } => {
                        self.commit(&mut round);
                        size = 0;
                        let _ = reply.send(self.appender.adopt(&journal, sequence));
                    }
                }
                // Half of what a round may hold, since the request that exceeds it can be nearly as large.
                if size >= limit {
                    self.commit(&mut round);
                    size = 0;
                }
            }
            self.commit(&mut round);
        }
    }

    /// Under the policy `write`: acknowledged without a sync. The flag keeps later batches out of the journal until the
    /// file is synced, for a record behind bytes that a power cut can take away could not be replayed.
    fn write_only(&self, append: Append) {
        append.stream.set_unsynced(true);
        self.write_to_file(append);
    }

    fn commit(&mut self, round: &mut Vec<Request>) {
        if round.is_empty() {
            return;
        }
        let items: Vec<_> = round.iter().map(Request::item).collect();
        let begun = Instant::now();
        let journaled = self.appender.append(&items);
        drop(items);
        match journaled {
            Ok(()) => {
                self.counters.journal_latency.observe_time(begun.elapsed());
                self.counters.round_batches.observe(round.len() as u64);
                Counters::add(&self.counters.journal_syncs, 1);
                round.drain(..).for_each(|request| self.settle(request));
                self.appender.settled();
            }
            Err(error) if !self.journal.allows_direct() => {
                Counters::add(&self.counters.journal_failures, 1);
                let is_halted = self.journal.state().halted.is_some();
                let error = Arc::new(error);
                round.drain(..).for_each(|request| self.give_up(request, is_halted, &error));
            }
            Err(error) => {
                Counters::add(&self.counters.journal_failures, 1);
                tracing::error!(%error, "the journal has failed; from now on each batch is synced in its own file");
                round.drain(..).for_each(|request| self.divert(request, &error));
            }
        }
    }

    /// The items are durable in the journal. Their files get the bytes without a sync: after a crash the replay writes
    /// them again. Readers read the file, so it comes before the acknowledgement.
    fn settle(&self, request: Request) {
        match request {
            Request::Append(append) => self.write_to_file(append),
            Request::Cut { reply, .. } => drop(reply.send(Ok(()))),
        }
    }

    /// The round may be in the journal or not. A replay would write the same bytes at the same offsets, so the direct path
    /// may write them now. A cut has no such path: its caller must not take the log over.
    fn divert(&self, request: Request, error: &io::Error) {
        match request {
            Request::Append(append) => direct::send(&self.direct, append),
            Request::Cut { reply, .. } => drop(reply.send(Err(io::Error::new(error.kind(), error.to_string())))),
        }
    }

    /// Nothing but the journal could make the round durable.
    fn give_up(&self, request: Request, is_halted: bool, error: &Arc<io::Error>) {
        let why = if is_halted { CommitError::Halted } else { CommitError::Unanswered };
        match request {
            Request::Append(append) => append.finish_counted(Err(why(error.clone())), &self.counters),
            Request::Cut { reply, .. } => drop(reply.send(Err(io::Error::other(error.clone())))),
        }
    }

    fn write_to_file(&self, append: Append) {
        // A checkpoint may have failed to sync the file since the batch was queued.
        let written = match append.stream.has_failed() {
            true => Err(CommitError::Failed),
            false => append.stream.write(&append.batch, append.offset),
        };
        append.finish_counted(written, &self.counters);
    }
}

impl<J: Journal> Drop for Committer<J> {
    /// Also when it panics: callers must not wait for answers that never come.
    fn drop(&mut self) {
        self.queue.abandon();
    }
}
