//! How far this disk has the copies of another node's logs: a small file for each journal that is followed.
//!
//! Law: it is written only when every copy is synced as far as the messages up to its sequence speak of it. What it says of
//! another stream of the same name counts for nothing.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::disk::{Disk, Mode, read_range};
use crate::files::is_absent;

const FORMAT: u32 = 1;
const LARGEST: u64 = 1 << 14;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Position {
    format: u32,
    /// When the stream was made.
    pub(super) created: String,
    /// The last message that is in the copies.
    pub(super) sequence: u64,
    /// Messages in the middle were gone before they were read: what was in them is missing here.
    #[serde(default)]
    pub(super) has_holes: bool,
    /// The first messages of the stream were gone: a log that is not here may have been written all the same.
    #[serde(default)]
    pub(super) begins_late: bool,
}

impl Position {
    /// Before the first message of a stream.
    pub(super) fn start(created: &str) -> Self {
        Self { format: FORMAT, created: created.to_owned(), sequence: 0, has_holes: false, begins_late: false }
    }

    /// None where there is none, or where it cannot be read: then everything is read again, which changes nothing.
    pub(super) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Self>> {
        let file = match disk.open(path, Mode::Read) {
            Err(error) if is_absent(&error) => return Ok(None),
            file => file?,
        };
        let bytes = read_range(&*file, 0, file.size()?.min(LARGEST))?;
        Ok(serde_json::from_slice(&bytes).ok().filter(|position: &Self| position.format == FORMAT))
    }

    /// Atomically and durably.
    pub(super) fn write(&self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let new = path.with_added_extension("new");
        let bytes = serde_json::to_vec(self).map_err(io::Error::other)?;
        let file = disk.open(&new, Mode::Create)?;
        file.write_all_at(&bytes, 0)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_data()?;
        disk.rename(&new, path)?;
        path.parent().map_or(Ok(()), |folder| disk.sync_dir(folder))
    }
}
