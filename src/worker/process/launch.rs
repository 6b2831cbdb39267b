//! Starting a launcher: what it inherits, and the gate at which its child waits.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::adoption;
use super::child::{Child, SpawnError};
use super::launcher::ARGUMENT;
use super::report::{Refusal, message};
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
        let (control, its_control) = sockets(&message(&spec.policy.encode())).map_err(io)?;
        let (gate, its_gate) = sockets(&[]).map_err(io)?;
        let mut command = self.command(spec, [its_control.as_raw_fd(), its_gate.as_raw_fd()]);
        let mut started = adoption::start(&mut command).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound if !spec.cwd.is_dir() => SpawnError::NoFolder(spec.cwd.clone()),
            _ => SpawnError::Launcher { program: self.program.clone(), source },
        })?;
        self.meters.started.add(1);
        let running = self.meters.running.hold();
        let child = Child::new(started.id() as i32, spec.marker.clone(), control, running).map_err(io)?;
        let pipe = |pipe: Option<OwnedFd>| pipe.ok_or_else(|| io(io::Error::other("a pipe is missing")));
        let stdout = pipe(started.stdout.take().map(OwnedFd::from))?;
        let stderr = pipe(started.stderr.take().map(OwnedFd::from))?;
        Ok(Started { child, gate: Gate(gate), stdout, stderr })
    }

    fn command(&self, spec: &ChildSpec, sockets: [RawFd; 2]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg0("ade").arg(ARGUMENT).args(sockets.map(|socket| socket.to_string()));
        command.arg(spec.limits.to_argument()).arg(&spec.program).args(&spec.args).current_dir(&spec.cwd);
        let markers = [&spec.marker, &self.node].map(|marker| (marker.name, &marker.value));
        command.env_clear().envs(&spec.env).envs(markers);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: between fork and exec only system calls are made; nothing allocates or locks.
        unsafe {
            command.pre_exec(move || {
                if libc::setsid() == -1 {
                    return Err(io::Error::last_os_error());
                }
                // Rust opens everything close-on-exec; this is for descriptors that others have opened or left to us.
                libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
                sockets.into_iter().try_for_each(|socket| match libc::fcntl(socket, libc::F_SETFD, 0) {
                    -1 => Err(io::Error::last_os_error()),
                    _ => Ok(()),
                })
            });
        }
        command
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
