//! A directory in the making, beside the one it will be.
//!
//! Invariant: the target holds either what it held before or everything that was staged, also after a power cut.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::Path;

use ulid::Ulid;

use super::tree::{MOST, too_large};
use crate::files::{self, Dir, Kind, Location};

/// How the name of a directory in the making begins; the rest is a ULID.
pub const STAGING: &str = ".staging-";

/// Removed again when dropped, unless committed.
pub struct Staging {
    parent: Dir,
    dir: Dir,
    location: Location,
    name: OsString,
    target: OsString,
}

impl Staging {
    /// An empty directory beside `target`, in a parent that is made when it is missing.
    pub fn beside(target: impl Into<Location>) -> io::Result<Self> {
        let place = target.into();
        let (parent, target) = place.make_parent()?;
        let name = OsString::from(format!("{STAGING}{}", Ulid::generate()));
        let dir = parent.make(&name)?;
        Ok(Self { parent, dir, location: place.beside(&name)?, name, target })
    }

    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Where it is until it is committed.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// A new file, by a relative path that the caller has made sure of.
    pub fn create(&self, relative: &str) -> io::Result<File> {
        let path = Path::new(relative);
        let directory = self.dir.make(path.parent().unwrap_or(Path::new("")))?;
        directory.create(path.file_name().unwrap_or_default())
    }

    /// Files by their relative paths.
    pub fn write(&self, files: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<[u8]>)>) -> io::Result<()> {
        use io::Write as _;
        files.into_iter().try_for_each(|(path, content)| self.create(path.as_ref())?.write_all(content.as_ref()))
    }

    /// Makes everything durable, then the target at once; what the target was before is gone.
    pub fn commit(self) -> io::Result<()> {
        sync_tree(&self.dir)?;
        self.take_place()?;
        self.parent.sync()
    }

    /// As [`Staging::commit`], of what can be had again and is looked at after a start: nothing of it is made durable.
    pub fn commit_copy(self) -> io::Result<()> {
        self.take_place()
    }

    fn take_place(&self) -> io::Result<()> {
        match self.parent.has(&self.target)? {
            true => exchange(&self.parent, &self.name, &self.target),
            false => self.parent.rename(&self.name, &self.parent, &self.target),
        }
    }

    /// As [`Staging::commit`], by another name in the same place.
    pub fn commit_as(mut self, name: &str) -> io::Result<()> {
        self.target = name.into();
        self.commit()
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After a commit this is what the target was before, or not there. What cannot be removed is only clutter.
        let _ = files::remove_within(&self.parent, &self.name);
    }
}

fn sync_tree(dir: &Dir) -> io::Result<()> {
    let mut synced = Ok(());
    let walked = files::walk(dir, MOST, |entry| {
        synced = std::mem::replace(&mut synced, Ok(())).and_then(|()| match entry.kind {
            Kind::Folder => dir.open(&entry.path)?.sync(),
            _ => dir.file(&entry.path)?.sync_all(),
        });
        synced.is_ok()
    })?;
    synced?;
    if let Some(why) = too_large(&walked) {
        return Err(io::Error::other(why));
    }
    dir.sync()
}

/// Two directories change names.
fn exchange(parent: &Dir, one: &OsStr, other: &OsStr) -> io::Result<()> {
    if parent.exchange(one, other)? { Ok(()) } else { exchange_in_steps(parent, one, other) }
}

fn exchange_in_steps(parent: &Dir, one: &OsStr, other: &OsStr) -> io::Result<()> {
    let aside = Path::new(one).with_extension("aside");
    parent.rename(other, parent, &aside)?;
    if let Err(error) = parent.rename(one, parent, other) {
        parent.rename(&aside, parent, other)?;
        return Err(error);
    }
    parent.rename(&aside, parent, one)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_committed_folder_replaces_the_one_before_and_leaves_nothing_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("deep/target");
        for content in ["first", "second"] {
            let staging = Staging::beside(&target).unwrap();
            staging.create(&format!("src/{content}")).unwrap().write_all(content.as_bytes()).unwrap();
            staging.commit().unwrap();
            assert_eq!(names(&target.join("src")), [content]);
            assert_eq!(names(target.parent().unwrap()), ["target"]);
        }
    }

    #[test]
    fn an_abandoned_folder_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let staging = Staging::beside(root.path().join("target")).unwrap();
        staging.create("a/b").unwrap();
        drop(staging);
        assert!(names(root.path()).is_empty());
    }

    #[test]
    fn folders_change_names_without_help_from_the_file_system_too() {
        let root = tempfile::tempdir().unwrap();
        let (one, other) = (root.path().join(".staging-1"), root.path().join("target"));
        fs::create_dir_all(one.join("new")).unwrap();
        fs::create_dir_all(other.join("old")).unwrap();
        let parent = Dir::root(root.path()).unwrap();
        exchange_in_steps(&parent, ".staging-1".as_ref(), "target".as_ref()).unwrap();
        assert_eq!((names(&one), names(&other)), (vec!["old".into()], vec!["new".into()]));
        assert_eq!(names(root.path()).len(), 2);
    }
}
