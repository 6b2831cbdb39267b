//! Ending children, and proving that none is left.
//!
//! Invariant: SIGTERM first, to all descendants of the launcher, with a grace period; then rounds of SIGSTOP and
//! SIGKILL until a scan of the process table finds nothing. A round stops every process before it kills any: a process
//! that forks while the scan runs would otherwise leave a child behind that the scan has not seen (the fork race). The
//! rounds are bounded, and processes that could not be killed are reported.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

use super::adoption;
use super::spec::Marker;
use super::table::{self, Held, Stat, Target};
use crate::blocking::blocking;

const ROUNDS: usize = 40;
/// How long a round waits for the killed to go; the kernel needs far less, unless one hangs in a device.
const ROUND: Duration = Duration::from_millis(50);
/// How often a round looks for what has been started while it stopped the others.
const FREEZE: usize = 20;
/// A descriptor each: a crowd is waited for by this many of it at a time.
const WATCHED: usize = 64;

/// What was done, and what was left undone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KillReport {
    /// Processes that did not end by themselves.
    pub killed: Vec<i32>,
    /// Processes that are there in spite of it.
    pub left: Vec<i32>,
}

impl KillReport {
    fn and(mut self, other: Self) -> Self {
        let Self { killed, left } = other;
        self.killed.extend(killed);
        self.left.retain(|pid| !self.killed.contains(pid));
        self.left.extend(left);
        self
    }
}

/// Ends what one child has started; may be used while the child's output is being read.
#[derive(Debug, Clone)]
pub struct Killer {
    launcher: i32,
    marker: Marker,
    /// From then on the kernel may give the launcher's number to another.
    reaped: Arc<AtomicBool>,
}

impl Killer {
    /// For a launcher that is not reaped before it is said here.
    pub(super) fn new(launcher: i32, marker: Marker) -> Self {
        Self { launcher, marker, reaped: Arc::default() }
    }

    pub(super) fn reaped(&self) {
        self.reaped.store(true, Ordering::Release);
    }

    pub(super) fn target(&self) -> Target {
        let below = (!self.reaped.load(Ordering::Acquire)).then_some(self.launcher);
        Target { below, markers: vec![self.marker.clone()], adopted_since: None }
    }

    /// SIGTERM, up to `grace` to end, then SIGKILL to whatever is left.
    pub async fn terminate(&self, grace: Duration) -> KillReport {
        let end = Instant::now() + grace;
        let target = self.target();
        let mut asked = blocking(move || Ok(ask(&target))).await.unwrap_or_default();
        while !asked.is_empty() && matches!(timeout_at(end, gone(asked)).await, Ok(Ok(()))) {
            // Children that were started in the meantime get the rest of the time, although they were never sent
            // SIGTERM.
            let target = self.target();
            asked = blocking(move || Ok(some_of(&table::find(&target)))).await.unwrap_or_default();
        }
        self.kill().await
    }

    /// SIGKILL at once.
    pub async fn kill(&self) -> KillReport {
        let target = self.target();
        blocking(move || Ok(sweep(&target))).await.unwrap_or_default()
    }
}

/// Kills all processes that carry one of these markers. For recovery after a crash of the service: the launchers of the
/// previous process are gone from memory, and only the markers in their environment identify its children.
pub async fn kill_marked(markers: Vec<Marker>) -> KillReport {
    blocking(move || Ok(sweep(&Target::marked(markers)))).await.unwrap_or_default()
}

/// The living processes that carry one of these markers, or descend from one that does.
pub async fn survivors(markers: Vec<Marker>) -> Vec<i32> {
    blocking(move || Ok(numbers(&Target::marked(markers)))).await.unwrap_or_default()
}

fn numbers(target: &Target) -> Vec<i32> {
    table::find(target).iter().map(|stat| stat.pid).collect()
}

fn some_of(found: &[Stat]) -> Vec<Held> {
    found.iter().filter_map(table::hold).take(WATCHED).collect()
}

fn ask(target: &Target) -> Vec<Held> {
    let found = table::find(target);
    for process in found.iter().filter_map(table::hold) {
        process.signal(libc::SIGTERM);
        // A stopped process could not act on it.
        process.signal(libc::SIGCONT);
    }
    some_of(&found)
}

/// For waiting until a process has ended.
pub(super) fn watch(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned, so it stays open and the same until it is dropped.
    Ok(unsafe { AsyncFd::register(process)? })
}

async fn gone(processes: Vec<Held>) -> io::Result<()> {
    for process in processes {
        watch(process.descriptor)?.readable().await?.retain_ready();
    }
    Ok(())
}

/// Kills all that descends from a launcher, and sees to it that the launcher ends. It does so by itself when nothing is
/// left; one that was killed, or has to be, leaves its orphans to this process.
pub(super) fn sweep_launcher(launcher: &Stat, descriptor: &OwnedFd, target: Target) -> KillReport {
    let report = sweep(&target);
    let mut rounds = 0..ROUNDS;
    while adoption::ended_by_itself(launcher.pid).is_none() && rounds.next().is_some() {
        // Its own child may have stopped it.
        table::signal(descriptor, libc::SIGCONT);
        table::wait_gone([descriptor], ROUND);
    }
    if adoption::ended_by_itself(launcher.pid) == Some(true) {
        return report;
    }
    table::signal(descriptor, libc::SIGKILL);
    table::wait_gone([descriptor], ROUND);
    let orphans = sweep(&Target { adopted_since: Some(launcher.start), ..target });
    table::adopted_dead(launcher.start).into_iter().for_each(adoption::bury);
    report.and(orphans)
}

/// Kills until nothing is found, in a bounded number of rounds.
pub(super) fn sweep(target: &Target) -> KillReport {
    let (mut killed, mut left) = (HashSet::new(), Vec::new());
    for _ in 0..ROUNDS {
        let found = freeze(target);
        left = found.iter().map(|stat| stat.pid).collect();
        if found.is_empty() {
            break;
        }
        signal_all(&found, libc::SIGKILL);
        killed.extend(left.iter().copied());
        table::wait_gone(some_of(&found).iter().map(|process| &process.descriptor), ROUND);
    }
    if !left.is_empty() {
        left = numbers(target);
    }
    killed.retain(|pid| !left.contains(pid));
    KillReport { killed: killed.into_iter().collect(), left }
}

/// Stops all that the target names, until a look finds nothing that is not stopped; says what that is.
fn freeze(target: &Target) -> Vec<Stat> {
    let mut stopped = HashSet::new();
    let mut found = table::find(target);
    for _ in 0..FREEZE {
        let fresh: Vec<Stat> = found.iter().filter(|stat| stopped.insert((stat.pid, stat.start))).copied().collect();
        if fresh.is_empty() {
            break;
        }
        signal_all(&fresh, libc::SIGSTOP);
        found = table::find(target);
    }
    found
}

/// One by one, since a crowd may be larger than the number of descriptors that a process may have. A group whose leader
/// is there is signalled as a whole first: that is atomic, and no member can fork its way out of it.
fn signal_all(found: &[Stat], signal: i32) {
    for process in found.iter().filter(|stat| stat.group == stat.pid) {
        if table::hold(process).is_some_and(|leader| leader.signal(signal)) {
            // SAFETY: takes no pointers. The leader was there a moment ago and is killed by no other code.
            unsafe { libc::kill(-process.group, signal) };
        }
    }
    for process in found.iter().filter_map(table::hold) {
        process.signal(signal);
    }
}
