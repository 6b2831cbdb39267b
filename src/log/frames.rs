//! The form of a compressed log: zstd frames of whole lines, then an index in a frame that zstd skips.
//!
//! ```text
//! frame frame ... frame | skippable header | entry ... entry end | count crc magic
//! ```
//!
//! Law: a frame holds whole lines and can be read without any other; an entry says which sequence it begins with and
//! where it begins in both forms. The end is an entry too, so that two neighbours enclose a frame. The index is of use
//! only whole: its checksum is looked at before anything it says is believed.

use std::io;

use super::disk::{ReadAt, read_range};

/// Lines are gathered up to this size; only a line that is longer by itself makes a larger frame.
pub(super) const FRAME_BYTES: usize = 256 << 10;
/// No frame is larger, so what an index says beyond it is not to be trusted with memory.
const LARGEST_FRAME: u64 = 32 << 20;
/// More than that and zstd takes several times as long for a few percent.
const LEVEL: i32 = 3;

/// One of the sixteen numbers that begin a frame which every zstd skips.
const SKIPPABLE: u32 = 0x184D_2A5A;
const MAGIC: [u8; 8] = *b"ADELOGX1";
const SKIPPABLE_HEADER: u64 = 8;
const ENTRY: u64 = 24;
const FOOTER: u64 = 16;

/// Where a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Entry {
    pub(super) first_sequence: u64,
    /// In the lines, as they were before.
    pub(super) offset: u64,
    /// In the compressed file.
    pub(super) packed: u64,
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY as usize] {
        let mut bytes = [0; ENTRY as usize];
        for (part, number) in bytes.chunks_mut(8).zip([self.first_sequence, self.offset, self.packed]) {
            part.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Self {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        Self { first_sequence: number(0), offset: number(8), packed: number(16) }
    }
}

pub(super) fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the compressed log is damaged: {what}"))
}

/// Makes frames and remembers where they begin.
pub(super) struct Packer {
    compressor: zstd::bulk::Compressor<'static>,
    entries: Vec<u8>,
    end: Entry,
}

impl Packer {
    pub(super) fn new() -> io::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(Self { compressor, entries: Vec::new(), end: Entry { first_sequence: 1, ..Entry::default() } })
    }

    /// The sequence that the next frame begins with.
    pub(super) fn next_sequence(&self) -> u64 {
        self.end.first_sequence
    }

    /// The frame of these lines, of which there are `count`.
    pub(super) fn pack(&mut self, lines: &[u8], count: u64) -> io::Result<Vec<u8>> {
        let frame = self.compressor.compress(lines)?;
        self.entries.extend_from_slice(&self.end.to_bytes());
        self.end.first_sequence += count;
        self.end.offset += lines.len() as u64;
        self.end.packed += frame.len() as u64;
        Ok(frame)
    }

    /// What comes behind the last frame.
    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.entries.extend_from_slice(&self.end.to_bytes());
        let too_many = |_| io::Error::other("the log has too many frames for one index");
        let size = u32::try_from(self.entries.len() as u64 + FOOTER).map_err(too_many)?;
        let mut out = Vec::with_capacity(self.entries.len() + 32);
        out.extend_from_slice(&SKIPPABLE.to_le_bytes());
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&self.entries);
        out.extend_from_slice(&((self.entries.len() as u64 / ENTRY) as u32).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&self.entries).to_le_bytes());
        out.extend_from_slice(&MAGIC);
        Ok(out)
    }
}

/// Where the index of a compressed file stands. The entries stay in the file: a few small reads find any of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Index {
    start: u64,
    frames: u64,
    end: Entry,
}

impl Index {
    /// Finds the index and checks it.
    pub(super) fn open(file: &dyn ReadAt) -> io::Result<Self> {
        let size = file.size()?;
        let smallest = SKIPPABLE_HEADER + ENTRY + FOOTER;
        let Some(footer_start) = size.checked_sub(FOOTER).filter(|_| size >= smallest) else {
            return Err(damaged("there is no index"));
        };
        let footer = read_range(file, footer_start, size)?;
        let word = |at: usize| u32::from_le_bytes(footer[at..at + 4].try_into().expect("4 bytes"));
        let count = u64::from(word(0));
        if footer[8..] != MAGIC || count == 0 || count * ENTRY + SKIPPABLE_HEADER > footer_start {
            return Err(damaged("there is no index"));
        }
        let start = footer_start - count * ENTRY;
        let entries = read_range(file, start, footer_start)?;
        let (first, end) = (Entry::parse(&entries), Entry::parse(&entries[entries.len() - ENTRY as usize..]));
        let whole = (first.offset, first.packed) == (0, 0) && end.packed == start - SKIPPABLE_HEADER;
        if crc32fast::hash(&entries) != word(4) || !whole {
            return Err(damaged("the index is not the one that was written"));
        }
        Ok(Self { start, frames: count - 1, end })
    }

    /// How many frames there are.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// How many bytes the lines have.
    pub(super) fn bytes(&self) -> u64 {
        self.end.offset
    }

    /// The beginning of a frame and that of the next.
    pub(super) fn frame(&self, file: &dyn ReadAt, number: u64) -> io::Result<(Entry, Entry)> {
        let at = self.start + number * ENTRY;
        let both = read_range(file, at, at + 2 * ENTRY)?;
        let (frame, next) = both.split_at(ENTRY as usize);
        Ok((Entry::parse(frame), Entry::parse(next)))
    }

    /// The last frame whose beginning is `at_most`, the first one included.
    pub(super) fn find(&self, file: &dyn ReadAt, at_most: impl Fn(&Entry) -> bool) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.frames);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let at = self.start + middle * ENTRY;
            if at_most(&Entry::parse(&read_range(file, at, at + ENTRY)?)) {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// The lines of one frame.
pub(super) fn unpack(file: &dyn ReadAt, frame: Entry, next: Entry) -> io::Result<Vec<u8>> {
    let size = next.offset.checked_sub(frame.offset).filter(|size| *size <= LARGEST_FRAME);
    let packed = next.packed.checked_sub(frame.packed).filter(|packed| *packed <= 2 * LARGEST_FRAME);
    let (Some(size), Some(_)) = (size, packed) else { return Err(damaged("a frame has no sensible size")) };
    let bytes = read_range(file, frame.packed, next.packed)?;
    let lines = zstd::bulk::decompress(&bytes, size as usize).map_err(|error| damaged(&error.to_string()))?;
    if lines.len() as u64 == size { Ok(lines) } else { Err(damaged("a frame is shorter than its entry says")) }
}
