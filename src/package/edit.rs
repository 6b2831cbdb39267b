//! Changes of single files and directories of a package.
//!
//! Invariants. A file has its old content or its new one, whole, also after a power cut: what is new is written and
//! synced elsewhere, then renamed into its place. Whoever changes a file says which content is expected there. What the
//! package may come to is bounded. The caller holds the package's lock.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use ulid::Ulid;

use super::archive::Limits;
use super::listing::{EntryContent, PackageEntry, extent_of, file_entry, open_file};
use super::path::PackagePath;
use super::tree::TreeError;
use crate::domain::precondition::Conditions;
use crate::files::{self, Dir, Location};

/// Bytes of a file that is written by itself.
pub const MAX_FILE: usize = 5 << 20;
/// Files and directories.
const MAX_ENTRIES: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error("{path:?} does not exist")]
    NotFound { path: String },
    #[error("the directory {path:?} does not exist")]
    NoDirectory { path: String },
    /// A directory where a file is meant, or the other way round, or neither of them.
    #[error("{path:?} is {what}")]
    OtherKind { path: String, what: &'static str },
    #[error("there is a file {path:?} already")]
    Exists { path: String },
    #[error("the directory {path:?} is not empty")]
    NotEmpty { path: String },
    #[error("{path:?} exists: the change must say which content it expects")]
    ConditionRequired { path: String },
    #[error("{}", .current.as_ref().map_or("the file does not exist".to_owned(), |digest| format!("the file's content is {digest} now")))]
    ConditionFailed { current: Option<String> },
    #[error("{0}")]
    TooLarge(String),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("the package cannot be read or written")]
    Io(#[from] io::Error),
}

/// A file that has been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub entry: PackageEntry,
    pub created: bool,
}

/// A file as it is now, and what it is.
pub fn open_for_reading(directory: &Location, path: &PackagePath) -> Result<(PackageEntry, File), EditError> {
    let found = open_file(&directory.open()?, path.as_str());
    found.map_err(|error| match files::is_absent(&error) {
        true => EditError::NotFound { path: path.to_string() },
        false => error.into(),
    })
}

/// Gives a file new content, or makes it, if what is there is expected. `incoming` is a directory on the same disk
/// where unfinished files are swept away; with `parents`, missing directories are made.
pub fn write_file(
    directory: &Location,
    incoming: &Location,
    path: &PackagePath,
    content: &[u8],
    conditions: &Conditions<String>,
    parents: bool,
) -> Result<Written, EditError> {
    let dir = directory.open()?;
    let current = content_at(&dir, path)?;
    if current.is_some() && conditions.are_none() {
        return Err(EditError::ConditionRequired { path: path.to_string() });
    }
    allow(conditions, &current)?;
    let replaced = if current.is_some() { dir.file(path.as_str())?.metadata()?.len() } else { 0 };
    make_room(&dir, replaced, content.len(), usize::from(current.is_none()))?;
    let parent = match parents {
        true => dir.make_durably(path.parent()).map_err(not_a_directory(path.parent()))?,
        false => open_directory(&dir, path.parent())?,
    };
    place(incoming, &parent, path.name(), content)?;
    Ok(Written { entry: file_entry(&dir, path.as_str())?, created: current.is_none() })
}

pub fn remove_file(directory: &Location, path: &PackagePath, conditions: &Conditions<String>) -> Result<(), EditError> {
    let dir = directory.open()?;
    let current = content_at(&dir, path)?;
    require(path, conditions, &current)?;
    let parent = open_directory(&dir, path.parent())?;
    parent.remove_file(path.name())?;
    Ok(parent.sync()?)
}

/// Gives a file another path. A file that is there already is replaced only if its content is `replacing`.
pub fn move_file(
    directory: &Location,
    from: &PackagePath,
    to: &PackagePath,
    conditions: &Conditions<String>,
    replacing: Option<&Conditions<String>>,
) -> Result<PackageEntry, EditError> {
    let dir = directory.open()?;
    let current = content_at(&dir, from)?;
    if current.is_none() {
        return Err(EditError::NotFound { path: from.to_string() });
    }
    allow(conditions, &current)?;
    let there = content_at(&dir, to)?;
    if there.is_some() && from != to {
        let replacing = replacing.ok_or_else(|| EditError::Exists { path: to.to_string() })?;
        require(to, replacing, &there)?;
    }
    let (source, target) = (open_directory(&dir, from.parent())?, open_directory(&dir, to.parent())?);
    source.rename(from.name(), &target, to.name())?;
    target.sync()?;
    source.sync()?;
    Ok(file_entry(&dir, to.as_str())?)
}

