//! One child, from its start to the proof that nothing of it is left.
//!
//! Law: the child is not reaped before its leftovers are gone. Until then the kernel gives its number, which is also
//! that of its session and group, to nobody else.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::kill::{self, KillReport, Killer};
use super::reader::{LineBatch, LineReader};
use super::spec::ChildSpec;
use super::table;
use crate::event::payload::console::Pipe;

/// How long descendants may go on writing after the child itself has ended.
pub const DRAIN: Duration = Duration::from_secs(2);

/// The child could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("{0} does not exist or is no program")]
    NoProgram(PathBuf),
    #[error("the folder {0} does not exist")]
    NoFolder(PathBuf),
    #[error("{program} could not be started: {source}")]
    Io { program: PathBuf, source: io::Error },
}

/// How the main process ended: by itself or by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

impl Exit {
    pub fn succeeded(self) -> bool {
        self.code == Some(0)
    }

    /// One number for both, as shells tell it: 128 and the signal.
    pub fn status(self) -> Option<i32> {
        self.code.or(self.signal.map(|signal| 128 + signal))
    }
}

/// What the process and the descendants that it waited for have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    pub user_ms: u64,
    pub system_ms: u64,
    /// The kernel counts in what the service itself held when it started the child.
    pub max_resident_bytes: u64,
}

/// All that is known once nothing of the child is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub exit: Exit,
    pub usage: Usage,
    /// Descendants were still writing when their time was over.
    pub truncated: bool,
    /// What of the child's was found and killed after its end.
    pub leftovers: KillReport,
}

/// A running child and its output.
#[derive(Debug)]
pub struct Process {
    child: Child,
    killer: Killer,
    stdout: LineReader,
    stderr: LineReader,
    phase: Phase,
    truncated: bool,
}

#[derive(Debug)]
enum Phase {
    Running,
    Draining(Instant),
    Sweeping(JoinHandle<KillReport>),
    /// Nobody writes any more; what is in the pipes is the rest.
    Swept(KillReport),
}

impl Process {
    /// Starts the child; must be called within a runtime.
    pub fn spawn(spec: &ChildSpec) -> Result<Self, SpawnError> {
        let mut started = command(spec).spawn().map_err(|source| spawn_error(spec, source))?;
        let pid = started.id() as i32;
        // From here on an early return drops `child`, which kills and reaps.
        let killer = Killer::new(pid, spec.marker.clone());
        let mut child = Child { pid, killer: killer.clone(), descriptor: None, reaped: false };
        let io = |source| SpawnError::Io { program: spec.program.clone(), source };
        child.descriptor = Some(table::descriptor(pid).and_then(kill::watch).map_err(io)?);
        let reader = |pipe: Option<OwnedFd>| {
            let pipe = pipe.ok_or_else(|| io(io::Error::other("a pipe is missing")))?;
            LineReader::new(pipe, spec.event_lines).map_err(io)
        };
        let stdout = reader(started.stdout.take().map(OwnedFd::from))?;
        let stderr = reader(started.stderr.take().map(OwnedFd::from))?;
        Ok(Self { child, killer, stdout, stderr, phase: Phase::Running, truncated: false })
    }

    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Ends the child; the output must be read on meanwhile, or the child may hang in a full pipe.
    pub fn killer(&self) -> Killer {
        self.killer.clone()
    }

    /// The next lines. `None` once the main process has ended, its output has been read (descendants get [`DRAIN`]
    /// to finish theirs) and nothing of it is left. A call that is dropped loses nothing.
    pub async fn next(&mut self) -> Option<(Pipe, LineBatch)> {
        loop {
            if let Phase::Swept(_) = self.phase {
                return self.rest();
            }
            if let Some(output) = self.step().await {
                return Some(output);
            }
        }
    }

    /// Reads what has not been read, without looking at it, and reaps.
    pub async fn outcome(mut self) -> Outcome {
        while self.next().await.is_some() {}
        let leftovers = match &mut self.phase {
            Phase::Swept(report) => std::mem::take(report),
            _ => KillReport::default(),
        };
        let (exit, usage) = self.child.reap();
        Outcome { exit, usage, truncated: self.truncated, leftovers }
    }

