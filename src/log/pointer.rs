//! The file that stands in the place of a log that is in the archive, and says where it is.
//!
//! Law: a pointer leads to objects of its own log and to no others. It lies where an engine may write, so nothing in it is
//! believed that could lead elsewhere: the name of the object is made from the log's own key, and what was fetched counts
//! when its checksum does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::disk::{Disk, DiskFile, Mode, ReadAt, read_full};
use crate::domain::StreamKey;
use crate::files::is_absent;
use crate::objects::{Expected, hex};

/// What the name of a pointer ends with, beside the log's.
const ARCHIVED: &str = "archived";
/// The form of the object: the compressed log as it was on the disk.
const FORMAT: &str = "zstd-frames/1";
/// A pointer is smaller.
const MOST_BYTES: u64 = 4096;

/// Where a log is that is not on the disk any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    pub format: String,
    /// The name of the object in its store.
    pub object: String,
    pub object_bytes: u64,
    /// Of the object.
    pub sha256: String,
    /// Of the lines.
    pub log_bytes: u64,
    pub last_sequence: u64,
    /// The data directory that has put the object there, and that alone may delete it.
    pub uploaded_by: String,
}

/// There is a pointer, and it does not say where the log is.
#[derive(Debug, thiserror::Error)]
pub enum PointerError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the pointer to the archive cannot be read: {0}")]
    Damaged(String),
}

/// Where the pointer to a log is.
pub(super) fn pointer_path(log: &Path) -> PathBuf {
    log.with_added_extension(ARCHIVED)
}

/// Where it is as long as it does not count: it names an object that may be there, in part or whole.
pub(super) fn intent_path(log: &Path) -> PathBuf {
    pointer_path(log).with_added_extension("tmp")
}

/// What a compressed log says of itself, for its pointer.
pub(super) struct Described {
    pub object_bytes: u64,
    pub sha256: String,
    pub log_bytes: u64,
    pub last_sequence: u64,
}

impl Pointer {
    pub(super) fn new(key: StreamKey, uploaded_by: &str, described: Described) -> Self {
        let Described { object_bytes, sha256, log_bytes, last_sequence } = described;
        let object = object_name(key, uploaded_by, &sha256);
        let (format, uploaded_by) = (FORMAT.to_owned(), uploaded_by.to_owned());
        Self { format, object, object_bytes, sha256, log_bytes, last_sequence, uploaded_by }
    }

    /// The pointer to this log; none if there is none. Blocks.
    pub fn of(disk: &dyn Disk, data_dir: &Path, key: StreamKey) -> Result<Option<Self>, PointerError> {
        Self::read(disk, &pointer_path(&data_dir.join(key.log_path())), key)
    }

    pub(super) fn read(disk: &dyn Disk, path: &Path, key: StreamKey) -> Result<Option<Self>, PointerError> {
        let file = match disk.open(path, Mode::Read) {
            Err(error) if is_absent(&error) => return Ok(None),
            opened => opened?,
        };
        let mut content = vec![0; file.size()?.min(MOST_BYTES) as usize];
        let size = read_full(&*file, &mut content, 0)?;
        let pointer: Self =
            serde_json::from_slice(&content[..size]).map_err(|error| PointerError::Damaged(error.to_string()))?;
        pointer.check(key).map_err(|why| PointerError::Damaged(why.to_owned()))?;
        Ok(Some(pointer))
    }

    fn check(&self, key: StreamKey) -> Result<(), &'static str> {
        let is_sum = self.sha256.len() == 64 && self.sha256.bytes().all(|it| b"0123456789abcdef".contains(&it));
        match self {
            _ if self.format != FORMAT => Err("it is of a format that this release does not know"),
            _ if !is_sum || ulid::Ulid::from_string(&self.uploaded_by).is_err() => Err("it is not one"),
            _ if self.object != object_name(key, &self.uploaded_by, &self.sha256) => Err("it is not this log's"),
            _ => Ok(()),
        }
    }

    /// What is to be in the store.
    pub fn expected(&self) -> Expected<'_> {
        Expected { name: &self.object, bytes: self.object_bytes, sha256: &self.sha256 }
    }

    /// Under a name of its own: of one log, one object.
    pub(super) fn cache_name(&self, key: StreamKey) -> String {
        format!("{key}-{}", self.sha256)
    }

    /// Writes it durably under a name that must not count yet.
    pub(super) fn write(&self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let content = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        let file = disk.open(path, Mode::Create)?;
        file.set_len(0)?;
        file.write_all_at(&content, 0)?;
        file.sync_data()
    }
}

/// It carries the checksum, so that putting it twice is putting it once; and who has put it, so that a copy of the data
/// directory, which has the same logs, has objects of its own.
fn object_name(key: StreamKey, uploaded_by: &str, sha256: &str) -> String {
    format!("logs/{uploaded_by}/{}/{sha256}.zst", key.directory().display())
}

/// The checksum of a whole file, as it is written in hexadecimal. None when it is to stop.
pub(super) fn checksum(file: &Arc<dyn DiskFile>, should_stop: &dyn Fn() -> bool) -> io::Result<Option<String>> {
    let (mut hasher, mut buffer, mut offset) = (Sha256::new(), vec![0; 1 << 20], 0);
    loop {
        if should_stop() {
            return Ok(None);
        }
        match read_full(&**file as &dyn ReadAt, &mut buffer, offset)? {
            0 => return Ok(Some(hex(hasher))),
            count => {
                hasher.update(&buffer[..count]);
                offset += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryDisk;
    use super::*;
    use crate::domain::{RunId, WorkspaceId};

    #[test]
    fn a_pointer_leads_to_its_own_log_and_nowhere_else() {
        let (disk, path) = (MemoryDisk::default(), Path::new("/data/events.ndjson.archived"));
        let [key, other] = [(); 2].map(|()| StreamKey::of(WorkspaceId::generate(), RunId::generate()));
        let described = Described { object_bytes: 5, sha256: "ab".repeat(32), log_bytes: 50, last_sequence: 3 };
        let pointer = Pointer::new(key, &ulid::Ulid::generate().to_string(), described);
        assert_eq!(Pointer::read(&disk, path, key).unwrap(), None);
        pointer.write(&disk, path).unwrap();
        assert_eq!(Pointer::read(&disk, path, key).unwrap().as_ref(), Some(&pointer));
        let damaged = |pointer: &Pointer, key| {
            pointer.write(&disk, path).unwrap();
            matches!(Pointer::read(&disk, path, key), Err(PointerError::Damaged(_)))
        };
        assert!(damaged(&pointer, other), "an engine cannot point to another's log");
        for wrong in [
            Pointer { object: "logs/../../secret".into(), ..pointer.clone() },
            Pointer { sha256: "../x".into(), ..pointer.clone() },
            Pointer { uploaded_by: "../..".into(), ..pointer.clone() },
            Pointer { format: "zstd-frames/2".into(), ..pointer.clone() },
        ] {
            assert!(damaged(&wrong, key), "{wrong:?}");
        }
        for content in [&b""[..], b"{", b"{}", &[b' '; 9000]] {
            let file = disk.open(path, Mode::Create).unwrap();
            file.set_len(0).unwrap();
            file.write_all_at(content, 0).unwrap();
            assert!(matches!(Pointer::read(&disk, path, key), Err(PointerError::Damaged(_))));
        }
    }
}
