//! What becomes of the copies of other nodes' logs: compressed at the age at which their node compresses the log, and gone when
//! the log is. Their rows are their nodes' to change.

use std::io;

use super::due::deadline;
use super::round::Round;
use crate::blocking::blocking;
use crate::domain::id::NodeId;
use crate::domain::maintenance::TaskReport;
use crate::domain::status::LogState;
use crate::domain::time::Timestamp;
use crate::domain::work;
use crate::log::CompressError;
use crate::store::{FinishedLog, FinishedQuery, StoreError};

/// What one round looks at, at most.
const MOST: u64 = 100_000;
const PAGE: u64 = 500;

/// A node that is alone has none.
pub async fn tidy(round: Round, mut report: TaskReport) -> TaskReport {
    let mut left = MOST;
    for peer in round.registry.nodes().peers() {
        let gone = [LogState::Expiring, LogState::Deleted];
        let kept = [LogState::Plain, LogState::Compressed, LogState::Archived];
        let age = deadline(round.now, round.services.settings.log.compress_after);
        let tasks = [(&gone[..], Some(round.now), false), (&kept[..], age, true)];
        for (states, before, keeps) in tasks {
            let Some(before) = before else { continue };
            if let Err(error) = each(&round, &mut report, peer.id, states, before, keeps, &mut left).await {
                report.fail(error);
            }
        }
    }
    report
}

async fn each(
    round: &Round,
    report: &mut TaskReport,
    node_id: NodeId,
    states: &[LogState],
    completed_before: Timestamp,
    keeps: bool,
    left: &mut u64,
) -> Result<(), StoreError> {
    for kind in work::kinds() {
        let mut after = None;
        loop {
            if round.should_stop() || *left == 0 {
                report.unfinished = true;
                return Ok(());
            }
            let query = FinishedQuery { node_id, kind, states, completed_before, after, limit: PAGE };
            let page = round.services.store.finished_logs(&query).await?;
            let Some(last) = page.last() else { break };
            after = Some(*last);
            *left = left.saturating_sub(page.len() as u64);
            step(round, report, page, keeps).await;
        }
    }
    Ok(())
}

async fn step(round: &Round, report: &mut TaskReport, page: Vec<FinishedLog>, keeps: bool) {
    let (root, watched) = (round.services.log.clone(), round.clone());
    let done = blocking(move || {
        let of_one = |log: &FinishedLog| match keeps {
            false => root.discard_copy(log.key),
            true => match root.compress(log.key, &|| watched.should_stop()) {
                Ok(shrunk) => Ok(shrunk.before.saturating_sub(shrunk.after)),
                Err(CompressError::Io(error)) => Err(error),
                // There is none, or not all of it, or it is being written.
                Err(_) => Ok(0),
            },
        };
        Ok::<_, io::Error>(page.iter().map(|log| (log.key, of_one(log))).collect::<Vec<_>>())
    });
    for (key, freed) in done.await.unwrap_or_default() {
        match freed {
            Ok(0) => {}
            Ok(freed) => {
                report.done += 1;
                report.bytes_freed += freed;
            }
            Err(error) => report.fail(format_args!("{key}: {error}")),
        }
    }
}
