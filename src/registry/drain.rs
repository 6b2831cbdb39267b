//! How running work ends when the service stops.

use std::time::Duration;

use futures_util::future::join_all;

use super::core::Core;
use crate::stream::window::Halt;
use crate::worker::process::{Marker, kill_marked};

/// Interrupted work kills its processes and writes its end.
const INTERRUPT: Duration = Duration::from_secs(4);
/// For the feeds to repeat what has just ended.
const LAST_ENTRIES: Duration = Duration::from_millis(500);
/// What takes longer even with its processes killed is left to the next start.
const LAST: Duration = Duration::from_secs(2);

/// Takes no new work, gives running work this long, ends what is left as interrupted, and sends all readers away.
pub async fn drain(core: &Core, within: Duration) {
    let services = &core.services;
    // Runs that wait for a slot are left to the next start. First, since a run whose build is refused from now on
    // looks here for why.
    services.capacity.close();
    services.admission.close().await;
    let entries = core.entries().await;
    let all_settled = join_all(entries.iter().map(|entry| entry.settled()));
    let settled = tokio::time::timeout(within, all_settled).await;
    services.log.stop_waiting();
    if settled.is_err() {
        interrupt(core).await;
    }
    for entry in core.entries().await {
        entry.stream.hub().set_halt(Halt::Draining);
    }
    // What is not repeated in time is repeated at the next start.
    let _ = tokio::time::timeout(LAST_ENTRIES, services.feeds.quiet()).await;
    services.feeds.halt().await;
}

/// Ends all work now.
async fn interrupt(core: &Core) {
    let entries = core.entries().await;
    let asked = async {
        join_all(entries.iter().map(|entry| entry.interrupt())).await;
        join_all(entries.iter().map(|entry| entry.settled())).await;
    };
    if tokio::time::timeout(INTERRUPT, asked).await.is_err() {
        // Work that is being cancelled has its own time to end; there is none left.
        kill_marked(entries.iter().filter_map(|entry| Marker::of(entry.key())).collect()).await;
        let all_settled = join_all(entries.iter().map(|entry| entry.settled()));
        let _ = tokio::time::timeout(LAST, all_settled).await;
    }
}
