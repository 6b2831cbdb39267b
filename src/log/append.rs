//! One batch on its way into a log.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::counters::Counters;
use super::error::CommitError;
use super::stream_file::StreamFile;

/// A batch under way.
pub(super) struct Append {
    pub(super) stream: Arc<StreamFile>,
    pub(super) batch: Bytes,
    pub(super) offset: u64,
    /// Written is enough.
    pub(super) unsynced: bool,
    pub(super) reply: Option<oneshot::Sender<Result<u64, CommitError>>>,
}

impl Append {
    pub(super) fn end(&self) -> u64 {
        self.offset + self.batch.len() as u64
    }

    /// Counts the batch, then finishes it.
    pub(super) fn finish_counted(self, written: Result<(), CommitError>, counters: &Counters) {
        if written.is_ok() {
            Counters::add(&counters.batches, 1);
            Counters::add(&counters.bytes, self.batch.len() as u64);
        } else {
            Counters::add(&counters.failed_batches, 1);
        }
        self.finish(written);
    }

    pub(super) fn finish(mut self, written: Result<(), CommitError>) {
        match &written {
            Ok(()) => self.stream.advance(self.end()),
            Err(_) => {
                self.stream.fail();
                // After a failed sync the file reads as if the batch were there, though the disk may not have it; who
                // opens it next, even after a kill, must not take it over. If this fails too, the limit they are
                // given still keeps them from it.
                let _ = self.stream.file.set_len(self.offset);
            }
        }
        // Before the answer: who gets it may send the next batch at once.
        self.stream.end();
        if let Some(reply) = self.reply.take() {
            // Nobody may be waiting any more; the batch is in the log all the same.
            let _ = reply.send(written.map(|()| self.end()));
        }
    }
}

impl Drop for Append {
    /// Not finished: the threads are gone, and whether the batch is durable is not known.
    fn drop(&mut self) {
        if self.reply.is_some() {
            self.stream.fail();
            self.stream.end();
        }
    }
}
