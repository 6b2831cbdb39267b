//! What a session and its steps share.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::watch;

use super::event_writer::{EventWriter, LogFailed};
use super::exchange::StopWatch;
use super::job::ExecutionJob;
use super::prompts::Prompts;
use super::replies::Replies;
use crate::domain::money::MicroUsd;
use crate::domain::progress::StepKey;

/// What the session and its steps share.
pub struct Work {
    pub job: ExecutionJob,
    pub writer: EventWriter,
    pub replies: Replies,
    pub prompts: Prompts,
    /// What calls in progress may cost.
    pub reserved: Cell<MicroUsd>,
}

/// Why a session ends without `complete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    Log,
    /// The service goes down: the next start goes on.
    Suspended,
}

impl From<LogFailed> for Interruption {
    fn from(_: LogFailed) -> Self {
        Self::Log
    }
}

impl Work {
    /// Holds back what a call may cost as long as it is in progress.
    pub fn reserve(self: &Rc<Self>, cost: Option<MicroUsd>) -> Reserved {
        let cost = cost.unwrap_or_default();
        self.reserved.set(self.reserved.get() + cost);
        Reserved { work: self.clone(), cost }
    }
}

pub struct Reserved {
    work: Rc<Work>,
    cost: MicroUsd,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let MicroUsd(reserved) = self.work.reserved.get();
        self.work.reserved.set(MicroUsd(reserved - self.cost.0));
    }
}

pub struct StepWork {
    pub work: Rc<Work>,
    pub key: StepKey,
    pub stop: StopWatch,
    /// True when no further call is to be made.
    pub closing: watch::Receiver<bool>,
}
