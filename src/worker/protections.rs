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

impl WorkContext {
    /// Tries everything that children must not do, also where isolation is off: what would hold. `file` is one that this
    /// process can read and write; nothing is done to it.
    pub async fn try_protections(&self, file: &Path) -> Result<Vec<(Protection, Verdict)>, NotTried> {
        let socket = format!("ade-attempt-{}", ulid::Ulid::generate());
        let address = SocketAddr::from_abstract_name(&socket).map_err(NotTried::Socket)?;
        let _listener = UnixListener::bind_addr(&address).map_err(NotTried::Socket)?;
        let aim = Aim { file: file.to_owned(), pid: std::process::id(), socket };
        let said = capture(&self.launcher, &self.attempt(&aim), LIMIT).await?;
        let found = attempt::read(said.stdout.iter().map(String::as_str));
        if found.len() == Protection::ALL.len() { Ok(found) } else { Err(NotTried::Incomplete) }
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
