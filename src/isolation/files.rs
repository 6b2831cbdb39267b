//! Files, signals and sockets with abstract names: a ruleset of Landlock.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, Scope,
};

use super::policy::{Policy, Strictness};
use super::system;

/// The newest that this has been tried with. Kernels that have less of it do less, unless all of it is required.
const VETTED: ABI = ABI::V6;

fn read() -> BitFlags<AccessFs> {
    AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir
}

/// Without listing: by random names, what others have made there is not found.
fn shared() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::RemoveFile
}

/// The ruleset of a policy; `None` where the kernel has no Landlock, and that is not required.
pub(super) fn ruleset(policy: &Policy) -> io::Result<Option<OwnedFd>> {
    let level =
        if policy.level == Strictness::Required { CompatLevel::HardRequirement } else { CompatLevel::BestEffort };
    let created = Ruleset::default()
        .set_compatibility(level)
        .handle_access(AccessFs::from_all(VETTED))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(VETTED)))
        .and_then(Ruleset::create);
    let mut ruleset = created.map_err(|_| io::Error::from_raw_os_error(libc::EOPNOTSUPP))?;
    let devices = system::DEVICES.iter().map(|path| (Path::new(path), AccessFs::from_file(VETTED)));
    let shared_memory = [(Path::new(system::SHARED_MEMORY), shared())];
    for (path, access) in policy.read.iter().map(|path| (path.as_path(), read())).chain(devices).chain(shared_memory) {
        // What the service cannot reach is no use to its children either.
        if let Ok(found) = open(path, 0) {
            ruleset = allow(ruleset, &found, access)?;
        }
    }
    let make_devices = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
    let write = AccessFs::from_all(VETTED) & !make_devices;
    let read_own = policy.read_own.iter().map(|path| (path, read()));
    for (path, access) in read_own.chain(policy.write.iter().map(|path| (path, write))) {
        ruleset = allow(ruleset, &open(path, libc::RESOLVE_NO_SYMLINKS)?, access)?;
    }
    Ok(ruleset.into())
}

/// What is there, without opening it for anything.
fn open(path: &Path, resolve: u64) -> io::Result<File> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: zero is a valid value of a struct of integers.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
    how.resolve = resolve;
    let size = size_of::<libc::open_how>();
    // SAFETY: both pointers are to values that live through the call.
    match unsafe { libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, path.as_ptr(), &raw const how, size) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: it was opened just now, and nothing else holds it.
        descriptor => Ok(unsafe { File::from_raw_fd(descriptor as RawFd) }),
    }
}

fn allow(ruleset: RulesetCreated, found: &File, access: BitFlags<AccessFs>) -> io::Result<RulesetCreated> {
    let access = if found.metadata()?.is_dir() { access } else { access & AccessFs::from_file(VETTED) };
    ruleset.add_rule(PathBeneath::new(found, access)).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// What `/proc` shows of the calling process, to it alone. Called between fork and exec: makes system calls only.
pub(super) fn allow_itself(ruleset: RawFd) -> io::Result<()> {
    // SAFETY: the name ends with a zero; the descriptor is closed below.
    let directory = unsafe { libc::open(c"/proc/self".as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    if directory == -1 {
        // Without `/proc` there is nothing to be seen.
        return Ok(());
    }
    let rule = Rule { allowed_access: AccessFs::ReadFile as u64 | AccessFs::ReadDir as u64, parent_fd: directory };
    // SAFETY: the kernel copies the rule, which lives through the call.
    let added = unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, PATH_BENEATH, &raw const rule, 0) };
    let outcome = if added == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: it was opened above and nothing else holds it.
    unsafe { libc::close(directory) };
    outcome
}

/// `LANDLOCK_RULE_PATH_BENEATH`.
const PATH_BENEATH: libc::c_int = 1;

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Rule {
    allowed_access: u64,
    parent_fd: libc::c_int,
}

/// From now on the calling process is bound by the ruleset. Called between fork and exec: makes one system call. Needs
/// `no_new_privs`.
pub(super) fn restrict(ruleset: RawFd) -> io::Result<()> {
    // SAFETY: takes no pointers.
    match unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
