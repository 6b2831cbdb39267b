//! Starting a process that is not a copy of this one.
//!
//! `fork` copies the page tables of the whole service, which then faults on every page that it writes next: the more it
//! holds, the longer everybody waits whenever a child is started. `posix_spawn` lets the new process borrow the memory
//! until it has become its program, which a hook between the two (`CommandExt::pre_exec`) would rule out. Hence what
//! `posix_spawn` has no words for, the working directory for one, is left to the program.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};

/// A process, with what it will write. Nothing reaps it but whoever has started it.
pub(super) struct Spawned {
    pub pid: i32,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// Starts a program in a session of its own. Beside its standard streams, of which the first is empty, it is given
/// `inherited` under their numbers.
pub(super) fn spawn(
    program: &Path,
    arguments: &[CString],
    environment: &[CString],
    inherited: &[BorrowedFd<'_>],
) -> io::Result<Spawned> {
    let (stdout, its_stdout) = io::pipe()?;
    let (stderr, its_stderr) = io::pipe()?;
    let nothing = File::open("/dev/null")?;
    let mut actions = PosixSpawnFileActions::init()?;
    for (standard, its) in [(0, nothing.as_raw_fd()), (1, its_stdout.as_raw_fd()), (2, its_stderr.as_raw_fd())] {
        actions.add_dup2(its, standard)?;
    }
    for descriptor in inherited {
        // Onto itself: all it does is that the descriptor stays open (POSIX.1-2024, posix_spawn_file_actions_adddup2).
        actions.add_dup2(descriptor.as_raw_fd(), descriptor.as_raw_fd())?;
    }
    let pid = posix_spawn(program, &actions, &attributes()?, arguments, environment)?;
    Ok(Spawned { pid: pid.as_raw(), stdout: stdout.into(), stderr: stderr.into() })
}

/// A new session; signals as every program expects them, whatever this one has changed for itself.
fn attributes() -> io::Result<PosixSpawnAttr> {
    let mut attributes = PosixSpawnAttr::init()?;
    let new_session = PosixSpawnFlags::from_bits_retain(libc::c_int::from(libc::POSIX_SPAWN_SETSID));
    let signals = PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK;
    attributes.set_flags(new_session | signals)?;
    attributes.set_sigdefault(&SigSet::from(Signal::SIGPIPE))?;
    attributes.set_sigmask(&SigSet::empty())?;
    Ok(attributes)
}

/// A word of a command line; the error is that it contains a NUL.
pub(super) fn word(text: impl AsRef<OsStr>) -> io::Result<CString> {
    Ok(CString::new(text.as_ref().as_bytes())?)
}

/// An entry of an environment.
pub(super) fn variable(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> io::Result<CString> {
    let entry = [name.as_ref().as_bytes(), value.as_ref().as_bytes()].join(&b'=');
    Ok(CString::new(entry)?)
}
