//! What was put into the object store while a backup was made: its copy may have gone from the disk before it was copied, and the
//! copied rows do not know yet where it is.

use std::collections::HashSet;

use crate::domain::WorkspaceId;
use crate::domain::configuration::Workspace;
use crate::domain::principal::Scope;
use crate::domain::stored_file::FileState;
use crate::domain::time::Timestamp;
use crate::store::{Store, StoreError};

/// Rows that are read at once.
const PAGE: u64 = 200;

/// Notes in the copied rows what has come into the store since then.
pub async fn copy_late_notes(from: &Store, to: &Store, since: Timestamp) -> Result<(), StoreError> {
    let known: HashSet<WorkspaceId> = to.all::<Workspace>(&Scope::All).await?.iter().map(|it| it.id).collect();
    let mut after = None;
    loop {
        let page = from.stored_files_since(FileState::Stored, since, after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.path.clone());
        for file in page.iter().filter(|file| known.contains(&file.workspace_id)) {
            to.note_stored_file(file, since).await?;
        }
    }
}
