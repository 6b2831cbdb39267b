//! Packages as an object store has them: one archive each, and the way back.
//!
//! Invariants. The same package gives the same bytes. What is unpacked holds exactly what was packed, empty directories included, or
//! it never gets its place; names, links and sizes are refused as in an archive that comes from a stranger.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, Write};

use sha2::{Digest as _, Sha256};
use zip::ZipArchive;
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::archive::{self, ExportError, ImportError, Limits};
use super::digest::digest_of;
use super::listing::found;
use super::staging::Staging;
use super::tree::{MOST, TreeError};
use crate::files::{Dir, Kind, Location};

/// What a package may come to. Its files are bounded where they come in; deflated badly they are a little more.
const LIMITS: Limits = Limits { zip_bytes: 256 << 20, unpacked_bytes: 208 << 20, entries: MOST };
/// Of the directories' digest, so many characters tell them apart.
const SHORT: usize = 16;

/// What is in a package: its content, and its empty directories, which are no part of the content's digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeState {
    pub content_digest: String,
    empty: BTreeSet<String>,
}

impl TreeState {
    /// Blocks.
    pub fn of(directory: &Dir) -> Result<Self, TreeError> {
        Ok(Self { content_digest: digest_of(directory)?, empty: empty_directories(directory)? })
    }

    /// A name for an archive of it: the content's digest first, then that of the directories, then what makes it another one than
    /// that of the same package an hour ago.
    pub fn name(&self, unique: &str) -> String {
        format!("{}-{unique}", self.stem())
    }

    /// Whether an archive of that name has exactly this.
    pub fn is_named(&self, name: &str) -> bool {
        name.rsplit_once('-').is_some_and(|(stem, _)| stem == self.stem())
    }

    fn stem(&self) -> String {
        let mut sha256 = Sha256::new();
        for path in &self.empty {
            sha256.update((path.len() as u64).to_be_bytes());
            sha256.update(path);
        }
        let directories = format!("{:x}", sha256.finalize());
        format!("{}-{}", self.content_digest.trim_start_matches("sha256:"), &directories[..SHORT])
    }
}

fn empty_directories(directory: &Dir) -> Result<BTreeSet<String>, TreeError> {
    let found = found(directory)?;
    let parents: BTreeSet<&str> = found.iter().filter_map(|(path, ..)| Some(path.rsplit_once('/')?.0)).collect();
    let is_empty = |(path, kind, _): &&(String, Kind, u64)| *kind == Kind::Folder && !parents.contains(path.as_str());
    Ok(found.iter().filter(is_empty).map(|(path, ..)| path.clone()).collect())
}

/// Packs a package as it is. Blocks.
pub fn pack_tree<W: Write + Seek>(directory: &Dir, zip: W) -> Result<(W, TreeState), ExportError> {
    let mut writer = archive::pack_files(directory, ZipWriter::new(zip), LIMITS.unpacked_bytes)?;
    let state = TreeState::of(directory)?;
    for path in &state.empty {
        writer.add_directory(path.as_str(), SimpleFileOptions::default())?;
    }
    Ok((writer.finish()?, state))
}

/// Why an archive does not become a package.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("it is no archive of a package: {0}")]
    Archive(ImportError),
    #[error("it holds another package than its name says")]
    OtherPackage,
    #[error("it cannot be unpacked: {0}")]
    Io(#[from] io::Error),
}

impl From<ImportError> for UnpackError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Io(error) => Self::Io(error),
            error => Self::Archive(error),
        }
    }
}

/// Unpacks the archive of that name beside the place of its package. Blocks.
pub fn unpack_tree(zip: impl Read + Seek, into: impl Into<Location>, name: &str) -> Result<Staging, UnpackError> {
    let mut archive = archive::open(zip, LIMITS)?;
    let staging = Staging::beside(into)?;
    unpack(&mut archive, &staging)?;
    match TreeState::of(staging.dir()) {
        Ok(state) if state.is_named(name) => Ok(staging),
        Ok(_) => Err(UnpackError::OtherPackage),
        Err(TreeError::Io { source, .. }) => Err(source.into()),
        Err(error) => Err(ImportError::from(error).into()),
    }
}

fn unpack<R: Read + Seek>(archive: &mut ZipArchive<R>, staging: &Staging) -> Result<(), UnpackError> {
    let mut total = 0;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(ImportError::Unreadable)?;
        let path = archive::plain_path(&entry)?;
        match entry.is_dir() {
            true => drop(staging.dir().make(&path)?),
            false => archive::inflate(&mut entry, &mut staging.create(&path)?, &mut total, LIMITS.unpacked_bytes)?,
        }
    }
    Ok(())
}

