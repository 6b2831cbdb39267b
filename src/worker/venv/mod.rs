//! Builds: which interpreter, which installer, which steps, and what a finished venv looks like.
//!
//! Invariant: a venv is built in its place, and its marker, written last, is its commit: no marker, no venv.

pub mod python;
pub mod installer_output;
pub mod installer;
pub mod engine;
pub mod fingerprint;
pub mod plan;
pub mod marker;
pub mod toolchain;
pub mod ports;
pub mod queue;
pub mod index;
pub mod terms;
pub mod words;
pub mod steps;
pub mod pruning;
pub mod job;
pub mod session;
pub mod ending;

pub use ending::{conclude_build, end_of_build, reused, venv_is_intact, venv_metadata};
pub use engine::{Engine, EngineId};
pub use job::BuildJob;
pub use ports::BuildPorts;
pub use queue::{BuildQueue, QueuePlace};
pub use session::drive;
pub use toolchain::{Toolchain, ToolchainError, Tools, inputs};

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::environment::{self, Environment};
use super::process::{ChildSpec, Marker, ResourceLimits};
use crate::isolation::Policy;

/// Settings of the installers that say where packages come from and how to get there, and nothing else.
const INDEX: &[&str] = &[
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "PIP_NO_INDEX",
    "PIP_PROXY",
    "PIP_RETRIES",
    "PIP_TRUSTED_HOST",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_HTTP_TIMEOUT",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_NATIVE_TLS",
    "UV_NO_INDEX",
    "UV_OFFLINE",
    "UV_SYSTEM_CERTS",
];

/// What a build's children see of the service's environment, and of the installers' settings files. `UV_INDEX*` names
/// indexes and their credentials.
pub async fn build_environment(service: &Environment, data: &Path) -> Environment {
    let mut env = environment::allowed(service, |name| INDEX.contains(&name) || name.starts_with("UV_INDEX"));
    let (given, directory) = (service.clone(), data.to_owned());
    let of_files = tokio::task::spawn_blocking(move || index::of_files(&given, &directory)).await.unwrap_or_default();
    // To installers, an empty variable is none.
    env.retain(|_, value| !value.is_empty());
    for (name, value) in of_files {
        env.entry(name).or_insert(value);
    }
    let mut set = |name: &str, value: OsString| {
        env.insert(name.into(), value);
    };
    set("PIP_CACHE_DIR", data.join("cache/pip").into());
    set("PIP_NO_INPUT", "1".into());
    set("PIP_DISABLE_PIP_VERSION_CHECK", "1".into());
    set("UV_CACHE_DIR", data.join("cache/uv").into());
    set("UV_NO_PROGRESS", "1".into());
    // The interpreter is chosen, not fetched.
    set("UV_PYTHON_DOWNLOADS", "never".into());
    set("UV_LINK_MODE", "hardlink".into());
    // Packages of the service's user are none of a build's business.
    set("PYTHONNOUSERSITE", "1".into());
    env
}

/// What the operator has named, and what the service may reach.
fn command(
    program: impl Into<PathBuf>,
    args: Vec<OsString>,
    cwd: &Path,
    env: Environment,
    marker: Marker,
) -> ChildSpec {
    let (limits, policy) = (ResourceLimits::default(), Policy::default());
    ChildSpec { program: program.into(), args, cwd: cwd.to_owned(), env, marker, limits, policy, event_lines: false }
}

/// Arguments of mixed kinds as one list.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { vec![$(std::ffi::OsString::from($arg)),*] };
}
use args;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_build_sees_where_packages_come_from_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".config/pip/pip.conf");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "[global]\nindex-url = of the file\nproxy = of the file\n[install]\nuser = true\n")
            .unwrap();
        let service = [
            ("PATH", "/bin"),
            ("HOME", home.path().to_str().unwrap()),
            ("PIP_INDEX_URL", "of the variable"),
            ("PIP_TARGET", "t"),
            ("UV_SYSTEM_PYTHON", "1"),
            ("PYTHONPATH", "p"),
            ("ADE_X", "x"),
            ("UV_INDEX_A_PASSWORD", "p"),
            ("PIP_PROXY", ""),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        let env = build_environment(&service, Path::new("/data")).await;
        let get = |name: &str| env.get(std::ffi::OsStr::new(name)).and_then(|value| value.to_str());
        assert_eq!(get("PIP_INDEX_URL"), Some("of the variable"));
        assert_eq!((get("PIP_PROXY"), get("UV_INDEX_A_PASSWORD")), (Some("of the file"), Some("p")));
        assert_eq!((get("PIP_CONFIG_FILE"), get("PYTHONNOUSERSITE")), (Some("/dev/null"), Some("1")));
        for name in ["PIP_TARGET", "PIP_USER", "UV_SYSTEM_PYTHON", "PYTHONPATH", "ADE_X"] {
            assert_eq!(get(name), None, "{name}");
        }
    }
}
