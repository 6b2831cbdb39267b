//! The kernel's table of processes, as far as finding one's own children goes.
//!
//! Invariant: a process is signalled through a pidfd that was verified, after it was opened, to be the process that was
//! found (the PID reuse race: a PID that the kernel reassigned in between is never signalled). And "none is left" is
//! reported only after a scan during which no process appeared and every parent was present: one that forks and exits
//! has a new PID every time, and its child is reparented a moment later.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use super::adoption;
use super::spec::Marker;

/// What to look for. All that descends from what is found is found too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Its descendants, not itself.
    pub below: Option<i32>,
    /// What carries one of these.
    pub markers: Vec<Marker>,
    /// Orphans that have come to this process and began after this (see [`Stat::start`]).
    pub adopted_since: Option<u64>,
}

impl Target {
    pub fn below(pid: i32) -> Self {
        Self { below: Some(pid), ..Self::default() }
    }

    pub fn marked(markers: Vec<Marker>) -> Self {
        Self { markers, ..Self::default() }
    }
}

/// A process that can be signalled and waited for, whatever happens to its number.
#[derive(Debug)]
pub struct Held {
    pub pid: i32,
    pub descriptor: OwnedFd,
}

/// A line of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    pub group: i32,
    /// When it began, in the kernel's ticks; number and begin together name a process for ever.
    pub start: u64,
    state: u8,
    parent: i32,
    session: i32,
    threads: u32,
}

impl Stat {
    /// `None` for a process that is gone or whose line cannot be read.
    pub fn of(pid: i32) -> Option<Self> {
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
            threads: fields.get(17)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }

    /// A zombie is dead, unless only its first thread is.
    fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x') || self.threads > 1
    }

    fn is_same_as(&self, other: &Self) -> bool {
        self.pid == other.pid && self.start == other.start
    }
}

/// Every living process that `target` matches, but for ourselves and our own session.
pub fn find(target: &Target) -> Vec<Stat> {
    matching(&snapshot(target), target, Own::new())
}

/// The dead that this process has adopted since, and not yet buried.
pub fn adopted_dead(since: u64) -> Vec<i32> {
    let own = Own::new();
    let dead = numbers().filter_map(Stat::of).filter(|stat| !stat.is_alive() && own.has_adopted(stat, since));
    dead.map(|stat| stat.pid).collect()
}

/// This process.
#[derive(Debug, Clone, Copy)]
struct Own {
    pid: i32,
    session: i32,
}

impl Own {
    fn new() -> Self {
        // SAFETY: neither call can fail for the caller itself, or touches memory.
        unsafe { Self { pid: libc::getpid(), session: libc::getsid(0) } }
    }

    /// Its own children share its session, unless they are launchers; what comes from a launcher does not.
    fn has_adopted(&self, stat: &Stat, since: u64) -> bool {
        let is_orphan = stat.parent == self.pid && stat.session != self.session && stat.start >= since;
        is_orphan && !adoption::is_launcher(stat.pid)
    }
}

/// Looks at the table at most this often for one answer, however much is started meanwhile.
const LOOKS: usize = 64;

/// The living, by their numbers, and whether they were seen to belong to the target.
type Snapshot = HashMap<i32, (Stat, bool)>;

/// A process that forks and ends between our listing the numbers and our reading its line is gone by then: its child
/// was not in the list, or was read when it still had that parent. So what has come since is looked at too, and what
/// has a parent that is not there is looked at again, until nothing changes: each look is shorter than the one before,
/// and soon shorter than the lifetime of any process.
fn snapshot(target: &Target) -> Snapshot {
    let (mut known, mut asked, mut living) = (HashSet::new(), HashSet::new(), Snapshot::new());
    for _ in 0..LOOKS {
        let mut again: Vec<i32> = numbers().filter(|&pid| known.insert(pid)).collect();
        let strays =
            living.values().map(|(stat, _)| stat).filter(|stat| stat.parent != 0 && !living.contains_key(&stat.parent));
        // Some parents can never be seen: whoever has the same one as before is not asked a third time.
        again.extend(strays.filter(|stat| asked.insert((stat.pid, stat.parent))).map(|stat| stat.pid));
        if again.is_empty() {
            break;
        }
        for pid in again {
            match Stat::of(pid).filter(Stat::is_alive) {
                Some(stat) => {
                    // At once: the next moment it may be gone.
                    let belongs = belongs(&stat, target, &living);
                    living.insert(pid, (stat, belongs))
                }
                None => living.remove(&pid),
            };
        }
    }
    living
}

/// Parents mostly come before their children, so of a crowd only the first is asked for its environment.
fn belongs(stat: &Stat, target: &Target, living: &Snapshot) -> bool {
    let of_parent = living.get(&stat.parent).is_some_and(|(_, belongs)| *belongs);
    let before = living.get(&stat.pid).is_some_and(|(_, belongs)| *belongs);
    of_parent || before || target.below == Some(stat.parent) || carries(&target.markers, stat)
}

