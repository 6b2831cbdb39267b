//! Folds: what a run, a build or an execution has come to, computed from its log alone.
//!
//! Invariant (L6): the same log gives the same state and summary, wherever and whenever it is folded. No I/O, no clock.

pub mod build;
pub mod run;
pub mod execution;
pub mod ledger;
mod tables;
mod tally;

pub use build::BuildFold;
pub use execution::ExecutionFold;
pub use ledger::LedgerFold;
pub use run::RunFold;

use serde_json::value::RawValue;

use crate::domain::BuildId;
use crate::domain::time::Timestamp;
use crate::event::{Draft, EventRef};

/// What a fold looks at of an event.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    pub kind: &'a str,
    pub created_at: Timestamp,
    pub build_id: Option<BuildId>,
    pub step_id: Option<&'a str>,
    pub item: Option<&'a str>,
    pub payload: &'a RawValue,
}

impl<'a> From<&'a EventRef<'_>> for Fact<'a> {
    fn from(event: &'a EventRef<'_>) -> Self {
        Self {
            kind: &event.kind,
            created_at: event.created_at,
            build_id: event.build_id,
            step_id: event.step_id.as_deref(),
            item: event.item.as_deref(),
            payload: event.payload,
        }
    }
}

impl<'a> Fact<'a> {
    /// For a producer that folds what it drafts.
    pub fn of_draft(draft: &'a Draft, created_at: Timestamp) -> Self {
        let step = draft.step.as_deref();
        Self {
            kind: &draft.kind,
            created_at,
            build_id: draft.build_id,
            step_id: step.map(|step| step.step_id.as_str()),
            item: step.and_then(|step| step.item.as_deref()),
            payload: &draft.payload,
        }
    }

    /// The payload in the shape a fold expects, or nothing: a fold passes over what it does not know.
    fn read<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.payload.get()).ok()
    }
}
