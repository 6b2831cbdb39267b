//! What builds need: an interpreter, an installer, and packages that install without a network.

use std::fs;
use std::path::Path;

use ade_test_support::packages;

pub use ade_test_support::packages::{Files, with_file, write_files, zip_of};
pub use ade_test_support::tools::{python, shared_directory};

/// A program that stands in for an interpreter: it describes itself as the real one does, then runs the script, then the
/// real one.
pub fn interpreter(directory: &Path, script: &str) -> String {
    let path = directory.join("python-of-this-test");
    let (real, shown) = (python(), path.display());
    let text = format!(
        "#!/bin/sh\n\
         case \"$*\" in *ensurepip*)\n\
         exec '{real}' -c 'import json, sys; print(json.dumps(dict(path=sys.argv[1], version=list(sys.version_info[:3]), pip=True, homes=[sys.base_prefix])))' '{shown}';;\n\
         esac\n\
         {script}\n\
         exec '{real}' \"$@\"\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// A directory that holds `uv` and nothing else.
pub fn uv_directory() -> &'static Path {
    ade_test_support::tools::uv_directory().expect("uv is needed, and could not be installed")
}

/// The files of a package of these tests, with what builds it.
pub fn files_of(package: &str) -> Files {
    packages::package(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/packages").join(package))
}
