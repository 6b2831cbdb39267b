//! What is left on this disk of documents and configurations whose files another node has removed.
//!
//! Law: something goes only by its row, which says that its files were removed. What no row tells of stays.

use std::path::Path;

use super::services::Services;
use crate::blocking::blocking;
use crate::domain::WorkspaceId;
use crate::domain::maintenance::TaskReport;
use crate::files::is_absent;
use crate::store::StoreError;

/// Of a directory, so many names are looked at in a round.
const MOST: usize = 100_000;
/// Names that are asked for in one statement.
const AT_ONCE: usize = 500;
/// In the directory of a workspace.
const FOLDERS: [&str; 3] = ["documents", "configurations", "packages"];

/// Removes it. Without an object store there is no other node's work to follow.
pub async fn sweep(
    services: &Services,
    report: &mut TaskReport,
    should_stop: &(dyn Fn() -> bool + Send + Sync),
) -> Result<(), StoreError> {
    if !services.depot.has_store() {
        return Ok(());
    }
    for workspace in names(services, "workspaces".as_ref()).await {
        let Ok(id) = WorkspaceId::parse(&workspace) else { continue };
        for folder in FOLDERS {
            let place = Path::new("workspaces").join(&workspace).join(folder);
            for some in names(services, &place).await.chunks(AT_ONCE) {
                if should_stop() {
                    report.unfinished = true;
                    return Ok(());
                }
                for name in services.store.whose_files_are_removed(id, some).await? {
                    services.work.trash.discard_soon(services.work.location(place.join(name)).path()).await;
                    report.done += 1;
                }
            }
        }
    }
    Ok(())
}

/// None where there is no such directory, or it cannot be read.
async fn names(services: &Services, place: &Path) -> Vec<String> {
    let directory = services.work.location(place);
    let look = move || match directory.open() {
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        directory => directory?.entries(MOST),
    };
    let found = blocking(look).await.unwrap_or_else(|error| {
        tracing::warn!(place = %place.display(), %error, "not searched for what another node has removed");
        Vec::new()
    });
    found.into_iter().map(|(name, _)| name).collect()
}
