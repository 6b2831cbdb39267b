//! Folds: what a run or a build has come to, computed from its log alone.
//!
//! Law (L6): the same log gives the same state and summary, whoever folds it and whenever. No I/O, no clock.

pub mod build;
pub mod run;
mod tables;

pub use build::BuildFold;
pub use run::RunFold;

use serde_json::value::RawValue;

use crate::domain::BuildId;
use crate::domain::time::Timestamp;
use crate::event::EventRef;

/// What a fold looks at of an event.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    pub kind: &'a str,
    pub created_at: Timestamp,
    pub build_id: Option<BuildId>,
    pub payload: &'a RawValue,
}

impl<'a> From<&'a EventRef<'_>> for Fact<'a> {
    fn from(event: &'a EventRef<'_>) -> Self {
        Self { kind: &event.kind, created_at: event.created_at, build_id: event.build_id, payload: event.payload }
    }
}

impl Fact<'_> {
    /// The payload in the shape a fold expects, or nothing: a fold passes over what it does not know.
    fn read<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.payload.get()).ok()
    }
}
