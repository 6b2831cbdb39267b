//! What can go wrong at a log, per operation.

use std::io;
use std::sync::Arc;

use crate::files::is_absent;

#[derive(Debug, thiserror::Error)]
pub enum OpenRootError {
    #[error("cannot open the journal: {0}")]
    Journal(#[source] io::Error),
    #[error("cannot replay the journal: {0}")]
    Replay(#[source] io::Error),
    #[error("cannot reset the journal: {0}")]
    Reset(#[source] io::Error),
    #[error("cannot start the threads of the log: {0}")]
    Threads(#[source] io::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    #[error("the log is already open for writing")]
    InUse,
    /// Its last durable bytes are in the journal only, and are restored at the next start.
    #[error("the log cannot be opened again until the service restarts")]
    Unavailable,
    /// It has ended, and nothing is ever appended to it.
    #[error("the log is compressed")]
    Compressed,
    #[error("cannot open the log: {0}")]
    Io(#[from] io::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum OpenReaderError {
    #[error("log not found")]
    NotFound,
    #[error("cannot open the log: {0}")]
    Io(#[source] io::Error),
}

impl OpenReaderError {
    pub(super) fn from_io(error: io::Error) -> Self {
        if is_absent(&error) { Self::NotFound } else { Self::Io(error) }
    }
}

/// Why a batch is not durable. After any of these but the last two the log accepts no more.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    #[error("cannot write to the log: {0}")]
    Write(Arc<io::Error>),
    #[error("cannot sync the log: {0}")]
    Sync(Arc<io::Error>),
    #[error("the log has failed")]
    Failed,
    #[error("the log is closed")]
    Closed,
    /// The caller's mistake; the log is as it was.
    #[error("a batch of this log is still being written")]
    Busy,
    /// The caller's mistake; the log is as it was.
    #[error("a batch must be made of whole lines")]
    NotWholeLines,
}
