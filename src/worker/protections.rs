//! What of the isolation holds on this machine, found out by trying in a child.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::context::WorkContext;
use super::environment::Environment;
use super::process::{CaptureError, ChildSpec, Marker, ResourceLimits, capture};
use crate::isolation::attempt::{self, Aim};
use crate::isolation::{Protection, Verdict};

/// A machine that does much else; an attempt takes milliseconds.
const LIMIT: Duration = Duration::from_secs(30);

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub enum NotTried {
    #[error(transparent)]
    Child(#[from] CaptureError),
    #[error("a socket to be tried could not be made: {0}")]
    Socket(std::io::Error),
    #[error("the child did not try everything")]
    Incomplete,
}

/// What came of it.
#[derive(Debug)]
pub struct Tried {
    pub verdicts: Vec<(Protection, Verdict)>,
    /// What the children of workspaces need and cannot get to, since a directory above does not let their users pass.
    pub barred: Vec<PathBuf>,
}

impl WorkContext {
    /// Tries everything that children must not do, also where isolation is off: what would hold. `file` is one that this
    /// process can read and write; nothing is done to it.
    pub async fn try_protections(&self, file: &Path) -> Result<Tried, NotTried> {
        let socket = format!("ade-attempt-{}", ulid::Ulid::generate());
        let address = SocketAddr::from_abstract_name(&socket).map_err(NotTried::Socket)?;
        let _listener = UnixListener::bind_addr(&address).map_err(NotTried::Socket)?;
        let (pid, user, ways) = (std::process::id(), own_user(), self.ways().await);
        let aim = Aim { file: file.to_owned(), pid, socket, user, ways };
        let said = capture(&self.launcher, &self.attempt(&aim), LIMIT).await?;
        let lines = || said.stdout.iter().map(String::as_str);
        let (verdicts, barred) = (attempt::read(lines()), attempt::barred(lines()));
        if verdicts.len() == Protection::ALL.len() { Ok(Tried { verdicts, barred }) } else { Err(NotTried::Incomplete) }
    }

    /// What children of other users have to get to: none where there are no such children.
    async fn ways(&self) -> Vec<PathBuf> {
        if self.reach.users().is_none() {
            return Vec::new();
        }
        let python = self.tools.python().await.map(|python| python.path.clone());
        let directories = [&self.data_dir, &self.venvs_dir].into_iter().cloned();
        directories.filter(|directory| directory.exists()).chain(python).collect()
    }

    fn attempt(&self, aim: &Aim) -> ChildSpec {
        let program = self.settings.launcher.clone();
        ChildSpec {
            args: aim.to_arguments(),
            cwd: PathBuf::from("/"),
            env: Environment::new(),
            marker: Marker::probe(),
            limits: ResourceLimits::default(),
            policy: self.reach.attempt(&program),
            event_lines: false,
            program,
        }
    }
}

fn own_user() -> u32 {
    // SAFETY: cannot fail and touches no memory.
    unsafe { libc::geteuid() }
}
