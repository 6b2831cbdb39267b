//! A configuration folder, packed for import.

use std::io::{self, Cursor, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Folders that never belong to a configuration.
const SKIPPED: [&str; 10] =
    [".git", ".hg", ".svn", ".venv", "venv", "__pycache__", "build", "dist", ".pytest_cache", ".ruff_cache"];

/// Why a folder could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("{path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{0} holds no file")]
    Empty(PathBuf),
    #[error("zip: {0}")]
    Zip(#[from] zip::result::ZipError),
    #[error("zip: {0}")]
    Write(#[from] io::Error),
}

/// A packed folder.
#[derive(Debug)]
pub struct Packed {
    pub zip: Vec<u8>,
    /// `sha256:<hex>` over (path, length, bytes) of every file, sorted by path.
    pub content_digest: String,
}

/// Packs the files below `folder`; links are left out, and so are version control, environments and caches.
pub fn zip_folder(folder: &Path) -> Result<Packed, PackError> {
    let mut files = Vec::new();
    collect(folder, folder, &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(PackError::Empty(folder.to_owned()));
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut digest = Sha256::new();
    for name in &files {
        let path = folder.join(name);
        let content = std::fs::read(&path).map_err(|source| PackError::Read { path, source })?;
        digest.update(name.as_bytes());
        digest.update((content.len() as u64).to_be_bytes());
        digest.update(&content);
        zip.start_file(name.as_str(), SimpleFileOptions::default())?;
        zip.write_all(&content)?;
    }
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Packed { zip: zip.finish()?.into_inner(), content_digest: format!("sha256:{hex}") })
}

/// Names with `/`, relative to `root`.
fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) -> Result<(), PackError> {
    let read = |path: &Path, source| PackError::Read { path: path.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(|source| read(folder, source))? {
        let entry = entry.map_err(|source| read(folder, source))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|source| read(&path, source))?;
        let name = entry.file_name();
        if kind.is_dir() {
            let name = name.to_string_lossy();
            if !SKIPPED.contains(&&*name) && !name.ends_with(".egg-info") {
                collect(root, &path, files)?;
            }
        } else if kind.is_file()
            && let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str)
        {
            files.push(relative.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        folder
    }

    #[test]
    fn a_packed_folder_holds_its_files_without_caches_and_links() {
        let folder = folder(&[
            ("pyproject.toml", "x"),
            ("src/ade_config/a.py", "yy"),
            ("src/ade_config/__pycache__/a.pyc", ""),
            (".git/HEAD", ""),
            ("x.egg-info/PKG-INFO", ""),
        ]);
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("secret")).unwrap();
        let packed = zip_folder(folder.path()).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(packed.zip)).unwrap();
        let names: Vec<_> = archive.file_names().map(str::to_owned).collect();
        assert_eq!(names, ["pyproject.toml", "src/ade_config/a.py"]);
        let content = io::read_to_string(archive.by_name("src/ade_config/a.py").unwrap()).unwrap();
        assert_eq!(content, "yy");
    }

    #[test]
    fn the_digest_follows_content_and_names_alone() {
        let digest = |files: &[_]| zip_folder(folder(files).path()).unwrap().content_digest;
        assert_eq!(digest(&[("a", "1"), ("b", "2")]), digest(&[("b", "2"), ("a", "1")]));
        assert_ne!(digest(&[("a", "1"), ("b", "2")]), digest(&[("a", "2"), ("b", "1")]));
        assert_ne!(digest(&[("a", "1")]), digest(&[("b", "1")]));
    }

    #[test]
    fn a_folder_without_files_is_refused() {
        assert!(matches!(zip_folder(folder(&[]).path()), Err(PackError::Empty(_))));
        assert!(matches!(zip_folder(Path::new("/nowhere/at/all")), Err(PackError::Read { .. })));
    }
}
