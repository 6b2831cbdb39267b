//! What every worker knows of the service: folders, limits, and the tools that builds are made with.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::build::marker::build_folder;
use super::build::{Toolchain, ToolchainError, find_toolchain};
use super::environment::Environment;
use crate::config::Settings;
use crate::domain::build::Build;
use crate::package::PackageLocks;

pub struct WorkContext {
    pub data_dir: PathBuf,
    pub venvs_dir: PathBuf,
    pub settings: Arc<Settings>,
    pub packages: PackageLocks,
    environment: Environment,
    toolchain: OnceCell<Toolchain>,
}

impl WorkContext {
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            data_dir: settings.storage.data_dir.clone(),
            venvs_dir: settings.build.venvs_dir.clone(),
            environment: settings.environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            packages: PackageLocks::default(),
            settings,
            toolchain: OnceCell::new(),
        }
    }

    /// The service's own environment, of which children see only what an allow-list names.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Python and installer; looked for once, and again as long as they are not found.
    pub async fn toolchain(&self) -> Result<&Toolchain, ToolchainError> {
        self.toolchain.get_or_try_init(|| find_toolchain(self)).await
    }

    /// The folder of a build's venv.
    pub fn build_dir(&self, build: &Build) -> PathBuf {
        build_folder(&self.venvs_dir, build.workspace_id, build.configuration_id, build.id)
    }
}
