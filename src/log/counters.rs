//! What the log counts, for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::meter::{Distribution, Histogram};

pub(super) struct Counters {
    pub(super) batches: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) failed_batches: AtomicU64,
    pub(super) direct_batches: AtomicU64,
    pub(super) journal_syncs: AtomicU64,
    pub(super) journal_failures: AtomicU64,
    pub(super) torn_tails: AtomicU64,
    pub(super) compressed_logs: AtomicU64,
    pub(super) archived_logs: AtomicU64,
    pub(super) deleted_logs: AtomicU64,
    pub(super) freed_bytes: AtomicU64,
    /// Writing and syncing a round of the journal.
    pub(super) journal_latency: Histogram,
    /// Writing and syncing a batch in its own file.
    pub(super) direct_latency: Histogram,
    /// Batches, of as many streams, that one sync of the journal made durable.
    pub(super) round_batches: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self {
            batches: zero(),
            bytes: zero(),
            failed_batches: zero(),
            direct_batches: zero(),
            journal_syncs: zero(),
            journal_failures: zero(),
            torn_tails: zero(),
            compressed_logs: zero(),
            archived_logs: zero(),
            deleted_logs: zero(),
            freed_bytes: zero(),
            journal_latency: Histogram::of_latencies(),
            direct_latency: Histogram::of_latencies(),
            round_batches: Histogram::of_amounts(),
        }
    }
}

/// How long syncs took, and how much each made durable.
#[derive(Debug, Clone, PartialEq)]
pub struct LogDistributions {
    pub journal_latency: Distribution,
    pub direct_latency: Distribution,
    pub round_batches: Distribution,
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
    pub archived_logs: u64,
    pub deleted_logs: u64,
    /// Bytes of the disk, by compressing, archiving and deleting.
    pub freed_bytes: u64,
    /// Frames of compressed logs that were decompressed for readers.
    pub frames_unpacked: u64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn distributions(&self) -> LogDistributions {
        LogDistributions {
            journal_latency: self.journal_latency.read(),
            direct_latency: self.direct_latency.read(),
            round_batches: self.round_batches.read(),
        }
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
            archived_logs: get(&self.archived_logs),
            deleted_logs: get(&self.deleted_logs),
            freed_bytes: get(&self.freed_bytes),
            // Counted where the frames are kept.
            frames_unpacked: 0,
        }
    }
}
