//! A child and the launcher above it, killed and reaped whatever happens.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use super::adoption;
use super::kill::{self, KillReport, Killer};
use super::report::{Exit, Report, Usage};
use super::spec::Marker;
use super::table::{self, Stat};
use crate::meter::Held;

/// The child could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("{0} does not exist or is not executable")]
    NoProgram(PathBuf),
    #[error("the directory {0} does not exist")]
    NoFolder(PathBuf),
    #[error("{program}, which starts children, could not be started: {source}")]
    Launcher { program: PathBuf, source: io::Error },
    #[error("{program} could not be isolated (ADE_ISOLATION): {source}")]
    Isolation { program: PathBuf, source: io::Error },
    #[error("{program} could not be started: {source}")]
    Io { program: PathBuf, source: io::Error },
}

/// The launcher, reaped at last, and the main process below it.
#[derive(Debug)]
pub struct Child {
    launcher: Stat,
    launcher_descriptor: Arc<OwnedFd>,
    /// Readable when the launcher has ended.
    launcher_end: AsyncFd<OwnedFd>,
    pub killer: Killer,
    control: UnixStream,
    main: Option<(i32, AsyncFd<OwnedFd>)>,
    reaped: bool,
    _running: Held,
}

impl Child {
    /// Of the main process; 0 before it has started.
    pub fn pid(&self) -> i32 {
        self.main.as_ref().map_or(0, |(pid, _)| *pid)
    }

    /// From here on whatever happens ends in a killed and reaped launcher.
    pub fn new(pid: i32, marker: Marker, control: UnixStream, running: Held) -> io::Result<Self> {
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
        Ok(Self {
            launcher,
            launcher_descriptor,
            launcher_end,
            killer,
            control,
            main: None,
            reaped: false,
            _running: running,
        })
    }

    /// Waits for the main process to be there. It does nothing yet, so its number is its own.
    pub async fn started(&mut self) -> io::Result<()> {
        let mut message = [0; Report::SIZE];
        self.control.read_exact(&mut message).await?;
        let Some(Report::Started(pid)) = Report::decode(&message) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        self.main = Some((pid, kill::watch(table::descriptor(pid)?)?));
        Ok(())
    }

    /// Returns once the main process has ended, every time it is called. Without its launcher it has no future either.
    pub async fn ended(&self) {
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
    pub fn sweep(&self) -> impl FnOnce() -> KillReport + Send + 'static {
        let (launcher, descriptor, target) = (self.launcher, self.launcher_descriptor.clone(), self.killer.target());
        move || kill::sweep_launcher(&launcher, &descriptor, target)
    }

    /// What the launcher reported before it ended.
    pub fn reap(&mut self) -> (Exit, Usage) {
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
        // Without a thread the launcher sees that its socket is closed, and does the same.
        std::thread::Builder::new().name("reaper".into()).spawn(rest).ok();
    }
}
