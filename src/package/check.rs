//! What makes a directory a configuration package.

use std::io;

use serde_json::Value;

use crate::files::Dir;

pub(super) const PROJECT: &str = "pyproject.toml";
pub(super) const MANIFEST: &str = "src/ade_config/manifest.json";

/// Both files are written by hand; no sensible one comes near.
const LARGEST: u64 = 1024 * 1024;

/// A file that a package must have is missing or cannot be read as what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} {problem}")]
pub struct InvalidPackage {
    pub file: &'static str,
    pub problem: String,
}

/// The directory has a `pyproject.toml` that is TOML and a manifest that is a JSON object.
pub fn check_package(directory: &Dir) -> Result<(), InvalidPackage> {
    let project = text(directory, PROJECT)?;
    toml::de::DeTable::parse(&project)
        .map_err(|error| invalid(PROJECT, format!("is not toml: {}", error.message())))?;
    let manifest = text(directory, MANIFEST)?;
    match serde_json::from_str(&manifest) {
        Ok(Value::Object(_)) => Ok(()),
        Ok(_) => Err(invalid(MANIFEST, "is not a json object")),
        Err(error) => Err(invalid(MANIFEST, format!("is not json: {error}"))),
    }
}

fn invalid(file: &'static str, problem: impl Into<String>) -> InvalidPackage {
    InvalidPackage { file, problem: problem.into() }
}

fn text(directory: &Dir, file: &'static str) -> Result<String, InvalidPackage> {
    match directory.read(file, LARGEST) {
        Ok(text) => String::from_utf8(text).map_err(|_| invalid(file, "is not utf-8 text")),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(invalid(file, "is too large")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(invalid(file, "is missing")),
        Err(_) => Err(invalid(file, "cannot be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_file_at_fault_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let put = |file: &str, content: &[u8]| {
            let target = directory.path().join(file);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, content).unwrap();
        };
        let dir = Dir::root(directory.path()).unwrap();
        let check = || check_package(&dir).map_err(|error| error.to_string());
        let starts = |wanted: &str| assert!(check().unwrap_err().starts_with(wanted), "{:?}", check());

        starts("pyproject.toml is missing");
        put(PROJECT, b"[project");
        starts("pyproject.toml is not toml: ");
        put(PROJECT, b"\xff");
        starts("pyproject.toml is not utf-8 text");
        put(PROJECT, &vec![b'#'; LARGEST as usize + 1]);
        starts("pyproject.toml is too large");
        put(PROJECT, b"[project]\nname = \"ade_config\"\n");
        starts("src/ade_config/manifest.json is missing");
        put(MANIFEST, b"{");
        starts("src/ade_config/manifest.json is not json: ");
        put(MANIFEST, b"[]");
        starts("src/ade_config/manifest.json is not a json object");
        put(MANIFEST, b"{}");
        assert_eq!(check(), Ok(()));
    }
}
