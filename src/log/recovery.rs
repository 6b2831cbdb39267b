//! Opening a log for writing: only its end is examined, a torn end is cut off, and what is left is made durable.
//!
//! Law: what is taken over here will be shown to readers, so the file is synced even if nothing was cut: a process that
//! was killed may have written lines that it never synced, and a power cut must not take them back once they were shown.

use std::io;

use bytes::Bytes;

use super::disk::{DiskFile, ReadAt};
use super::scan::{End, scan_end, scan_segment};

/// What a log held when it was opened for writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// 0 if there is no event yet.
    pub last_sequence: u64,
    pub bytes: u64,
    pub last_line: Option<Bytes>,
    /// What was cut off, beyond the durable bytes or because it was torn.
    pub cut_bytes: u64,
    /// The log did not end with a whole event.
    pub torn: bool,
}

/// Cuts what is beyond `limit`, then what is torn; then syncs.
pub(super) fn recover(
    file: &dyn DiskFile,
    limit: Option<u64>,
    sync: impl FnOnce() -> io::Result<()>,
) -> io::Result<Recovered> {
    recover_by(scan_end, file, limit, sync)
}

/// As [`recover`], of the newest segment of a log.
pub(super) fn recover_segment(
    file: &dyn DiskFile,
    limit: Option<u64>,
    sync: impl FnOnce() -> io::Result<()>,
) -> io::Result<Recovered> {
    recover_by(scan_segment, file, limit, sync)
}

