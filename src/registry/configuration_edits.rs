//! Changes of configurations: their files one by one, and what they are in their workspaces.
//!
//! Law: only a draft is edited. Changes of one configuration are made one after the other, each with the status and the
//! files that it was decided on; whoever reads its files meanwhile has them as before or as after.

use chrono::Utc;

use super::configurations::{directory, note};
use super::core::Core;
use super::leftovers::INCOMING;
use crate::blocking::blocking;
use crate::domain::configuration::{Configuration, ConfigurationStatus};
use crate::domain::principal::Scope;
use crate::domain::time::micros;
use crate::domain::{ConfigurationId, WorkspaceId};
use crate::files::Location;
use crate::package::{self, EditError, InvalidPackage, Issue, TreeError};
use crate::store::StoreError;

/// A file of a configuration was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditConfigurationError {
    #[error("there is no such configuration")]
    NotFound,
    #[error("the configuration is {0}: only a draft can be edited; a clone of it is one")]
    NotEditable(ConfigurationStatus),
    #[error(transparent)]
    Edit(#[from] EditError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a change is made.
pub struct Place {
    pub directory: Location,
    /// For files that are not complete yet.
    pub incoming: Location,
    /// For what is removed; maintenance deletes it.
    pub trash: std::path::PathBuf,
}

/// Makes a change of a draft's files. Gives what it gives, and the configuration with its digest afterwards.
pub async fn edit<T: Send + 'static>(
    core: &Core,
    (workspace_id, id): (WorkspaceId, ConfigurationId),
    change: impl FnOnce(&Place) -> Result<T, EditError> + Send + 'static,
) -> Result<(T, Configuration), EditConfigurationError> {
    let services = &core.services;
    let _editing = services.editing.lock(id).await;
    let configuration = find(core, workspace_id, id).await?.ok_or(EditConfigurationError::NotFound)?;
    if !configuration.status.is_editable() {
        return Err(EditConfigurationError::NotEditable(configuration.status));
    }
    let place = Place {
        directory: directory(services, &configuration),
        incoming: services.work.location(INCOMING),
        trash: services.work.data_dir.clone(),
    };
    let locks = services.work.packages.clone();
    let make = move || {
        locks.exchanging(&place.directory.path(), || {
            let made = change(&place)?;
            Ok((made, package::content_digest(&place.directory)?))
        })
    };
    let (made, digest) =
        blocking(move || Ok(make())).await.map_err(EditError::Io)?.map_err(EditConfigurationError::Edit)?;
    note(services, &configuration, &digest).await?;
    Ok((made, find(core, workspace_id, id).await?.unwrap_or(configuration)))
}

/// What a configuration is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It is not edited any more.
    Publish,
    /// New runs of the workspace are meant to use it.
    Activate,
    Deactivate,
}

impl Transition {
    fn status(self) -> ConfigurationStatus {
        match self {
            Self::Publish => ConfigurationStatus::Published,
            Self::Activate => ConfigurationStatus::Active,
            Self::Deactivate => ConfigurationStatus::Inactive,
        }
    }
}

/// A configuration is what it was.
#[derive(Debug, thiserror::Error)]
pub enum TransitionError {
    #[error("there is no such configuration")]
    NotFound,
    #[error("the configuration is {0}")]
    Status(ConfigurationStatus),
    #[error(transparent)]
    Invalid(#[from] InvalidPackage),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("the files cannot be read")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Changes the status; what has that status already stays as it is.
pub async fn change_status(
    core: &Core,
    (workspace_id, id): (WorkspaceId, ConfigurationId),
    transition: Transition,
) -> Result<Configuration, TransitionError> {
    let services = &core.services;
    let _editing = services.editing.lock(id).await;
    let before = find(core, workspace_id, id).await?.ok_or(TransitionError::NotFound)?;
    if !may(transition, before.status) {
        return Err(TransitionError::Status(before.status));
    }
    if before.status == transition.status() {
        return Ok(before);
    }
    if transition != Transition::Deactivate && before.status == ConfigurationStatus::Draft {
        check(core, &before).await?;
    }
    let (store, now) = (&services.store, micros(Utc::now()));
    match transition {
        Transition::Publish => store.publish(workspace_id, id, now).await?,
        Transition::Activate => store.activate(workspace_id, id, now).await?,
        Transition::Deactivate => store.deactivate(workspace_id, id, now).await?,
    };
    find(core, workspace_id, id).await?.ok_or(TransitionError::NotFound)
}

fn may(transition: Transition, status: ConfigurationStatus) -> bool {
    use ConfigurationStatus::{Active, Draft, Inactive, Published};
    match transition {
        Transition::Publish => matches!(status, Draft | Published),
        Transition::Activate => true,
        Transition::Deactivate => matches!(status, Active | Inactive),
    }
}

/// It would be kept as a package if it were imported.
async fn check(core: &Core, configuration: &Configuration) -> Result<(), TransitionError> {
    let (locks, directory) = (core.services.work.packages.clone(), directory(&core.services, configuration));
    let check = move || locks.reading(&directory.path(), || Ok(package::check_package(&directory.open()?)));
    Ok(blocking(check).await??)
}

/// What is wrong with its files as they are now, as far as that can be seen without running them.
pub async fn inspect(core: &Core, configuration: &Configuration) -> Result<Vec<Issue>, TransitionError> {
    let (locks, directory) = (core.services.work.packages.clone(), directory(&core.services, configuration));
    let inspect = move || locks.reading(&directory.path(), || package::inspect_package(&directory));
    Ok(blocking(move || Ok(inspect())).await??)
}

async fn find(
    core: &Core,
    workspace_id: WorkspaceId,
    id: ConfigurationId,
) -> Result<Option<Configuration>, StoreError> {
    core.services.store.find_configuration(&Scope::Only(vec![workspace_id]), id).await
}
