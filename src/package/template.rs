//! The configurations that ship with the service.

use std::io;

use super::digest::digest_of;
use super::staging::Staging;
use super::tree::TreeError;
use crate::assets;
use crate::files::Location;

/// A configuration to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    pub id: &'static str,
    pub display_name: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("there is no template of this name")]
    Unknown,
    #[error("the template cannot be written")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

pub fn templates() -> &'static [Template] {
    &[Template { id: "default", display_name: "Default" }]
}

/// Writes a template into a directory that then holds exactly it, and gives its digest.
pub fn write_template(id: &str, into: impl Into<Location>) -> Result<String, TemplateError> {
    let files = assets::template_files(id).ok_or(TemplateError::Unknown)?;
    let staging = Staging::beside(into)?;
    staging.write(files)?;
    let digest = digest_of(staging.dir())?;
    staging.commit()?;
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Dir;
    use crate::package::{check_package, content_digest};

    #[test]
    fn every_template_is_a_package() {
        let directory = tempfile::tempdir().unwrap();
        for template in templates() {
            let into = directory.path().join(template.id);
            let digest = write_template(template.id, &into).unwrap();
            assert_eq!(digest, content_digest(&into).unwrap());
            check_package(&Dir::root(&into).unwrap()).unwrap();
        }
    }

    #[test]
    fn an_unknown_template_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let into = directory.path().join("x");
        assert!(matches!(write_template("../default", &into), Err(TemplateError::Unknown)));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
