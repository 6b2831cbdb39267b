//! How far the logs of this disk are durable without the stream: a small file beside the logs.
//!
//! Law: it is written only when every log is synced as far as the messages up to its sequence speak of it. Without it, or
//! with one of another stream, nothing on this disk is taken for durable, and everything that the stream has is replayed.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::disk::{Disk, Mode, read_range};
use crate::files::is_absent;

const FILE: &str = "stream.json";
const NEW_FILE: &str = "stream.json.new";
const FORMAT: u32 = 1;
/// It is much smaller.
const LARGEST: u64 = 4096;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    format: u32,
    pub(super) stream: String,
    /// When the stream was made: another one of the same name knows nothing of this disk.
    pub(super) created: String,
    /// The last message that is not needed here any more.
    pub(super) synced: u64,
    /// Messages behind that may have been acknowledged: a process is at work, or did not stop cleanly.
    pub(super) is_open: bool,
}

impl Marker {
    pub(super) fn new(stream: &str, created: &str, synced: u64, is_open: bool) -> Self {
        Self { format: FORMAT, stream: stream.to_owned(), created: created.to_owned(), synced, is_open }
    }

    /// None if there is none. One that cannot be read is an error: what it said is not known.
    pub(super) fn read(disk: &dyn Disk, folder: &Path) -> io::Result<Option<Self>> {
        let file = match disk.open(&folder.join(FILE), Mode::Read) {
            Err(error) if is_absent(&error) => return Ok(None),
            file => file?,
        };
        let bytes = read_range(&*file, 0, file.size()?.min(LARGEST))?;
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("journal/{FILE}: {why}"));
        let marker: Self = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if marker.format != FORMAT {
            return Err(wrong(format!("its format is {}, and this program knows {FORMAT}", marker.format)));
        }
        Ok(Some(marker))
    }

    /// Atomically and durably.
    pub(super) fn write(&self, disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(self).map_err(io::Error::other)?;
        let file = disk.open(&folder.join(NEW_FILE), Mode::Create)?;
        file.write_all_at(&bytes, 0)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_data()?;
        disk.rename(&folder.join(NEW_FILE), &folder.join(FILE))?;
        disk.sync_dir(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::memory::MemoryDisk;
    use super::*;

    #[test]
    fn it_reads_back_and_a_newer_format_is_refused() {
        let (disk, folder) = (MemoryDisk::default(), Path::new("/data/journal"));
        assert_eq!(Marker::read(&disk, folder).unwrap(), None);
        for synced in [7_000_000, 3] {
            let marker = Marker::new("ade-c-j-n", "2026-01-01T00:00:00Z", synced, true);
            marker.write(&disk, folder).unwrap();
            assert_eq!(Marker::read(&disk, folder).unwrap(), Some(marker));
        }
        Marker { format: 2, ..Marker::new("s", "t", 1, true) }.write(&disk, folder).unwrap();
        let error = Marker::read(&disk, folder).unwrap_err().to_string();
        assert!(error.contains("format is 2"), "{error}");
        disk.open(&folder.join(FILE), Mode::Write).unwrap().set_len(5).unwrap();
        Marker::read(&disk, folder).unwrap_err();
    }
}
