//! Deleting documents, configurations and workspaces, and later their files.
//!
//! Law: the row goes first. Files stay for a while, so that an operator can take a mistake back, and are removed by
//! maintenance; logs, summaries and outputs of runs are none of them, and stay.

use std::path::Path;

use chrono::Utc;

use super::core::Core;
use crate::blocking::blocking;
use crate::depot::RemoveError;
use crate::domain::configuration::{Configuration, Document};
use crate::domain::time::Timestamp;
use crate::domain::{DocumentId, WorkspaceId};
use crate::store::{Deletable, DeleteError, Deleted, StoreError};

/// What one round does at most; the next one goes on.
const MOST: u64 = 1000;

pub async fn delete(core: &Core, workspace_id: WorkspaceId, what: Deletable) -> Result<(), DeleteError> {
    settle(core, workspace_id, what).await?;
    let _edited = match what {
        // Whoever edits it ends before, or finds it gone.
        Deletable::Configuration(id) => Some(core.services.editing.lock(id).await),
        Deletable::Document(_) | Deletable::Workspace => None,
    };
    core.services.store.delete_input(workspace_id, what, Utc::now()).await?;
    if what == Deletable::Workspace {
        core.services.feeds.dismiss(workspace_id).await;
    }
    Ok(())
}

/// Waits for the rows of work that has told its end: who has seen that may delete what the work has used.
async fn settle(core: &Core, workspace_id: WorkspaceId, what: Deletable) -> Result<(), StoreError> {
    for key in core.services.store.live_work(workspace_id, what).await? {
        if let Some(entry) = core.find(key).await.filter(|entry| entry.stream.tail().closed) {
            entry.settled().await;
        }
    }
    Ok(())
}

/// What a round of tidying up has done.
#[derive(Debug, Default)]
pub struct Tidied {
    pub done: u64,
    /// In use: the next round looks again.
    pub skipped: u64,
    pub errors: Vec<String>,
    pub is_cut: bool,
}

/// Deletes the documents that have expired by then; those that runs still work on wait.
pub async fn expire_documents(core: &Core, by: Timestamp) -> Result<Tidied, StoreError> {
    let expired = core.services.store.expired_documents(by, MOST).await?;
    let mut tidied = Tidied { is_cut: expired.len() as u64 == MOST, ..Tidied::default() };
    for (workspace_id, id) in expired {
        match expire(core, workspace_id, id, by).await {
            Ok(()) => tidied.done += 1,
            Err(DeleteError::InUse { .. } | DeleteError::NotFound | DeleteError::Active) => tidied.skipped += 1,
            Err(DeleteError::Store(error)) => tidied.errors.push(format!("{id}: {error}")),
        }
    }
    Ok(tidied)
}

async fn expire(core: &Core, workspace_id: WorkspaceId, id: DocumentId, by: Timestamp) -> Result<(), DeleteError> {
    settle(core, workspace_id, Deletable::Document(id)).await?;
    core.services.store.delete_expired(workspace_id, id, by, Utc::now()).await
}

/// Removes the files of what was deleted before this.
pub async fn remove_files(core: &Core, before: Timestamp) -> Result<Tidied, StoreError> {
    let deleted = core.services.store.deleted_with_files(before, MOST).await?;
    let mut tidied = Tidied { is_cut: deleted.len() as u64 >= MOST, ..Tidied::default() };
    for Deleted { workspace_id, what } in deleted {
        match discard(core, workspace_id, what).await {
            Ok(()) => {
                core.services.store.set_files_removed(what, Utc::now()).await?;
                tidied.done += 1;
            }
            Err(error) => {
                // It answers for the next file no better.
                tidied.is_cut |= error.is_of_the_whole_store();
                tidied.errors.push(format!("files of {what:?}: {error}"));
                if error.is_of_the_whole_store() {
                    break;
                }
            }
        }
    }
    Ok(tidied)
}

/// Why files are still there.
#[derive(Debug, thiserror::Error)]
enum DiscardError {
    #[error("they cannot be moved; the service's own log tells why")]
    Stuck,
    #[error(transparent)]
    Stored(#[from] RemoveError),
}

impl DiscardError {
    fn is_of_the_whole_store(&self) -> bool {
        matches!(self, Self::Stored(error) if error.is_of_the_whole_store())
    }
}

async fn discard(core: &Core, workspace_id: WorkspaceId, what: Deletable) -> Result<(), DiscardError> {
    match what {
        Deletable::Document(id) => discard_document(core, &Document::path_of(workspace_id, id)).await,
        Deletable::Configuration(id) => {
            core.services.depot.remove_below(&Configuration::packages_of(workspace_id, id)).await?;
            core.services.trees.forget(id);
            let work = core.services.work.clone();
            let path = work.location(Configuration::directory_of(workspace_id, id)).path();
            // A clone that was begun before the deletion gets all files.
            moved(move || work.packages.exchanging(&path, || work.trash.discard(&path))).await
        }
        // It has no files but those of what is in it.
        Deletable::Workspace => Ok(()),
    }
}

/// The object first, while a row tells of it.
async fn discard_document(core: &Core, path: &Path) -> Result<(), DiscardError> {
    let removal = core.services.depot.begin_removal(path).await?;
    let (work, path) = (core.services.work.clone(), core.services.work.location(path).path());
    moved(move || work.trash.discard(&path)).await?;
    Ok(removal.finish().await?)
}

async fn moved(discard: impl FnOnce() -> bool + Send + 'static) -> Result<(), DiscardError> {
    let is_moved = blocking(move || Ok(discard())).await.unwrap_or(false);
    if is_moved { Ok(()) } else { Err(DiscardError::Stuck) }
}
