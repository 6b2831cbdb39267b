//! No network: no socket is made, of whatever kind. Pairs that are connected from the beginning, by which processes of one
//! child talk to each other, can be made.
//!
//! All kinds, and not only those of the internet, since by the others a child reaches what listens on this machine: a
//! database that trusts the service's user, the system's bus, a container daemon.

use std::io;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// The same calls under the numbers of the x32 interface, where a kernel has it.
const X32: i64 = 0x4000_0000;

/// What is refused with `EACCES`. A ring makes sockets without calling for them.
const REFUSED: &[i64] = &[libc::SYS_socket, libc::SYS_io_uring_setup];

/// The filter, to be installed with [`install`].
pub(super) fn filter() -> io::Result<BpfProgram> {
    let refused = REFUSED.iter().flat_map(|&call| [call, X32 | call]).map(|call| (call, Vec::new())).collect();
    let architecture = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let refuse = SeccompAction::Errno(libc::EACCES as u32);
    let filter = SeccompFilter::new(refused, SeccompAction::Allow, refuse, architecture).map_err(io::Error::other)?;
    filter.try_into().map_err(io::Error::other)
}

/// Called between fork and exec: makes system calls only. Needs `no_new_privs`.
pub(super) fn install(filter: &BpfProgram) -> io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel copies the program, which lives through the call, and changes nothing of it.
    match unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_filter_for_this_architecture() {
        assert!(filter().unwrap().len() > REFUSED.len());
    }
}
