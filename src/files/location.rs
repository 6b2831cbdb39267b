//! Where something is, and how much of the way there is to be trusted.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::dir::Dir;

/// A path of which the first part, the root, is the operator's. What is below it is entered without following a link.
/// A plain path is a root as a whole: whoever names it answers for the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    root: PathBuf,
    below: PathBuf,
}

impl Location {
    pub fn below(root: &Path, below: impl AsRef<Path>) -> Self {
        Self { root: root.to_owned(), below: below.as_ref().to_owned() }
    }

    pub fn join(&self, below: impl AsRef<Path>) -> Self {
        Self { root: self.root.clone(), below: self.below.join(below) }
    }

    /// For children, and to tell it.
    pub fn path(&self) -> PathBuf {
        if self.below.as_os_str().is_empty() { self.root.clone() } else { self.root.join(&self.below) }
    }

    /// The directory that everything begins at.
    pub(super) fn root(&self) -> io::Result<Dir> {
        Dir::root(&self.root)
    }

    /// What is below it on the way, name by name.
    pub(super) fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.below.iter()
    }

    /// The directory that is there.
    pub fn open(&self) -> io::Result<Dir> {
        Dir::root(&self.root)?.open(&self.below)
    }

    /// As [`Location::open`]; it is made if need be, and so is the root.
    pub fn make(&self) -> io::Result<Dir> {
        std::fs::create_dir_all(&self.root)?;
        Dir::root(&self.root)?.make(&self.below)
    }

    /// The regular file that is there, for reading.
    pub fn file(&self) -> io::Result<File> {
        let (dir, name) = self.parent()?;
        dir.file(name)
    }

    /// The content of the regular file that is there, of at most `limit` bytes.
    pub fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        let (dir, name) = self.parent()?;
        dir.read(name, limit)
    }

    /// The directory that it is in, and its name there.
    pub fn parent(&self) -> io::Result<(Dir, OsString)> {
        let (directory, name) = self.split()?;
        Ok((directory.open()?, name.to_owned()))
    }

    /// As [`Location::parent`]; directories that a child has locked against their owner are unlocked.
    pub fn parent_unlocked(&self) -> io::Result<(Dir, OsString)> {
        let (dir, name) = match self.below.as_os_str().is_empty() {
            true => return self.parent(),
            false => (Dir::root(&self.root)?, &self.below),
        };
        let (dir, name) = dir.parent_unlocked(name)?;
        Ok((dir, name.to_owned()))
    }

    /// As [`Location::parent`]; missing directories are made, each durable in the one above.
    pub fn make_parent(&self) -> io::Result<(Dir, OsString)> {
        let (directory, name) = self.split()?;
        std::fs::create_dir_all(&directory.root)?;
        Ok((Dir::root(&directory.root)?.make_durably(&directory.below)?, name.to_owned()))
    }

    /// What has this name in the same directory.
    pub fn beside(&self, name: impl AsRef<Path>) -> io::Result<Self> {
        Ok(self.split()?.0.join(name))
    }

    fn split(&self) -> io::Result<(Self, &OsStr)> {
        let whole = if self.below.as_os_str().is_empty() { &self.root } else { &self.below };
        let (Some(parent), Some(name)) = (whole.parent(), whole.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let directory = match self.below.as_os_str().is_empty() {
            false => Self { root: self.root.clone(), below: parent.to_owned() },
            true if parent.as_os_str().is_empty() => Self::from(Path::new(".")),
            true => Self::from(parent),
        };
        Ok((directory, name))
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::below(path, "")
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        Self::from(path.as_path())
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::from(path.as_path())
    }
}

impl From<&Self> for Location {
    fn from(location: &Self) -> Self {
        location.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_the_root_and_no_further() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("real/sub")).unwrap();
        fs::write(directory.path().join("real/sub/file"), "content").unwrap();
        symlink("real", directory.path().join("link")).unwrap();
        symlink("sub", directory.path().join("real/inner")).unwrap();
        let root = directory.path().join("link");
        let place = Location::below(&root, "sub/file");
        assert_eq!((place.read(10).unwrap(), place.path()), (b"content".to_vec(), root.join("sub/file")));
        assert!(Location::below(&root, "inner/file").read(10).is_err());
        assert!(Location::below(directory.path(), "link/sub/file").read(10).is_err());
        assert_eq!(Location::from(&root.join("inner")).join("file").read(10).unwrap(), b"content");
        assert_eq!(Location::from(&root.join("inner/file")).read(10).unwrap(), b"content");
        assert_eq!(Location::from(&root).path(), root);
    }

    #[test]
    fn missing_folders_are_made_on_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let (dir, name) = Location::below(&directory.path().join("new"), "a/b/file").make_parent().unwrap();
        dir.create(&name).unwrap();
        assert!(directory.path().join("new/a/b/file").is_file());
        Location::below(directory.path(), "c/d").make().unwrap();
        assert!(directory.path().join("c/d").is_dir());
        assert!(Location::from(Path::new("/")).parent().is_err());
    }
}