fn numbers() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What `target` names, and all that descends from it.
fn matching(living: &Snapshot, target: &Target, own: Own) -> Vec<Stat> {
    let mut children: HashMap<i32, Vec<&Stat>> = HashMap::new();
    for (stat, _) in living.values() {
        children.entry(stat.parent).or_default().push(stat);
    }
    let others = |stat: &&Stat| stat.pid != own.pid && stat.session != own.session;
    let (mut found, mut chosen) = (Vec::new(), HashSet::new());
    let mut choose = |first: Vec<&Stat>, chosen: &mut HashSet<i32>| {
        let mut open = first;
        while let Some(stat) = open.pop() {
            if chosen.insert(stat.pid) {
                open.extend(children.get(&stat.pid).into_iter().flatten().copied().filter(others));
                found.push(*stat);
            }
        }
    };
    let below = target.below.and_then(|root| children.get(&root)).into_iter().flatten().copied();
    choose(below.filter(others).collect(), &mut chosen);
    let named = living.values().filter(|(stat, belongs)| {
        let adopted = || target.adopted_since.is_some_and(|since| own.has_adopted(stat, since));
        target.below != Some(stat.pid) && (*belongs || adopted())
    });
    choose(named.map(|(stat, _)| stat).filter(others).collect(), &mut chosen);
    found
}

/// The users that children of this process may have, besides its own.
static USERS: OnceLock<RangeInclusive<u32>> = OnceLock::new();

/// From now on processes of these users may be children too. Only the first call counts.
pub fn count_in(users: RangeInclusive<u32>) {
    let _ = USERS.set(users);
}

/// Anybody can set a variable: a marker counts only for our own user, and for those that our children have.
fn carries(markers: &[Marker], stat: &Stat) -> bool {
    if markers.is_empty() || !is_ours(stat.pid) {
        return false;
    }
    let Ok(environ) = fs::read(format!("/proc/{}/environ", stat.pid)) else { return false };
    markers.iter().any(|marker| marker.is_in(&environ))
}

fn is_ours(pid: i32) -> bool {
    // SAFETY: cannot fail and touches no memory.
    let user = unsafe { libc::geteuid() };
    let is_ours = |owner: u32| owner == user || USERS.get().is_some_and(|users| users.contains(&owner));
    fs::metadata(format!("/proc/{pid}")).is_ok_and(|directory| is_ours(directory.uid()))
}

/// Holds a process fast, if it is still there.
pub fn hold(stat: &Stat) -> Option<Held> {
    let descriptor = descriptor(stat.pid).ok()?;
    // The descriptor names whoever had the number when it was opened: the same start time makes it the one we saw.
    let same = Stat::of(stat.pid).is_some_and(|now| now.is_same_as(stat) && now.is_alive());
    same.then_some(Held { pid: stat.pid, descriptor })
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

/// Sends a signal through a descriptor.
pub fn signal(descriptor: &OwnedFd, signal: i32) -> bool {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is allowed, and the descriptor is open.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor.as_raw_fd(), signal, none, 0) == 0 }
}

impl Held {
    pub fn signal(&self, signal: i32) -> bool {
        self::signal(&self.descriptor, signal)
    }
}

/// Blocks until all of `found` have ended, or for `limit`. Says whether they all have.
pub fn wait_gone<'a>(found: impl IntoIterator<Item = &'a OwnedFd>, limit: std::time::Duration) -> bool {
    let end = std::time::Instant::now() + limit;
    found.into_iter().all(|descriptor| {
        let left = end.saturating_duration_since(std::time::Instant::now()).as_millis() as libc::c_int;
        let mut poll = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
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
        assert_eq!(stat, Stat { pid: 17, state: b'S', parent: 2, group: 3, session: 4, threads: 1, start: 98765 });
        assert_eq!(Stat::parse("17 (cut"), None);
    }

    #[test]
    fn a_process_lives_as_long_as_one_of_its_threads() {
        let stat = |state, threads| Stat { pid: 1, parent: 1, session: 1, state, group: 1, threads, start: 1 };
        assert!(stat(b'Z', 2).is_alive() && stat(b'T', 1).is_alive() && !stat(b'Z', 1).is_alive());
    }

    fn found(target: &Target, table: &[(i32, i32, i32)], marked: &[i32]) -> Vec<i32> {
        let own = Own { pid: 2, session: 2 };
        let stat = |pid, parent, session| Stat { pid, parent, session, state: b'S', group: pid, threads: 1, start: 1 };
        let seen = |&(pid, parent, session)| (pid, (stat(pid, parent, session), marked.contains(&pid)));
        let found = matching(&table.iter().map(seen).collect(), target, own);
        let mut pids: Vec<_> = found.iter().map(|stat| stat.pid).collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn descendants_of_what_matches_match_too() {
        let table = [(40, 30, 40), (10, 1, 10), (20, 10, 10), (30, 20, 30), (50, 1, 50), (60, 50, 50)];
        assert_eq!(found(&Target::default(), &table, &[10]), [10, 20, 30, 40]);
        assert_eq!(found(&Target::below(10), &table, &[]), [20, 30, 40], "the root is not one of them");
        assert_eq!(found(&Target::below(10), &table, &[10, 60]), [20, 30, 40, 60]);
    }

    #[test]
    fn orphans_are_told_apart_from_what_this_process_has_started() {
        let table = [(10, 2, 2), (20, 2, 20), (30, 20, 30), (40, 1, 40)];
        let adopted = |since| Target { adopted_since: Some(since), ..Target::default() };
        assert_eq!(found(&adopted(1), &table, &[]), [20, 30], "a child in our own session is our own");
        assert_eq!(found(&adopted(2), &table, &[]), [0; 0], "it was there before");
    }

    #[test]
    fn our_own_session_is_never_a_target() {
        let own = Own::new();
        // SAFETY: cannot fail and touches no memory.
        let parent = unsafe { libc::getppid() };
        assert!(find(&Target::below(parent)).iter().all(|stat| stat.pid != own.pid && stat.session != own.session));
    }
}