/// Makes a directory, and those that it is in; false when it is there already.
pub fn make_directory(directory: &Location, path: &PackagePath) -> Result<bool, EditError> {
    let dir = directory.open()?;
    match dir.open(path.as_str()) {
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(not_a_directory(path.as_str())(error)),
    }
    make_room(&dir, 0, 0, path.as_str().split('/').count())?;
    dir.make_durably(path.as_str()).map_err(not_a_directory(path.as_str()))?;
    Ok(true)
}

/// Takes a directory out of the package, at once and whatever is in it; `recursive` says that it need not be empty.
/// What it holds waits in `trash`, a directory on the same disk.
pub fn remove_directory(
    directory: &Location,
    trash: &Path,
    path: &PackagePath,
    recursive: bool,
) -> Result<(), EditError> {
    let dir = directory.open()?;
    let removed = open_directory(&dir, path.as_str()).map_err(|error| match error {
        EditError::NoDirectory { path } => EditError::NotFound { path },
        error => error,
    })?;
    if !recursive && !removed.entries(1)?.is_empty() {
        return Err(EditError::NotEmpty { path: path.to_string() });
    }
    drop(removed);
    files::discard(trash, &directory.path().join(path.as_str()))?;
    Ok(open_directory(&dir, path.parent())?.sync()?)
}

/// The digest of a file's content; none where there is nothing of that name.
fn content_at(dir: &Dir, path: &PackagePath) -> Result<Option<String>, EditError> {
    match file_entry(dir, path.as_str()) {
        Ok(PackageEntry { content: EntryContent::File { digest, .. }, .. }) => Ok(Some(digest)),
        Ok(_) => Err(EditError::OtherKind { path: path.to_string(), what: "a directory" }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if files::is_absent(&error) => {
            Err(EditError::OtherKind { path: path.to_string(), what: "not a file, or below something that is none" })
        }
        Err(error) => Err(error.into()),
    }
}

fn allow(conditions: &Conditions<String>, current: &Option<String>) -> Result<(), EditError> {
    match conditions.are_met_by(current.as_ref()) {
        true => Ok(()),
        false => Err(EditError::ConditionFailed { current: current.clone() }),
    }
}

/// Something that is there, and that its caller knows.
fn require(path: &PackagePath, conditions: &Conditions<String>, current: &Option<String>) -> Result<(), EditError> {
    if current.is_none() {
        return Err(EditError::NotFound { path: path.to_string() });
    }
    if conditions.are_none() {
        return Err(EditError::ConditionRequired { path: path.to_string() });
    }
    allow(conditions, current)
}

/// For what comes, with what it replaces gone.
fn make_room(dir: &Dir, replaced: u64, bytes: usize, entries: usize) -> Result<(), EditError> {
    let (extent, limits) = (extent_of(dir)?, Limits::default());
    if bytes > MAX_FILE {
        return Err(EditError::TooLarge(format!("a file has at most {MAX_FILE} bytes")));
    }
    if extent.entries + entries > MAX_ENTRIES {
        return Err(EditError::TooLarge(format!("a package has at most {MAX_ENTRIES} files and directories")));
    }
    if extent.bytes.saturating_sub(replaced) + bytes as u64 > limits.unpacked_bytes {
        return Err(EditError::TooLarge(format!("a package has at most {} bytes", limits.unpacked_bytes)));
    }
    Ok(())
}

fn open_directory(dir: &Dir, path: &str) -> Result<Dir, EditError> {
    dir.open(path).map_err(not_a_directory(path))
}

fn not_a_directory(path: &str) -> impl FnOnce(io::Error) -> EditError {
    let path = path.to_owned();
    move |error| match error.kind() {
        io::ErrorKind::NotFound => EditError::NoDirectory { path },
        io::ErrorKind::NotADirectory => EditError::OtherKind { path, what: "no directory" },
        _ => error.into(),
    }
}

/// Durable when this returns.
fn place(incoming: &Location, parent: &Dir, name: &str, content: &[u8]) -> io::Result<()> {
    let (waiting, fresh) = (incoming.make()?, Ulid::generate().to_string());
    let mut file = waiting.create(&fresh)?;
    let placed = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| {
        waiting.rename(&fresh, parent, name)?;
        parent.sync()
    });
    if placed.is_err() {
        let _ = waiting.remove_file(&fresh);
    }
    placed
}
