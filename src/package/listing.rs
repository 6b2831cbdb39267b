//! What is in a package, entry by entry, as an editor shows it.

use std::collections::HashSet;
use std::fs::File;
use std::io;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::digest::digest_of_file;
use super::tree::{MOST, TreeError, is_junk, too_large};
use crate::domain::time::{Timestamp, micros};
use crate::files::{Dir, Kind, Location, walk};

/// A file or a directory of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageEntry {
    /// Relative, `/` between the directories.
    pub path: String,
    pub modified_at: Timestamp,
    pub content: EntryContent,
}

impl PackageEntry {
    /// The path of the directory that it is in, empty for the package itself, and its name there.
    pub fn parent_and_name(&self) -> (&str, &str) {
        self.path.rsplit_once('/').unwrap_or(("", &self.path))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryContent {
    Directory {
        has_children: bool,
    },
    /// The digest is of the content: `sha256:<hex>`.
    File {
        size: u64,
        digest: String,
    },
}

/// All entries, in the order of their paths' bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageListing {
    pub entries: Vec<PackageEntry>,
    /// Of all paths and contents, empty directories included.
    pub digest: String,
}

/// How much there is in a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    pub entries: usize,
    pub bytes: u64,
}

/// Blocks.
pub fn list_package(directory: &Location) -> Result<PackageListing, TreeError> {
    let dir = directory.open().map_err(TreeError::io(directory.path()))?;
    let mut entries = Vec::new();
    for (path, kind, _) in found(&dir)? {
        let fault = TreeError::io(&path);
        let entry = if kind == Kind::Folder { folder(&dir, &path) } else { file_entry(&dir, &path) };
        entries.push(entry.map_err(fault)?);
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    mark_parents(&mut entries);
    let digest = digest(&entries);
    Ok(PackageListing { entries, digest })
}

/// Blocks.
pub fn extent_of(dir: &Dir) -> Result<Extent, TreeError> {
    let count = |extent: Extent, (_, _, size): (String, Kind, u64)| Extent {
        entries: extent.entries + 1,
        bytes: extent.bytes + size,
    };
    Ok(found(dir)?.into_iter().fold(Extent::default(), count))
}

pub(super) fn found(dir: &Dir) -> Result<Vec<(String, Kind, u64)>, TreeError> {
    let (mut found, mut fault) = (Vec::new(), None);
    let walked = walk(dir, MOST, |entry| {
        let Some(path) = entry.path.to_str() else {
            fault.get_or_insert(TreeError::NotText { path: entry.path.clone() });
            return false;
        };
        if is_junk(path, entry.kind == Kind::Folder) {
            return false;
        }
        if entry.kind == Kind::Other {
            fault.get_or_insert(TreeError::NotPlain { path: entry.path.clone() });
            return false;
        }
        let size = if entry.kind == Kind::File { entry.size } else { 0 };
        found.push((path.to_owned(), entry.kind, size));
        entry.kind == Kind::Folder
    });
    let walked = walked.map_err(TreeError::io("."))?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    match too_large(&walked) {
        Some(why) => Err(TreeError::TooLarge(why)),
        None => Ok(found),
    }
}

/// One file as it is now.
pub fn file_entry(dir: &Dir, path: &str) -> io::Result<PackageEntry> {
    open_file(dir, path).map(|(entry, _)| entry)
}

/// One file, with what it is.
pub fn open_file(dir: &Dir, path: &str) -> io::Result<(PackageEntry, File)> {
    let file = dir.file(path)?;
    let metadata = file.metadata()?;
    let modified_at = micros(DateTime::<Utc>::from(metadata.modified()?));
    let content = EntryContent::File { size: metadata.len(), digest: digest_of_file(&file)? };
    Ok((PackageEntry { path: path.to_owned(), modified_at, content }, file))
}

fn folder(dir: &Dir, path: &str) -> io::Result<PackageEntry> {
    let modified_at = micros(DateTime::<Utc>::from(dir.open(path)?.modified()?));
    let content = EntryContent::Directory { has_children: false };
    Ok(PackageEntry { path: path.to_owned(), modified_at, content })
}

/// In a sorted list something below a directory need not come right after it: `a`, `a-b`, `a/c`.
fn mark_parents(entries: &mut [PackageEntry]) {
    let parents: HashSet<String> =
        entries.iter().filter_map(|entry| Some(entry.path.rsplit_once('/')?.0.to_owned())).collect();
    for entry in entries {
        if let EntryContent::Directory { has_children } = &mut entry.content {
            *has_children = parents.contains(&entry.path);
        }
    }
}

fn digest(entries: &[PackageEntry]) -> String {
    let mut sha256 = Sha256::new();
    for entry in entries {
        sha256.update((entry.path.len() as u64).to_be_bytes());
        sha256.update(&entry.path);
        match &entry.content {
            EntryContent::Directory { .. } => sha256.update([0]),
            EntryContent::File { digest, .. } => sha256.update(digest),
        }
    }
    format!("sha256:{:x}", sha256.finalize())
}
