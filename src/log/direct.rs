//! The direct path: large batches, and all of them once the journal has failed, are synced in their own file.
//!
//! Law: whatever part of a batch a crash leaves behind, recovery must see that it is only a part. A disk may keep the
//! end of a write and lose its middle, so the file is first extended to its new length, and the newline that ends the
//! batch is written only when everything before it is durable: until then the log ends in something that is not an
//! event, and recovery checks and cuts it.

use std::sync::Arc;
use std::time::Instant;

use super::append::Append;
use super::counters::Counters;
use super::error::CommitError;
use super::journal::Journal;
use super::queue::Queue;
use super::scan::UNSETTLED;
use super::stream_file::StreamFile;

pub(super) enum Direct {
    Append(Append),
    /// The writer has been dropped; see [`Journal::release`].
    Release(Arc<StreamFile>),
}

/// Hands a batch to the direct writers; if they have stopped, it has failed.
pub(super) fn send(queue: &Queue<Direct>, append: Append) {
    if let Err(Direct::Append(append)) = queue.push(Direct::Append(append)) {
        append.finish(Err(CommitError::Closed));
    }
}

/// Runs on each of a few threads until the queue is closed and empty.
pub(super) fn run(queue: &Queue<Direct>, journal: &impl Journal, counters: &Counters) {
    while let Some(task) = queue.pop() {
        match task {
            Direct::Release(stream) => journal.release(&stream),
            Direct::Append(append) => {
                Counters::add(&counters.direct_batches, 1);
                let begun = Instant::now();
                let written = append_durably(&append);
                counters.direct_latency.observe_time(begun.elapsed());
                append.finish_counted(written, counters);
            }
        }
    }
}

fn append_durably(append: &Append) -> Result<(), CommitError> {
    let Append { stream, batch, offset, .. } = append;
    if stream.has_failed() {
        return Err(CommitError::Failed);
    }
    let Some((newline, body)) = batch.split_last() else { return sync_all(stream) };
    // The length first, by itself: then the newline changes no size, and a power cut cannot keep a longer file whose
    // last byte happens to be the newline while the rest is missing.
    stream.file.set_len(append.end()).map_err(|error| CommitError::Write(Arc::new(error)))?;
    sync(stream)?;
    let mut at = *offset;
    // In pieces: recovery looks for damage only in the last `UNSETTLED` bytes, so no more than that may be unsynced.
    for part in body.chunks(UNSETTLED as usize) {
        stream.write(part, at)?;
        sync(stream)?;
        at += part.len() as u64;
    }
    stream.write(&[*newline], at)?;
    sync_all(stream)
}

fn sync_all(stream: &StreamFile) -> Result<(), CommitError> {
    sync(stream)?;
    stream.set_unsynced(false);
    Ok(())
}

fn sync(stream: &StreamFile) -> Result<(), CommitError> {
    stream.sync().map_err(|error| CommitError::Sync(Arc::new(error)))
}
