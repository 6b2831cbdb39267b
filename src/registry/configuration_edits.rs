//! Changes of configurations: their files one by one, and what they are in their workspaces.
//!
//! Law: only a draft is edited. Changes of one configuration are made one after the other, each with the status and the
//! files that it was decided on; whoever reads its files meanwhile has them as before or as after.

use std::sync::Arc;

use chrono::Utc;

use super::configurations::{directory, note};
use super::core::Core;
use super::leftovers::INCOMING;
use super::packages::{self, TRIES};
use super::services::Services;
use crate::blocking::blocking;
use crate::depot::{OpenError, PutError};
use crate::domain::configuration::{Configuration, ConfigurationStatus};
use crate::domain::principal::Scope;
use crate::domain::time::micros;
use crate::domain::{ConfigurationId, WorkspaceId};
use crate::files::Location;
use crate::package::{self, EditError, InvalidPackage, Issue, Staging, TreeError, TreeState};
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
    /// The object store does not give the files.
    #[error(transparent)]
    NotReady(OpenError),
    /// It does not have the changed ones, which are therefore not changed.
    #[error(transparent)]
    NotKept(#[from] PutError),
    /// Again and again others were first.
    #[error("others change the configuration at the same moment")]
    Crowded,
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
    change: impl Fn(&Place) -> Result<T, EditError> + Send + Sync + 'static,
) -> Result<(T, Configuration), EditConfigurationError> {
    let services = &core.services;
    let _editing = services.editing.lock(id).await;
    let configuration = find(core, workspace_id, id).await?.ok_or(EditConfigurationError::NotFound)?;
    if !configuration.status.is_editable() {
        return Err(EditConfigurationError::NotEditable(configuration.status));
    }
    if services.depot.has_store() {
        return edit_stored(core, configuration, Arc::new(change)).await;
    }
    let place = place(services, directory(services, &configuration));
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

fn place(services: &Services, directory: Location) -> Place {
    Place { directory, incoming: services.work.location(INCOMING), trash: services.work.data_dir.clone() }
}

/// Under the configuration's lock. The change is made in a copy, which takes the place of the files when the store has it and the row
/// says so: another node may have been first, and then the change is made again, of what that one has made.
async fn edit_stored<T: Send + 'static, F>(
    core: &Core,
    mut configuration: Configuration,
    change: Arc<F>,
) -> Result<(T, Configuration), EditConfigurationError>
where
    F: Fn(&Place) -> Result<T, EditError> + Send + Sync + 'static,
{
    let (services, of) = (&core.services, (configuration.workspace_id, configuration.id));
    for _ in 0..TRIES {
        if !configuration.status.is_editable() {
            return Err(EditConfigurationError::NotEditable(configuration.status));
        }
        let known = packages::ready_alone(services, of).await.map_err(|error| match error {
            OpenError::NotFound => EditConfigurationError::NotFound,
            error => EditConfigurationError::NotReady(error),
        })?;
        let (made, staging, state) = changed(services, &known, change.clone()).await?;
        if known.current_package().is_some_and(|name| state.is_named(name)) {
            return Ok((made, known));
        }
        let archived = packages::archive(services, &known, staging.location()).await?;
        let is_made = packages::exchange(services, &known, &archived, staging).await?;
        configuration = find(core, of.0, of.1).await?.ok_or(EditConfigurationError::NotFound)?;
        if is_made {
            return Ok((made, configuration));
        }
    }
    Err(EditConfigurationError::Crowded)
}

/// A copy of the files, changed.
async fn changed<T: Send + 'static, F>(
    services: &Services,
    known: &Configuration,
    change: Arc<F>,
) -> Result<(T, Staging, TreeState), EditError>
where
    F: Fn(&Place) -> Result<T, EditError> + Send + Sync + 'static,
{
    let (locks, directory) = (services.work.packages.clone(), directory(services, known));
    let in_copy = place(services, directory.clone());
    let make = move || {
        let staging = locks.reading(&directory.path(), || package::stage_tree(&directory))?;
        let made = change(&Place { directory: staging.location().clone(), ..in_copy })?;
        let state = TreeState::of(staging.dir())?;
        Ok((made, staging, state))
    };
    blocking(move || Ok(make())).await?
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
    /// The object store does not give the files.
    #[error(transparent)]
    NotReady(#[from] OpenError),
    /// Again and again others were first.
    #[error("others change the configuration at the same moment")]
    Crowded,
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
    for _ in 0..TRIES {
        let before = find(core, workspace_id, id).await?.ok_or(TransitionError::NotFound)?;
        if !may(transition, before.status) {
            return Err(TransitionError::Status(before.status));
        }
        if before.status == transition.status() {
            return Ok(before);
        }
        // What was checked is what it becomes: another node may edit it meanwhile.
        let mut checked = None;
        if transition != Transition::Deactivate && before.status == ConfigurationStatus::Draft {
            checked = check(core, &before).await?;
        }
        let (store, now, package) = (&services.store, micros(Utc::now()), checked.as_deref());
        let is_changed = match transition {
            Transition::Publish => store.publish(workspace_id, id, package, now).await?,
            Transition::Activate => store.activate(workspace_id, id, package, now).await?,
            Transition::Deactivate => store.deactivate(workspace_id, id, now).await?,
        };
        if is_changed || package.is_none() {
            return find(core, workspace_id, id).await?.ok_or(TransitionError::NotFound);
        }
    }
    Err(TransitionError::Crowded)
}

fn may(transition: Transition, status: ConfigurationStatus) -> bool {
    use ConfigurationStatus::{Active, Draft, Inactive, Published};
    match transition {
        Transition::Publish => matches!(status, Draft | Published),
        Transition::Activate => true,
        Transition::Deactivate => matches!(status, Active | Inactive),
    }
}

/// It would be kept as a package if it were imported. Gives the archive of it that the object store has.
async fn check(core: &Core, configuration: &Configuration) -> Result<Option<String>, TransitionError> {
    let services = &core.services;
    let archive = match services.depot.has_store() {
        true => packages::ready_alone(services, (configuration.workspace_id, configuration.id)).await?.package,
        false => None,
    };
    let (locks, directory) = (services.work.packages.clone(), directory(services, configuration));
    let check = move || locks.reading(&directory.path(), || Ok(package::check_package(&directory.open()?)));
    blocking(check).await??;
    Ok(archive)
}

/// What is wrong with its files as they are now, as far as that can be seen without running them.
pub async fn inspect(core: &Core, configuration: &Configuration) -> Result<Vec<Issue>, TransitionError> {
    packages::ready(&core.services, configuration).await?;
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
