//! What can go wrong at a stream, per operation.

use crate::log::{OpenLogError, OpenReaderError};

/// An append was not made: nothing of it has a sequence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("the stream has ended")]
    Closed,
    /// The log failed. The events may be in the file or not; they are never shown.
    #[error("the log of the stream failed at byte {durable_bytes}")]
    Degraded { durable_bytes: u64 },
    /// Only a producer that does not await its acknowledgements can get this far.
    #[error("too many events are waiting to be written")]
    Overloaded,
    /// The actor panicked before the events were handed to the log: they are nowhere, and may be sent again.
    #[error("the stream's actor panicked before it accepted the events")]
    Lost,
    /// The threads of the service have stopped; whether the events are in the log is not known.
    #[error("the stream's actor has stopped")]
    Gone,
}

#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    #[error("the stream has reached its limit of {limit} subscribers")]
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
    /// Its log failed under the previous actor; it can be opened again at the next start of the service.
    #[error("the stream is degraded")]
    Degraded,
    /// Something other than this service has cut the file; sequences that readers have seen would be given again.
    #[error("the log has {found} bytes, but {shown} were already shown to readers")]
    Shrunk { found: u64, shown: u64 },
}
