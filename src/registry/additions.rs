//! New configurations and documents: files first, then the row that leads to them.
//!
//! Law: there is no row without its files, and none of a document whose file is not in the object store, if there is one. Both are made by a command that goes on when its client has hung up.

use std::fs::File;

use super::packages;
use super::services::Services;
use crate::depot::{FileToKeep, PutError};
use crate::domain::configuration::{Configuration, Document};
use crate::files::Location;
use crate::package::{self, ImportError, Limits, PackageLocks, TemplateError, TreeError};
use crate::store::{AddInputError, StoreError};
use crate::worker::WorkContext;

/// Why something with files and a row could not be added.
#[derive(Debug, thiserror::Error)]
pub enum AddError<E> {
    #[error("the files cannot be made")]
    Files(E),
    /// The object store does not have the file of a document, which is therefore none.
    #[error(transparent)]
    NotKept(#[from] PutError),
    /// It was deleted while the files were made.
    #[error("the workspace does not exist any more")]
    WorkspaceGone,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<E> From<AddInputError> for AddError<E> {
    fn from(error: AddInputError) -> Self {
        match error {
            AddInputError::WorkspaceGone => Self::WorkspaceGone,
            AddInputError::Store(error) => Self::Store(error),
        }
    }
}

/// Where the files of a new configuration come from.
pub enum Origin {
    /// One of the templates in the binary.
    Template(String),
    /// Another configuration's package.
    Copy {
        from: Location,
        locks: PackageLocks,
    },
    Zip(File),
}

/// Why a new configuration has no files.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Copy(#[from] TreeError),
    #[error(transparent)]
    Import(#[from] ImportError),
}

impl Origin {
    pub fn copy_of(work: &WorkContext, original: &Configuration) -> Self {
        Self::Copy { from: work.location(original.directory()), locks: work.packages.clone() }
    }

    /// Writes the files and returns their digest. Blocks.
    pub fn write(self, directory: &Location) -> Result<String, OriginError> {
        Ok(match self {
            Self::Template(id) => package::write_template(&id, directory)?,
            // Under its lock: a package that is replaced meanwhile would be copied in part.
            Self::Copy { from, locks } => locks.reading(&from.path(), || package::copy_package(&from, directory))?,
            Self::Zip(zip) => package::import_zip(zip, directory, Limits::default())?.content_digest,
        })
    }
}

/// Makes the files of a new configuration, then its row. `make` says their digest. What a failure in between leaves are
/// files that nothing leads to: a row that could be there all the same must not lose its files.
pub async fn add_configuration<E: Send + 'static>(
    services: Services,
    mut configuration: Configuration,
    make: impl FnOnce(&Location) -> Result<String, E> + Send + 'static,
) -> Result<Configuration, AddError<E>> {
    let directory = services.work.location(configuration.directory());
    configuration.content_digest = made(move || make(&directory)).await?;
    match services.depot.has_store() {
        true => add_stored(&services, configuration).await,
        false => {
            services.store.insert_configuration(&configuration).await?;
            Ok(configuration)
        }
    }
}

/// The store has its archive before there is a row.
async fn add_stored<E>(services: &Services, mut configuration: Configuration) -> Result<Configuration, AddError<E>> {
    let directory = services.work.location(configuration.directory());
    let archived = match packages::archive(services, &configuration, &directory).await {
        Ok(archived) => archived,
        Err(error) => {
            // No row can be there.
            services.work.trash.discard_soon(directory.path()).await;
            return Err(error.into());
        }
    };
    archived.content_digest().clone_into(&mut configuration.content_digest);
    configuration.package = Some(archived.name().to_owned());
    services.store.insert_stored_configuration(&configuration, archived.path()).await?;
    services.trees.set(configuration.id, archived.name());
    Ok(configuration)
}

/// As [`add_configuration`], of a document. `place` puts its file where it stays.
pub async fn add_document<E: Send + 'static>(
    services: Services,
    document: Document,
    place: impl FnOnce(&Location) -> Result<(), E> + Send + 'static,
) -> Result<Document, AddError<E>> {
    let location = services.work.location(document.path());
    let begun = services.depot.begin(file_of(&document)).await?;
    made(move || place(&location)).await?;
    let kept = match begun {
        Some(begun) => Some(services.depot.keep(begun).await?),
        None => None,
    };
    match &kept {
        Some(kept) => services.store.insert_stored_document(&document, &kept.path).await?,
        None => services.store.insert_document(&document).await?,
    }
    Ok(document)
}

fn file_of(document: &Document) -> FileToKeep {
    FileToKeep {
        path: document.path(),
        workspace_id: document.workspace_id,
        bytes: document.byte_size,
        sha256: document.sha256.clone(),
    }
}

async fn made<T: Send + 'static, E: Send + 'static>(
    make: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, AddError<E>> {
    let made = tokio::task::spawn_blocking(make).await;
    made.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic())).map_err(AddError::Files)
}
