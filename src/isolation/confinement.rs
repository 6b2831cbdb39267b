//! A policy on its way to the kernel: made ready before the fork, applied between fork and exec.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use seccompiler::BpfProgram;

use super::policy::{Policy, Strictness};
use super::{files, network, privileges};

/// What confines a child.
#[derive(Debug, Default)]
pub struct Confinement {
    /// `None` for one that is not confined.
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// `None` where the kernel has no Landlock.
    ruleset: Option<OwnedFd>,
    /// Where there is to be no network.
    filter: Option<BpfProgram>,
    user: Option<u32>,
}

impl Confinement {
    /// Fails when a directory to be written is not there, and when something is required that the kernel cannot do
    /// (`EOPNOTSUPP`).
    pub fn prepare(policy: &Policy) -> io::Result<Self> {
        if policy.level == Strictness::Off {
            let of_user = policy.user.map(|user| Kept { ruleset: None, filter: None, user: Some(user) });
            return Ok(Self { kept: of_user });
        }
        let ruleset = files::ruleset(policy)?;
        let filter = if policy.network { None } else { Some(network::filter()?) };
        Ok(Self { kept: Some(Kept { ruleset, filter, user: policy.user }) })
    }

    /// Whose the child will be, if not this process's.
    pub fn user(&self) -> Option<u32> {
        self.kept.as_ref().and_then(|kept| kept.user)
    }

    /// Confines the calling process, and whatever it executes and starts from now on. Called between fork and exec: makes
    /// system calls only.
    pub fn apply(&self) -> io::Result<()> {
        let Some(Kept { ruleset, filter, user }) = &self.kept else {
            // A service that may change users has them without being root, and the child would be left with them.
            privileges::drop_ambient();
            return Ok(());
        };
        privileges::give_up(*user)?;
        if let Some(ruleset) = ruleset {
            files::allow_itself(ruleset.as_raw_fd())?;
            files::restrict(ruleset.as_raw_fd())?;
        }
        filter.as_ref().map_or(Ok(()), network::install)
    }
}
