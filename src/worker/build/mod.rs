//! Builds: which interpreter, which installer, which steps, and what a finished venv looks like.
//!
//! Law: a venv is built in its place, and its marker, written last, is its commit: no marker, no venv.

pub mod python;
pub mod installer;
pub mod engine;
pub mod fingerprint;
pub mod venv;
pub mod marker;
pub mod toolchain;
pub mod ports;
pub mod turn;
pub mod pruning;
pub mod worker;
pub mod session;
pub mod ending;

pub use ending::{conclude_build, end_of_build, reused, venv_is_intact, venv_metadata};
pub use engine::Engine;
pub use ports::BuildPorts;
pub use toolchain::{Toolchain, ToolchainError, find_toolchain, inputs};
pub use turn::Turns;
pub use worker::{BuildJob, BuildWorker};

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::environment::{self, Environment};
use super::process::{ChildSpec, Marker, ResourceLimits};

/// Settings of the installers that say where packages come from and how to get there, and nothing else.
const INDEX: &[&str] = &[
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_CONFIG_FILE",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "PIP_NO_INDEX",
    "PIP_PROXY",
    "PIP_RETRIES",
    "PIP_TRUSTED_HOST",
    "UV_CONFIG_FILE",
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

/// What a build's children see of the service's environment. `UV_INDEX*` names indexes and their credentials.
fn build_environment(service: &Environment, data: &Path) -> Environment {
    let mut env = environment::allowed(service, |name| INDEX.contains(&name) || name.starts_with("UV_INDEX"));
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
    env
}

fn command(
    program: impl Into<PathBuf>,
    args: Vec<OsString>,
    cwd: &Path,
    env: Environment,
    marker: Marker,
) -> ChildSpec {
    let limits = ResourceLimits::default();
    ChildSpec { program: program.into(), args, cwd: cwd.to_owned(), env, marker, limits, event_lines: false }
}

/// Arguments of mixed kinds as one list.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { vec![$(std::ffi::OsString::from($arg)),*] };
}
use args;
