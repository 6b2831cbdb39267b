//! What a package's content comes down to.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::tree::{TreeError, files};
use crate::files::{Dir, Location};

/// `sha256:<hex>` over every file of a package in the order of their paths: the path and the content, each after its
/// length, so that no two packages run together into the same bytes.
pub fn content_digest(directory: impl Into<Location>) -> Result<String, TreeError> {
    let directory = directory.into();
    digest_of(&directory.open().map_err(TreeError::io(directory.path()))?)
}

pub(super) fn digest_of(directory: &Dir) -> Result<String, TreeError> {
    let mut sha256 = Sha256::new();
    for path in files(directory)? {
        sha256.update((path.len() as u64).to_be_bytes());
        sha256.update(&path);
        add_file(&mut sha256, directory, Path::new(&path))?;
    }
    Ok(format!("sha256:{:x}", sha256.finalize()))
}

/// `sha256:<hex>` of one file's content.
pub fn file_digest(file: impl Into<Location>) -> io::Result<String> {
    digest_of_file(&file.into().file()?)
}

/// As [`file_digest`], of a file that is open and has not been read yet.
pub(super) fn digest_of_file(mut file: &File) -> io::Result<String> {
    let mut sha256 = Sha256::new();
    io::copy(&mut file, &mut sha256)?;
    Ok(format!("sha256:{:x}", sha256.finalize()))
}

fn add_file(sha256: &mut Sha256, directory: &Dir, path: &Path) -> Result<(), TreeError> {
    let file = directory.file(path).map_err(TreeError::io(path))?;
    let length = file.metadata().map_err(TreeError::io(path))?.len();
    sha256.update(length.to_be_bytes());
    let read = io::copy(&mut file.take(length + 1), sha256).map_err(TreeError::io(path))?;
    if read == length { Ok(()) } else { Err(TreeError::Changed { path: path.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::super::staging::Staging;
    use super::*;
    use crate::assets;
    use std::fs;

    fn digest_of(files: &[(&str, &str)]) -> String {
        let directory = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let target = directory.path().join(path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, content).unwrap();
        }
        content_digest(directory.path()).unwrap()
    }

    #[test]
    fn it_is_the_same_for_the_same_files_whatever_lies_beside_them() {
        let plain = digest_of(&[("a/b.py", "x"), ("c.py", "y")]);
        assert_eq!(plain, digest_of(&[("c.py", "y"), ("a/b.py", "x"), ("a/__pycache__/b.pyc", "z")]));
        assert!(plain.starts_with("sha256:") && plain.len() == 71);
    }

    #[test]
    fn every_name_and_every_byte_counts() {
        let all = [
            digest_of(&[]),
            digest_of(&[("a", "bc")]),
            digest_of(&[("ab", "c")]),
            digest_of(&[("a", "b"), ("b", "c")]),
            digest_of(&[("a", ""), ("b", "bc")]),
            digest_of(&[("a/b", "c")]),
            digest_of(&[("a.xlsx", "bc")]),
        ];
        for (n, digest) in all.iter().enumerate() {
            assert!(!all[n + 1..].contains(digest), "{n}");
        }
    }

    #[test]
    fn the_digest_of_the_embedded_engine_is_that_of_its_files_on_disk() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("engine");
        let staging = Staging::beside(&target).unwrap();
        staging.write(assets::engine_files()).unwrap();
        staging.commit().unwrap();
        assert_eq!(content_digest(&target).unwrap(), assets::engine_digest());
    }
}
