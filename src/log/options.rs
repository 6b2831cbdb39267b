//! How logs are written; the same for a whole data directory.

/// When a batch counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is on the disk.
    #[default]
    Fsync,
    /// When it is written: it survives the death of the process, not that of the host.
    Write,
}

#[derive(Debug, Clone)]
pub struct LogOptions {
    pub durability: Durability,
    /// The size of each of the journal's two segments, reserved on the disk.
    pub segment_bytes: u64,
    /// Batches of at least this size are synced in their own file instead of being written twice.
    pub direct_bytes: usize,
    pub direct_threads: usize,
    /// How many logs without a writer may stay open until the next checkpoint; beyond that each is synced and closed.
    pub idle_files: usize,
    /// How many batches may be queued; see [`LogWriter::commit`].
    pub queue_batches: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            segment_bytes: 32 << 20,
            direct_bytes: 128 << 10,
            direct_threads: 8,
            idle_files: 256,
            queue_batches: 1 << 16,
        }
    }
}
