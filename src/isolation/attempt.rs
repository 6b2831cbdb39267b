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
use std::path::PathBuf;
use std::process::ExitCode;

use super::{privileges, users};

/// The first argument that makes this program try.
pub const ARGUMENT: &str = "__ade-attempt__";

/// Begins a line that names what could not be got to.
const BARRED: &str = "barred=";

/// What isolation protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    Files,
    Process,
    Signals,
    Sockets,
    Privileges,
    Network,
    Users,
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
    /// The last one changes who tries.
    pub const ALL: [Self; 7] =
        [Self::Files, Self::Process, Self::Signals, Self::Sockets, Self::Privileges, Self::Network, Self::Users];

    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Process => "process",
            Self::Signals => "signals",
            Self::Sockets => "sockets",
            Self::Privileges => "privileges",
            Self::Network => "network",
            Self::Users => "users",
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
            Self::Users => "children have a user id of their workspace and nothing of the service's user",
        }
    }
}

/// What is aimed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aim {
    /// A file that the service can read and write.
    pub file: PathBuf,
    /// The service.
    pub pid: u32,
    /// The abstract name of a socket that the service listens at.
    pub socket: String,
    /// The service's.
    pub user: u32,
    /// What children of every user have to get to.
    pub ways: Vec<PathBuf>,
}

impl Aim {
    /// The program's arguments.
    pub fn to_arguments(&self) -> Vec<OsString> {
        let (pid, user) = (self.pid.to_string(), self.user.to_string());
        let first = [ARGUMENT.into(), self.file.clone().into(), pid.into(), self.socket.clone().into(), user.into()];
        first.into_iter().chain(self.ways.iter().map(OsString::from)).collect()
    }

    fn from_arguments(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut text = || arguments.next()?.into_string().ok();
        Some(Self {
            file: text()?.into(),
            pid: text()?.parse().ok()?,
            socket: text()?,
            user: text()?.parse().ok()?,
            ways: arguments.map(PathBuf::from).collect(),
        })
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

/// The ways that the program has found barred.
pub fn barred<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<PathBuf> {
    lines.into_iter().filter_map(|line| line.strip_prefix(BARRED)).map(PathBuf::from).collect()
}

/// Tries everything if the arguments ask for that, and prints what came of it; else `None`.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.nth(1)? != ARGUMENT {
        return None;
    }
    let Some(aim) = Aim::from_arguments(arguments) else { return Some(ExitCode::FAILURE) };
    for way in aim.ways.iter().filter(|way| way.metadata().is_err()) {
        println!("{BARRED}{}", way.display());
    }
    for protection in Protection::ALL {
        println!("{}={}", protection.name(), word(&attempt(protection, &aim)));
    }
    Some(ExitCode::SUCCESS)
}

fn attempt(protection: Protection, aim: &Aim) -> io::Result<()> {
    let (file, pid) = (&aim.file, aim.pid.cast_signed());
    match protection {
        Protection::Files => File::open(file).or_else(|_| File::options().write(true).open(file)).map(drop),
        Protection::Process => look_into(pid).or_else(|_| trace(pid)),
        // SAFETY: takes no pointers.
        Protection::Signals => outcome(unsafe { libc::kill(pid, 0) }.into()),
        Protection::Sockets => {
            SocketAddr::from_abstract_name(&aim.socket).and_then(|address| UnixStream::connect_addr(&address)).map(drop)
        }
        Protection::Privileges if privileges::are_given_up() => Err(io::ErrorKind::PermissionDenied.into()),
        Protection::Privileges => Ok(()),
        Protection::Network => UdpSocket::bind(("127.0.0.1", 0)).map(drop),
        Protection::Users => users::take_the_place_of(aim.user),
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
        // SAFETY: cannot fail and touches no memory.
        let user = unsafe { libc::geteuid() };
        let (pid, socket) = (std::process::id(), "x".to_owned());
        let aim = Aim { file: file.path().to_owned(), pid, socket, user, ways: vec!["/usr".into()] };
        let absent = Aim { file: "/no/such/file".into(), ..aim.clone() };
        assert_eq!(word(&attempt(Protection::Files, &aim)), "succeeded");
        assert_eq!(word(&attempt(Protection::Files, &absent)), "unclear");
        for protection in [Protection::Signals, Protection::Process, Protection::Network] {
            assert_eq!(word(&attempt(protection, &aim)), "succeeded", "{protection:?}");
        }
        assert_eq!(Aim::from_arguments(aim.to_arguments().into_iter().skip(1)), Some(aim));
    }
}
