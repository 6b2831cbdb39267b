//! The files of configurations: read as a whole, exchanged as a whole.

use std::fs::File;
use std::io;

use chrono::Utc;

use super::leftovers::INCOMING;
use super::services::Services;
use crate::blocking::blocking;
use crate::domain::configuration::{Configuration, ConfigurationStatus};
use crate::domain::precondition;
use crate::domain::principal::Scope;
use crate::domain::time::micros;
use crate::domain::{ConfigurationId, WorkspaceId};
use crate::files::Location;
use crate::package::{
    self, EditError, ExportError, ImportError, Limits, PackageEntry, PackageListing, PackagePath, TreeError,
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
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which content a caller is willing to replace, by its digest.
pub type Expected = precondition::Expected<String>;

/// The digest of the files as they are on disk; the row is brought up to date.
pub async fn digest(services: &Services, configuration: &Configuration) -> Result<String, DigestError> {
    let (locks, directory) = (services.work.packages.clone(), directory(services, configuration));
    let read = move || locks.reading(&directory.path(), || package::content_digest(&directory));
    let digest = blocking(move || Ok(read())).await??;
    note(services, configuration, &digest).await?;
    Ok(digest)
}

#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    #[error(transparent)]
    Tree(#[from] TreeError),
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

/// A package as a zip file without a name: it is gone when it is closed.
#[derive(Debug)]
pub struct Exported {
    pub zip: File,
    pub length: u64,
    pub content_digest: String,
}

/// The same files give the same bytes.
pub async fn export(work: &WorkContext, configuration: &Configuration) -> Result<Exported, ExportError> {
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
pub async fn list(work: &WorkContext, configuration: &Configuration) -> Result<PackageListing, TreeError> {
    let (locks, directory) = (work.packages.clone(), work.location(configuration.directory()));
    let path = directory.path();
    let list = move || locks.reading(&directory.path(), || package::list_package(&directory));
    blocking(move || Ok(list())).await.unwrap_or_else(|source| Err(TreeError::Io { path, source }))
}

/// One file, as it stays for whoever has opened it.
pub async fn open_file(
    work: &WorkContext,
    configuration: &Configuration,
    path: PackagePath,
) -> Result<(PackageEntry, File), EditError> {
    let (locks, directory) = (work.packages.clone(), work.location(configuration.directory()));
    let open = move || locks.reading(&directory.path(), || package::open_for_reading(&directory, &path));
    blocking(move || Ok(open())).await?
}

/// Where a configuration's files are.
pub fn directory(services: &Services, configuration: &Configuration) -> Location {
    services.work.location(configuration.directory())
}
