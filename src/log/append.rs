//! One batch on its way into a log.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::counters::Counters;
use super::error::CommitError;
use super::stream_file::StreamFile;

/// A batch that has been submitted and not yet acknowledged.
pub(super) struct Append {
    pub(super) stream: Arc<StreamFile>,
    pub(super) batch: Bytes,
    pub(super) offset: u64,
    /// It may be acknowledged when it is written.
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
                // After a failed sync the file reads as if the batch were there, though the disk may not have it. The
                // next one that opens the log, even after a kill of this process, must not take it for durable. If the
                // cut fails too, the durable length that the owner recorded still prevents that.
                let _ = self.stream.file.set_len(self.offset);
            }
        }
        // Before the answer: its receiver may send the next batch at once, and must not be refused as busy.
        self.stream.end();
        if let Some(reply) = self.reply.take() {
            // The caller may have gone; the batch is in the log all the same.
            let _ = reply.send(written.map(|()| self.end()));
        }
    }
}

impl Drop for Append {
    /// Dropped without `finish`: the threads have stopped, and whether the batch is durable is not known.
    fn drop(&mut self) {
        if self.reply.is_some() {
            self.stream.fail();
            self.stream.end();
        }
    }
}
