//! Trying what a child must not be able to do: this program under a hidden argument, started as a child is.
//!
//! Invariant: an attempt does no harm where it succeeds. A file is opened and not written, a signal is number 0, and a
//! process that lets itself be traced is let go at once.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::UdpSocket;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::process::ExitCode;

use super::privileges;

/// The first argument that makes this program try.
pub const ARGUMENT: &str = "__ade-attempt__";

/// What isolation protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    Files,
    Process,
    Signals,
    Sockets,
    Privileges,
    Network,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Refused,
    Succeeded,
    /// It failed for another reason, which proves nothing.
    Unclear,
}

impl Protection {
    pub const ALL: [Self; 6] =
        [Self::Files, Self::Process, Self::Signals, Self::Sockets, Self::Privileges, Self::Network];

    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Process => "process",
            Self::Signals => "signals",
            Self::Sockets => "sockets",
            Self::Privileges => "privileges",
            Self::Network => "network",
        }
    }

    /// That it holds, in words.
    pub fn claim(self) -> &'static str {
        match self {
            Self::Files => "children reach no files but their own, their interpreter's and the system's",
            Self::Process => "children see neither environment nor memory of the service, and cannot trace it",
            Self::Signals => "children cannot signal the service or each other's processes",
            Self::Sockets => "children reach no sockets with abstract names but their own",
            Self::Privileges => "children gain no privileges, and have none of root's",
            Self::Network => "engines have no network",
        }
    }
}

/// What is aimed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aim {
    /// A file that the service can read and write.
    pub file: std::path::PathBuf,
    /// The service.
    pub pid: u32,
    /// The abstract name of a socket that the service listens at.
    pub socket: String,
}

impl Aim {
    /// The program's arguments.
    pub fn to_arguments(&self) -> Vec<OsString> {
        vec![ARGUMENT.into(), self.file.clone().into(), self.pid.to_string().into(), self.socket.clone().into()]
    }
}

/// What the program has printed.
pub fn read<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<(Protection, Verdict)> {
    let read = |line: &str| {
        let (name, verdict) = line.split_once('=')?;
        let protection = Protection::ALL.into_iter().find(|protection| protection.name() == name)?;
        let verdict = match verdict {
            "refused" => Verdict::Refused,
            "succeeded" => Verdict::Succeeded,
            _ => Verdict::Unclear,
        };
        Some((protection, verdict))
    };
    lines.into_iter().filter_map(read).collect()
}

/// Tries everything if the arguments ask for that, and prints what came of it; else `None`.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.nth(1)? != ARGUMENT {
        return None;
    }
    let mut text = || arguments.next().unwrap_or_default();
    let (file, pid, socket) = (text(), text(), text());
    let pid = pid.to_string_lossy().parse().unwrap_or(-1);
    for protection in Protection::ALL {
        let outcome = attempt(protection, file.as_ref(), pid, &socket.to_string_lossy());
        println!("{}={}", protection.name(), word(&outcome));
    }
    Some(ExitCode::SUCCESS)
}

fn attempt(protection: Protection, file: &Path, pid: i32, socket: &str) -> io::Result<()> {
    match protection {
        Protection::Files => File::open(file).or_else(|_| File::options().write(true).open(file)).map(drop),
        Protection::Process => look_into(pid).or_else(|_| trace(pid)),
        // SAFETY: takes no pointers.
        Protection::Signals => outcome(unsafe { libc::kill(pid, 0) }.into()),
        Protection::Sockets => {
            SocketAddr::from_abstract_name(socket).and_then(|address| UnixStream::connect_addr(&address)).map(drop)
        }
        Protection::Privileges if privileges::are_given_up() => Err(io::ErrorKind::PermissionDenied.into()),
        Protection::Privileges => Ok(()),
        Protection::Network => UdpSocket::bind(("127.0.0.1", 0)).map(drop),
    }
}

fn look_into(pid: i32) -> io::Result<()> {
    use std::io::Read as _;
    File::open(format!("/proc/{pid}/environ"))?.read(&mut [0]).map(drop)
}

fn trace(pid: i32) -> io::Result<()> {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the request takes no pointers that are not null.
    outcome(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, nothing, nothing) })?;
    // SAFETY: as above. It goes on as it was; our end would do the same.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, nothing, nothing) };
    Ok(())
}

fn outcome(returned: libc::c_long) -> io::Result<()> {
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn word(outcome: &io::Result<()>) -> &'static str {
    match outcome {
        Ok(()) => "succeeded",
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => "refused",
        Err(_) => "unclear",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        let printed = ["noise", "files=refused", "signals=succeeded", "network=unclear", "other=refused"];
        let expected = [
            (Protection::Files, Verdict::Refused),
            (Protection::Signals, Verdict::Succeeded),
            (Protection::Network, Verdict::Unclear),
        ];
        assert_eq!(read(printed), expected);
    }

    #[test]
    fn attempts_succeed_where_nothing_keeps_them() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let own = std::process::id() as i32;
        assert_eq!(word(&attempt(Protection::Files, file.path(), own, "x")), "succeeded");
        assert_eq!(word(&attempt(Protection::Files, Path::new("/no/such/file"), own, "x")), "unclear");
        assert_eq!(word(&attempt(Protection::Signals, file.path(), own, "x")), "succeeded");
        assert_eq!(word(&attempt(Protection::Process, file.path(), own, "x")), "succeeded");
        assert_eq!(word(&attempt(Protection::Network, file.path(), own, "x")), "succeeded");
    }
}
