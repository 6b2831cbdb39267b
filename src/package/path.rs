//! Paths that clients name files of a package by.

use std::fmt;

use super::tree::is_junk;

/// Names, of which each but the last is a directory.
const MAX_DEPTH: usize = 32;
/// Bytes.
const MAX_PATH: usize = 1024;
const MAX_NAME: usize = 255;

/// Relative, with `/` between names that mean nothing but themselves; never one of what is no part of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackagePath(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path {path:?} {fault}")]
pub struct InvalidPath {
    pub path: String,
    pub fault: &'static str,
}

impl PackagePath {
    pub fn of_file(text: &str) -> Result<Self, InvalidPath> {
        Self::parse(text, false)
    }

    pub fn of_directory(text: &str) -> Result<Self, InvalidPath> {
        Self::parse(text, true)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of the directory that it is in; empty for the package itself.
    pub fn parent(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(parent, _)| parent)
    }

    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    fn parse(text: &str, is_folder: bool) -> Result<Self, InvalidPath> {
        match fault(text, is_folder) {
            None => Ok(Self(text.to_owned())),
            Some(fault) => Err(InvalidPath { path: crate::domain::text::clipped(text, 200), fault }),
        }
    }
}

impl fmt::Display for PackagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault(text: &str, is_folder: bool) -> Option<&'static str> {
    let names: Vec<&str> = text.split('/').collect();
    let is_drive = matches!(text.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if text.is_empty() {
        return Some("is empty");
    }
    if text.starts_with('/') || is_drive {
        return Some("is absolute");
    }
    if names.iter().any(|name| matches!(*name, "" | "." | "..")) {
        return Some("has a part that is empty, `.` or `..`");
    }
    if text.contains(|c: char| c == '\\' || c.is_control()) {
        return Some("has a backslash or a control character");
    }
    if text.len() > MAX_PATH || names.len() > MAX_DEPTH || names.iter().any(|name| name.len() > MAX_NAME) {
        return Some("is longer than 1024 bytes or 32 names, or has a name of more than 255 bytes");
    }
    let mut directories = text.match_indices('/').map(|(end, _)| &text[..end]);
    if directories.any(|directory| is_junk(directory, true)) || is_junk(text, is_folder) {
        return Some("is of version control, an environment, a cache or a build, which are no part of a package");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_taken() {
        for path in ["a", "src/ade_config/ä b.py", "src/build/x.py", "..a/b..", "ab:c", "-rf", ".gitignore", "build"] {
            assert_eq!(PackagePath::of_file(path).unwrap().as_str(), path);
        }
        let long = ["x".repeat(256), vec!["x"; 33].join("/"), vec!["x".repeat(200); 6].join("/")];
        let refused = [
            "",
            "/",
            "/etc/passwd",
            "a/",
            "a//b",
            ".",
            "..",
            "../x",
            "a/../b",
            "a/./b",
            "C:x",
            "c:/x",
            "a\\b",
            "a\0",
            "a\r\nb",
            "a\u{85}",
            ".git/config",
            "x/.venv/y",
            "build/x.py",
            "x.pyc",
            "a/__pycache__/b",
        ];
        for path in refused.into_iter().chain(long.iter().map(String::as_str)) {
            assert!(PackagePath::of_file(path).is_err(), "{path:?}");
        }
        assert!(PackagePath::of_directory("build").is_err());
        let path = PackagePath::of_file("src/a/b.py").unwrap();
        assert_eq!((path.parent(), path.name()), ("src/a", "b.py"));
        assert_eq!(PackagePath::of_file("b.py").unwrap().parent(), "");
    }
}
