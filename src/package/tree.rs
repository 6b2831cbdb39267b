//! The files of a package, and what beside them is not one of them.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::{Dir, Kind, Walked, walk};

/// Not part of a package wherever it is found, file or directory.
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

/// Not part of a package as a directory beside `pyproject.toml`; further down they may well be modules.
const JUNK_AT_TOP: &[&str] = &["venv", "env", "build", "dist"];

/// Of a directory, so many entries are looked at.
pub(super) const MOST: usize = 100_000;

/// A directory cannot be read as a package.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("{path:?} is neither a file nor a directory")]
    NotPlain { path: PathBuf },
    #[error("{path:?} has a name that is not text")]
    NotText { path: PathBuf },
    #[error("{path:?} changed while it was read")]
    Changed { path: PathBuf },
    #[error("{0}")]
    TooLarge(String),
    #[error("{path:?} cannot be read or written")]
    Io { path: PathBuf, source: io::Error },
}

impl TreeError {
    pub(super) fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        |source| Self::Io { path, source }
    }
}

/// The relative paths of a package's files, `/` between the directories, in the order of their bytes.
pub(super) fn files(root: &Dir) -> Result<Vec<String>, TreeError> {
    let (mut found, mut fault) = (Vec::new(), None);
    let walked = walk(root, MOST, |entry| {
        let Some(path) = entry.path.to_str() else {
            fault.get_or_insert(TreeError::NotText { path: entry.path.clone() });
            return false;
        };
        match (is_junk(path, entry.kind == Kind::Folder), entry.kind) {
            (true, _) => return false,
            (false, Kind::Folder) => return fault.is_none(),
            (false, Kind::File) => found.push(path.to_owned()),
            (false, Kind::Other) => drop(fault.get_or_insert(TreeError::NotPlain { path: entry.path.clone() })),
        }
        false
    });
    let walked = walked.map_err(TreeError::io("."))?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    if let Some(why) = too_large(&walked) {
        return Err(TreeError::TooLarge(why));
    }
    if let Some((path, source)) = walked.unreadable {
        return Err(TreeError::Io { path, source });
    }
    found.sort();
    Ok(found)
}

/// Why a walk has not seen everything; none when it has.
pub(super) fn too_large(walked: &Walked) -> Option<String> {
    match walked {
        Walked { is_cut: true, .. } => Some(format!("there are more than {MOST} files and directories")),
        Walked { too_deep: 1.., .. } => Some("directories are nested too deeply".to_owned()),
        _ => None,
    }
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
    use std::fs;

    use super::super::digest::content_digest;
    use super::*;
    use crate::package::copy::copy_package;

    fn files(directory: &Path) -> Result<Vec<String>, TreeError> {
        super::files(&Dir::root(directory).unwrap())
    }

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
        let directory = tempfile::tempdir().unwrap();
        let own = ["a-b.py", "a/b.py", "a.py", "src/build/x.py", "src/env/y.py", "dist.toml", ".gitignore"];
        plant(directory.path(), &own);
        plant(
            directory.path(),
            &[".git/HEAD", "src/.git", ".venv/bin/x", "venv/x", "env/x", "build/x", "dist/x.whl", "src/a.pyc"],
        );
        plant(directory.path(), &["src/__pycache__/x.py", ".DS_Store", "ade.egg-info/PKG-INFO", "__MACOSX/x"]);
        let mut expected = own.to_vec();
        expected.sort();
        assert_eq!(files(directory.path()).unwrap(), expected);
    }

    #[test]
    fn a_link_is_refused_unless_it_is_among_the_junk() {
        let directory = tempfile::tempdir().unwrap();
        plant(directory.path(), &["a.py", ".venv/x"]);
        std::os::unix::fs::symlink("/usr/bin/python3", directory.path().join(".venv/python")).unwrap();
        assert_eq!(files(directory.path()).unwrap(), ["a.py"]);
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join("b.py")).unwrap();
        assert!(matches!(files(directory.path()), Err(TreeError::NotPlain { .. })));
    }

    #[test]
    fn a_copy_holds_exactly_the_package() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("x/y/to"));
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
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("x/to"));
        plant(&from, &["a.py"]);
        plant(&to, &["before.py"]);
        std::os::unix::fs::symlink("/etc/passwd", from.join("b.py")).unwrap();
        assert!(copy_package(&from, &to).is_err());
        assert_eq!(files(&to).unwrap(), ["before.py"]);
        assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_package_that_is_nested_too_deeply_is_refused_and_not_walked_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        plant(directory.path(), &["pyproject.toml"]);
        let mut dir = Dir::root(directory.path()).unwrap();
        for _ in 0..1_000 {
            dir = dir.make("deeper").unwrap();
        }
        let error = content_digest(directory.path()).unwrap_err();
        assert!(matches!(error, TreeError::TooLarge(_)), "{error}");
        assert!(copy_package(directory.path(), directory.path().join("copy")).is_err());
        crate::files::remove_tree(directory.path().join("deeper")).unwrap();
    }
}
