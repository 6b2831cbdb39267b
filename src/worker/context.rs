//! What every worker knows of the service: directories, limits, and the tools that builds are made with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment::Environment;
use super::process::{Launcher, Marker};
use super::reach::Reach;
use super::trash::Trash;
use super::users::{NoUser, Users};
use super::venv::Tools;
use super::venv::engine::{Engine, ready_engine};
use super::venv::marker::build_directory;
use crate::blocking::blocking;
use crate::config::Settings;
use crate::domain::WorkspaceId;
use crate::domain::build::Build;
use crate::files::Location;
use crate::package::PackageLocks;

pub struct WorkContext {
    pub data_dir: PathBuf,
    pub venvs_dir: PathBuf,
    /// What is removed of the data directory, and of the directory of venvs.
    pub trash: Trash,
    pub venvs_trash: Trash,
    pub settings: Arc<Settings>,
    pub packages: PackageLocks,
    pub launcher: Launcher,
    pub tools: Tools,
    pub reach: Reach,
    users: Option<Arc<Users>>,
    environment: Environment,
}

impl WorkContext {
    /// `node` is what children are marked with, so that a later start finds them.
    pub fn new(settings: Arc<Settings>, node: Marker) -> Self {
        let launcher = Launcher::new(settings.launcher.clone(), node);
        let environment: Environment =
            settings.environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let (reach, data_dir) = (Reach::new(&settings), settings.storage.data_dir.clone());
        Self {
            users: reach.users().map(|ids| Arc::new(Users::new(data_dir.clone(), ids))),
            tools: Tools::new(launcher.clone(), &settings, environment.clone()),
            launcher,
            reach,
            data_dir,
            venvs_dir: settings.build.venvs_dir.clone(),
            trash: Trash::new(settings.storage.data_dir.clone()),
            venvs_trash: Trash::new(settings.build.venvs_dir.clone()),
            environment,
            packages: PackageLocks::default(),
            settings,
        }
    }

    /// The service's own environment, of which children see only what an allow-list names.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The engine that a build would install now, its files made ready.
    pub async fn engine(&self) -> Engine {
        let (data_dir, spec) = (self.data_dir.clone(), self.settings.build.engine_spec.clone());
        let ready = tokio::task::spawn_blocking(move || ready_engine(&data_dir, &spec)).await;
        ready.unwrap_or_else(|error| Engine { install: Err(error.to_string()), digest: None, version_hint: None })
    }

    /// Whose what this workspace has uploaded runs as; `None` where it runs as the service.
    pub async fn user_of(&self, workspace: WorkspaceId) -> Result<Option<u32>, NoUser> {
        let Some(users) = self.users.clone() else { return Ok(None) };
        match blocking(move || Ok(users.of(workspace))).await? {
            Ok(user) => Ok(Some(user)),
            Err(why) => Err(why),
        }
    }

    /// Removes what a piece of work has put away for a moment.
    pub async fn discard_temporary(&self, id: &str) {
        if let Some(temporary) = self.reach.temporary(id) {
            self.trash.discard_soon(temporary.path()).await;
        }
    }

    /// Something in the data directory.
    pub fn location(&self, below: impl AsRef<Path>) -> Location {
        Location::below(&self.data_dir, below)
    }

    /// A build's own directory, where its venv is made.
    pub fn build_directory(&self, build: &Build) -> Location {
        build_directory(&self.venvs_dir, build.workspace_id, build.configuration_id, build.id)
    }
}
