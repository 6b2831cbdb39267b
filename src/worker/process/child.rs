//! One child, from its start to the proof that nothing of it is left.
//!
//! Law: the launcher is not reaped before the child's leftovers are gone. Until then the kernel gives its number, by which
//! they are found, to nobody else.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::adoption;
use super::kill::{self, KillReport, Killer};
use super::launch::{Launcher, Started};
use super::reader::{LineBatch, LineReader};
use super::report::{Exit, Report, Usage};
use super::spec::{ChildSpec, Marker};
use super::table::{self, Stat};
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
    #[error("{program}, which starts children, could not be started: {source}")]
    Launcher { program: PathBuf, source: io::Error },
    #[error("{program} could not be started: {source}")]
    Io { program: PathBuf, source: io::Error },
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
    /// Starts the child under a launcher; must be called within a runtime.
    pub async fn spawn(launcher: &Launcher, spec: &ChildSpec) -> Result<Self, SpawnError> {
        let Started { child, gate, stdout, stderr } = launcher.start(spec)?;
        let io = |source| SpawnError::Io { program: spec.program.clone(), source };
        let reader = |pipe| LineReader::new(pipe, spec.event_lines).map_err(io);
        let (stdout, stderr) = (reader(stdout)?, reader(stderr)?);
        let mut process =
            Self { killer: child.killer.clone(), child, stdout, stderr, phase: Phase::Running, truncated: false };
        process.child.started().await.map_err(io)?;
        if let Err(source) = gate.open().await {
            // The launcher is gone before its caller hears of the failure, and says that nothing is left of the work.
            process.sweep();
            process.outcome().await;
            return Err(refused(spec, source));
        }
        Ok(process)
    }

    /// Of the program itself, not of its launcher.
    pub fn pid(&self) -> i32 {
        self.child.main.as_ref().map_or(0, |(pid, _)| *pid)
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
        let sweep = self.child.sweep();
        self.phase = Phase::Sweeping(tokio::task::spawn_blocking(sweep));
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

/// Why the program itself could not be started.
fn refused(spec: &ChildSpec, source: io::Error) -> SpawnError {
    match source.kind() {
        io::ErrorKind::NotFound => SpawnError::NoProgram(spec.program.clone()),
        _ => SpawnError::Io { program: spec.program.clone(), source },
    }
}

/// The launcher, reaped at last, and the main process below it.
#[derive(Debug)]
pub(super) struct Child {
    launcher: Stat,
    launcher_descriptor: Arc<OwnedFd>,
    /// Readable when the launcher has ended.
    launcher_end: AsyncFd<OwnedFd>,
    killer: Killer,
    control: UnixStream,
    main: Option<(i32, AsyncFd<OwnedFd>)>,
    reaped: bool,
}

impl Child {
    /// From here on whatever happens ends in a killed and reaped launcher.
    pub(super) fn new(pid: i32, marker: Marker, control: UnixStream) -> io::Result<Self> {
        let orphaned = || {
            // SAFETY: takes no pointers; the launcher is not reaped, so the number is still its own.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            adoption::reap(pid);
        };
        let held = || {
            let descriptor = table::descriptor(pid)?;
            let launcher = Stat::of(pid).ok_or(io::ErrorKind::NotFound)?;
            Ok((launcher, kill::watch(descriptor.try_clone()?)?, descriptor))
        };
        let (launcher, launcher_end, descriptor) = held().inspect_err(|_: &io::Error| orphaned())?;
        let (killer, launcher_descriptor) = (Killer::new(pid, marker), Arc::new(descriptor));
        Ok(Self { launcher, launcher_descriptor, launcher_end, killer, control, main: None, reaped: false })
    }

    /// Waits for the main process to be there. It does nothing yet, so its number is its own.
    async fn started(&mut self) -> io::Result<()> {
        let mut message = [0; Report::SIZE];
        self.control.read_exact(&mut message).await?;
        let Some(Report::Started(pid)) = Report::decode(&message) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        self.main = Some((pid, kill::watch(table::descriptor(pid)?)?));
        Ok(())
    }

    /// Returns once the main process has ended, every time it is called. Without its launcher it has no future either.
    async fn ended(&self) {
        let Some((_, main)) = &self.main else { return };
        let ended = async |process: &AsyncFd<OwnedFd>| {
            if let Ok(mut ready) = process.readable().await {
                ready.retain_ready();
            }
        };
        tokio::select! {
            () = ended(main) => {}
            () = ended(&self.launcher_end) => {}
        }
    }

    /// Ends everything that is left; blocks.
    fn sweep(&self) -> impl FnOnce() -> KillReport + Send + 'static {
        let (launcher, descriptor, target) = (self.launcher, self.launcher_descriptor.clone(), self.killer.target());
        move || kill::sweep_launcher(&launcher, &descriptor, target)
    }

    /// What the launcher told, as far as it came to tell it.
    fn reap(&mut self) -> (Exit, Usage) {
        self.reaped = true;
        self.killer.reaped();
        let (mut exit, mut usage) = adoption::reap(self.launcher.pid);
        let mut message = [0; Report::SIZE];
        // Each report is written at once, so there is a whole one or none.
        while self.control.try_read(&mut message).is_ok_and(|count| count == Report::SIZE) {
            match Report::decode(&message) {
                Some(Report::Ended(status)) => exit = Exit::of(status),
                Some(Report::Used(used)) => usage = used,
                _ => {}
            }
        }
        (exit, usage)
    }
}

/// Nothing is left behind when the owner goes away early, by a panic for instance. It may not block, hence a thread.
impl Drop for Child {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        let (pid, sweep) = (self.launcher.pid, self.sweep());
        let rest = move || {
            sweep();
            adoption::reap(pid);
        };
        // Without a thread the launcher sees that nobody listens to it, and does the same.
        std::thread::Builder::new().name("reaper".into()).spawn(rest).ok();
    }
}
