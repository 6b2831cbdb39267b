//! What builds need. One installer for all tests: fetching it for each of their data directories would take most of the
//! time. And the packages that they install, each with its build backend.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ade_test_support::packages::{files_below, write_files};
use ade_test_support::{packages, tools};

/// A `PATH` on which `uv` is found, if it could be fetched; the service finds or does without it by itself.
pub fn path() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let own = std::env::var("PATH").unwrap_or_default();
        match tools::uv_directory() {
            Some(directory) => format!("{}:{own}", directory.display()),
            None => {
                eprintln!("uv could not be fetched: builds are made with pip and take longer");
                own
            }
        }
    })
}

/// The directory of a package, `engine` or `configuration`, with its build backend in it.
pub fn package(name: &str) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/support/packages");
    let package = tools::shared_directory().join("packages").join(name);
    let _lock = tools::lock("packages.lock");
    let wanted = packages::package(&sources.join(name));
    // Another test program may be reading it: it is replaced only when it differs.
    if files_below(&package) != wanted {
        let _ = fs::remove_dir_all(&package);
        write_files(&package, &wanted);
    }
    package
}
