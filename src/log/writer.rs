//! The writing end of one log.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::append::Append;
use super::commit::{Order, Request};
use super::direct::{self, Direct};
use super::disk::DiskFile;
use super::error::{CommitError, OpenLogError};
use super::journal::Journal;
use super::node_journal::NodeJournal;
use super::options::Durability;
use super::shared::Shared;
use super::stream_file::{Claim, StreamFile};

/// Appends to one log; there is never a second one for the same log.
///
/// It may be dropped while a batch is in flight: the batch is still completed, and the next [`LogRoot::writer`] of this
/// log waits for that.
///
/// [`LogRoot::writer`]: super::LogRoot::writer
pub struct LogWriter<J: Journal = NodeJournal> {
    shared: Arc<Shared<J>>,
    stream: Arc<StreamFile>,
    /// Where the file begins in the log.
    start: u64,
    /// Held for as long as this lives.
    _claim: Claim,
}

impl<J: Journal> LogWriter<J> {
    pub(super) fn new(shared: Arc<Shared<J>>, stream: Arc<StreamFile>, start: u64, claim: Claim) -> Self {
        Self { shared, stream, start, _claim: claim }
    }

    /// Submits a batch of whole lines. Resolves to the length of the log once the batch is durable.
    ///
    /// One batch at a time: the next is refused until this one has been answered. Under the policy `write` a batch counts as
    /// durable when it is written, unless `sync` is set.
    ///
    /// The batch is queued within this call. The queue has room for one batch of each of far more streams than are
    /// ever active, so the call blocks only if that many batches are already waiting for the disk.
    pub fn commit(&mut self, batch: Bytes, sync: bool) -> Commit {
        match self.admit(&batch) {
            Ok(None) => {}
            Ok(Some(durable)) => return Commit(State::Ready(Some(Ok(durable)))),
            Err(error) => return Commit(State::Ready(Some(Err(error)))),
        }
        let unsynced = self.shared.options.durability == Durability::Write && !sync;
        let (reply, answer) = oneshot::channel();
        let offset = self.stream.durable();
        let append = Append { stream: self.stream.clone(), batch, offset, unsynced, reply: Some(reply) };
        self.send(append);
        Commit(State::InFlight(answer))
    }

    /// How much of the log is durable; after a failure, what it must be cut to.
    pub fn durable_bytes(&self) -> u64 {
        self.start + self.stream.durable()
    }

    /// A batch has failed, or the log's file could not be synced: it accepts no more until it is opened again.
    pub fn has_failed(&self) -> bool {
        self.stream.has_failed()
    }

    pub(super) fn file(&self) -> &dyn DiskFile {
        &*self.stream.file
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Makes the file durable by itself.
    pub(super) fn sync(&self) -> std::io::Result<()> {
        self.stream.sync()
    }

    /// Voids all records that the journal has of the file, which must be durable by itself.
    pub(super) fn void_journal(&self) -> Result<(), OpenLogError> {
        self.shared.void_journal(&self.stream)
    }

    /// Whether the batch is accepted; with the answer if there is nothing to do.
    fn admit(&self, batch: &Bytes) -> Result<Option<u64>, CommitError> {
        if self.stream.has_failed() {
            return Err(CommitError::Failed);
        }
        if batch.last().is_some_and(|byte| *byte != b'\n') {
            return Err(CommitError::NotWholeLines);
        }
        if batch.is_empty() && !self.stream.is_unsynced() {
            return Ok(Some(self.stream.durable()));
        }
        if self.stream.begin() { Ok(None) } else { Err(CommitError::Busy) }
    }

    fn send(&self, append: Append) {
        if !append.unsynced && self.goes_direct(append.batch.len()) {
            return direct::send(&self.shared.direct, append);
        }
        let order = Order::Commit(Request::Append(append));
        if let Err(Order::Commit(Request::Append(append))) = self.shared.queue.push(order) {
            append.finish(Err(CommitError::Closed));
        }
    }

    /// The journal holds only what is appended to durable bytes: after bytes that are written but not synced, the file
    /// itself must be synced.
    fn goes_direct(&self, size: usize) -> bool {
        let journal = &self.shared.journal;
        journal.allows_direct()
            && (size >= self.shared.direct_bytes() || self.stream.is_unsynced() || journal.has_failed())
    }
}

impl<J: Journal> Drop for LogWriter<J> {
    fn drop(&mut self) {
        if self.shared.journal.held_files() > self.shared.options.idle_files {
            // A closed queue means that the root is closing: its last checkpoint syncs the file.
            let _ = self.shared.direct.push(Direct::Release(self.stream.clone()));
        }
    }
}

/// The outcome of a batch: the durable length of the log with it.
#[must_use = "a batch is durable only when this says so"]
pub struct Commit(State);

enum State {
    Ready(Option<Result<u64, CommitError>>),
    InFlight(oneshot::Receiver<Result<u64, CommitError>>),
}

impl Commit {
    /// Waits on the calling thread.
    ///
    /// # Panics
    /// On a thread that drives asynchronous tasks.
    pub fn wait(self) -> Result<u64, CommitError> {
        match self.0 {
            State::Ready(outcome) => outcome.unwrap_or(Err(CommitError::Closed)),
            State::InFlight(answer) => answer.blocking_recv().unwrap_or(Err(CommitError::Closed)),
        }
    }
}

impl Future for Commit {
    type Output = Result<u64, CommitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(outcome) => Poll::Ready(outcome.take().unwrap_or(Err(CommitError::Closed))),
            State::InFlight(answer) => {
                Pin::new(answer).poll(context).map(|outcome| outcome.unwrap_or(Err(CommitError::Closed)))
            }
        }
    }
}
