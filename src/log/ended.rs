//! Whether a log is over: only then anything else than appending is done with it.

use std::io;

use super::reader::{LogReader, Tail};
use crate::domain::StreamKey;
use crate::event::codec;

/// The last event is the terminal one.
pub(super) fn is_terminal(tail: &Tail, key: StreamKey) -> bool {
    let last = tail.last_line.as_deref().and_then(|line| codec::decode(line).ok());
    last.is_some_and(|event| event.is_terminal(key))
}

/// The last event is the terminal one, and nothing stands behind it.
pub(super) fn has_ended(reader: &LogReader, key: StreamKey) -> io::Result<bool> {
    let tail = reader.tail()?;
    Ok(is_terminal(&tail, key) && tail.bytes == reader.size()?)
}
