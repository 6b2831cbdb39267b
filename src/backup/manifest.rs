//! What a backup says of itself: one line for each file, and a page about the whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::time::Timestamp;

/// The form of backups that this program writes and reads.
pub const FORMAT: u32 = 1;
/// A line of the list is never longer: paths are bounded where they are made.
const LONGEST_LINE: u64 = 64 << 10;

/// The page: `backup.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The release that made it.
    pub version: String,
    /// When it was begun: every event that was acknowledged before is in it.
    pub begun_at: Timestamp,
    pub files: u64,
    /// Of all files together.
    pub bytes: u64,
    /// Of `files.ndjson`.
    pub files_sha256: String,
}

/// One file of it, a line of `files.ndjson`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Below `data/`.
    pub path: String,
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// The list while it is written.
pub struct FileList {
    to: BufWriter<File>,
    digest: Sha256,
    pub files: u64,
    pub bytes: u64,
}

impl FileList {
    pub fn new(file: File) -> Self {
        Self { to: BufWriter::new(file), digest: Sha256::new(), files: 0, bytes: 0 }
    }

    pub fn add(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.digest.update(&line);
        self.files += 1;
        self.bytes += entry.size;
        self.to.write_all(&line)
    }

    /// The digest of the list.
    pub fn finish(mut self) -> io::Result<String> {
        self.to.flush()?;
        Ok(hex(self.digest))
    }
}

pub fn hex(digest: Sha256) -> String {
    format!("{:x}", digest.finalize())
}

/// Calls `each` with every entry of a list; gives the digest of the list.
pub fn read_list(file: File, mut each: impl FnMut(Entry) -> io::Result<()>) -> io::Result<String> {
    let (mut from, mut digest, mut line) = (BufReader::new(file), Sha256::new(), Vec::new());
    loop {
        line.clear();
        let read = io::Read::take(&mut from, LONGEST_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(hex(digest));
        }
        digest.update(&line);
        each(serde_json::from_slice(&line)?)?;
    }
}
