//! What the service's own events say: one struct per type, one file per kind of work.
//!
//! Invariant: a payload is written with exactly these keys, nulls included; readers ignore keys that they do not know,
//! and an event of an engine is passed on as it came, without going through these types.

pub mod run;
pub mod build;
pub mod console;
pub mod execution;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::KeyId;
use crate::domain::principal::Principal;
use crate::domain::status::text_enum;

text_enum! {
    /// How a phase of a run or a build ended.
    PhaseStatus { Succeeded = "succeeded", Failed = "failed", Skipped = "skipped" }
}

/// Who asked for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Caller {
    pub key_id: Option<KeyId>,
    pub name: String,
}

impl From<&Principal> for Caller {
    fn from(principal: &Principal) -> Self {
        Self { key_id: principal.key_id, name: principal.name.clone() }
    }
}

/// Why this venv: `reason` names the decision (`reuse_ok`, or the reason of the build), `reused` its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = VenvChoice)]
pub struct Environment {
    pub reason: String,
    pub reused: bool,
}

impl Environment {
    pub fn reused() -> Self {
        Self { reason: "reuse_ok".into(), reused: true }
    }
}