/// A copy of a package beside it, with its empty directories and the times of its files, for a change to be made in. The copy's files
/// are the original's until they are replaced, where the file system can do that. Blocks.
pub fn stage_tree(from: &Location) -> Result<Staging, TreeError> {
    let source = from.open().map_err(TreeError::io(from.path()))?;
    let staging = Staging::beside(from).map_err(TreeError::io(from.path()))?;
    for (path, kind, _) in found(&source)? {
        let copied = match kind {
            Kind::Folder => staging.dir().make(&path).map(drop),
            _ => copy_file(&source, &staging, &path),
        };
        copied.map_err(TreeError::io(&path))?;
    }
    Ok(staging)
}

fn copy_file(source: &Dir, staging: &Staging, path: &str) -> io::Result<()> {
    if let Some((parent, _)) = path.rsplit_once('/') {
        staging.dir().make(parent)?;
    }
    if source.link(path, staging.dir(), path).is_ok() {
        return Ok(());
    }
    let mut original = source.file(path)?;
    let mut copy = staging.create(path)?;
    io::copy(&mut original, &mut copy)?;
    copy.set_modified(original.metadata()?.modified()?)
}

impl From<ZipError> for UnpackError {
    fn from(error: ZipError) -> Self {
        ImportError::Unreadable(error).into()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;
    use std::path::Path;

    use super::*;

    fn plant(root: &Path) -> Location {
        let package = root.join("package");
        for (path, content) in [("top/pyproject.toml", "x"), ("top/src/a.py", "y"), ("top/build/b", "z")] {
            fs::create_dir_all(package.join(path).parent().unwrap()).unwrap();
            fs::write(package.join(path), content).unwrap();
        }
        fs::create_dir_all(package.join("empty/inner")).unwrap();
        fs::create_dir_all(package.join("top/src/__pycache__")).unwrap();
        Location::from(&package)
    }

    fn packed(package: &Location) -> (Vec<u8>, TreeState) {
        let (zip, state) = pack_tree(&package.open().unwrap(), Cursor::new(Vec::new())).unwrap();
        (zip.into_inner(), state)
    }

    #[test]
    fn a_package_comes_back_exactly_with_its_empty_directories_and_nothing_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let package = plant(root.path());
        let (zip, state) = packed(&package);
        assert_eq!((&zip, &state), (&packed(&package).0, &packed(&package).1), "the same gives the same");
        let (name, other) = (state.name("1"), root.path().join("other"));
        unpack_tree(Cursor::new(&zip), &other, &name).unwrap().commit().unwrap();
        assert!(TreeState::of(&Dir::root(&other).unwrap()).unwrap().is_named(&name));
        assert!(other.join("empty/inner").is_dir() && other.join("top/build/b").is_file());
        assert!(!other.join("top/src/__pycache__").exists());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_package_of_nothing_is_one_too() {
        let root = tempfile::tempdir().unwrap();
        let package = root.path().join("package");
        fs::create_dir(&package).unwrap();
        let (zip, state) = packed(&Location::from(&package));
        unpack_tree(Cursor::new(zip), root.path().join("other"), &state.name("1")).unwrap().commit().unwrap();
        assert!(root.path().join("other").is_dir());
    }

    #[test]
    fn what_is_not_what_its_name_says_gets_no_place() {
        let root = tempfile::tempdir().unwrap();
        let package = plant(root.path());
        let (zip, state) = packed(&package);
        fs::create_dir(root.path().join("package/more")).unwrap();
        let (more, with_more) = packed(&package);
        assert_ne!(state.name("1"), with_more.name("1"), "a directory counts");
        let mut escaping = ZipWriter::new(Cursor::new(Vec::new()));
        escaping.start_file("../x", SimpleFileOptions::default()).unwrap();
        let escaping = escaping.finish().unwrap().into_inner();
        let mut link = ZipWriter::new(Cursor::new(Vec::new()));
        link.add_symlink("a", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        let link = link.finish().unwrap().into_inner();
        let target = root.path().join("other");
        for wrong in [&more[..], &zip[..zip.len() / 2], b"none", &escaping, &link] {
            assert!(unpack_tree(Cursor::new(wrong), &target, &state.name("1")).is_err());
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing is left");
    }

    #[test]
    fn a_change_in_a_staged_copy_leaves_the_original_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let package = plant(root.path());
        let (staging, before) = (stage_tree(&package).unwrap(), packed(&package).1);
        assert_eq!(TreeState::of(staging.dir()).unwrap(), before);
        let of = |root: &Path| fs::metadata(root.join("top/src/a.py")).unwrap().modified().unwrap();
        assert_eq!(of(&staging.location().path()), of(&package.path()));
        staging.dir().replace("top/src/a.py", b"new").unwrap();
        assert_eq!(packed(&package).1, before);
        staging.commit().unwrap();
        assert_eq!(package.join("top/src/a.py").read(9).unwrap(), b"new");
    }
}
