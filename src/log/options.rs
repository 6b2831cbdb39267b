//! How logs are written; the same for all of a data directory.

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
    /// The journal has two segments of this size, reserved on the disk.
    pub segment_bytes: u64,
    /// Batches from this size on are synced in their own file and not written twice.
    pub direct_bytes: usize,
    pub direct_threads: usize,
    /// Logs without a writer that may stay open until the next checkpoint; beyond that each is synced and closed.
    pub idle_files: usize,
    /// How many batches may wait; see [`LogWriter::commit`].
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
