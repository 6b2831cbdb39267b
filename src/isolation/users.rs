//! Whether this process can run children under other user ids, and what these are left with.
//!
//! Law: a child that is given a user id has nothing else: no group but the one of that number, no capability, and no way
//! to anything that is its parent's user's.

use std::ops::RangeInclusive;
use std::{fs, io};

/// What it takes, beside ids that exist here: to hand files over and to get them back whatever their modes are, to become
/// somebody else, to end what has become somebody else, and to find it by its marks.
const NEEDED: &[(u32, &str)] = &[
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (3, "CAP_FOWNER"),
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (19, "CAP_SYS_PTRACE"),
];

/// Why children have to run under this process's own user id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoUserIds {
    #[error("{0}, the service's own user or one of its groups, is one of them")]
    Own(u32),
    #[error("the service is not root and lacks {}", .0.join(", "))]
    Missing(Vec<&'static str>),
    #[error("they do not all exist in this user namespace")]
    Unmapped,
    /// A process could make a second name for a file that it cannot read, and have it served as its own.
    #[error("fs.protected_hardlinks is not 1")]
    HardLinks,
    #[error("/proc/self cannot be read")]
    Unknown,
}

/// Whether this process can give its children these ids, as users and as groups.
pub fn can_give(ids: RangeInclusive<u32>) -> Result<(), NoUserIds> {
    if let Some(own) = own_ids()?.into_iter().find(|own| ids.contains(own)) {
        return Err(NoUserIds::Own(own));
    }
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).map_err(|_| NoUserIds::Unknown);
    let missing = missing(effective(&read("status")?).ok_or(NoUserIds::Unknown)?);
    if !missing.is_empty() {
        return Err(NoUserIds::Missing(missing));
    }
    let protects = fs::read_to_string("/proc/sys/fs/protected_hardlinks");
    if protects.is_ok_and(|value| value.trim() == "0") {
        return Err(NoUserIds::HardLinks);
    }
    let mapped = is_mapped(&read("uid_map")?, &ids) && is_mapped(&read("gid_map")?, &ids);
    if mapped { Ok(()) } else { Err(NoUserIds::Unmapped) }
}

/// Of this process, as users and as groups: what it makes may be open to its groups.
fn own_ids() -> Result<Vec<u32>, NoUserIds> {
    let groups = nix::unistd::getgroups().map_err(|_| NoUserIds::Unknown)?;
    let own = [nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()];
    Ok(own.into_iter().chain(groups.into_iter().map(nix::unistd::Gid::as_raw)).collect())
}

/// The effective capabilities in the content of a `/proc/<pid>/status`.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing(capabilities: u64) -> Vec<&'static str> {
    NEEDED.iter().filter(|(number, _)| capabilities & 1 << number == 0).map(|(_, name)| *name).collect()
}

/// Whether one line of a map of ids (first inside, first outside, how many) has all of these.
fn is_mapped(map: &str, ids: &RangeInclusive<u32>) -> bool {
    let holds = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) = (numbers.next(), numbers.next(), numbers.next()) else {
            return false;
        };
        first <= u64::from(*ids.start()) && u64::from(*ids.end()) < first + count
    };
    map.lines().any(holds)
}

/// Makes the calling process one of this user, for good. Called between fork and exec: makes system calls only, and those
/// themselves, since the library's functions of these names look for other threads first.
pub(super) fn become_user(id: u32) -> io::Result<()> {
    let none = std::ptr::null::<libc::gid_t>();
    // SAFETY: of no groups, nothing is read; the others take no pointers.
    unsafe {
        outcome(libc::syscall(libc::SYS_setgroups, 0, none))?;
        outcome(libc::syscall(libc::SYS_setresgid, id, id, id))?;
        outcome(libc::syscall(libc::SYS_setresuid, id, id, id))?;
    }
    // Root's are gone by now. A service that has them without being root would leave them to the child.
    let header = CapabilityHeader { version: 0x2008_0522, pid: 0 };
    let sets = [[0_u32; 3]; 2];
    // SAFETY: both pointers are to values that live through the call, of the sizes that this version has.
    outcome(unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const sets) })
}

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: libc::c_int,
}

fn outcome(returned: libc::c_long) -> io::Result<()> {
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether the calling process can take the place of this user, by its number as a user or as a group, or has groups
/// besides. For trying: where it can, it has done so.
pub(super) fn take_the_place_of(user: u32) -> io::Result<()> {
    // SAFETY: none of these calls takes a pointer that is read or written.
    unsafe {
        let groups = libc::getgroups(0, std::ptr::null_mut());
        if groups > 0 || libc::syscall(libc::SYS_setresgid, user, user, user) == 0 {
            return Ok(());
        }
        outcome(libc::syscall(libc::SYS_setresuid, user, user, user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let status = "Name:\tade\nCapPrm:\t000001fffeffffff\nCapEff:\t00000000000000e9\nCapBnd:\t0\n";
        assert_eq!(missing(effective(status).unwrap()), ["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"]);
        assert!(missing(0x1ff_feff_ffff).is_empty());
        assert_eq!(effective("Name:\tade\n"), None);
    }

    #[test]
    fn ids_exist_where_one_line_of_the_map_has_them() {
        let everything = "         0          0 4294967295\n";
        assert!(is_mapped(everything, &(200_000..=265_535)));
        let container = "0 100000 65536\n65536 300000 1000\n";
        assert!(is_mapped(container, &(1_000..=65_535)) && is_mapped(container, &(65_600..=65_700)));
        for ids in [200_000..=265_535, 65_000..=66_000, 66_000..=66_536] {
            assert!(!is_mapped(container, &ids), "{ids:?}");
        }
        assert!(!is_mapped("x\n", &(1..=2)));
    }

    #[test]
    fn the_own_user_is_not_given() {
        // SAFETY: cannot fail and touches no memory.
        let own = unsafe { libc::geteuid() };
        assert_eq!(can_give(own..=own + 200), Err(NoUserIds::Own(own)));
    }
}
