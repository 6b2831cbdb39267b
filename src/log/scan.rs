//! Finding the end of a log from its end: the last whole event, and whether anything behind it was torn.
//!
//! Law: a log whose last line is an event is accepted as it is. A hole behind the last byte that was written is not read.
//! Only when the end is torn is more examined: the part that one interrupted write may have left in pieces
//! ([`UNSETTLED`]), where everything from the first break on is void.

use std::io;

use bytes::Bytes;
use memchr::memrchr;

use super::disk::{ReadAt, read_range};
use super::lines::{LONGEST_LINE, read_lines};
use crate::event::codec;

/// A write is synced after at most this many bytes, so no more than this can be in pieces after a crash.
pub(super) const UNSETTLED: u64 = 4 << 20;
const STEP: u64 = 64 << 10;

/// Where the events of a log end.
pub(super) struct End {
    /// Just behind the last whole event.
    pub(super) bytes: u64,
    pub(super) last: Option<LastEvent>,
    /// Something that is no event stands behind.
    pub(super) torn: bool,
}

pub(super) struct LastEvent {
    pub(super) sequence: u64,
    pub(super) line: Bytes,
}

/// Looks at the end of the first `size` bytes.
pub(super) fn scan_end(file: &dyn ReadAt, size: u64) -> io::Result<End> {
    scan(file, size, Some(1))
}

/// As [`scan_end`], of a file whose first event may have any sequence.
pub(super) fn scan_segment(file: &dyn ReadAt, size: u64) -> io::Result<End> {
    scan(file, size, None)
}

fn scan(file: &dyn ReadAt, size: u64, first: Option<u64>) -> io::Result<End> {
    let mut backward = Backward::new(file);
    let mut end = size.min(file.data_end()?);
    loop {
        let Some((bytes, last)) = backward.last_event(end)? else {
            return Ok(End { bytes: 0, last: None, torn: size > 0 });
        };
        let torn = bytes < size;
        match if torn { first_break(&mut backward, bytes, first)? } else { None } {
            Some(at) => end = at,
            None => return Ok(End { bytes, last: Some(last), torn }),
        }
    }
}

/// The start of the first line in the unsettled part that is no event or not the next one.
fn first_break(backward: &mut Backward<'_>, end: u64, first: Option<u64>) -> io::Result<Option<u64>> {
    let start = backward.line_start(end.saturating_sub(UNSETTLED))?;
    let mut expected = first.filter(|_| start == 0);
    let mut offset = start;
    while offset < end {
        let chunk = match read_lines(backward.file, offset, end, STEP as usize) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Some(offset)),
            chunk => chunk?,
        };
        for line in chunk.lines.split_inclusive(|&byte| byte == b'\n') {
            match codec::decode(line) {
                Ok(event) if expected.is_none_or(|sequence| sequence == event.sequence) => {
                    expected = event.sequence.checked_add(1);
                }
                _ => return Ok(Some(offset)),
            }
            offset += line.len() as u64;
        }
    }
    Ok(None)
}

/// Walks a file from its end, a step at a time.
struct Backward<'a> {
    file: &'a dyn ReadAt,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Backward<'a> {
    fn new(file: &'a dyn ReadAt) -> Self {
        Self { file, start: 0, bytes: Vec::new() }
    }

    /// The last line before `end` that is an event, and where it ends.
    fn last_event(&mut self, mut end: u64) -> io::Result<Option<(u64, LastEvent)>> {
        while let Some(newline) = self.newline_before(end)? {
            let start = self.line_start(newline)?;
            if newline - start < LONGEST_LINE {
                let line = self.range(start, newline + 1)?;
                if let Ok(event) = codec::decode(&line) {
                    let sequence = event.sequence;
                    return Ok(Some((newline + 1, LastEvent { sequence, line: line.into() })));
                }
            }
            end = start;
        }
        Ok(None)
    }

    /// Where the line begins that holds the byte at `position`.
    fn line_start(&mut self, position: u64) -> io::Result<u64> {
        Ok(self.newline_before(position)?.map_or(0, |newline| newline + 1))
    }

    /// The last newline at an offset below `end`.
    fn newline_before(&mut self, mut end: u64) -> io::Result<Option<u64>> {
        while end > 0 {
            if !(self.start < end && end <= self.start + self.bytes.len() as u64) {
                self.start = end.saturating_sub(STEP);
                self.bytes = read_range(self.file, self.start, end)?;
            }
            if let Some(at) = memrchr(b'\n', &self.bytes[..(end - self.start) as usize]) {
                return Ok(Some(self.start + at as u64));
            }
            end = self.start;
        }
        Ok(None)
    }

    fn range(&self, start: u64, end: u64) -> io::Result<Vec<u8>> {
        let loaded = self.start..=self.start + self.bytes.len() as u64;
        if loaded.contains(&start) && loaded.contains(&end) {
            return Ok(self.bytes[(start - self.start) as usize..(end - self.start) as usize].to_vec());
        }
        read_range(self.file, start, end)
    }
}