    /// Waits for whatever comes first, and moves on by it.
    async fn step(&mut self) -> Option<(Pipe, LineBatch)> {
        let reading = self.stdout.is_open() || self.stderr.is_open();
        match &mut self.phase {
            Phase::Draining(_) if !reading => self.sweep(),
            Phase::Draining(end) => {
                let end = *end;
                tokio::select! {
                    output = read(&mut self.stdout, &mut self.stderr) => return output,
                    () = tokio::time::sleep_until(end) => self.cut(),
                }
            }
            Phase::Running => tokio::select! {
                output = read(&mut self.stdout, &mut self.stderr), if reading => return output,
                () = self.child.ended() => self.phase = Phase::Draining(Instant::now() + DRAIN),
            },
            Phase::Sweeping(sweep) => {
                let report = sweep.await.unwrap_or_default();
                self.truncated &= !report.killed.is_empty() || !report.left.is_empty();
                self.phase = Phase::Swept(report);
            }
            Phase::Swept(_) => {}
        }
        None
    }

    fn cut(&mut self) {
        self.truncated = true;
        self.sweep();
    }

    fn sweep(&mut self) {
        let target = self.killer.target();
        self.phase = Phase::Sweeping(tokio::task::spawn_blocking(move || kill::sweep(&target)));
    }

    fn rest(&mut self) -> Option<(Pipe, LineBatch)> {
        if self.stdout.is_open()
            && let Some(batch) = self.stdout.drain()
        {
            return Some((Pipe::Stdout, batch));
        }
        self.stderr.drain().map(|batch| (Pipe::Stderr, batch))
    }
}

/// The next lines of either pipe, whichever has some; `None` when one has ended.
async fn read(stdout: &mut LineReader, stderr: &mut LineReader) -> Option<(Pipe, LineBatch)> {
    let (from_stdout, from_stderr) = (stdout.is_open(), stderr.is_open());
    tokio::select! {
        batch = stdout.next(), if from_stdout => batch.map(|batch| (Pipe::Stdout, batch)),
        batch = stderr.next(), if from_stderr => batch.map(|batch| (Pipe::Stderr, batch)),
        else => None,
    }
}

fn command(spec: &ChildSpec) -> Command {
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).current_dir(&spec.cwd);
    command.env_clear().envs(&spec.env).env(spec.marker.name, &spec.marker.value);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let limits = spec.limits;
    // SAFETY: between fork and exec only system calls are made; nothing allocates or locks.
    unsafe {
        command.pre_exec(move || {
            if libc::setsid() == -1 {
                return Err(io::Error::last_os_error());
            }
            // Rust opens everything close-on-exec; this is for descriptors that others have opened or left to us.
            libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
            limits.apply()
        });
    }
    command
}

fn spawn_error(spec: &ChildSpec, source: io::Error) -> SpawnError {
    match source.kind() {
        io::ErrorKind::NotFound if !spec.cwd.is_dir() => SpawnError::NoFolder(spec.cwd.clone()),
        io::ErrorKind::NotFound => SpawnError::NoProgram(spec.program.clone()),
        _ => SpawnError::Io { program: spec.program.clone(), source },
    }
}

/// The main process, reaped at last.
#[derive(Debug)]
struct Child {
    pid: i32,
    killer: Killer,
    descriptor: Option<AsyncFd<OwnedFd>>,
    reaped: bool,
}

impl Child {
    /// Returns once the process has ended, every time it is called.
    async fn ended(&self) {
        let Some(descriptor) = &self.descriptor else { return };
        if let Ok(mut ready) = descriptor.readable().await {
            ready.retain_ready();
        }
    }

    fn reap(&mut self) -> (Exit, Usage) {
        self.reaped = true;
        self.killer.reaped();
        reap(self.pid)
    }
}

/// Nothing is left behind when the owner goes away early, by a panic for instance. It may not block, hence a thread.
impl Drop for Child {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        let (pid, target) = (self.pid, self.killer.target());
        // SAFETY: takes no pointers; the child is not reaped, so the number is still its own.
        unsafe { libc::kill(-pid, libc::SIGKILL) };
        let rest = move || {
            kill::sweep(&target);
            reap(pid);
        };
        // Without a thread the group is dead all the same, only not reaped.
        std::thread::Builder::new().name("reaper".into()).spawn(rest).ok();
    }
}

/// Waits for the process; at once, when it has ended.
fn reap(pid: i32) -> (Exit, Usage) {
    let mut status = 0;
    // SAFETY: zero is a valid value of a struct of integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values that live through the call.
    while unsafe { libc::wait4(pid, &mut status, 0, &mut usage) } == -1 {
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return Default::default();
        }
    }
    let exit = Exit {
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
    };
    let ms = |time: libc::timeval| time.tv_sec as u64 * 1000 + time.tv_usec as u64 / 1000;
    let max_resident_bytes = usage.ru_maxrss as u64 * 1024;
    (exit, Usage { user_ms: ms(usage.ru_utime), system_ms: ms(usage.ru_stime), max_resident_bytes })
}