fn recover_by(
    scan: fn(&dyn ReadAt, u64) -> io::Result<End>,
    file: &dyn DiskFile,
    limit: Option<u64>,
    sync: impl FnOnce() -> io::Result<()>,
) -> io::Result<Recovered> {
    let size = file.size()?;
    let end = scan(file, limit.map_or(size, |limit| limit.min(size)))?;
    if end.bytes < size {
        file.set_len(end.bytes)?;
    }
    sync()?;
    Ok(Recovered {
        last_sequence: end.last.as_ref().map_or(0, |last| last.sequence),
        bytes: end.bytes,
        last_line: end.last.map(|last| last.line),
        cut_bytes: size - end.bytes,
        torn: end.torn,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    fn recovered(sample: &Sample, content: &[u8]) -> Recovered {
        let file = sample.file(content);
        let recovered = recover(&*file, None, || file.sync_data()).unwrap();
        assert_eq!(file.size().unwrap(), recovered.bytes);
        assert_eq!(sample.content(), content[..recovered.bytes as usize], "nothing but a cut");
        recovered
    }

    /// Where each line ends, from 0 on.
    fn ends(content: &[u8]) -> Vec<usize> {
        std::iter::once(0).chain(memchr::memchr_iter(b'\n', content).map(|at| at + 1)).collect()
    }

    #[test]
    fn cut_anywhere_in_the_last_three_events_the_longest_valid_prefix_is_left_and_goes_on() {
        let sample = Sample::new();
        let whole = sample.lines(6, 30);
        let ends = ends(&whole);
        for size in ends[3]..=whole.len() {
            let left = ends.iter().rposition(|end| *end <= size).unwrap();
            let found = recovered(&sample, &whole[..size]);
            assert_eq!((found.bytes, found.last_sequence), (ends[left] as u64, left as u64), "size {size}");
            assert_eq!((found.torn, found.cut_bytes), (size > ends[left], (size - ends[left]) as u64));
            assert_eq!(found.last_line.as_deref(), Some(&whole[ends[left - 1]..ends[left]]));
            let next = [&sample.content()[..], &sample.line(left as u64 + 1, 5)].concat();
            assert_eq!(recovered(&sample, &next).last_sequence, left as u64 + 1);
        }
    }

    #[test]
    fn a_tail_that_is_zeroed_or_garbage_is_cut() {
        let sample = Sample::new();
        let whole = sample.lines(6, 30);
        let ends = ends(&whole);
        for size in ends[3]..whole.len() {
            let mut zeroed = whole.clone();
            zeroed[size..].fill(0);
            let left = ends.iter().rposition(|end| *end <= size).unwrap();
            assert_eq!(recovered(&sample, &zeroed).bytes, ends[left] as u64, "zeroed from {size}");
        }
        for tail in
            [vec![0; 9 << 20], b"\n\n\n".to_vec(), b"{}\n[]\n1\n".to_vec(), vec![0xff; 300_000], vec![b'\n'; 70_000]]
        {
            let found = recovered(&sample, &[&whole[..], &tail].concat());
            assert_eq!((found.bytes, found.last_sequence, found.torn), (whole.len() as u64, 6, true));
        }
    }

    #[test]
    fn a_last_line_that_is_no_event_any_more_is_cut() {
        let sample = Sample::new();
        let whole = sample.lines(4, 10);
        let start = ends(&whole)[3];
        for at in start..whole.len() {
            let mut bad = whole.clone();
            bad[at] = 0;
            let found = recovered(&sample, &bad);
            assert_eq!((found.bytes, found.last_sequence), (start as u64, 3), "byte {at}");
        }
    }

    #[test]
    fn a_long_torn_line_and_a_long_whole_one_are_told_apart() {
        let sample = Sample::new();
        let whole = [sample.lines(3, 10), sample.line(4, 5 << 20)].concat();
        let found = recovered(&sample, &whole);
        assert_eq!((found.last_sequence, found.torn), (4, false));
        let found = recovered(&sample, &whole[..whole.len() - 1]);
        assert_eq!((found.last_sequence, found.torn), (3, true));
    }

    #[test]
    fn behind_a_torn_end_a_hole_in_the_same_write_is_found_too() {
        let sample = Sample::new();
        let mut content = sample.lines(200, 300);
        let hole = ends(&content)[120] + 40;
        content[hole..hole + 512].fill(0);
        content.truncate(content.len() - 1);
        let found = recovered(&sample, &content);
        assert_eq!((found.last_sequence, found.torn), (120, true));
    }

    #[test]
    fn with_a_whole_end_nothing_before_it_is_touched() {
        let sample = Sample::new();
        let mut content = sample.lines(20, 300);
        let damaged = ends(&content)[10] + 40;
        content[damaged] = 0;
        let found = recovered(&sample, &content);
        assert_eq!((found.bytes, found.last_sequence, found.torn), (content.len() as u64, 20, false));
    }

    #[test]
    fn nothing_is_left_of_a_log_without_an_event() {
        let sample = Sample::new();
        for content in [&b""[..], b"{", b"no event\n", &[0; 70_000]] {
            let found = recovered(&sample, content);
            assert_eq!((found.bytes, found.last_sequence, found.last_line), (0, 0, None));
            assert_eq!(found.torn, !content.is_empty());
        }
    }

    #[test]
    fn a_hole_is_not_read_however_large_it_is() {
        const TERABYTE: u64 = 1 << 40;
        let sample = Sample::new();
        let whole = sample.lines(6, 30);
        for content in [&whole[..], b""] {
            let file = sample.file(content);
            file.set_len(TERABYTE).unwrap();
            let found = recover(&*file, None, || Ok(())).unwrap();
            assert_eq!((found.bytes, found.torn), (content.len() as u64, true));
            assert_eq!(file.size().unwrap(), content.len() as u64);
        }
    }

    #[test]
    fn a_line_that_is_longer_than_any_event_is_where_a_torn_log_breaks() {
        let sample = Sample::new();
        let whole = sample.lines(2, 10);
        let start = ends(&whole)[1];
        let long = vec![b'x'; 40 << 20];
        let found = recovered(&sample, &[&whole[..start], &long, b"\n", &whole[start..], b"{"].concat());
        assert_eq!((found.bytes, found.last_sequence), (start as u64, 1));
    }

    #[test]
    fn what_is_beyond_the_durable_bytes_goes_first() {
        let sample = Sample::new();
        let whole = sample.lines(6, 30);
        let ends = ends(&whole);
        let file = sample.file(&whole);
        let found = recover(&*file, Some(ends[4] as u64 + 3), || Ok(())).unwrap();
        assert_eq!((found.last_sequence, found.cut_bytes), (4, (whole.len() - ends[4]) as u64));
        let found = recover(&*file, Some(u64::MAX), || Ok(())).unwrap();
        assert_eq!((found.last_sequence, found.cut_bytes), (4, 0));
    }
}
