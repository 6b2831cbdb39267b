//! What becomes of files beside the object store: those that it is owed go there, and copies beyond what may stay are released.

use super::round::Round;
use crate::domain::maintenance::TaskReport;
use crate::registry::{packages, remains};

/// Puts into the store what it is owed, and removes what came to nothing.
pub async fn settle(round: Round, mut report: TaskReport) -> TaskReport {
    round.services.depot.settle(&mut report, &|| round.should_stop()).await;
    // A store that does not answer now does not for packages.
    if report.unfinished {
        return report;
    }
    let should_stop = || round.should_stop();
    if let Err(error) = packages::settle(&round.services, &mut report, &should_stop).await {
        report.fail(error);
    }
    if let Err(error) = remains::sweep(&round.services, &mut report, &should_stop).await {
        report.fail(error);
    }
    report
}

/// Removes copies of what is in the store, those first that were used longest ago.
pub async fn release(round: Round, mut report: TaskReport) -> TaskReport {
    round.services.depot.release(&mut report, &|| round.should_stop()).await;
    report
}
