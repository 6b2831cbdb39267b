//! The files of the audit log.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};

use super::entry::Entry;
use crate::files::{Dir, Kind};

const PREFIX: &str = "entries-";
const SUFFIX: &str = ".ndjson";
/// A file is followed by the next when it has this size.
pub const LARGE: u64 = 16 << 20;
/// More than there ever are: each has tens of thousands of entries.
const MOST_FILES: usize = 1_000_000;
/// Names and paths are bounded where they come in.
const LONGEST: u64 = 64 << 10;

fn name(first: u64) -> String {
    format!("{PREFIX}{first:020}{SUFFIX}")
}

/// The sequences with which the files begin, in order.
fn firsts(dir: &Dir) -> io::Result<Vec<u64>> {
    let files = dir.entries(MOST_FILES)?.into_iter().filter(|(_, kind)| *kind == Kind::File);
    let first = |name: String| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok();
    let mut firsts: Vec<u64> = files.filter_map(|(name, _)| first(name)).filter(|first| *first > 0).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// The file that is written.
pub struct Newest {
    file: File,
    /// What is durable of it.
    size: u64,
    pub last: u64,
}

impl Newest {
    /// Cuts what a crash has left of an entry. Whole lines that are no entries are not of a crash alone: what is cut with
    /// them is kept beside.
    pub fn open(dir: &Dir) -> io::Result<Self> {
        let first = firsts(dir)?.pop().unwrap_or(1);
        let file = dir.file_to_write(name(first), true)?;
        let (mut size, mut last) = (0, first - 1);
        read(&file, |entry, end| {
            (size, last) = (end, entry.sequence);
            true
        })?;
        keep_damaged(dir, &file, size, first)?;
        file.set_len(size)?;
        file.sync_all()?;
        dir.sync()?;
        Ok(Self { file, size, last })
    }

    /// Writes lines and syncs them: all of them are there, or none counts.
    pub fn append(&mut self, dir: &Dir, lines: &[u8], last: u64) -> io::Result<()> {
        if self.size >= LARGE {
            let file = dir.create(name(self.last + 1))?;
            dir.sync()?;
            (self.file, self.size) = (file, 0);
        }
        let written = self.write(lines);
        match written {
            Ok(()) => (self.size, self.last) = (self.size + lines.len() as u64, last),
            // The next attempt writes there anyway; and a start that finds a whole entry would take it for one.
            Err(_) => drop(self.file.set_len(self.size)),
        }
        written
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.size))?;
        self.file.write_all(lines)?;
        self.file.sync_data()
    }
}

/// Keeps what is behind `size` under a name of its own, unless it is the beginning of one entry.
fn keep_damaged(dir: &Dir, mut file: &File, size: u64, first: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(size))?;
    let mut tail = Vec::new();
    file.take(LARGE * 2).read_to_end(&mut tail)?;
    if !tail.contains(&b'\n') {
        return Ok(());
    }
    let kept = format!("damaged-{first:020}-{size}{SUFFIX}");
    dir.replace_durably(&kept, &tail)?;
    tracing::error!(bytes = tail.len(), %kept, "entries of the audit log cannot be read; what is there is kept");
    Ok(())
}

/// At most `limit` entries behind a position, of those up to `last`. An entry that is there and cannot be read is an error:
/// a page has no holes.
pub fn page(dir: &Dir, after: u64, last: u64, limit: usize) -> io::Result<Vec<Entry>> {
    let firsts = firsts(dir)?;
    let begin = firsts.partition_point(|first| *first <= after + 1).saturating_sub(1);
    let mut found = Vec::new();
    for first in &firsts[begin.min(firsts.len())..] {
        if found.len() >= limit {
            break;
        }
        read(&dir.file(name(*first))?, |entry, _| {
            if entry.sequence > after && entry.sequence <= last {
                found.push(entry);
            }
            found.len() < limit
        })?;
    }
    let wanted = last.saturating_sub(after).min(limit as u64);
    let is_dense = found.iter().zip(after + 1..).all(|(entry, sequence)| entry.sequence == sequence);
    if found.len() as u64 == wanted && is_dense { Ok(found) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Calls `each` with every whole entry and where it ends, until it has had enough.
fn read(file: &File, mut each: impl FnMut(Entry, u64) -> bool) -> io::Result<()> {
    let (mut from, mut line, mut end) = (BufReader::new(file), Vec::new(), 0);
    from.seek(SeekFrom::Start(0))?;
    loop {
        line.clear();
        end += from.by_ref().take(LONGEST).read_until(b'\n', &mut line)? as u64;
        let entry = line.last().filter(|byte| **byte == b'\n').and_then(|_| serde_json::from_slice(&line).ok());
        let Some(entry) = entry else { return Ok(()) };
        if !each(entry, end) {
            return Ok(());
        }
    }
}
