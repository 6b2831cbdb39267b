//! The interpreter that venvs are made with.
//!
//! Invariant: an interpreter is what answers to the name, not the name: a shim or a link is asked for the program
//! behind it, and one that is too old, broken or cannot make venvs is passed over.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{args, command};
use crate::worker::environment::{self, Environment};
use crate::worker::process::{Launcher, Marker, capture};

const NAMES: &[&str] = &["python3.14", "python3.13", "python3.12", "python3.11", "python3", "python"];
const OLDEST: (u32, u32) = (3, 11);
const LIMIT: Duration = Duration::from_secs(20);

/// Of a venv's interpreter, this tells the one below it.
const QUESTION: &str = "import sys, os, json, venv, ensurepip\n\
    try: from pip import __version__ as pip\n\
    except ImportError: pip = '0.0'\n\
    pip = [int(part) for part in pip.split('.')[:2]] >= [22, 3]\n\
    path = os.path.realpath(getattr(sys, '_base_executable', None) or sys.executable)\n\
    homes = [sys.base_prefix, sys.base_exec_prefix, os.path.dirname(os.__file__)]\n\
    print(json.dumps({'path': path, 'version': list(sys.version_info[:3]), 'pip': pip, 'homes': homes}))";

/// A usable interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Absolute, without links.
    pub path: PathBuf,
    /// `3.11.7`.
    pub version: String,
    /// It has a pip of its own that can install into another's venv.
    pub pip: bool,
    /// Where its own files are.
    pub homes: Vec<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum NoInterpreter {
    #[error("{path} cannot be used: {reason}")]
    Given { path: PathBuf, reason: String },
    #[error("no python 3.11 or newer that can make venvs was found ({})", .tried.join("; "))]
    None { tried: Vec<String> },
}

/// The given interpreter, or else the first usable one on `PATH`, the newest name first.
pub async fn find(
    launcher: &Launcher,
    given: Option<&Path>,
    service: &Environment,
) -> Result<Interpreter, NoInterpreter> {
    if let Some(path) = given {
        let unusable = |reason| NoInterpreter::Given { path: path.to_owned(), reason };
        return ask(launcher, &located(path, service), service).await.map_err(unusable);
    }
    let mut tried = Vec::new();
    for name in NAMES {
        for path in on_path(name, service) {
            match ask(launcher, &path, service).await {
                Ok(interpreter) => return Ok(interpreter),
                Err(reason) => tried.push(format!("{}: {reason}", path.display())),
            }
        }
    }
    Err(NoInterpreter::None { tried })
}

/// Every file of that name in a directory of `PATH`, in its order.
pub fn on_path(name: &str, service: &Environment) -> Vec<PathBuf> {
    let Some(path) = service.get(OsStr::new("PATH")) else { return Vec::new() };
    let directories = path.as_bytes().split(|&byte| byte == b':').filter(|directory| directory.starts_with(b"/"));
    directories
        .map(|directory| Path::new(OsStr::from_bytes(directory)).join(name))
        .filter(|path| path.is_file())
        .collect()
}

/// A bare name is looked up, a path is taken as it is.
fn located(given: &Path, service: &Environment) -> PathBuf {
    let name = given.to_str().filter(|name| !name.contains('/'));
    name.and_then(|name| on_path(name, service).into_iter().next()).unwrap_or_else(|| given.to_owned())
}

#[derive(Deserialize)]
struct Answer {
    path: PathBuf,
    version: (u32, u32, u32),
    #[serde(default)]
    pip: bool,
    #[serde(default)]
    homes: Vec<PathBuf>,
}

async fn ask(launcher: &Launcher, path: &Path, service: &Environment) -> Result<Interpreter, String> {
    // A shim may need to know where its versions are.
    let env = environment::allowed(service, |name| name.starts_with("PYENV_"));
    let spec = command(path, args!["-I", "-c", QUESTION], Path::new("/"), env, Marker::probe());
    let said = capture(launcher, &spec, LIMIT).await.map_err(|error| error.to_string())?;
    if !said.exit.succeeded() {
        return Err(said.stderr.back().cloned().unwrap_or_else(|| "it does not run".into()));
    }
    let answer = said.stdout.back().and_then(|line| serde_json::from_str::<Answer>(line).ok());
    let Answer { path, version: (major, minor, patch), pip, homes } = answer.ok_or("it gives no answer")?;
    let version = format!("{major}.{minor}.{patch}");
    if (major, minor) < OLDEST {
        Err(format!("version {version} is too old"))
    } else {
        Ok(Interpreter { path, version, pip, homes })
    }
}
