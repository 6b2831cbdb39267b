//! Copies of packages.

use std::io;

use super::digest::digest_of;
use super::staging::Staging;
use super::tree::{TreeError, files};
use crate::files::Location;

/// Copies the files of a package, and nothing else, to a directory that then holds exactly them. Gives the digest of
/// the copy: the original may change meanwhile.
pub fn copy_package(from: impl Into<Location>, to: impl Into<Location>) -> Result<String, TreeError> {
    let to = to.into();
    let (staging, digest) = stage_copy(from, &to)?;
    staging.commit().map_err(TreeError::io(to.path()))?;
    Ok(digest)
}

/// As [`copy_package`], but the copy stays beside its target until it is committed.
pub fn stage_copy(from: impl Into<Location>, to: impl Into<Location>) -> Result<(Staging, String), TreeError> {
    let (from, to) = (from.into(), to.into());
    let source = from.open().map_err(TreeError::io(from.path()))?;
    let staging = Staging::beside(&to).map_err(TreeError::io(to.path()))?;
    for path in files(&source)? {
        let mut reader = source.file(&path).map_err(TreeError::io(&path))?;
        let mut writer = staging.create(&path).map_err(TreeError::io(to.path()))?;
        io::copy(&mut reader, &mut writer).map_err(TreeError::io(&path))?;
    }
    let digest = digest_of(staging.dir())?;
    Ok((staging, digest))
}
