//! What builds are made with: the interpreter and the installer; and from these, with the engine and a
//! configuration's digest, the inputs of a build.

use super::engine::{Engine, ready_engine};
use super::fingerprint::{FingerprintInputs, fingerprint};
use super::installer::{Found, Installer, InstallerChoice, Installers, NoInstaller};
use super::python::{self, Interpreter, NoInterpreter};
use crate::config;
use crate::domain::build::BuildInputs;
use crate::worker::WorkContext;

#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    #[error(transparent)]
    Interpreter(#[from] NoInterpreter),
    #[error(transparent)]
    Installer(#[from] NoInstaller),
    #[error("the engine's files cannot be made ready: {0}")]
    Engine(String),
}

#[derive(Debug, Clone)]
pub struct Toolchain {
    pub python: Interpreter,
    pub installer: Installer,
    /// What the operator would rather have as an installer, and why it is not so.
    pub regret: Option<String>,
}

/// Looks for interpreter and installer; may fetch the latter.
pub async fn find_toolchain(context: &WorkContext) -> Result<Toolchain, ToolchainError> {
    let settings = &context.settings.build;
    let python = python::find(&context.launcher, settings.python_bin.as_deref(), context.environment()).await?;
    let choice = match settings.installer {
        config::Installer::Auto => InstallerChoice::Auto,
        config::Installer::Uv => InstallerChoice::Uv,
        config::Installer::Pip => InstallerChoice::Pip,
    };
    let installers =
        Installers::new(context.launcher.clone(), choice, context.data_dir.clone(), context.environment().clone());
    let Found { installer, regret } = installers.find(&python).await?;
    tracing::info!(python = %python.path.display(), version = python.version, installer = installer.name(), "toolchain found");
    Ok(Toolchain { python, installer, regret })
}

/// What a build of this configuration would be made from, and the engine for it. Blocks.
pub fn inputs(context: &WorkContext, toolchain: &Toolchain, content_digest: String) -> (BuildInputs, Engine) {
    let spec = &context.settings.build.engine_spec;
    let engine = ready_engine(&context.data_dir, spec);
    let print = fingerprint(&FingerprintInputs {
        content_digest: &content_digest,
        engine_spec: spec,
        engine_digest: engine.digest.as_deref(),
        engine_version: engine.version_hint.as_deref(),
        python_version: &toolchain.python.version,
        python_path: &toolchain.python.path,
        installer: toolchain.installer.name(),
    });
    let inputs = BuildInputs {
        fingerprint: print,
        content_digest,
        engine_spec: spec.clone(),
        engine_version_hint: engine.version_hint.clone(),
        python_interpreter: toolchain.python.path.display().to_string(),
    };
    (inputs, engine)
}
