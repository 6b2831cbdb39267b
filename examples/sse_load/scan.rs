//! The lines of a stream: ids, marks, gaps and repeats.

use std::time::{SystemTime, UNIX_EPOCH};

use memchr::{memchr_iter, memmem};

/// What has been seen since the last look.
#[derive(Default)]
pub struct Batch {
    pub events: u64,
    pub gaps: u64,
    pub repeats: u64,
    pub latencies: Vec<u64>,
}

/// Reads the lines of a stream: `id:` must go up by one, `data:` may carry a mark.
pub struct Scan {
    unnumbered: bool,
    next_id: u64,
    has_data: bool,
    id_of_block: Option<u64>,
    partial: Vec<u8>,
    pub batch: Batch,
}

impl Scan {
    pub fn new(first_id: u64, unnumbered: bool) -> Self {
        let batch = Batch::default();
        Self { unnumbered, next_id: first_id, has_data: false, id_of_block: None, partial: Vec::new(), batch }
    }

    pub fn last_id(&self) -> u64 {
        self.next_id.saturating_sub(1)
    }

    /// A new connection: what the last one had begun is void.
    pub fn restart(&mut self) {
        self.partial.clear();
        self.has_data = false;
        self.id_of_block = None;
    }

    pub fn push(&mut self, bytes: &[u8]) {
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            if self.partial.is_empty() {
                self.line(&bytes[start..end]);
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(&bytes[start..end]);
                self.line(&line);
                // Keeps the allocation.
                line.clear();
                self.partial = line;
            }
            start = end + 1;
        }
        self.partial.extend_from_slice(&bytes[start..]);
    }

    fn line(&mut self, line: &[u8]) {
        if line.is_empty() {
            return self.end_block();
        }
        if let Some(value) = line.strip_prefix(b"id:") {
            self.id_of_block = Some(digits(value.strip_prefix(b" ").unwrap_or(value)));
        } else if line.starts_with(b"data:") && self.unnumbered {
            // Several events may stand in one line.
            memmem::find_iter(line, b"t=").for_each(|at| self.count(digits(&line[at + 2..])));
        } else if line.starts_with(b"data:") {
            self.has_data = true;
            if let Some(at) = memmem::find(line, b"t=") {
                self.mark(digits(&line[at + 2..]));
            }
        }
    }

    fn count(&mut self, nanoseconds: u64) {
        self.mark(nanoseconds);
        self.next_id += 1;
        self.batch.events += 1;
    }

    fn mark(&mut self, nanoseconds: u64) {
        // Anything that is no time of this century is no mark.
        if nanoseconds > 1_000_000_000_000_000_000 {
            self.batch.latencies.push(unix_now().saturating_sub(nanoseconds) / 1000);
        }
    }

    fn end_block(&mut self) {
        let (id, has_data) = (self.id_of_block.take(), std::mem::take(&mut self.has_data));
        let (Some(id), true) = (id, has_data) else { return };
        self.batch.events += 1;
        if id < self.next_id {
            self.batch.repeats += 1;
        } else {
            self.batch.gaps += id - self.next_id;
            self.next_id = id + 1;
        }
    }
}

pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

fn digits(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, byte| number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(pieces: &[&str]) -> Scan {
        let mut scan = Scan::new(1, false);
        pieces.iter().for_each(|piece| scan.push(piece.as_bytes()));
        scan
    }

    #[test]
    fn a_whole_stream_has_neither_gap_nor_repeat_wherever_it_is_cut() {
        let text = "retry: 1\n\nid: 1\ndata: a\n\n: beat\n\nid: 2\ndata: t=1700000000000000000\n\n";
        for at in 0..text.len() {
            let scan = scanned(&[&text[..at], &text[at..]]);
            let Batch { events, gaps, repeats, latencies } = &scan.batch;
            assert_eq!((*events, *gaps, *repeats, latencies.len(), scan.last_id()), (2, 0, 0, 1, 2), "cut at {at}");
        }
    }

    #[test]
    fn without_numbers_every_mark_counts() {
        let mut scan = Scan::new(1, true);
        scan.push(
            b"event: data\ndata:[\"t=1700000000000000000\",\"t=1700000000000000001\"]\n\nevent: control\ndata:{}\n\n",
        );
        assert_eq!((scan.batch.events, scan.batch.latencies.len(), scan.last_id()), (2, 2, 2));
    }

    #[test]
    fn gaps_and_repeats_are_counted() {
        let scan = scanned(&["id: 1\ndata: a\n\nid: 4\ndata: a\n\nid: 4\ndata: a\n\n"]);
        assert_eq!((scan.batch.gaps, scan.batch.repeats, scan.last_id()), (2, 1, 4));
    }
}
