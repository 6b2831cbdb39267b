//! Orphans that come to this process, and which of its children they are not.
//!
//! Invariant: the service is a subreaper too. When a child kills its own launcher, all that descended from it comes to
//! the service, and is distinguished from the service's own launchers by a list of these. The list is locked while a
//! launcher is started and while one is reaped, so a launcher is never taken for an orphan, nor its exit status from
//! it.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::report::{Exit, Usage};
use super::spawn::Spawned;

/// The children of this process that it has started as launchers and not yet reaped.
static LAUNCHERS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn launchers() -> MutexGuard<'static, BTreeSet<i32>> {
    LAUNCHERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on orphans among the descendants of this process come to it.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// Starts a launcher.
pub(super) fn start(spawn: impl FnOnce() -> io::Result<Spawned>) -> io::Result<Spawned> {
    let mut launchers = launchers();
    let started = spawn()?;
    launchers.insert(started.pid);
    Ok(started)
}

pub(super) fn is_launcher(pid: i32) -> bool {
    launchers().contains(&pid)
}

/// Waits for the end of a launcher and takes its status.
pub(super) fn reap(pid: i32) -> (Exit, Usage) {
    // Not under the lock, since it may take long.
    while waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
    let mut launchers = launchers();
    launchers.remove(&pid);
    let mut status = 0;
    // SAFETY: zero is a valid value of a struct of integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values that live through the call.
    match unsafe { libc::wait4(pid, &mut status, libc::WNOHANG, &mut usage) } {
        reaped if reaped == pid => (Exit::of(status), Usage::of(&usage)),
        _ => Default::default(),
    }
}

/// Whether a launcher has ended of its own accord, which it does only when nothing of its child is left; `None` while
/// it has not ended.
pub(super) fn ended_by_itself(pid: i32) -> Option<bool> {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
    match waitid(Id::Pid(Pid::from_raw(pid)), look) {
        Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => None,
        Ok(status) => Some(matches!(status, WaitStatus::Exited(_, 0))),
        Err(_) => Some(false),
    }
}

/// Takes the status of an adopted process that has ended, which is not of interest.
pub(super) fn bury(pid: i32) {
    let launchers = launchers();
    if !launchers.contains(&pid) {
        // SAFETY: a null pointer is allowed.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
    }
}
