//! How batches become rounds that a message may carry.
//!
//! Law: a batch is cut only where it alone is larger than a round, and then behind a line, so that what a crash leaves of it
//! is whole events. A single line that is larger is cut within: what a crash leaves of that is a torn end, which opening
//! the log cuts off.

use super::super::journal::Item;
use super::super::record::{RoundHeader, record_size};

/// The items in their order, as rounds of at most `limit` bytes each.
pub(super) fn rounds<'a>(items: &'a [Item<'a>], limit: usize) -> Vec<Vec<Item<'a>>> {
    let mut cutter = Cutter { limit, rounds: Vec::new(), round: Vec::new(), used: RoundHeader::SIZE as usize };
    for item in items {
        match item {
            Item::Bytes { stream, offset, bytes } => {
                let (mut offset, mut rest) = (*offset, *bytes);
                loop {
                    let taken = cutter.fit(&stream.path, rest);
                    let (now, later) = rest.split_at(taken);
                    cutter.push(Item::Bytes { stream, offset, bytes: now });
                    if later.is_empty() {
                        break;
                    }
                    (offset, rest) = (offset + taken as u64, later);
                    cutter.end_round();
                }
            }
            Item::Cut { stream, length } => {
                cutter.make_room(record_size(&stream.path, 0));
                cutter.push(Item::Cut { stream, length: *length });
            }
        }
    }
    cutter.end_round();
    cutter.rounds
}

struct Cutter<'a> {
    limit: usize,
    rounds: Vec<Vec<Item<'a>>>,
    round: Vec<Item<'a>>,
    used: usize,
}

impl<'a> Cutter<'a> {
    /// How many of these bytes the round takes; begins another where they would fit whole, or not one line does here.
    fn fit(&mut self, path: &str, bytes: &[u8]) -> usize {
        self.make_room(record_size(path, bytes.len()).min(self.limit - RoundHeader::SIZE as usize));
        let room = self.limit.saturating_sub(self.used + record_size(path, 0)).max(1);
        if bytes.len() <= room {
            return bytes.len();
        }
        memchr::memrchr(b'\n', &bytes[..room]).map_or(room, |newline| newline + 1)
    }

    fn make_room(&mut self, size: usize) {
        if self.used + size > self.limit {
            self.end_round();
        }
    }

    fn push(&mut self, item: Item<'a>) {
        let size = match &item {
            Item::Bytes { bytes, .. } => bytes.len(),
            Item::Cut { .. } => 0,
        };
        self.used += record_size(&item.stream().path, size);
        self.round.push(item);
    }

    fn end_round(&mut self) {
        if !self.round.is_empty() {
            self.rounds.push(std::mem::take(&mut self.round));
            self.used = RoundHeader::SIZE as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::super::super::disk::{Disk, Mode};
    use super::super::super::memory::MemoryDisk;
    use super::super::super::record::Round;
    use super::super::super::stream_file::{StreamFile, Streams};
    use super::*;

    fn stream() -> Arc<StreamFile> {
        let file = MemoryDisk::default().open(Path::new("/log"), Mode::Create).unwrap();
        Arc::<Streams>::default().claim("log").unwrap().stream(file, 0)
    }

    fn sizes(rounds: &[Vec<Item<'_>>]) -> Vec<usize> {
        let size = |items: &Vec<Item<'_>>| {
            let mut round = Round::new();
            items.iter().for_each(|item| item.record_in(&mut round));
            round.size() as usize
        };
        rounds.iter().map(size).collect()
    }

    /// The bytes of each round, which must follow each other.
    fn bytes<'a>(rounds: &[Vec<Item<'a>>]) -> Vec<&'a [u8]> {
        let mut end = 0;
        let pieces = rounds.iter().flatten().map(|item| match item {
            Item::Bytes { offset, bytes, .. } => {
                assert_eq!(*offset, end);
                end += bytes.len() as u64;
                *bytes
            }
            Item::Cut { .. } => panic!("a cut"),
        });
        pieces.collect()
    }

    #[test]
    fn what_fits_is_one_round() {
        let stream = stream();
        let items =
            [Item::Bytes { stream: &stream, offset: 0, bytes: b"a\n" }, Item::Cut { stream: &stream, length: 1 }];
        assert_eq!(rounds(&items, 100).len(), 1);
        assert!(rounds(&[], 100).is_empty());
    }

    #[test]
    fn a_batch_that_fits_into_a_round_of_its_own_is_not_cut() {
        let (stream, line) = (stream(), [b'x'; 50]);
        let items = [0, 50, 100].map(|offset| Item::Bytes { stream: &stream, offset, bytes: &line });
        let rounds = rounds(&items, 160);
        assert_eq!(rounds.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert!(sizes(&rounds).iter().all(|size| *size <= 160));
    }

    #[test]
    fn a_larger_batch_is_cut_behind_lines() {
        let stream = stream();
        let batch = b"0123456789\n".repeat(30);
        let items = [Item::Bytes { stream: &stream, offset: 0, bytes: &batch }];
        let rounds = rounds(&items, 100);
        assert!(rounds.len() > 5 && sizes(&rounds).iter().all(|size| *size <= 100));
        let pieces = bytes(&rounds);
        assert!(pieces.iter().all(|piece| piece.ends_with(b"\n")));
        assert_eq!(pieces.concat(), batch);
    }

    #[test]
    fn a_line_that_is_larger_than_a_round_is_cut_within() {
        let stream = stream();
        let batch = [&b"short\n"[..], &[b'x'; 300], b"\nlast\n"].concat();
        let items = [Item::Bytes { stream: &stream, offset: 0, bytes: &batch }];
        let rounds = rounds(&items, 100);
        assert!(sizes(&rounds).iter().all(|size| *size <= 100));
        assert_eq!(bytes(&rounds).concat(), batch);
    }
}
