//! One child, from its start to the proof that nothing of it is left.
//!
//! Invariant: the launcher is not reaped before all descendants of the child are gone. An unreaped PID, by which they
//! are found, cannot be reused by the kernel; reaping first would let a sweep hit a stranger's processes.

use std::io;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::child::{Child, SpawnError};
use super::kill::{KillReport, Killer};
use super::launch::{Launcher, Started};
use super::reader::{LineBatch, LineReader};
use super::report::{Exit, Refusal, Usage};
use super::spec::ChildSpec;
use crate::event::payload::console::Pipe;

/// How long descendants may go on writing after the child itself has ended.
pub const DRAIN: Duration = Duration::from_secs(2);

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
    /// Nothing writes any more; what is in the pipes is the rest.
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
        if let Err(refusal) = gate.open().await {
            // The launcher is gone before its caller hears of the failure, and says that nothing is left of the work.
            process.sweep();
            process.outcome().await;
            return Err(refused(spec, refusal));
        }
        Ok(process)
    }

    /// Of the program itself, not of its launcher.
    pub fn pid(&self) -> i32 {
        self.child.pid()
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
                return self.remaining();
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

    fn remaining(&mut self) -> Option<(Pipe, LineBatch)> {
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
fn refused(spec: &ChildSpec, refusal: Refusal) -> SpawnError {
    let program = spec.program.clone();
    match refusal {
        Refusal::Isolation(source) => SpawnError::Isolation { program, source },
        Refusal::Program(source) if source.kind() == io::ErrorKind::NotFound => SpawnError::NoProgram(program),
        Refusal::Program(source) => SpawnError::Io { program, source },
    }
}
