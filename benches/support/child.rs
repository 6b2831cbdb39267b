//! A process that does not outlive the program that started it.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use super::Outcome;

pub struct Owned {
    child: Child,
    /// How long it may take to end itself.
    grace: Duration,
}

impl Owned {
    /// Must be called on the main thread: the process ends with the thread that started it.
    pub fn spawn(command: &mut Command, grace: Duration) -> Outcome<Self> {
        // SAFETY: the call is async-signal-safe, and touches no memory.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        Ok(Self { child, grace })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end, at most so long.
    pub fn wait(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        poll(&format!("the end of process {}", self.id()), limit, || Ok(self.child.try_wait()?))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // SAFETY: the process is a child of ours that has not been waited for, so the id is still its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        if self.wait(self.grace).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits until there is a file, or the process that should make it is gone.
pub fn await_file(path: &Path, maker: &mut Owned, limit: Duration) -> Outcome {
    poll(&format!("the file of process {}", maker.id()), limit, || match maker.child.try_wait()? {
        _ if path.exists() => Ok(Some(())),
        Some(status) => Err(format!("process {} ended with {status} before it was ready", maker.id()).into()),
        None => Ok(None),
    })
}

/// Looks until there is something to see. It looks and sleeps, since what is awaited happens in another process, which
/// wakes nobody here; a pause is short beside all that is awaited so.
pub fn poll<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        if Instant::now() > deadline {
            return Err(format!("{what} did not come in {limit:?}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
