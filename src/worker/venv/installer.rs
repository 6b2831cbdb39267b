//! Which program installs packages.
//!
//! Invariant: `uv` where there is one, else one that the service has installed for itself, else pip. The choice is made
//! once per service process, so that a machine without network pays for the attempt once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ulid::Ulid;

use super::installer_output::InstallerOutput;
use super::python::{Interpreter, on_path};
use super::{args, build_environment, command, words};
use crate::domain::status::text_enum;
use crate::event::payload::console::Pipe;
use crate::files::{self, Location};
use crate::package::STAGING;
use crate::worker::environment::Environment;
use crate::worker::process::{Launcher, Marker, capture, capture_aloud};

/// Fetching uv takes seconds, but a busy machine with a cold disk took more than two minutes, and was then given pip
/// instead for as long as it ran. That there is no network is found out by pip itself, far earlier.
const FETCH: Duration = Duration::from_secs(600);
/// A program that has never run has to be read from the disk first.
const ASK: Duration = Duration::from_secs(60);

text_enum! {
    /// What the operator wants.
    InstallerChoice { Auto = "auto", Uv = "uv", Pip = "pip" }
}

impl InstallerChoice {
    /// As it counts in a fingerprint. What is asked for is known at once, what is found may have to be fetched; and an
    /// environment that pip has made, where uv is not available, is as good.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Auto | Self::Uv => "uv",
            Self::Pip => "pip",
        }
    }
}

/// What is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installer {
    Uv(PathBuf),
    Pip,
}

impl Installer {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Uv(_) => "uv",
            Self::Pip => "pip",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub installer: Installer,
    /// What the operator would rather have, and why it is not so; shown to every caller that waits for a build.
    pub regret: Option<String>,
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("uv is required but not available: {0}")]
pub struct NoInstaller(String);

/// Where installers are found.
#[derive(Debug)]
pub struct Installers {
    launcher: Launcher,
    choice: InstallerChoice,
    data: PathBuf,
    service: Environment,
    output: InstallerOutput,
}

impl Installers {
    /// `data` is the service's data directory, `service` its environment.
    pub fn new(launcher: Launcher, choice: InstallerChoice, data: PathBuf, service: Environment) -> Self {
        Self { launcher, choice, data, service, output: InstallerOutput::default() }
    }

    /// What is printed while uv is fetched.
    pub fn output(&self) -> &InstallerOutput {
        &self.output
    }

    /// The installer; `python` is used to fetch one if need be.
    pub async fn find(&self, python: &Interpreter) -> Result<Found, NoInstaller> {
        let found = |installer| Found { installer, regret: None };
        if self.choice == InstallerChoice::Pip {
            return Ok(found(Installer::Pip));
        }
        match self.uv(python).await {
            Ok(path) => Ok(found(Installer::Uv(path))),
            Err(reason) if self.choice == InstallerChoice::Uv => Err(NoInstaller(reason)),
            Err(reason) => {
                let regret = format!("uv is not available, so packages are installed with pip: {reason}");
                tracing::warn!("{regret}");
                Ok(Found { installer: Installer::Pip, regret: Some(regret) })
            }
        }
    }

    /// What would be used now, in words.
    pub async fn at_hand(&self) -> String {
        match (self.choice, self.uv_at_hand().await) {
            (InstallerChoice::Pip, _) => "pip".into(),
            (_, Some(uv)) => uv.display().to_string(),
            (InstallerChoice::Uv, None) => "uv is installed by the first start, with pip".into(),
            (InstallerChoice::Auto, None) => "uv is installed by the first start, with pip; else pip is used".into(),
        }
    }

    async fn uv(&self, python: &Interpreter) -> Result<PathBuf, String> {
        if let Some(path) = self.uv_at_hand().await {
            return Ok(path);
        }
        self.fetch(python, &self.tool()).await?;
        let path = self.tool().join("bin/uv");
        if self.runs(&path).await { Ok(path) } else { Err("the fetched one does not run".into()) }
    }

    async fn uv_at_hand(&self) -> Option<PathBuf> {
        for path in on_path("uv", &self.service).into_iter().chain([self.tool().join("bin/uv")]) {
            if self.runs(&path).await {
                return Some(path);
            }
        }
        None
    }

    /// Where the one is that the service has fetched.
    fn tool(&self) -> PathBuf {
        self.data.join("tools/uv")
    }

    async fn runs(&self, uv: &Path) -> bool {
        let said = capture(&self.launcher, &self.command(uv, args!["--version"]).await, ASK).await;
        said.is_ok_and(|said| said.exit.succeeded())
    }

    /// Into a directory beside, which then takes its name: one that was cut short is never taken for a whole one.
    async fn fetch(&self, python: &Interpreter, tool: &Path) -> Result<(), String> {
        self.output.send(Pipe::Stdout, "uv is not on PATH: it is installed with pip, once for this data directory");
        let fresh = tool.with_file_name(format!("{STAGING}{}", Ulid::generate()));
        let fetched = self.fetch_into(python, &fresh).await.and_then(|()| remove(tool));
        let placed = fetched.and_then(|()| place(&fresh, tool).map_err(|error| error.to_string()));
        if placed.is_err() {
            let _ = remove(&fresh);
        }
        // A later listener must not take the last line of this attempt for one of its own.
        self.output.finish();
        placed
    }

    async fn fetch_into(&self, python: &Interpreter, fresh: &Path) -> Result<(), String> {
        self.step(&python.path, args!["-m", "venv", fresh]).await?;
        let pip = args!["-m", "pip", "install", "--only-binary", ":all:", "--retries", "1", "uv"];
        self.step(&fresh.join("bin/python"), pip).await
    }

    async fn step(&self, program: &Path, args: Vec<std::ffi::OsString>) -> Result<(), String> {
        let on_line = |pipe, line: &str| self.output.send(pipe, line);
        let said = capture_aloud(&self.launcher, &self.command(program, args).await, FETCH, on_line).await;
        let said = said.map_err(|error| error.to_string())?;
        let reason = || words::reason(&said.stderr).unwrap_or_else(|| "it could not be installed".into());
        if said.exit.succeeded() { Ok(()) } else { Err(reason()) }
    }

    async fn command(&self, program: &Path, args: Vec<std::ffi::OsString>) -> crate::worker::process::ChildSpec {
        let env = build_environment(&self.service, &self.data).await;
        command(program, args, Path::new("/"), env, Marker::probe())
    }
}

/// Within the directory of tools.
fn place(fresh: &Path, tool: &Path) -> std::io::Result<()> {
    let (dir, name) = Location::from(tool).parent()?;
    dir.rename(fresh.file_name().unwrap_or_default(), &dir, name)
}

fn remove(directory: &Path) -> Result<(), String> {
    match files::remove_tree(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {error}", directory.display())),
        _ => Ok(()),
    }
}
