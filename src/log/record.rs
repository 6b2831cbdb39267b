//! The bytes of the journal: a header page per segment, then rounds, each starting on a page of its own.
//!
//! Law: a round counts whole or not at all. Its checksum covers the epoch, which belongs to one use of the segment, so
//! what an earlier use left behind never counts. A round never shares a page with an older one, which a torn write of the
//! page would destroy, and bytes inside a batch are never read as a round.

/// Rounds start on a multiple of this.
pub(super) const PAGE: u64 = 4096;

const SEGMENT_MAGIC: &[u8; 8] = b"ADEJRNL1";
const ROUND_MAGIC: u32 = 0xADE0_10C5;
const ROUND_HEADER: usize = 20;
const RECORD_HEADER: usize = 15;
const KIND_BYTES: u8 = 1;
const KIND_CUT: u8 = 2;
const KIND_FENCE: u8 = 3;
const KIND_ADOPTED: u8 = 4;

/// The header of a segment: which use of it counts.
pub(super) fn segment_header(epoch: u64) -> [u8; 20] {
    let mut header = [0; 20];
    header[..8].copy_from_slice(SEGMENT_MAGIC);
    header[8..16].copy_from_slice(&epoch.to_le_bytes());
    let sum = crc32fast::hash(&header[..16]);
    header[16..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// The epoch of a segment; none if it never had a whole header.
pub(super) fn parse_segment_header(header: &[u8; 20]) -> Option<u64> {
    let epoch = u64::from_le_bytes(header[8..16].try_into().expect("8 bytes"));
    (*header == segment_header(epoch)).then_some(epoch)
}

pub(super) fn next_page(position: u64) -> u64 {
    position.next_multiple_of(PAGE)
}

/// What a record of this path and size adds to a round.
pub(super) fn record_size(path: &str, bytes: usize) -> usize {
    RECORD_HEADER + path.len() + bytes
}

/// A round being put together.
pub(super) struct Round {
    buffer: Vec<u8>,
}

impl Round {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; ROUND_HEADER] }
    }

    pub(super) fn clear(&mut self) {
        self.buffer.truncate(ROUND_HEADER);
    }

    pub(super) fn size(&self) -> u64 {
        self.buffer.len() as u64
    }

    /// These bytes stand at this offset of the log.
    pub(super) fn push_bytes(&mut self, path: &str, offset: u64, bytes: &[u8]) {
        self.push(KIND_BYTES, path, offset, bytes);
    }

    /// The log was cut to this length: what earlier records say about bytes beyond it is void.
    pub(super) fn push_cut(&mut self, path: &str, length: u64) {
        self.push(KIND_CUT, path, length, b"");
    }

    /// From here on the journal is written by this process, under this epoch, and by no earlier one.
    pub(super) fn push_fence(&mut self, epoch: u64, by: &str) {
        self.push(KIND_FENCE, by, epoch, b"");
    }

    /// What follows goes on with logs of another journal, as they are in front of this message of its stream.
    pub(super) fn push_adopted(&mut self, journal: &str, sequence: u64) {
        self.push(KIND_ADOPTED, journal, sequence, b"");
    }

    fn push(&mut self, kind: u8, path: &str, offset: u64, bytes: &[u8]) {
        let path_size = u16::try_from(path.len()).expect("log paths are made of ids and short");
        let size = u32::try_from(bytes.len()).expect("what goes through the journal is small");
        self.buffer.push(kind);
        self.buffer.extend_from_slice(&path_size.to_le_bytes());
        self.buffer.extend_from_slice(&size.to_le_bytes());
        self.buffer.extend_from_slice(&offset.to_le_bytes());
        self.buffer.extend_from_slice(path.as_bytes());
        self.buffer.extend_from_slice(bytes);
    }

    /// The finished bytes of the round, as a part of this epoch.
    pub(super) fn seal(&mut self, epoch: u64) -> &[u8] {
        let size = u32::try_from(self.buffer.len() - ROUND_HEADER).expect("a round fits its segment");
        self.buffer[..4].copy_from_slice(&ROUND_MAGIC.to_le_bytes());
        self.buffer[8..16].copy_from_slice(&epoch.to_le_bytes());
        self.buffer[16..20].copy_from_slice(&size.to_le_bytes());
        let sum = crc32fast::hash(&self.buffer[8..]);
        self.buffer[4..8].copy_from_slice(&sum.to_le_bytes());
        &self.buffer
    }
}

/// The header of a round found in a segment.
pub(super) struct RoundHeader {
    sum: u32,
    bytes: [u8; ROUND_HEADER],
    pub(super) body_size: u64,
}

impl RoundHeader {
    pub(super) const SIZE: u64 = ROUND_HEADER as u64;

    /// The epoch that a round says it is of; none if these are not the first bytes of one.
    pub(super) fn epoch_of(bytes: &[u8; ROUND_HEADER]) -> Option<u64> {
        let is_round = bytes[..4] == ROUND_MAGIC.to_le_bytes();
        is_round.then(|| u64::from_le_bytes(bytes[8..16].try_into().expect("8 bytes")))
    }

