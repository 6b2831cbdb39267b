//! A kind of work that only tests have: it counts, an event for each number.
//!
//! It is what `docs/ARCHITECTURE.md` says of adding a kind of work, done once. All of it is in this directory, but for its
//! line in [`each_kind!`](crate::domain::work::each_kind), and its table, which [`Store::migrate`](crate::store::Store) makes
//! in tests. A kind of the service's own has its parts in the layers: this one may pass them by, being for tests.

mod row;
mod session;
mod tests;

pub use row::create_table;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

use crate::domain::id::{NodeId, ids};
use crate::domain::status::{LogState, text_enum};
use crate::domain::stream_key::stream_id;
use crate::domain::stream_kind::Facts;
use crate::domain::time::Timestamp;
use crate::domain::work::{LogFacts, Status, Work, work};
use crate::domain::{StreamKind, WorkspaceId};
use crate::projection::{Fold, Projected};
use crate::summary::Fact;

const PROBE: StreamKind = StreamKind::new(&Facts {
    name: "probe",
    prefix: ProbeId::PREFIX,
    collection: "probes",
    terminal_type: Some("probe.completed"),
    feed_types: &["probe.completed"],
    marker: None,
    has_console: false,
    typed_frames: false,
});

ids! {
    ProbeId = "probe_";
}

stream_id!(ProbeId => PROBE);

text_enum! {
    ProbeStatus { Counting = "counting", Succeeded = "succeeded", Cancelled = "cancelled", Failed = "failed" }
}

impl ProbeStatus {
    fn is_terminal(self) -> bool {
        self != Self::Counting
    }
}

text_enum! {
    Then { Ends = "ends", WaitsForCancel = "waits", Panics = "panics" }
}

/// The row of a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    pub id: ProbeId,
    pub workspace_id: WorkspaceId,
    /// How far it counts.
    pub target: u64,
    /// What it does when it has counted.
    pub then: Then,
    pub node_id: NodeId,
    pub created_at: Timestamp,
    pub log_degraded: bool,
    pub durable_bytes: Option<u64>,
    pub log_state: LogState,
    pub last_sequence: u64,
    pub state: ProbeState,
}

/// What its log says.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeState {
    pub status: ProbeStatus,
    pub counted: u64,
    pub completed_at: Option<Timestamp>,
}

impl Default for ProbeState {
    fn default() -> Self {
        Self { status: ProbeStatus::Counting, counted: 0, completed_at: None }
    }
}

impl ProbeState {
    fn failure_code(&self) -> Option<String> {
        (self.status == ProbeStatus::Failed).then(|| FAILED.into())
    }
}

const STARTED: &str = "probe.started";
const COUNTED: &str = "probe.counted";
const COMPLETED: &str = "probe.completed";

const FAILED: &str = "probe_failed";

#[derive(Serialize, Deserialize)]
struct Completed {
    status: ProbeStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

#[derive(Serialize, Deserialize)]
struct Failure {
    code: String,
}

work!(Probe, ProbeId, ProbeStatus, ProbeState, PROBE);

impl Projected for Probe {
    type Fold = ProbeState;

    fn fold(&self) -> ProbeState {
        ProbeState::default()
    }
}

impl Fold<Probe> for ProbeState {
    fn is_relevant(kind: &[u8]) -> bool {
        kind.starts_with(b"probe.")
    }

    fn apply(&mut self, fact: Fact<'_>) {
        match fact.kind {
            COUNTED => self.counted += 1,
            COMPLETED => {
                let ended: Completed = serde_json::from_str(fact.payload.get()).expect("a probe's own event");
                (self.status, self.completed_at) = (ended.status, Some(fact.created_at));
            }
            _ => {}
        }
    }

    fn state(&self) -> Cow<'_, Self> {
        Cow::Borrowed(self)
    }
}
