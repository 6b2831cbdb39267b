//! What builds are made with: the interpreter and the installer; and from these, with the engine and a
//! configuration's digest, the inputs of a build.

use futures_util::future::TryFutureExt;
use tokio::sync::OnceCell;

use super::engine::{EngineId, identify_engine};
use super::fingerprint::{FingerprintInputs, fingerprint};
use super::installer::{Found, Installer, InstallerChoice, Installers, NoInstaller};
use super::installer_output::InstallerLines;
use super::python::{self, Interpreter, NoInterpreter};
use crate::config::{self, Settings, UserIds};
use crate::domain::build::BuildInputs;
use crate::worker::environment::Environment;
use crate::worker::process::Launcher;

#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    #[error(transparent)]
    Interpreter(#[from] NoInterpreter),
    #[error(transparent)]
    Installer(#[from] NoInstaller),
    #[error("the engine's files cannot be read: {0}")]
    Engine(String),
}

#[derive(Debug, Clone)]
pub struct Toolchain {
    pub python: Interpreter,
    pub installer: Installer,
    /// What the operator would rather have as an installer, and why it is not so.
    pub regret: Option<String>,
}

/// Looked for once, and again as long as they are not found.
#[derive(Debug)]
pub struct Tools {
    launcher: Launcher,
    given: Option<std::path::PathBuf>,
    service: Environment,
    installers: Installers,
    python: OnceCell<Interpreter>,
    installer: OnceCell<Found>,
}

impl Tools {
    pub fn new(launcher: Launcher, settings: &Settings, service: Environment) -> Self {
        let (choice, data) = (choice(settings), settings.storage.data_dir.clone());
        Self {
            given: settings.build.python_bin.clone(),
            installers: Installers::new(launcher.clone(), choice, data, service.clone()),
            launcher,
            service,
            python: OnceCell::new(),
            installer: OnceCell::new(),
        }
    }

    pub async fn python(&self) -> Result<&Interpreter, NoInterpreter> {
        let find = || python::find(&self.launcher, self.given.as_deref(), &self.service);
        self.python.get_or_try_init(find).await
    }

    /// May have to fetch the installer, which takes long.
    pub async fn find(&self) -> Result<Toolchain, ToolchainError> {
        let python = self.python().await?;
        let find = || self.installers.find(python).inspect_ok(|found| log(python, &found.installer));
        let Found { installer, regret } = self.installer.get_or_try_init(find).await?.clone();
        Ok(Toolchain { python: python.clone(), installer, regret })
    }

    /// What would be used now, in words; nothing is fetched.
    pub async fn installer_at_hand(&self) -> String {
        self.installers.at_hand().await
    }

    /// What is printed while the installer is fetched: the last line so far, and those from now on.
    pub fn listen(&self) -> InstallerLines {
        self.installers.output().listen()
    }
}

fn log(python: &Interpreter, installer: &Installer) {
    let (path, version) = (python.path.display(), &python.version);
    tracing::info!(python = %path, version, installer = installer.name(), "toolchain found");
}

fn choice(settings: &Settings) -> InstallerChoice {
    match settings.build.installer {
        config::Installer::Auto => InstallerChoice::Auto,
        config::Installer::Uv => InstallerChoice::Uv,
        config::Installer::Pip => InstallerChoice::Pip,
    }
}

/// What a build of this configuration would be made from, and what identifies the engine for it. Nothing is fetched or
/// made ready for that: the installer counts as the kind that is asked for, and an interpreter that is not known yet as
/// one of its own, so that no caller waits for either before there is a stream that reports it. `users` are those that children
/// have in fact. Blocks.
pub fn inputs(
    settings: &Settings,
    users: Option<UserIds>,
    python: Option<&Interpreter>,
    content_digest: String,
) -> (BuildInputs, EngineId) {
    let spec = &settings.build.engine_spec;
    let engine = identify_engine(spec);
    let given = settings.build.python_bin.clone().unwrap_or_else(|| "python3".into());
    let path = python.map_or(&given, |python| &python.path);
    let users = users.map(|ids| ids.to_string());
    let print = fingerprint(&FingerprintInputs {
        content_digest: &content_digest,
        engine_spec: spec,
        engine_digest: engine.digest.as_deref(),
        engine_version: engine.version_hint.as_deref(),
        python_version: python.map_or("", |python| &python.version),
        python_path: path,
        installer: choice(settings).kind(),
        users: users.as_deref(),
    });
    let inputs = BuildInputs {
        fingerprint: print,
        content_digest,
        engine_spec: spec.clone(),
        engine_version_hint: engine.version_hint.clone(),
        python_interpreter: path.display().to_string(),
    };
    (inputs, engine)
}
