//! The files of configurations: read as a whole, exchanged as a whole.

use std::fs::File;
use std::io;

use chrono::Utc;

use super::leftovers::INCOMING;
use super::packages::{self, TRIES};
use super::services::Services;
use crate::blocking::blocking;
use crate::depot::{OpenError, PutError};
use crate::domain::configuration::{Configuration, ConfigurationStatus};
use crate::domain::precondition;
use crate::domain::principal::Scope;
use crate::domain::time::micros;
use crate::domain::{ConfigurationId, WorkspaceId};
use crate::files::Location;
use crate::package::{
    self, EditError, ExportError, ImportError, Limits, PackageEntry, PackageListing, PackagePath, Staging, TreeError,
    TreeState,
};
use crate::store::StoreError;
use crate::worker::WorkContext;

#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    #[error("there is no such configuration")]
    NotFound,
    #[error("the configuration is {0}: only a draft can be replaced; a clone of it is one")]
    NotEditable(ConfigurationStatus),
    #[error("the configuration's content is {digest} now")]
    Changed { digest: String },
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The object store does not have the package, which is therefore not exchanged.
    #[error(transparent)]
    NotKept(#[from] PutError),
    /// Nor does it give the one that is there.
    #[error(transparent)]
    NotReady(OpenError),
    /// Again and again others were first.
    #[error("others change the configuration at the same moment")]
    Crowded,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which content a caller is willing to replace, by its digest.
pub type Expected = precondition::Expected<String>;

/// The digest of the files as they are on disk; the row is brought up to date.
pub async fn digest(services: &Services, configuration: &Configuration) -> Result<String, DigestError> {
    packages::ready(services, configuration).await?;
    let digest = digest_on_disk(services, configuration).await??;
    if !services.depot.has_store() || configuration.current_package().is_none() {
        note(services, configuration, &digest).await?;
        return Ok(digest);
    }
    if digest == configuration.content_digest {
        return Ok(digest);
    }
    // Edited in this moment, or changed by hand: what the store has counts.
    services.trees.forget(configuration.id);
    packages::ready(services, configuration).await?;
    Ok(digest_on_disk(services, configuration).await??)
}

async fn digest_on_disk(services: &Services, configuration: &Configuration) -> io::Result<Result<String, TreeError>> {
    let (locks, directory) = (services.work.packages.clone(), directory(services, configuration));
    let read = move || locks.reading(&directory.path(), || package::content_digest(&directory));
    blocking(move || Ok(read())).await
}

#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The object store does not give them.
    #[error(transparent)]
    NotReady(#[from] OpenError),
    #[error("the configuration's files cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Puts the package of a zip file in the place of the one that is there, if that is one of those expected. What is
/// there then is one of the two, whole, whatever happens; builds in progress keep the copy that they have.
pub async fn replace(
    services: Services,
    scope: Scope,
    (workspace_id, id): (WorkspaceId, ConfigurationId),
    expected: Expected,
    zip: File,
) -> Result<Configuration, ReplaceError> {
    let _editing = services.editing.lock(id).await;
    let found = services.store.find_configuration(&scope, id).await?;
    let mut configuration = found.filter(|found| found.workspace_id == workspace_id).ok_or(ReplaceError::NotFound)?;
    if !configuration.status.is_editable() {
        return Err(ReplaceError::NotEditable(configuration.status));
    }
    if services.depot.has_store() {
        return replace_stored(&services, configuration, expected, zip).await;
    }
    let (locks, directory) = (services.work.packages.clone(), directory(&services, &configuration));
    let exchange = move || {
        locks.exchanging(&directory.path(), || {
            let digest = package::content_digest(&directory).map_err(ImportError::from)?;
            if !expected.is_met_by(&digest) {
                return Ok(Err(digest));
            }
            package::import_zip(zip, &directory, Limits::default()).map(Ok)
        })
    };
    let exchanged: Result<_, ImportError> = blocking(move || Ok(exchange())).await.map_err(ImportError::Io)?;
    let report = match exchanged? {
        Ok(report) => report,
        Err(digest) => {
            // Changed from outside of the service: the next reader has to see that.
            note(&services, &configuration, &digest).await?;
            return Err(ReplaceError::Changed { digest });
        }
    };
    note(&services, &configuration, &report.content_digest).await?;
    configuration = services.store.find_configuration(&scope, id).await?.unwrap_or(configuration);
    Ok(configuration)
}

/// Under the configuration's lock.
async fn replace_stored(
    services: &Services,
    mut configuration: Configuration,
    expected: Expected,
    zip: File,
) -> Result<Configuration, ReplaceError> {
    for _ in 0..TRIES {
        let digest = match configuration.current_package() {
            Some(_) => configuration.content_digest.clone(),
            None => {
                let of = (configuration.workspace_id, configuration.id);
                packages::ready_alone(services, of).await.map_err(ReplaceError::NotReady)?;
                let digest = digest_on_disk(services, &configuration).await.map_err(ImportError::Io)?;
                digest.map_err(ImportError::from)?
            }
        };
        if !expected.is_met_by(&digest) {
            return Err(ReplaceError::Changed { digest });
        }
        let (zip, place) = (zip.try_clone().map_err(ImportError::Io)?, directory(services, &configuration));
        let (staging, state) = blocking(move || Ok(stage(zip, &place))).await.map_err(ImportError::Io)??;
        if configuration.current_package().is_some_and(|name| state.is_named(name)) {
            return Ok(configuration);
        }
        let archived = packages::archive(services, &configuration, staging.location()).await?;
        let is_made = packages::exchange(services, &configuration, &archived, staging).await?;
        let scope = Scope::Only(vec![configuration.workspace_id]);
        let now = services.store.find_configuration(&scope, configuration.id).await?.ok_or(ReplaceError::NotFound)?;
        if is_made {
            return Ok(now);
        }
        if !now.status.is_editable() {
            return Err(ReplaceError::NotEditable(now.status));
        }
        configuration = now;
    }
    Err(ReplaceError::Crowded)
}

fn stage(zip: File, place: &Location) -> Result<(Staging, TreeState), ImportError> {
    let (staging, _) = package::stage_zip(zip, place, Limits::default())?;
    let state = TreeState::of(staging.dir())?;
    Ok((staging, state))
}

/// A package as a zip file without a name: it is gone when it is closed.
#[derive(Debug)]
pub struct Exported {
    pub zip: File,
    pub length: u64,
    pub content_digest: String,
}

/// Why a package is not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadPackageError<E: std::error::Error + 'static> {
    /// The object store does not give it.
    #[error(transparent)]
    NotReady(OpenError),
    #[error(transparent)]
    Read(#[from] E),
}

/// The same files give the same bytes.
pub async fn export(
    services: &Services,
    configuration: &Configuration,
) -> Result<Exported, ReadPackageError<ExportError>> {
    packages::ready(services, configuration).await.map_err(ReadPackageError::NotReady)?;
    Ok(exported(&services.work, configuration).await?)
}

async fn exported(work: &WorkContext, configuration: &Configuration) -> Result<Exported, ExportError> {
    let (locks, directory) = (work.packages.clone(), work.location(configuration.directory()));
    let incoming = work.location(INCOMING);
    let pack = move || {
        locks.reading(&directory.path(), || {
            let content_digest = package::content_digest(&directory)?;
            let zip = package::export_zip(&directory, nameless(&incoming)?)?;
            let length = zip.metadata()?.len();
            Ok(Exported { zip, length, content_digest })
        })
    };
    blocking(move || Ok(pack())).await?
}

fn nameless(incoming: &Location) -> io::Result<File> {
    let (dir, name) = (incoming.make()?, ulid::Ulid::generate().to_string());
    let file = dir.create(&name)?;
    dir.remove_file(&name)?;
    Ok(file)
}

pub(super) async fn note(services: &Services, configuration: &Configuration, digest: &str) -> Result<(), StoreError> {
    if configuration.content_digest != digest {
        let (workspace_id, id) = (configuration.workspace_id, configuration.id);
        services.store.set_content(workspace_id, id, digest, micros(Utc::now())).await?;
    }
    Ok(())
}

/// What is in a package, entry by entry.
pub async fn list(
    services: &Services,
    configuration: &Configuration,
) -> Result<PackageListing, ReadPackageError<TreeError>> {
    packages::ready(services, configuration).await.map_err(ReadPackageError::NotReady)?;
    let (locks, directory) = (services.work.packages.clone(), directory(services, configuration));
    let path = directory.path();
    let list = move || locks.reading(&directory.path(), || package::list_package(&directory));
    Ok(blocking(move || Ok(list())).await.unwrap_or_else(|source| Err(TreeError::Io { path, source }))?)
}

/// One file, as it stays for whoever has opened it.
pub async fn open_file(
    services: &Services,
    configuration: &Configuration,
    path: PackagePath,
) -> Result<(PackageEntry, File), ReadPackageError<EditError>> {
    packages::ready(services, configuration).await.map_err(ReadPackageError::NotReady)?;
    let (locks, directory) = (services.work.packages.clone(), directory(services, configuration));
    let open = move || locks.reading(&directory.path(), || package::open_for_reading(&directory, &path));
    Ok(blocking(move || Ok(open())).await.map_err(EditError::Io)??)
}

/// Where a configuration's files are.
pub fn directory(services: &Services, configuration: &Configuration) -> Location {
    services.work.location(configuration.directory())
}
