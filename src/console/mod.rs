//! The web console: the files of `console/dist`, each as a browser is given it.
//!
//! Invariant: only names that were embedded lead to a file, so no path reaches the disk; and a file whose name has the
//! digest of its content never changes under that name, so browsers keep it without asking again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::{LazyLock, OnceLock};

use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};

/// Where files lie whose names have their digests.
const HASHED: &str = "assets/";
const INDEX: &str = "index.html";

/// The first parts of paths that the console gives its pages. Nothing of the service's interface begins so.
pub const SECTIONS: [&str; 7] = ["workspaces", "runs", "builds", "executions", "documents", "system", "sign-in"];

#[derive(RustEmbed)]
#[folder = "console/dist"]
struct Dist;

/// A file, and the same compressed where that is shorter.
pub struct ConsoleFile {
    pub content: Cow<'static, [u8]>,
    pub compressed: Option<Vec<u8>>,
    pub content_type: &'static str,
    /// Of the content, in hexadecimal.
    pub digest: String,
    pub never_changes: bool,
}

/// By their paths, without a slash at the beginning. Each is made when it is asked for first: most runs of the program
/// never show the console, and compressing all of it would delay every start.
static FILES: LazyLock<BTreeMap<String, OnceLock<Option<ConsoleFile>>>> =
    LazyLock::new(|| Dist::iter().map(|path| (path.into_owned(), OnceLock::new())).collect());

/// The page that shows whatever its address says.
pub fn index() -> Option<&'static ConsoleFile> {
    file(INDEX)
}

pub fn file(path: &str) -> Option<&'static ConsoleFile> {
    let made = || Some(ConsoleFile::new(path, Dist::get(path)?.data));
    FILES.get(path)?.get_or_init(made).as_ref()
}

/// Of every file beside the page itself.
pub fn paths() -> impl Iterator<Item = &'static str> {
    FILES.keys().map(String::as_str).filter(|path| *path != INDEX)
}

impl ConsoleFile {
    fn new(path: &str, content: Cow<'static, [u8]>) -> Self {
        let compressed = compress(&content).ok().filter(|compressed| compressed.len() < content.len());
        let digest = format!("{:x}", Sha256::digest(&content));
        Self { compressed, content_type: content_type(path), digest, never_changes: path.starts_with(HASHED), content }
    }
}

fn compress(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("txt") => "text/plain; charset=utf-8",
        Some("json" | "webmanifest") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_only_files_that_are_embedded() {
        let page = std::str::from_utf8(&index().unwrap().content).unwrap();
        let named: Vec<_> = page.split(['"', '\'']).filter_map(|part| part.strip_prefix('/')).collect();
        assert!(named.iter().any(|path| path.ends_with(".js")), "{page}");
        for path in named {
            assert!(path.is_empty() || file(path).is_some(), "{path}");
        }
    }

    /// A policy without `unsafe-inline` would leave them out.
    #[test]
    fn the_page_has_no_script_or_style_of_its_own() {
        let page = std::str::from_utf8(&index().unwrap().content).unwrap();
        assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onload="), "{page}");
        assert_eq!(page.matches("<script").count(), page.matches("<script ").count());
    }

    #[test]
    fn what_never_changes_has_a_digest_in_its_name() {
        for path in paths() {
            let stem = path.rsplit_once('.').unwrap().0;
            let digest = stem.rsplit_once('-').map(|(_, digest)| digest).unwrap_or_default();
            let is_hashed = digest.len() == 8;
            assert_eq!(file(path).unwrap().never_changes, is_hashed, "{path}");
        }
    }

    #[test]
    fn texts_are_compressed_and_have_their_type() {
        for path in paths().filter(|path| path.ends_with(".js")) {
            let file = file(path).unwrap();
            assert!(file.content_type.starts_with("text/javascript"));
            assert!(
                file.content.len() < 400 || file.compressed.as_ref().is_some_and(|it| it.len() < file.content.len())
            );
        }
    }

    #[test]
    fn no_other_name_leads_to_a_file() {
        for path in ["", "..", "../Cargo.toml", "/index.html", "assets", "assets/", "assets/../index.html"] {
            assert!(file(path).is_none(), "{path}");
        }
    }
}
