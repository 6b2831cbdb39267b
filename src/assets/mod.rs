//! What ships inside the binary: the engine package, the configuration templates and the example workflows, as files by
//! relative path.
//!
//! The folders beside this file are embedded at compile time, in every profile, so that a test sees what a release has.

use std::borrow::Cow;
use std::sync::LazyLock;

use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

/// A file by its path, `/` between the folders, and its content.
pub type Asset = (Cow<'static, str>, Cow<'static, [u8]>);

#[derive(RustEmbed)]
#[folder = "src/assets/engine"]
struct Engine;

#[derive(RustEmbed)]
#[folder = "src/assets/templates/default"]
struct DefaultTemplate;

#[derive(RustEmbed)]
#[folder = "src/assets/workflows"]
struct Workflows;

/// The engine package: what `builtin` installs.
pub fn engine_files() -> impl Iterator<Item = Asset> {
    files::<Engine>()
}

/// `sha256:<hex>` of the engine package, made of its files as the digest of a configuration's content is.
pub fn engine_digest() -> &'static str {
    static DIGEST: LazyLock<String> = LazyLock::new(|| digest(engine_files()));
    &DIGEST
}

/// The files of a template, or `None` when there is no such template.
pub fn template_files(id: &str) -> Option<impl Iterator<Item = Asset>> {
    (id == "default").then(files::<DefaultTemplate>)
}

/// The example workflows: definitions, each `<workflow_id>.json`.
pub fn workflow_files() -> impl Iterator<Item = Asset> {
    files::<Workflows>()
}

/// Sorted by path. What running the Python sources leaves beside them is no part of them.
fn files<E: RustEmbed>() -> impl Iterator<Item = Asset> {
    let mut paths: Vec<_> = E::iter().filter(|path| !is_compiled(path)).collect();
    paths.sort();
    paths.into_iter().filter_map(|path| E::get(&path).map(|file| (path, file.data)))
}

fn is_compiled(path: &str) -> bool {
    path.ends_with(".pyc") || path.split('/').any(|part| part == "__pycache__")
}

fn digest(files: impl Iterator<Item = Asset>) -> String {
    let mut sha256 = Sha256::new();
    for (path, content) in files {
        for part in [path.as_bytes(), content.as_ref()] {
            sha256.update((part.len() as u64).to_be_bytes());
            sha256.update(part);
        }
    }
    format!("sha256:{:x}", sha256.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_templates_have_files() {
        assert!(template_files("default").is_some_and(|files| files.count() > 0));
        assert!(template_files("../engine").is_none());
    }

    #[test]
    fn every_example_workflow_is_a_valid_definition() {
        assert!(workflow_files().next().is_some());
        for (path, content) in workflow_files() {
            let parsed = crate::workflow::Workflow::parse_text(std::str::from_utf8(&content).unwrap());
            let workflow = parsed.unwrap_or_else(|faults| panic!("{path}: {faults:?}"));
            assert_eq!(path, format!("{}.json", workflow.workflow_id));
        }
    }

    #[test]
    fn compiled_python_is_left_out() {
        assert!(is_compiled("a/__pycache__/b.cpython-312.pyc") && is_compiled("a.pyc") && is_compiled("__pycache__/a"));
        assert!(!is_compiled("src/ade_engine/pyc.py"));
    }

    #[test]
    fn the_digest_tells_where_one_part_ends_and_the_next_begins() {
        let one = |path: &'static str, content: &'static [u8]| digest([(path.into(), content.into())].into_iter());
        assert_ne!(one("ab", b"c"), one("a", b"bc"));
        assert_eq!(one("ab", b"c"), one("ab", b"c"));
    }
}
