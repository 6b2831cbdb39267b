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
    /// Of a person, as the provider knows them; not there for anybody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

impl Caller {
    /// Of whom nothing but the name is known any more.
    pub fn named(name: String) -> Self {
        Self { key_id: None, name, issuer: None, subject: None }
    }
}

impl From<&Principal> for Caller {
    fn from(principal: &Principal) -> Self {
        let (issuer, subject) = principal.person().cloned().map(|it| (it.issuer, it.subject)).unzip();
        Self { key_id: principal.key_id(), name: principal.name.clone(), issuer, subject }
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
