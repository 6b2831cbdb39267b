//! What is kept for a while and then forgotten: venvs that are no longer needed, and keys of requests.

use super::round::Round;
use crate::domain::idempotency::LIFETIME;
use crate::domain::maintenance::TaskReport;

/// Removes venvs beyond those that are kept; never one in use.
pub async fn builds(round: Round, mut report: TaskReport) -> TaskReport {
    let pruned = round.registry.prune_builds().await;
    report.done = (pruned.venvs_removed + pruned.rows_corrected) as u64;
    report.bytes_freed = pruned.bytes_freed;
    report.unfinished = round.should_stop();
    for _ in 0..pruned.failed {
        report.fail("venvs could not be pruned; the service's own log tells which");
    }
    report
}

/// Forgets keys whose requests may be sent again.
pub async fn idempotency_keys(round: Round, mut report: TaskReport) -> TaskReport {
    match round.services.store.prune_idempotency_keys(round.now - LIFETIME).await {
        Ok(forgotten) => report.done = forgotten,
        Err(error) => report.fail(error),
    }
    report
}
