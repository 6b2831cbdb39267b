//! Finding a sequence by bisection over byte offsets: sequences ascend, so a few small reads find any of them.

use std::io;
use std::ops::Range;

use memchr::memchr;

use super::disk::{ReadAt, read_full};
use super::lines::read_lines;
use crate::domain::EventId;
use crate::event::codec;

/// Below this size the lines are walked one by one.
const LINEAR: u64 = 4 << 10;
/// Enough for the sequence of nearly every line, and a line end before it.
const PROBE: usize = 4 << 10;

/// The offset of the first line in `part` with a sequence above `after`, or the end of the part. It begins and ends
/// where lines do.
pub(super) fn seek(file: &dyn ReadAt, after: u64, part: Range<u64>) -> io::Result<u64> {
    let Range { start, end } = part;
    if after == 0 {
        return Ok(start);
    }
    // The answer is the first fitting line that starts in `low..high`, otherwise `found`.
    let (mut low, mut high, mut found) = (start, end, end);
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
fn first_line(file: &dyn ReadAt, from: u64, before: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    match line_end(file, from - 1, before)? {
        Some(start) => next_line(file, start, before, end),
        None => Ok(None),
    }
}

/// The first readable line from the line start `start` on, before `before`.
fn next_line(file: &dyn ReadAt, mut start: u64, before: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
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
fn line_end(file: &dyn ReadAt, mut from: u64, end: u64) -> io::Result<Option<u64>> {
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
fn sequence_at(file: &dyn ReadAt, start: u64, end: u64) -> io::Result<Option<u64>> {
    let mut head = [0; 512];
    let wanted = head.len().min((end - start) as usize);
    let size = read_full(file, &mut head[..wanted], start)?;
    if let Some(sequence) = leading_sequence(&head[..size]) {
        return Ok(Some(sequence));
    }
    let line = read_lines(file, start, end, PROBE)?.lines;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample::Sample;
    use super::*;

    /// The law, without any cleverness.
    fn linear(content: &[u8], after: u64) -> u64 {
        let mut offset = 0;
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            if codec::decode(line).unwrap().sequence > after {
                break;
            }
            offset += line.len() as u64;
        }
        offset
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn bisection_finds_what_a_walk_finds(
            paddings in prop::collection::vec(prop_oneof![8 => 0usize..400, 2 => 400usize..9000, 1 => 9000usize..200_000], 0..60)
        ) {
            let sample = Sample::new();
            let numbered = (1..).zip(&paddings);
            let content: Vec<u8> = numbered.flat_map(|(sequence, padding)| sample.line(sequence, *padding)).collect();
            let file = sample.file(&content);
            for after in 0..=paddings.len() as u64 + 1 {
                prop_assert_eq!(seek(&*file, after, 0..content.len() as u64).unwrap(), linear(&content, after), "after {}", after);
            }
        }
    }

    #[test]
    fn lines_beyond_the_end_are_not_there() {
        let sample = Sample::new();
        let content = sample.lines(100, 200);
        let file = sample.file(&content);
        let end = linear(&content, 60);
        assert_eq!(seek(&*file, 59, 0..end).unwrap(), linear(&content, 59));
        assert_eq!(seek(&*file, 60, 0..end).unwrap(), end);
        assert_eq!(seek(&*file, 99, 0..end).unwrap(), end);
    }

    #[test]
    fn a_damaged_line_on_the_way_is_stepped_over() {
        let sample = Sample::new();
        let mut content = sample.lines(2000, 50);
        let whole = content.clone();
        let from = linear(&whole, 999) as usize;
        content[from + 5..from + 3000].fill(0);
        let file = sample.file(&content);
        for after in [1, 500, 900, 1100, 1500, 1999, 2000] {
            assert_eq!(seek(&*file, after, 0..content.len() as u64).unwrap(), linear(&whole, after), "after {after}");
        }
    }

    #[test]
    fn the_head_of_a_line_tells_its_sequence() {
        let sample = Sample::new();
        assert_eq!(leading_sequence(&sample.line(1234, 10)), Some(1234));
        assert_eq!(leading_sequence(&sample.event("odd \"type\"", 7, 0)), Some(7));
        assert_eq!(leading_sequence(b"{\"sequence\":5}\n"), None);
        assert_eq!(leading_sequence(&sample.line(1234, 10)[..100]), None);
    }
}
