//! What a process may become, and who may look into it.

use std::io;

use super::users::become_user;

/// Without it, root cannot work in directories that others own; and files are kept by the ruleset. A child that is not root
/// has directories of its own.
const KEPT: libc::c_ulong = 1; // CAP_DAC_OVERRIDE
/// More than there are.
const CAPABILITIES: libc::c_ulong = 64;

/// Nobody but root sees this process's environment, memory and descriptors, or traces it: not what it has started, and not
/// what else its user runs.
pub fn hide_this_process() -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 0)
}

/// Takes away what this process could gain by executing a program, and, where it is root, what root could do to the
/// machine without opening a file; and this process's user, where there is another for it. Called between fork and exec, so
/// it makes system calls only.
pub(super) fn give_up(user: Option<u32>) -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    drop_ambient();
    for capability in (0..CAPABILITIES).filter(|&capability| capability != KEPT || user.is_some()) {
        match prctl(libc::PR_CAPBSET_DROP, capability) {
            Ok(()) => {}
            // There is no such capability; or it takes one to drop them, and who has none gets none by an exec.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EPERM)) => break,
            Err(error) => return Err(error),
        }
    }
    // Last, since it takes capabilities to drop them.
    user.map_or(Ok(()), become_user)
}

/// Capabilities that would survive an exec. Kernels older than them have none. Called between fork and exec.
pub(super) fn drop_ambient() {
    let _ = prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong);
}

/// Whether this process can gain nothing, and has none of root's powers.
pub(super) fn are_given_up() -> bool {
    const CAP_SYS_ADMIN: libc::c_ulong = 21;
    // SAFETY: neither call takes pointers.
    let (gains_nothing, is_root) =
        unsafe { (libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), libc::geteuid() == 0) };
    // SAFETY: takes no pointers.
    let could_administrate = unsafe { libc::prctl(libc::PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) } == 1;
    gains_nothing == 1 && !(is_root && could_administrate)
}

fn prctl(option: libc::c_int, value: libc::c_ulong) -> io::Result<()> {
    let zero: libc::c_ulong = 0;
    // SAFETY: none of the options used here takes a pointer.
    match unsafe { libc::prctl(option, value, zero, zero, zero) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
