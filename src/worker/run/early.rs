//! Why a run ends before its engine has.

use crate::domain::failure::{RunFailure, RunFailureCode, Stage};
use crate::worker::stop::StopReason;

/// Why a run ends before its engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Early {
    Stopped(StopReason),
    Failed(RunFailure),
    /// As [`Early::Failed`], and its `run.error` has been written already.
    FailedAndTold(RunFailure),
    /// The service goes down before the run has had its turn: it stays queued for the next start.
    Suspended,
}

pub fn failed(code: RunFailureCode, stage: Stage, message: impl Into<String>) -> Early {
    Early::Failed(RunFailure::new(code, stage, message))
}
