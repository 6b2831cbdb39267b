//! The promise of the log: what was acknowledged is there after any crash, byte for byte, and nothing torn is seen.

mod archive;
mod cluster;
mod contract;
mod followers;
mod history;
mod real_disk;
mod retention;
mod segments;
mod sim_disk;
mod takeover;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use history::{Seen, live};

/// `ADE_SEEDS=100000` for a long hunt, `ADE_FIRST_SEED=n ADE_SEEDS=1` to see one again.
fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Lives through many histories on a few threads.
fn live_all(first: u64, count: u64, lying_disk: bool) -> (Seen, Vec<String>) {
    let next = AtomicU64::new(first);
    let outcome = Mutex::new((Seen::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < first + count) {
                    let lived = live(seed, lying_disk);
                    let mut outcome = outcome.lock().unwrap();
                    match lived {
                        Ok(seen) => outcome.0.add(seen),
                        Err(broken) => outcome.1.push(broken),
                    }
                }
            });
        }
    });
    outcome.into_inner().unwrap()
}

#[test]
fn nothing_acknowledged_is_ever_lost() {
    let (first, count) = (from_environment("ADE_FIRST_SEED", 0), from_environment("ADE_SEEDS", 3000));
    let (seen, broken) = live_all(first, count, false);
    println!("{seen:?}");
    assert!(broken.is_empty(), "{} of {count} histories broke a promise:\n{}", broken.len(), broken.join("\n"));
    if count >= 1000 {
        let Seen { acknowledged, failed, power_cuts, cut_while_opening, replayed_bytes, .. } = seen;
        let Seen { torn_tails, journal_failures, direct_batches, unavailable, survivors, .. } = seen;
        let all = [acknowledged, failed, power_cuts, cut_while_opening, replayed_bytes];
        let more = [torn_tails, journal_failures, direct_batches, unavailable, survivors];
        assert!(all.iter().chain(&more).all(|count| *count > 0), "something never happens: {seen:?}");
    }
}

/// The proof that the test above can fail.
#[test]
fn a_disk_that_lies_about_syncs_is_detected() {
    let (_, broken) = live_all(0, 200, true);
    assert!(broken.iter().any(|broken| broken.contains("lost")), "no loss was noticed: {broken:?}");
}
