//! A configuration directory, packed for import.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use crate::package::{ExportError, TreeError, content_digest, export_zip};

/// Why a directory could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("{0} is not a directory")]
    NoFolder(PathBuf),
    #[error("{}", with_cause(.0))]
    Tree(#[from] TreeError),
    #[error("{}", with_cause(.0))]
    Export(#[from] ExportError),
}

/// A packed directory.
#[derive(Debug)]
pub struct Packed {
    pub zip: Vec<u8>,
    /// The digest by which the service knows the same content.
    pub content_digest: String,
}

/// Packs the package in `folder`. Blocks.
pub fn zip_folder(folder: &Path) -> Result<Packed, PackError> {
    if !folder.is_dir() {
        return Err(PackError::NoFolder(folder.to_owned()));
    }
    let content_digest = content_digest(folder)?;
    let zip = export_zip(folder, Cursor::new(Vec::new()))?.into_inner();
    Ok(Packed { zip, content_digest })
}

/// An error and its cause.
fn with_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_folder_holds_its_package_and_has_the_digest_of_the_service() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [("pyproject.toml", "x"), ("src/ade_config/a.py", "yy"), (".git/HEAD", "")] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let packed = zip_folder(folder.path()).unwrap();
        let archive = zip::ZipArchive::new(Cursor::new(packed.zip)).unwrap();
        assert_eq!(archive.file_names().collect::<Vec<_>>(), ["pyproject.toml", "src/ade_config/a.py"]);
        assert_eq!(packed.content_digest, content_digest(folder.path()).unwrap());
    }

    #[test]
    fn what_cannot_be_packed_is_named() {
        let error = zip_folder(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(error.to_string(), "/nowhere/at/all is not a directory");
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("secret")).unwrap();
        assert!(zip_folder(folder.path()).unwrap_err().to_string().contains("secret"));
    }
}
