//! What becomes of feeds: they have no end, so their oldest files go by an age of their own.

use super::task::Round;
use crate::domain::maintenance::TaskReport;

/// Deletes files of feeds whose entries are all too old; never the newest entry.
pub async fn expire(round: Round, mut report: TaskReport) -> TaskReport {
    match round.registry.expire_feeds(round.now, || round.should_stop()).await {
        Ok(expired) => {
            report.done = expired.segments;
            report.bytes_freed = expired.bytes;
            report.unfinished = round.should_stop();
        }
        Err(error) => report.fail(error),
    }
    report
}
