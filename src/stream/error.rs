//! What can go wrong at a stream, per operation.

use crate::log::{OpenLogError, OpenReaderError};

/// An append was not made: nothing of it has a sequence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("the stream has ended")]
    Closed,
    /// The log failed; the events may or may not be in the file, and are never shown.
    #[error("the log of the stream failed at byte {durable_bytes}")]
    Degraded { durable_bytes: u64 },
    /// Producers wait for their acknowledgements, so this means one that does not.
    #[error("too many events are waiting to be written")]
    Overloaded,
    /// The actor died before the events were handed to the log: they are nowhere, and may be sent again.
    #[error("the stream's actor died before it took the events")]
    Lost,
    /// The threads of the service have ended under it; what became of the events is not known.
    #[error("the stream's actor is gone for good")]
    Gone,
}

#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    #[error("the stream has its {limit} subscribers already")]
    TooMany { limit: usize },
    #[error(transparent)]
    NoPosition(#[from] crate::domain::sequence::NoPosition),
}

#[derive(Debug, thiserror::Error)]
pub enum OpenStreamError {
    #[error(transparent)]
    Log(#[from] OpenLogError),
    #[error(transparent)]
    Reader(#[from] OpenReaderError),
    #[error("the log could not be opened: {0}")]
    Io(#[from] std::io::Error),
    /// Its log failed under the actor before this one; only the next start takes it up again.
    #[error("the stream is degraded")]
    Degraded,
    /// Something other than this service has cut the file; the numbers given so far would be given again.
    #[error("the log has {found} bytes, and {shown} were shown already")]
    Shrunk { found: u64, shown: u64 },
}
