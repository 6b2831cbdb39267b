//! A folder in the making, beside the one it will be.
//!
//! Law: the target holds either what it held before or everything that was staged, also after a power cut.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use ulid::Ulid;

use crate::files;

/// How the name of a folder in the making begins; the rest is a ULID.
pub const STAGING: &str = ".staging-";

/// Removed again when dropped, unless committed.
pub struct Staging {
    path: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// An empty folder beside `target`, in a parent that is made when it is missing.
    pub fn beside(target: &Path) -> io::Result<Self> {
        let parent = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
        create_folders(parent)?;
        let path = parent.join(format!("{STAGING}{}", Ulid::generate()));
        fs::create_dir(&path)?;
        Ok(Self { path, target: target.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new file, by a relative path that the caller has made sure of.
    pub fn create(&self, relative: &str) -> io::Result<File> {
        let path = self.path.join(relative);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        File::create_new(path)
    }

    /// Makes everything durable, then the target at once; what the target was before is gone.
    pub fn commit(self) -> io::Result<()> {
        sync_tree(&self.path)?;
        if self.target.try_exists()? {
            exchange(&self.path, &self.target)?;
        } else {
            fs::rename(&self.path, &self.target)?;
        }
        sync_parent(&self.target)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After a commit this is what the target was before, or not there. What cannot be removed is only clutter.
        let _ = files::remove_tree(&self.path);
    }
}

/// Makes missing folders, each durable in its parent.
fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folders(parent)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_parent(folder),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

/// Two folders change names, in one step where the system and the file system can.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use nix::errno::Errno;
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
        match renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE) {
            Err(Errno::EINVAL | Errno::ENOSYS) => {}
            done => return Ok(done?),
        }
    }
    exchange_in_steps(one, other)
}

fn exchange_in_steps(one: &Path, other: &Path) -> io::Result<()> {
    let aside = one.with_extension("aside");
    fs::rename(other, &aside)?;
    if let Err(error) = fs::rename(one, other) {
        fs::rename(&aside, other)?;
        return Err(error);
    }
    fs::rename(&aside, one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
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
        let staging = Staging::beside(&root.path().join("target")).unwrap();
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
        exchange_in_steps(&one, &other).unwrap();
        assert_eq!((names(&one), names(&other)), (vec!["old".into()], vec!["new".into()]));
        assert_eq!(names(root.path()).len(), 2);
    }
}
