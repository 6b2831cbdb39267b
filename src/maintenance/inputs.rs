//! What becomes of documents and configurations: those that expire are deleted, and later the files of what was deleted
//! are removed.

use super::due::deadline;
use super::round::Round;
use crate::domain::maintenance::TaskReport;
use crate::registry::Tidied;
use crate::store::StoreError;

/// Deletes documents whose time is over.
pub async fn expire(round: Round, report: TaskReport) -> TaskReport {
    let expired = round.registry.expire_documents(round.now).await;
    noted(report, expired)
}

/// Removes the files of what was deleted long enough ago.
pub async fn remove_deleted(round: Round, report: TaskReport) -> TaskReport {
    let retention = round.services.settings.storage.deleted_retention;
    let Some(before) = deadline(round.now, retention) else { return report };
    let removed = round.registry.remove_files(before).await;
    noted(report, removed)
}

fn noted(mut report: TaskReport, tidied: Result<Tidied, StoreError>) -> TaskReport {
    match tidied {
        Ok(tidied) => {
            (report.done, report.skipped, report.unfinished) = (tidied.done, tidied.skipped, tidied.is_cut);
            tidied.errors.into_iter().for_each(|error| report.fail(error));
        }
        Err(error) => report.fail(error),
    }
    report
}
