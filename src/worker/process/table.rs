//! The kernel's table of processes, as far as finding one's own children goes.
//!
//! Law: a process is signalled through a descriptor that was proven, after it was opened, to be the process that
//! was looked at; a number that was given to another one in between hits nobody. And "none is left" is said only
//! after a look during which no process appeared: one that forks and leaves is a new number every time.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use super::spec::Marker;

/// What to look for: a session, markers, and all that descends from what has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    pub session: Option<i32>,
    pub markers: Vec<Marker>,
}

/// A process that can be signalled and waited for, whatever happens to its number.
#[derive(Debug)]
pub struct Held {
    pub pid: i32,
    pub group: i32,
    pub descriptor: OwnedFd,
}

/// A line of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    pub group: i32,
    state: u8,
    parent: i32,
    session: i32,
    start: u64,
}

impl Stat {
    /// `None` for a process that is gone or whose line cannot be read.
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name in parentheses may hold anything, parentheses and spaces too.
        let (head, tail) = text.rsplit_once(')')?;
        let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
        Some(Self {
            pid: head.split_once(' ')?.0.parse().ok()?,
            state: *fields.first()?.as_bytes().first()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }

    fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Every living process that `target` matches, but for ourselves and our own session.
pub fn find(target: &Target) -> Vec<Stat> {
    matching(&processes(target))
}

/// Those of `found` that are still there, held fast.
pub fn hold(found: &[Stat]) -> Vec<Held> {
    found.iter().filter_map(open).collect()
}

/// Looks at the table at most this often for one answer, however much is started meanwhile.
const LOOKS: usize = 64;

/// A living process, and whether it carries the session or a marker itself.
type Seen = (Stat, bool);

/// A process that forks and ends between our listing the numbers and our reading its line is gone by then, and its
/// child was not in the list. So what has come since is looked at too, until nothing has: each look is shorter than
/// the one before, and soon shorter than any process's life.
fn processes(target: &Target) -> Vec<Seen> {
    // SAFETY: cannot fail and touches no memory.
    let own = unsafe { libc::getpid() };
    let own_session = Stat::of(own).map(|stat| stat.session);
    let (mut known, mut seen) = (HashSet::new(), Vec::new());
    for _ in 0..LOOKS {
        let fresh: Vec<i32> = numbers().filter(|&pid| known.insert(pid)).collect();
        if fresh.is_empty() {
            break;
        }
        let stats = fresh.into_iter().filter_map(Stat::of);
        let others = stats.filter(|stat| stat.is_alive() && stat.pid != own && Some(stat.session) != own_session);
        seen.extend(others.map(|stat| (stat, carries(target, &stat))));
    }
    seen
}

fn numbers() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What carries a mark, and all that descends from it.
fn matching(seen: &[Seen]) -> Vec<Stat> {
    let stats = |marked| seen.iter().filter(move |(_, carries)| *carries == marked).map(|(stat, _)| *stat);
    let (mut found, mut others): (Vec<Stat>, Vec<Stat>) = (stats(true).collect(), stats(false).collect());
    loop {
        let (children, rest): (Vec<Stat>, Vec<Stat>) =
            others.into_iter().partition(|stat: &Stat| found.iter().any(|parent| parent.pid == stat.parent));
        if children.is_empty() {
            return found;
        }
        found.extend(children);
        others = rest;
    }
}

/// Nobody can enter a session from outside, but anybody can set a variable: a marker counts only for our own user.
fn carries(target: &Target, stat: &Stat) -> bool {
    if target.session == Some(stat.session) {
        return true;
    }
    if target.markers.is_empty() || !is_ours(stat.pid) {
        return false;
    }
    let Ok(environ) = fs::read(format!("/proc/{}/environ", stat.pid)) else { return false };
    target.markers.iter().any(|marker| marker.is_in(&environ))
}

fn is_ours(pid: i32) -> bool {
    // SAFETY: cannot fail and touches no memory.
    let user = unsafe { libc::geteuid() };
    fs::metadata(format!("/proc/{pid}")).is_ok_and(|folder| folder.uid() == user)
}

fn open(stat: &Stat) -> Option<Held> {
    let descriptor = descriptor(stat.pid).ok()?;
    // The descriptor names whoever had the number when it was opened: the same start time makes it the one we saw.
    let same = Stat::of(stat.pid).is_some_and(|now| now.start == stat.start && now.is_alive());
    same.then_some(Held { pid: stat.pid, group: stat.group, descriptor })
}

/// A descriptor of a process, readable once it has ended.
pub fn descriptor(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointers; what it returns is a descriptor that is ours alone.
    unsafe {
        match libc::syscall(libc::SYS_pidfd_open, pid, 0) {
            -1 => Err(io::Error::last_os_error()),
            raw => Ok(OwnedFd::from_raw_fd(raw as libc::c_int)),
        }
    }
}

impl Held {
    pub fn signal(&self, signal: i32) -> bool {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: a null siginfo is allowed, and the descriptor is open.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.descriptor.as_raw_fd(), signal, none, 0) == 0 }
    }
}

/// Blocks until all of `found` have ended, or for `limit`. Says whether they all have.
pub fn wait_gone(found: &[Held], limit: std::time::Duration) -> bool {
    let end = std::time::Instant::now() + limit;
    found.iter().all(|process| {
        let left = end.saturating_duration_since(std::time::Instant::now()).as_millis() as libc::c_int;
        let mut poll = libc::pollfd { fd: process.descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd is given, and one is said to be given.
        unsafe { libc::poll(&mut poll, 1, left) == 1 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_process_name_is_read_past() {
        let tail = "S 2 3 4 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 1";
        let stat = Stat::parse(&format!("17 (a) S 9 (b c)) {tail}")).unwrap();
        assert_eq!(stat, Stat { pid: 17, state: b'S', parent: 2, group: 3, session: 4, start: 98765 });
        assert_eq!(Stat::parse("17 (cut"), None);
    }

    #[test]
    fn descendants_of_what_matches_match_too() {
        let stat = |pid, parent, session| Stat { pid, parent, session, state: b'S', group: pid, start: 1 };
        let table = [stat(40, 30, 40), stat(10, 1, 10), stat(20, 10, 10), stat(30, 20, 30), stat(50, 1, 50)];
        let table = table.map(|stat| (stat, stat.session == 10));
        let mut pids: Vec<_> = matching(&table).iter().map(|stat| stat.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [10, 20, 30, 40]);
    }

    #[test]
    fn our_own_session_is_never_a_target() {
        // SAFETY: cannot fail and touches no memory.
        let own = unsafe { libc::getsid(0) };
        assert!(find(&Target { session: Some(own), markers: Vec::new() }).is_empty());
    }
}
