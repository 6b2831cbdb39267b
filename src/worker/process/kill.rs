//! Ending children, and proving that none is left.
//!
//! Law: first the asking, then the telling: a signal to the group and time to end; then SIGKILL to whatever carries
//! the session or the marker, in rounds until a look into the process table finds nothing. The rounds are bounded,
//! and what could not be killed is reported. A zombie is dead.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

use super::spec::Marker;
use super::table::{self, Held, Target};

const ROUNDS: usize = 40;
/// How long a round waits for the killed to go; the kernel needs far less, unless one hangs in a device.
const ROUND: Duration = Duration::from_millis(50);

/// What was done, and what was left undone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KillReport {
    /// Processes that did not end by themselves.
    pub killed: Vec<i32>,
    /// Processes that are there in spite of it.
    pub left: Vec<i32>,
}

/// Ends what one child has started; may be used while the child's output is being read.
#[derive(Debug, Clone)]
pub struct Killer {
    session: i32,
    marker: Marker,
    /// From then on the kernel may give the session's number to another.
    reaped: Arc<AtomicBool>,
}

impl Killer {
    /// For a child that leads `session` and is not reaped before it says so.
    pub(super) fn new(session: i32, marker: Marker) -> Self {
        Self { session, marker, reaped: Arc::default() }
    }

    pub(super) fn reaped(&self) {
        self.reaped.store(true, Ordering::Release);
    }

    pub(super) fn target(&self) -> Target {
        let session = (!self.reaped.load(Ordering::Acquire)).then_some(self.session);
        Target { session, markers: vec![self.marker.clone()] }
    }

    /// SIGTERM, up to `grace` to end, then SIGKILL to whatever is left.
    pub async fn terminate(&self, grace: Duration) -> KillReport {
        let end = Instant::now() + grace;
        let target = self.target();
        let mut asked = blocking(move || ask(&target)).await.unwrap_or_default();
        while !asked.is_empty() && matches!(timeout_at(end, gone(asked)).await, Ok(Ok(()))) {
            // Children that were started in the meantime get the rest of the time, though nobody asked them.
            let target = self.target();
            asked = blocking(move || table::hold(&table::find(&target))).await.unwrap_or_default();
        }
        self.kill().await
    }

    /// SIGKILL at once.
    pub async fn kill(&self) -> KillReport {
        let target = self.target();
        blocking(move || sweep(&target)).await.unwrap_or_default()
    }
}

/// Kills whatever carries one of these markers: for children of an earlier life, whose sessions nobody remembers.
pub async fn kill_marked(markers: Vec<Marker>) -> KillReport {
    let target = Target { session: None, markers };
    blocking(move || sweep(&target)).await.unwrap_or_default()
}

/// The living processes that carry one of these markers, or descend from one that does.
pub async fn survivors(markers: Vec<Marker>) -> Vec<i32> {
    let target = Target { session: None, markers };
    blocking(move || numbers(&target)).await.unwrap_or_default()
}

/// Reading the process table blocks. `None` only when the runtime is shutting down.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

fn numbers(target: &Target) -> Vec<i32> {
    table::find(target).iter().map(|stat| stat.pid).collect()
}

fn ask(target: &Target) -> Vec<Held> {
    let held = table::hold(&table::find(target));
    for process in &held {
        process.signal(libc::SIGTERM);
        // A stopped process could not act on it.
        process.signal(libc::SIGCONT);
    }
    held
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

/// Kills until nothing is found; blocks for at most about `ROUNDS * ROUND`.
pub(super) fn sweep(target: &Target) -> KillReport {
    let mut report = KillReport::default();
    for _ in 0..ROUNDS {
        let found = table::find(target);
        if found.is_empty() {
            return report;
        }
        let held = table::hold(&found);
        for process in &held {
            kill_group(target, process, &held);
            process.signal(libc::SIGKILL);
            if !report.killed.contains(&process.pid) {
                report.killed.push(process.pid);
            }
        }
        table::wait_gone(&held, ROUND);
    }
    report.left = numbers(target);
    report.killed.retain(|pid| !report.left.contains(pid));
    report
}

/// A signal to a whole group is atomic: no member can fork its way out of it. The number is the group's own as
/// long as its leader is not reaped: it is held, or it is the child whose session this is.
fn kill_group(target: &Target, process: &Held, held: &[Held]) {
    let leader = process.group;
    if target.session == Some(leader) || held.iter().any(|other| other.pid == leader) {
        // SAFETY: takes no pointers.
        unsafe { libc::kill(-leader, libc::SIGKILL) };
    }
}
