//! The files of a package, and what beside them is not one of them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::digest::content_digest;
use super::staging::Staging;

/// Not part of a package wherever it is found, file or folder.
const JUNK: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    ".bzr",
    "CVS",
    ".venv",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".cache",
    ".tox",
    ".nox",
    ".eggs",
    ".ipynb_checkpoints",
    "node_modules",
    "__MACOSX",
    ".DS_Store",
];

/// Not part of a package as a folder beside `pyproject.toml`; further down they may well be modules.
const JUNK_AT_TOP: &[&str] = &["venv", "env", "build", "dist"];

/// A folder cannot be read as a package.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("{path:?} is neither a file nor a folder")]
    NotPlain { path: PathBuf },
    #[error("{path:?} has a name that is not text")]
    NotText { path: PathBuf },
    #[error("{path:?} changed while it was read")]
    Changed { path: PathBuf },
    #[error("{path:?} cannot be read or written")]
    Io { path: PathBuf, source: io::Error },
}

impl TreeError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}

/// Copies the files of a package, and nothing else, to a folder that then holds exactly them. Gives the digest of the
/// copy: the original may change meanwhile.
pub fn copy_package(from: &Path, to: &Path) -> Result<String, TreeError> {
    let staging = Staging::beside(to).map_err(TreeError::io(to))?;
    for path in files(from)? {
        let source = from.join(&path);
        let mut reader = File::open(&source).map_err(TreeError::io(&source))?;
        let mut writer = staging.create(&path).map_err(TreeError::io(to))?;
        io::copy(&mut reader, &mut writer).map_err(TreeError::io(&source))?;
    }
    let digest = content_digest(staging.path())?;
    staging.commit().map_err(TreeError::io(to))?;
    Ok(digest)
}

/// The relative paths of a package's files, `/` between the folders, in the order of their bytes.
pub fn files(root: &Path) -> Result<Vec<String>, TreeError> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let here = root.join(&folder);
        for entry in fs::read_dir(&here).map_err(TreeError::io(&here))? {
            let entry = entry.map_err(TreeError::io(&here))?;
            let kind = entry.file_type().map_err(TreeError::io(&here))?;
            let name = entry.file_name().into_string().map_err(|_| TreeError::NotText { path: entry.path() })?;
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            match (is_junk(&path, kind.is_dir()), kind.is_dir(), kind.is_file()) {
                (true, ..) => {}
                (false, true, _) => folders.push(path),
                (false, _, true) => found.push(path),
                _ => return Err(TreeError::NotPlain { path: entry.path() }),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The last part of the path is no part of a package. Those before it are asked about on their own.
pub fn is_junk(path: &str, is_folder: bool) -> bool {
    is_junk_anywhere(path, is_folder) || (is_folder && JUNK_AT_TOP.contains(&path))
}

/// As [`is_junk`], while it is not known yet where the top of the package is.
pub fn is_junk_anywhere(path: &str, is_folder: bool) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    JUNK.contains(&name) || name.ends_with(if is_folder { ".egg-info" } else { ".pyc" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files with their own paths as content.
    fn plant(root: &Path, paths: &[&str]) {
        for path in paths {
            let target = root.join(path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, path).unwrap();
        }
    }

    #[test]
    fn files_are_sorted_by_their_whole_path_and_junk_is_not_among_them() {
        let folder = tempfile::tempdir().unwrap();
        let own = ["a-b.py", "a/b.py", "a.py", "src/build/x.py", "src/env/y.py", "dist.toml", ".gitignore"];
        plant(folder.path(), &own);
        plant(
            folder.path(),
            &[".git/HEAD", "src/.git", ".venv/bin/x", "venv/x", "env/x", "build/x", "dist/x.whl", "src/a.pyc"],
        );
        plant(folder.path(), &["src/__pycache__/x.py", ".DS_Store", "ade.egg-info/PKG-INFO", "__MACOSX/x"]);
        let mut expected = own.to_vec();
        expected.sort();
        assert_eq!(files(folder.path()).unwrap(), expected);
    }

    #[test]
    fn a_link_is_refused_unless_it_is_among_the_junk() {
        let folder = tempfile::tempdir().unwrap();
        plant(folder.path(), &["a.py", ".venv/x"]);
        std::os::unix::fs::symlink("/usr/bin/python3", folder.path().join(".venv/python")).unwrap();
        assert_eq!(files(folder.path()).unwrap(), ["a.py"]);
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("b.py")).unwrap();
        assert!(matches!(files(folder.path()), Err(TreeError::NotPlain { .. })));
    }

    #[test]
    fn a_copy_holds_exactly_the_package() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("x/y/to"));
        plant(&from, &["pyproject.toml", "src/a/b.py", "build/x", ".git/HEAD"]);
        plant(&to, &["left_over.py"]);
        let digest = copy_package(&from, &to).unwrap();
        assert_eq!(files(&to).unwrap(), ["pyproject.toml", "src/a/b.py"]);
        assert!(!to.join("build").exists());
        assert_eq!(digest, content_digest(&from).unwrap());
        assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_copy_that_fails_leaves_the_target_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("x/to"));
        plant(&from, &["a.py"]);
        plant(&to, &["before.py"]);
        std::os::unix::fs::symlink("/etc/passwd", from.join("b.py")).unwrap();
        assert!(copy_package(&from, &to).is_err());
        assert_eq!(files(&to).unwrap(), ["before.py"]);
        assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1);
    }
}
