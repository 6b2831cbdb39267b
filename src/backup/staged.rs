//! A backup that is being made. It stands beside its place, under a name that says so, until it is whole.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use ulid::Ulid;

use super::copy::entry_of;
use super::manifest::{Entry, FORMAT, FileList, Manifest};
use crate::domain::time::Timestamp;
use crate::files::{Dir, Location, remove_within};

/// Below the backup: a data directory as it is restored.
pub const DATA: &str = "data";
pub const DATABASE: &str = "ade.db";
pub const LIST: &str = "files.ndjson";
pub const PAGE: &str = "backup.json";

/// Removed when it is dropped before [`Staged::finish`].
pub struct Staged {
    parent: Dir,
    name: OsString,
    path: PathBuf,
    finished: bool,
    list: Option<FileList>,
}

impl Staged {
    /// For a backup at this place, where nothing may be. Blocks.
    pub fn beside(target: &Path) -> io::Result<Self> {
        let (parent, target_name) = Location::from(std::path::absolute(target)?).make_parent()?;
        if parent.has(&target_name)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut name = target_name;
        name.push(format!(".partial-{}", Ulid::generate()));
        let path = std::path::absolute(target)?.with_file_name(&name);
        let dir = parent.make(&name)?;
        dir.make(DATA)?;
        let list = Some(FileList::new(dir.create(LIST)?));
        Ok(Self { parent, name, path, finished: false, list })
    }

    /// The data directory in it.
    pub fn data_dir(&self) -> PathBuf {
        self.path.join(DATA)
    }

    pub fn database(&self) -> PathBuf {
        self.data_dir().join(DATABASE)
    }

    pub fn data(&self) -> io::Result<Dir> {
        self.parent.open(&self.name)?.open(DATA)
    }

    pub fn add(&mut self, entry: &Entry) -> io::Result<()> {
        self.list.as_mut().ok_or(io::ErrorKind::InvalidInput)?.add(entry)
    }

    /// Adds the database, which nothing may have open any more, makes everything durable, and gives the backup its name.
    /// Blocks.
    pub fn finish(mut self, target: &Path, begun_at: Timestamp) -> io::Result<Manifest> {
        self.add(&entry_of(&self.data()?, DATABASE.as_ref())?)?;
        let dir = self.parent.open(&self.name)?;
        let list = self.list.take().ok_or(io::ErrorKind::InvalidInput)?;
        let (files, bytes) = (list.files, list.bytes);
        let files_sha256 = list.finish()?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let manifest = Manifest { format: FORMAT, version, begun_at, files, bytes, files_sha256 };
        dir.replace(PAGE, &serde_json::to_vec_pretty(&manifest)?)?;
        // Of many thousands of files: one call for the whole file system instead of one for each.
        dir.sync_file_system()?;
        let (_, target_name) = Location::from(std::path::absolute(target)?).parent()?;
        if self.parent.has(&target_name)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.parent.rename(&self.name, &self.parent, &target_name)?;
        self.finished = true;
        self.parent.sync()?;
        Ok(manifest)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = remove_within(&self.parent, &self.name)
        {
            tracing::warn!(path = %self.path.display(), %error, "what was made of the backup could not be removed");
        }
    }
}
