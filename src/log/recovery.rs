//! Opening a log for writing: only its end is looked at, a torn end is cut, and what is left is durable.
//!
//! Law: what is taken over here will be shown to readers, so the file is synced whether or not it was cut: lines that
//! a killed process had written but not yet synced are as good as any other only after that.

use std::io;

use bytes::Bytes;

use super::disk::DiskFile;
use super::scan::scan_end;

/// What a log held when it was opened for writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// 0 if there is no event yet.
    pub last_sequence: u64,
    pub bytes: u64,
    pub last_line: Option<Bytes>,
    /// What was cut off, beyond the durable bytes or because it was torn.
    pub cut_bytes: u64,
    /// The end was no event.
    pub torn: bool,
}

/// Cuts what is beyond `limit`, then what is torn.
pub(super) fn recover(file: &dyn DiskFile, limit: Option<u64>) -> io::Result<Recovered> {
    let size = file.size()?;
    let end = scan_end(file, limit.map_or(size, |limit| limit.min(size)))?;
    if end.bytes < size {
        file.set_len(end.bytes)?;
    }
    file.sync_data()?;
    Ok(Recovered {
        last_sequence: end.last.as_ref().map_or(0, |last| last.sequence),
        bytes: end.bytes,
        last_line: end.last.map(|last| last.line),
        cut_bytes: size - end.bytes,
        torn: end.torn,
    })
}
