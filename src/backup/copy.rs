//! Copying bytes into a backup, or out of one, with their digest.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::manifest::{Entry, hex};
use crate::files::Dir;
use crate::log::LogReader;

/// What is in memory of a file at a time.
const PIECE: usize = 256 << 10;

/// Writes what is read as a new file; missing directories are made.
pub fn copy(from: &mut impl Read, to: &Dir, path: &Path) -> io::Result<Entry> {
    let mut file = create(to, path)?;
    let (mut digest, mut size, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let read = match from.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            break;
        }
        file.write_all(&piece[..read])?;
        digest.update(&piece[..read]);
        size += read as u64;
    }
    let path = path.to_str().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    Ok(Entry { path, size, sha256: hex(digest) })
}

/// The first bytes of a log.
pub fn copy_log(from: &LogReader, bytes: u64, to: &Dir, path: &Path) -> io::Result<Entry> {
    copy(&mut Lines { log: from, at: 0, end: bytes }, to, path)
}

/// The digest of a file that is there.
pub fn entry_of(dir: &Dir, path: &Path) -> io::Result<Entry> {
    let (mut file, mut digest, mut size, mut piece) = (dir.file(path)?, Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            let path = path.to_str().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
            return Ok(Entry { path, size, sha256: hex(digest) });
        }
        digest.update(&piece[..read]);
        size += read as u64;
    }
}

fn create(to: &Dir, path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        to.make(parent)?;
    }
    to.create(path)
}

struct Lines<'a> {
    log: &'a LogReader,
    at: u64,
    end: u64,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        self.log.read_exact_at(&mut buffer[..wanted], self.at)?;
        self.at += wanted as u64;
        Ok(wanted)
    }
}
