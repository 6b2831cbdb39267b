//! What the log counts, for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub(super) struct Counters {
    pub(super) batches: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) failed_batches: AtomicU64,
    pub(super) direct_batches: AtomicU64,
    pub(super) journal_syncs: AtomicU64,
    pub(super) journal_failures: AtomicU64,
    pub(super) torn_tails: AtomicU64,
    pub(super) compressed_logs: AtomicU64,
    pub(super) deleted_logs: AtomicU64,
    pub(super) freed_bytes: AtomicU64,
}

/// Totals since the log root was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogMetrics {
    pub batches: u64,
    pub bytes: u64,
    pub failed_batches: u64,
    /// Of the batches, those that were synced in their own file.
    pub direct_batches: u64,
    pub journal_syncs: u64,
    /// If not 0, the journal is out of use until the next start.
    pub journal_failures: u64,
    pub torn_tails: u64,
    pub compressed_logs: u64,
    pub deleted_logs: u64,
    /// Bytes of the disk, by compressing and deleting.
    pub freed_bytes: u64,
    /// Frames of compressed logs that were decompressed for readers.
    pub frames_unpacked: u64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> LogMetrics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogMetrics {
            batches: get(&self.batches),
            bytes: get(&self.bytes),
            failed_batches: get(&self.failed_batches),
            direct_batches: get(&self.direct_batches),
            journal_syncs: get(&self.journal_syncs),
            journal_failures: get(&self.journal_failures),
            torn_tails: get(&self.torn_tails),
            compressed_logs: get(&self.compressed_logs),
            deleted_logs: get(&self.deleted_logs),
            freed_bytes: get(&self.freed_bytes),
            // Counted where the frames are kept.
            frames_unpacked: 0,
        }
    }
}