    /// None if no round of this epoch begins with these bytes.
    pub(super) fn parse(bytes: [u8; ROUND_HEADER], epoch: u64) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let ours = word(0) == ROUND_MAGIC && bytes[8..16] == epoch.to_le_bytes();
        ours.then_some(Self { sum: word(4), bytes, body_size: u64::from(word(16)) })
    }

    /// Whether this body is the one that was sealed.
    pub(super) fn covers(&self, body: &[u8]) -> bool {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.bytes[8..]);
        hasher.update(body);
        hasher.finalize() == self.sum
    }
}

/// A record inside the body of a round.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// `at` is where the bytes begin in the body.
    Bytes {
        path: &'a str,
        offset: u64,
        at: usize,
        size: usize,
    },
    Cut {
        path: &'a str,
        length: u64,
    },
    Fence {
        epoch: u64,
        by: &'a str,
    },
    Adopted {
        journal: &'a str,
        sequence: u64,
    },
}

/// The records of a body; none if it is not made of whole ones of known kinds.
pub(super) fn parse_body(body: &[u8]) -> Option<Vec<Record<'_>>> {
    let mut records = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let header = body.get(at..at + RECORD_HEADER)?;
        let path_size = u16::from_le_bytes(header[1..3].try_into().ok()?) as usize;
        let size = u32::from_le_bytes(header[3..7].try_into().ok()?) as usize;
        let offset = u64::from_le_bytes(header[7..15].try_into().ok()?);
        at += RECORD_HEADER;
        let path = std::str::from_utf8(body.get(at..at + path_size)?).ok()?;
        at += path_size;
        body.get(at..at.checked_add(size)?)?;
        records.push(match header[0] {
            KIND_BYTES => Record::Bytes { path, offset, at, size },
            KIND_CUT => Record::Cut { path, length: offset },
            KIND_FENCE => Record::Fence { epoch: offset, by: path },
            KIND_ADOPTED => Record::Adopted { journal: path, sequence: offset },
            _ => return None,
        });
        at += size;
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(epoch: u64) -> Vec<u8> {
        let mut round = Round::new();
        round.push_bytes("a/b", 7, b"hello\n");
        round.push_cut("a/c", 99);
        round.seal(epoch).to_vec()
    }

    fn open(bytes: &[u8], epoch: u64) -> Option<Vec<Record<'_>>> {
        let header = RoundHeader::parse(bytes[..ROUND_HEADER].try_into().unwrap(), epoch)?;
        let body = bytes.get(ROUND_HEADER..ROUND_HEADER + header.body_size as usize)?;
        if header.covers(body) { parse_body(body) } else { None }
    }

    #[test]
    fn a_round_reads_back_in_its_epoch_and_in_no_other() {
        let bytes = sealed(3);
        let records = open(&bytes, 3).unwrap();
        assert_eq!(records.len(), 2);
        let Record::Bytes { path: "a/b", offset: 7, at, size: 6 } = records[0] else { panic!("{records:?}") };
        assert_eq!(&bytes[ROUND_HEADER + at..][..6], b"hello\n");
        assert_eq!(records[1], Record::Cut { path: "a/c", length: 99 });
        assert!(open(&bytes, 2).is_none() && open(&bytes, 4).is_none());
    }

    #[test]
    fn a_fence_reads_back_and_an_unknown_kind_of_record_does_not() {
        let mut round = Round::new();
        round.push_fence(7, "a/b");
        let bytes = round.seal(7).to_vec();
        let (header, body) = bytes.split_first_chunk::<ROUND_HEADER>().unwrap();
        assert_eq!(RoundHeader::epoch_of(header), Some(7));
        assert_eq!(parse_body(body).unwrap(), [Record::Fence { epoch: 7, by: "a/b" }]);
        let mut newer = body.to_vec();
        newer[0] = 200;
        assert_eq!(parse_body(&newer), None);
        let mut other = *header;
        other[0] ^= 1;
        assert_eq!(RoundHeader::epoch_of(&other), None);
    }

    #[test]
    fn no_flipped_bit_and_no_missing_byte_goes_unnoticed() {
        let good = sealed(3);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&bad, 3).is_none(), "bit {bit}");
        }
        for size in ROUND_HEADER..good.len() {
            assert!(open(&good[..size], 3).is_none(), "size {size}");
            let mut torn = good.clone();
            torn[size..].fill(0);
            assert!(open(&torn, 3).is_none(), "zeroed from {size}");
        }
    }

    #[test]
    fn a_segment_header_is_whole_or_nothing() {
        let good = segment_header(42);
        assert_eq!(parse_segment_header(&good), Some(42));
        assert_eq!(parse_segment_header(&[0; 20]), None);
        for byte in 0..good.len() {
            let mut bad = good;
            bad[byte] ^= 1;
            assert_eq!(parse_segment_header(&bad), None);
        }
    }

    #[test]
    fn a_body_that_is_not_made_of_whole_records_is_refused() {
        let bytes = sealed(1);
        let body = &bytes[ROUND_HEADER..];
        for size in 1..body.len() {
            let whole = size == record_size("a/b", 6);
            assert_eq!(parse_body(&body[..size]).is_some(), whole, "size {size}");
        }
    }
}
