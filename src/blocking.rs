//! Work that may wait for a disk or the process table.

use std::io;

/// Runs `work` on a thread that may block. A panic in it, and a runtime that is shutting down, become errors.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
