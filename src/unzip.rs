//! Opening zip files that come from outside.
//!
//! Invariant: what a header says is never believed. Entries are counted before the reader keeps them in memory, and an
//! entry is inflated up to a limit, whatever size it claims.

use std::io::{self, Read, Seek, SeekFrom};

use memchr::memmem;
use zip::ZipArchive;
use zip::result::ZipError;

#[derive(Debug, thiserror::Error)]
pub enum OpenZipError {
    #[error("the zip file has more than {limit} entries")]
    TooManyEntries { limit: usize },
    #[error("the file is not a readable zip file")]
    Unreadable(#[source] ZipError),
    #[error("the zip file cannot be read")]
    Io(#[from] io::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum ReadEntryError {
    #[error("it is not there")]
    Missing,
    #[error("it is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("it cannot be inflated")]
    Unreadable(#[source] ZipError),
}

/// Of at most so many entries.
pub fn open<R: Read + Seek>(mut zip: R, limit: usize) -> Result<ZipArchive<R>, OpenZipError> {
    // An entry takes few bytes of the file and many in memory. Those of archives within the archive are counted too, so
    // this is lenient and the exact limit comes after.
    if count_headers(&mut zip)? > limit.saturating_mul(4) {
        return Err(OpenZipError::TooManyEntries { limit });
    }
    let archive = ZipArchive::new(zip).map_err(OpenZipError::Unreadable)?;
    if archive.len() > limit { Err(OpenZipError::TooManyEntries { limit }) } else { Ok(archive) }
}

/// The content of an entry of at most `limit` bytes.
pub fn read<R: Read + Seek>(archive: &mut ZipArchive<R>, name: &str, limit: u64) -> Result<Vec<u8>, ReadEntryError> {
    let entry = archive.by_name(name).map_err(|error| match error {
        ZipError::FileNotFound => ReadEntryError::Missing,
        error => ReadEntryError::Unreadable(error),
    })?;
    let mut content = Vec::new();
    entry.take(limit + 1).read_to_end(&mut content).map_err(|error| ReadEntryError::Unreadable(error.into()))?;
    if content.len() as u64 > limit { Err(ReadEntryError::TooLarge { limit }) } else { Ok(content) }
}

/// What each entry of the directory at the end of a zip file begins with.
pub const HEADER: &[u8] = b"PK\x01\x02";

fn count_headers(zip: &mut (impl Read + Seek)) -> io::Result<usize> {
    zip.seek(SeekFrom::Start(0))?;
    let mut window = vec![0; 64 * 1024];
    let (mut filled, mut count) = (0, 0);
    loop {
        let read = zip.read(&mut window[filled..])?;
        if read == 0 {
            return Ok(count);
        }
        filled += read;
        count += memmem::find_iter(&window[..filled], HEADER).count();
        // A header may lie across two readings; one byte less than all of it cannot be counted twice.
        let keep = filled.min(HEADER.len() - 1);
        window.copy_within(filled - keep..filled, 0);
        filled = keep;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn entry_headers_are_counted_across_readings() {
        for before in [0, 1, 64 * 1024 - 3, 64 * 1024 - 1, 64 * 1024] {
            let bytes = [vec![b'P'; before], HEADER.to_vec(), HEADER.to_vec()].concat();
            assert_eq!(count_headers(&mut Cursor::new(bytes)).unwrap(), 2, "{before}");
        }
    }
}
