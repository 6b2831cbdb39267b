//! What builds are made with: the interpreter, the installer, and the engine's files; and from these, with a
//! configuration's digest, the inputs of a build.

use std::io;
use std::path::{Path, PathBuf};

use super::fingerprint::{EngineSpec, FingerprintInputs, fingerprint};
use super::installer::{Installer, InstallerChoice, Installers, NoInstaller};
use super::python::{self, Interpreter, NoInterpreter};
use crate::assets;
use crate::config;
use crate::domain::build::BuildInputs;
use crate::package;
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
}

/// Looks for interpreter and installer; may fetch the latter.
pub async fn find_toolchain(context: &WorkContext) -> Result<Toolchain, ToolchainError> {
    let settings = &context.settings.build;
    let python = python::find(settings.python_bin.as_deref(), context.environment()).await?;
    let choice = match settings.installer {
        config::Installer::Auto => InstallerChoice::Auto,
        config::Installer::Uv => InstallerChoice::Uv,
        config::Installer::Pip => InstallerChoice::Pip,
    };
    let installers = Installers::new(choice, context.data_dir.clone(), context.environment().clone());
    let installer = installers.get(&python).await?;
    tracing::info!(python = %python.path.display(), version = python.version, installer = installer.name(), "toolchain found");
    Ok(Toolchain { python, installer })
}

/// What is handed to the installer as the engine, and what identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// A requirement, or a folder whose path names its content.
    pub install: String,
    pub digest: Option<String>,
    pub version_hint: Option<String>,
}

/// Makes the engine's files ready. Installers remember what they made of a path and write into it, so a folder
/// is copied to a place that its content names. Blocks.
pub fn ready_engine(data_dir: &Path, spec: &str) -> Result<Engine, ToolchainError> {
    let failed = |error: &dyn std::fmt::Display| ToolchainError::Engine(error.to_string());
    let parsed = EngineSpec::parse(spec);
    let version_hint = parsed.version_hint();
    let (digest, place) = match &parsed {
        EngineSpec::Requirement(requirement) => {
            return Ok(Engine { install: requirement.clone(), digest: None, version_hint });
        }
        EngineSpec::Builtin => {
            let digest = assets::engine_digest().to_owned();
            let place = engine_place(data_dir, &digest);
            write_builtin(&place).map_err(|error| failed(&error))?;
            (digest, place)
        }
        EngineSpec::Folder(folder) => {
            let digest = package::content_digest(folder).map_err(|error| failed(&error))?;
            let place = engine_place(data_dir, &digest);
            if !place.exists() {
                package::copy_package(folder, &place).map_err(|error| failed(&error))?;
            }
            (digest, place)
        }
    };
    Ok(Engine { install: place.display().to_string(), digest: Some(digest), version_hint })
}

fn engine_place(data_dir: &Path, digest: &str) -> PathBuf {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    data_dir.join("cache/engine").join(hex)
}

/// Written beside and renamed, so that a place that exists is whole.
fn write_builtin(place: &Path) -> io::Result<()> {
    if place.exists() {
        return Ok(());
    }
    let fresh = place.with_extension(ulid::Ulid::generate().to_string());
    assets::write_tree(assets::engine_files(), &fresh)?;
    std::fs::rename(&fresh, place).or_else(|error| if place.exists() { Ok(()) } else { Err(error) })
}

/// What a build of this configuration would be made from. Blocks.
pub fn inputs(
    context: &WorkContext,
    toolchain: &Toolchain,
    content_digest: String,
) -> Result<BuildInputs, ToolchainError> {
    let spec = &context.settings.build.engine_spec;
    let engine = ready_engine(&context.data_dir, spec)?;
    let print = fingerprint(&FingerprintInputs {
        content_digest: &content_digest,
        engine_spec: spec,
        engine_digest: engine.digest.as_deref(),
        engine_version: engine.version_hint.as_deref(),
        python_version: &toolchain.python.version,
        python_path: &toolchain.python.path,
        installer: toolchain.installer.name(),
    });
    Ok(BuildInputs {
        fingerprint: print,
        content_digest,
        engine_spec: spec.clone(),
        engine_version_hint: engine.version_hint,
        python_interpreter: toolchain.python.path.display().to_string(),
    })
}
