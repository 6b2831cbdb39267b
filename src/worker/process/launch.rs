//! Starting a launcher: what it inherits, and the gate at which its child waits.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, access, faccessat};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::adoption;
use super::child::{Child, SpawnError};
use super::launcher::ARGUMENT;
use super::report::{Refusal, message};
use super::spawn::{Spawned, spawn, variable, word};
use super::spec::{ChildSpec, Marker};
use crate::meter::{Counter, Gauge};

/// How children are started.
#[derive(Debug, Clone)]
pub struct Launcher {
    program: PathBuf,
    node: Marker,
    meters: Arc<ChildMeters>,
}

/// What launchers that are clones of each other count.
#[derive(Debug, Default)]
pub struct ChildMeters {
    /// Children that are not yet reaped.
    pub running: Arc<Gauge>,
    pub started: Counter,
}

/// A launcher that is being started, with what its child will write.
pub(super) struct Started {
    pub child: Child,
    pub gate: Gate,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

impl Launcher {
    /// `program` is the one whose `main` calls [`super::launcher::main`]; every child carries `node` too.
    pub fn new(program: PathBuf, node: Marker) -> Self {
        Self { program, node, meters: Arc::default() }
    }

    pub fn meters(&self) -> &ChildMeters {
        &self.meters
    }

    /// What every child carries.
    pub fn node(&self) -> &Marker {
        &self.node
    }

    /// Must be called within a runtime.
    pub(super) fn start(&self, spec: &ChildSpec) -> Result<Started, SpawnError> {
        let io = |source| SpawnError::Io { program: spec.program.clone(), source };
        if !spec.cwd.is_dir() {
            return Err(SpawnError::NoFolder(spec.cwd.clone()));
        }
        // The launcher goes there, and could not say why it cannot.
        may_enter(&spec.cwd).map_err(io)?;
        let (control, its_control) = sockets(&message(&spec.policy.encode())).map_err(io)?;
        let (gate, its_gate) = sockets(&[]).map_err(io)?;
        let Spawned { pid, stdout, stderr } = self
            .spawn(spec, &[its_control.as_fd(), its_gate.as_fd()])
            .map_err(|source| SpawnError::Launcher { program: self.program.clone(), source })?;
        self.meters.started.add(1);
        let running = self.meters.running.hold();
        let child = Child::new(pid, spec.marker.clone(), control, running).map_err(io)?;
        Ok(Started { child, gate: Gate(gate), stdout, stderr })
    }

    fn spawn(&self, spec: &ChildSpec, sockets: &[BorrowedFd<'_>]) -> io::Result<Spawned> {
        let (arguments, environment) = (arguments(spec, sockets)?, self.environment(spec)?);
        adoption::start(|| spawn(&self.program, &arguments, &environment, sockets))
    }

    /// What the child is given and nothing else; its markers cannot be overridden.
    fn environment(&self, spec: &ChildSpec) -> io::Result<Vec<CString>> {
        let mut variables: BTreeMap<&OsStr, &OsStr> =
            spec.env.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str())).collect();
        let markers = [&spec.marker, &self.node];
        variables.extend(markers.map(|marker| (OsStr::new(marker.name), OsStr::new(&marker.value))));
        variables.into_iter().map(|(name, value)| variable(name, value)).collect()
    }
}

/// As the launcher reads them.
fn arguments(spec: &ChildSpec, sockets: &[BorrowedFd<'_>]) -> io::Result<Vec<CString>> {
    let mut arguments = vec![word("ade")?, word(ARGUMENT)?];
    for socket in sockets {
        arguments.push(word(socket.as_raw_fd().to_string())?);
    }
    arguments.extend([word(spec.limits.to_argument())?, word(&spec.cwd)?, word(&spec.program)?]);
    arguments.extend(spec.args.iter().map(word).collect::<io::Result<Vec<_>>>()?);
    Ok(arguments)
}

/// With the rights that count, capabilities included.
fn may_enter(directory: &Path) -> io::Result<()> {
    match faccessat(AT_FDCWD, directory, AccessFlags::X_OK, AtFlags::AT_EACCESS) {
        // Filters of system calls that are older than the call refuse it; without users of their own for children both say
        // the same.
        Err(Errno::EPERM | Errno::ENOSYS) => Ok(access(directory, AccessFlags::X_OK)?),
        answer => Ok(answer?),
    }
}

/// Ours and the launcher's, which finds this in it.
fn sockets(first: &[u8]) -> io::Result<(UnixStream, StdStream)> {
    let (mut ours, its) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    // Far less than a socket holds. Were it more, this would be an error.
    ours.write_all(first)?;
    Ok((UnixStream::from_std(ours)?, its))
}

/// Where the child waits, before it becomes the program.
pub(super) struct Gate(UnixStream);

impl Gate {
    /// Lets the child become the program; the error is what the kernel says to that.
    pub async fn open(mut self) -> Result<(), Refusal> {
        self.0.write_all(&[1]).await.map_err(Refusal::Program)?;
        let mut refusal = [0; Refusal::SIZE];
        // The child's end closes when it has become the program.
        match self.0.read_exact(&mut refusal).await {
            Ok(_) => Err(Refusal::decode(refusal)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(Refusal::Program(error)),
        }
    }
}
