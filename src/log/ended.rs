//! Whether a log is over: only then anything else than appending is done with it.

use std::io;

use super::reader::LogReader;
use crate::domain::StreamKey;
use crate::event::codec;

/// The last event is the terminal one, and nothing stands behind it.
pub(super) fn has_ended(reader: &LogReader, key: StreamKey) -> io::Result<bool> {
    let tail = reader.tail()?;
    let last = tail.last_line.as_deref().and_then(|line| codec::decode(line).ok());
    Ok(last.is_some_and(|event| event.is_terminal(key)) && tail.bytes == reader.size()?)
}
