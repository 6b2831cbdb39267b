//! Whole lines at an offset, in chunks of a bounded size.

use std::io;

use bytes::Bytes;
use memchr::{memchr, memrchr};

use super::disk::{ReadAt, read_full};

/// A longer line is not an event; none that long is ever admitted.
pub(super) const LONGEST_LINE: u64 = 16 << 20;

/// Some whole lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub lines: Bytes,
    pub next_offset: u64,
}

pub(super) fn read_lines(file: &dyn ReadAt, offset: u64, end: u64, max_bytes: usize) -> io::Result<Chunk> {
    let available = end.saturating_sub(offset);
    let mut bytes = vec![0; available.min(max_bytes.max(1) as u64) as usize];
    fill(file, &mut bytes, offset)?;
    let mut size = memrchr(b'\n', &bytes).map(|at| at + 1);
    while size.is_none() && !bytes.is_empty() {
        size = extend(file, &mut bytes, offset, available)?;
    }
    bytes.truncate(size.unwrap_or(0));
    Ok(Chunk { next_offset: offset + bytes.len() as u64, lines: bytes.into() })
}

/// The line is longer than what was read: reads as much again and looks for its end there.
fn extend(file: &dyn ReadAt, bytes: &mut Vec<u8>, offset: u64, available: u64) -> io::Result<Option<usize>> {
    let known = bytes.len();
    if known as u64 > LONGEST_LINE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than an event can be"));
    }
    let wanted = available.min((known as u64).saturating_mul(2).max(4096)) as usize;
    if wanted == known {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the log does not end with a whole line"));
    }
    bytes.resize(wanted, 0);
    fill(file, &mut bytes[known..], offset + known as u64)?;
    Ok(memchr(b'\n', &bytes[known..]).map(|at| known + at + 1))
}

pub(super) fn fill(file: &dyn ReadAt, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    if read_full(file, buffer, offset)? < buffer.len() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the log is shorter than it was"));
    }
    Ok(())
}
