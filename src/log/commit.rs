//! The committer: one thread that takes every batch that waits, makes all of them durable with one sync of the journal,
//! writes them into their files and answers. Batches that arrive meanwhile join the next round.
//!
//! Law: a batch is answered only when it is durable under the policy. A batch whose write or sync failed is never
//! tried again, and its log takes no more. A failure of the journal is none of the logs': the round goes the direct
//! way instead, where each log stands for itself, and so does everything after it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

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
    /// Voids what the journal says of the log beyond `length`.
    Cut {
        stream: Arc<StreamFile>,
        length: u64,
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
    pub(super) queue: Arc<Queue<Request>>,
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
            for request in waiting {
                match request {
                    Request::Append(append) if append.unsynced => self.write_only(append),
                    request => {
                        size += request.size();
                        round.push(request);
                    }
                }
                if size >= limit {
                    self.commit(&mut round);
                    size = 0;
                }
            }
            self.commit(&mut round);
        }
    }

    fn write_only(&self, append: Append) {
        append.stream.set_unsynced(true);
        self.write_to_file(append);
    }

    fn commit(&mut self, round: &mut Vec<Request>) {
        if round.is_empty() {
            return;
        }
        let items: Vec<_> = round.iter().map(Request::item).collect();
        let journaled = self.appender.append(&items);
        drop(items);
        match journaled {
            Ok(()) => {
                Counters::add(&self.counters.journal_syncs, 1);
                round.drain(..).for_each(|request| self.settle(request));
            }
            Err(error) => {
                Counters::add(&self.counters.journal_failures, 1);
                tracing::error!(%error, "the journal has failed; batches are synced one by one from here on");
                round.drain(..).for_each(|request| self.divert(request, &error));
            }
        }
    }

    /// Durable; the file gets the bytes without a sync of its own.
    fn settle(&self, request: Request) {
        match request {
            Request::Append(append) => self.write_to_file(append),
            Request::Cut { reply, .. } => drop(reply.send(Ok(()))),
        }
    }

    fn divert(&self, request: Request, error: &io::Error) {
        match request {
            Request::Append(append) => direct::send(&self.direct, append),
            Request::Cut { reply, .. } => drop(reply.send(Err(io::Error::new(error.kind(), error.to_string())))),
        }
    }

    fn write_to_file(&self, append: Append) {
        let written = match append.stream.has_failed() {
            true => Err(CommitError::Failed),
            false => append.stream.write(&append.batch, append.offset),
        };
        append.finish_counted(written, &self.counters);
    }
}

impl<J: Journal> Drop for Committer<J> {
    /// Also when it panics: nobody may wait for answers that never come.
    fn drop(&mut self) {
        self.queue.abandon();
    }
}
