//! What becomes of feeds: they have no end, so their oldest files go by an age of their own.

use super::round::Round;
use crate::domain::configuration::Workspace;
use crate::domain::maintenance::TaskReport;
use crate::domain::principal::Scope;

/// Deletes files of feeds whose entries are all too old; never the newest entry. A feed that fails holds up no other.
pub async fn expire(round: Round, mut report: TaskReport) -> TaskReport {
    let workspaces = match round.services.store.all::<Workspace>(&Scope::All).await {
        Ok(workspaces) => workspaces,
        Err(error) => {
            report.fail(error);
            return report;
        }
    };
    for workspace in workspaces {
        if round.should_stop() {
            report.unfinished = true;
            break;
        }
        match round.registry.expire_feed(workspace.id, round.now).await {
            Ok(expired) => {
                report.done += expired.segments;
                report.bytes_freed += expired.bytes;
            }
            Err(error) => report.fail(format!("feed of {}: {error}", workspace.id)),
        }
    }
    report
}
