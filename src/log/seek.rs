//! Finding a sequence by bisection over byte offsets: sequences ascend, so a few small reads find any of them.

use std::io;

use memchr::memchr;

use super::disk::{DiskFile, read_full};
use crate::domain::EventId;
use crate::event::codec;

/// Below this the lines are simply walked.
const LINEAR: u64 = 4 << 10;
/// Enough for the sequence of nearly every line, and a line end before it.
const PROBE: usize = 4 << 10;

/// The offset of the first line with a sequence above `after`, or `end`.
pub(super) fn seek(file: &dyn DiskFile, after: u64, end: u64) -> io::Result<u64> {
    if after == 0 {
        return Ok(0);
    }
    // The answer is the first fitting line that starts in `low..high`, otherwise `found`.
    let (mut low, mut high, mut found) = (0, end, end);
    while high - low > LINEAR {
        let middle = low + (high - low) / 2;
        match first_line(file, middle, high, end)? {
            Some((start, sequence)) if sequence <= after => low = start,
            Some((start, _)) => (high, found) = (middle, start),
            None => high = middle,
        }
    }
    while let Some((start, sequence)) = next_line(file, low, high, end)? {
        if sequence > after {
            return Ok(start);
        }
        match line_end(file, start, end)? {
            Some(next) if next < high => low = next,
            _ => break,
        }
    }
    Ok(found)
}

/// The first readable line that starts in `from..before`.
fn first_line(file: &dyn DiskFile, from: u64, before: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    match line_end(file, from - 1, before)? {
        Some(start) => next_line(file, start, before, end),
        None => Ok(None),
    }
}

/// The first readable line from the line start `start` on, before `before`.
fn next_line(file: &dyn DiskFile, mut start: u64, before: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    while start < before {
        if let Some(sequence) = sequence_at(file, start, end)? {
            return Ok(Some((start, sequence)));
        }
        match line_end(file, start, before)? {
            Some(next) => start = next,
            None => break,
        }
    }
    Ok(None)
}

/// Just behind the first newline at or after `from`, if that is before `end`.
fn line_end(file: &dyn DiskFile, mut from: u64, end: u64) -> io::Result<Option<u64>> {
    let mut buffer = vec![0; PROBE];
    while from < end {
        let wanted = buffer.len().min((end - from) as usize);
        let size = read_full(file, &mut buffer[..wanted], from)?;
        if let Some(at) = memchr(b'\n', &buffer[..size]) {
            let next = from + at as u64 + 1;
            return Ok((next < end).then_some(next));
        }
        if size < wanted {
            break;
        }
        from += size as u64;
        let larger = (buffer.len() * 2).min(1 << 20);
        buffer.resize(larger, 0);
    }
    Ok(None)
}

/// The sequence of the line that starts at `start`; none if it is no event.
fn sequence_at(file: &dyn DiskFile, start: u64, end: u64) -> io::Result<Option<u64>> {
    let mut head = [0; 512];
    let wanted = head.len().min((end - start) as usize);
    let size = read_full(file, &mut head[..wanted], start)?;
    if let Some(sequence) = leading_sequence(&head[..size]) {
        return Ok(Some(sequence));
    }
    let line = super::reader::read_lines(file, start, end, PROBE)?.lines;
    let line = memchr(b'\n', &line).map_or(&line[..], |at| &line[..at]);
    Ok(codec::decode(line).ok().map(|event| event.sequence))
}

/// The sequence from the head of a line as the codec writes it, key by key, so that no payload can imitate it.
fn leading_sequence(head: &[u8]) -> Option<u64> {
    let kind = codec::raw_type(head);
    let rest = head.strip_prefix(b"{\"type\":\"")?.get(kind.len()..)?;
    let rest = rest.strip_prefix(b"\",\"event_id\":\"")?.get(EventId::PREFIX.len() + ulid::ULID_LEN..)?;
    let rest = rest.strip_prefix(b"\",\"created_at\":\"")?.get("0000-00-00T00:00:00.000000Z".len()..)?;
    let rest = rest.strip_prefix(b"\",\"sequence\":")?;
    let digits = &rest[..rest.iter().position(|byte| *byte == b',')?];
    std::str::from_utf8(digits).ok()?.parse().ok()
}
