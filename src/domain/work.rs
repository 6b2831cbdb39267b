//! What every kind of work has in common: a record that belongs to one node and whose state its own log decides.

use std::fmt;
use std::str::FromStr;

use super::build::{Build, BuildState};
use super::execution::{Execution, ExecutionState};
use super::run::{Run, RunState};
use super::status::{BuildStatus, ExecutionStatus, LogState, RunStatus};
use super::time::Timestamp;
use super::{BuildId, ExecutionId, RunId, StreamKey, StreamKind, WorkspaceId};

/// A status of work; the terminal ones are never left.
pub trait Status: Copy + Eq + fmt::Debug + fmt::Display + Send + Sync + 'static {
    const ALL: &'static [Self];
    const CANCELLED: Self;

    fn is_terminal(self) -> bool;
    fn as_str(self) -> &'static str;
}

/// What a record says about its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFacts {
    pub has_ended: bool,
    pub completed_at: Option<Timestamp>,
    /// The file behind the log failed.
    pub degraded: bool,
    /// Of a degraded log: only these bytes count; what is beyond is cut before it is appended to again.
    pub durable_bytes: Option<u64>,
    /// What retention has made of the log.
    pub state: LogState,
    /// Where in the log the record's state stands.
    pub last_sequence: u64,
}

/// The record of a piece of work.
pub trait Work: Clone + fmt::Debug + Send + Sync + 'static {
    type Id: Copy + Eq + fmt::Debug + fmt::Display + FromStr + Send + Sync + 'static;
    type Status: Status;
    /// The part that the log decides: the same log gives the same state.
    type State: Clone + Default + fmt::Debug + Send + Sync + 'static;

    const KIND: StreamKind;

    fn key(workspace_id: WorkspaceId, id: Self::Id) -> StreamKey;
    fn id(&self) -> Self::Id;
    fn workspace_id(&self) -> WorkspaceId;
    fn created_at(&self) -> Timestamp;
    fn state(&self) -> &Self::State;
    fn status(&self) -> Self::Status;
    fn log(&self) -> LogFacts;
    /// The log is known to have come this far.
    fn advance_to(&mut self, sequence: u64);

    fn stream_key(&self) -> StreamKey {
        Self::key(self.workspace_id(), self.id())
    }

    fn has_ended(&self) -> bool {
        self.status().is_terminal()
    }
}

macro_rules! work {
    ($kind:ident, $id:ty, $status:ty, $state:ty, $key:path) => {
        impl Status for $status {
            const ALL: &'static [Self] = <$status>::ALL;
            const CANCELLED: Self = Self::Cancelled;

            fn is_terminal(self) -> bool {
                self.is_terminal()
            }

            fn as_str(self) -> &'static str {
                self.as_str()
            }
        }

        impl Work for $kind {
            type Id = $id;
            type Status = $status;
            type State = $state;

            const KIND: StreamKind = StreamKind::$kind;

            fn key(workspace_id: WorkspaceId, id: $id) -> StreamKey {
                $key(workspace_id, id)
            }

            fn id(&self) -> $id {
                self.id
            }

            fn workspace_id(&self) -> WorkspaceId {
                self.workspace_id
            }

            fn created_at(&self) -> Timestamp {
                self.created_at
            }

            fn state(&self) -> &$state {
                &self.state
            }

            fn status(&self) -> $status {
                self.state.status
            }

            fn log(&self) -> LogFacts {
                LogFacts {
                    has_ended: self.state.status.is_terminal(),
                    completed_at: self.state.completed_at,
                    degraded: self.log_degraded,
                    durable_bytes: self.durable_bytes,
                    state: self.log_state,
                    last_sequence: self.last_sequence,
                }
            }

            fn advance_to(&mut self, sequence: u64) {
                self.last_sequence = self.last_sequence.max(sequence);
            }
        }
    };
}

work!(Run, RunId, RunStatus, RunState, StreamKey::run);
work!(Build, BuildId, BuildStatus, BuildState, StreamKey::build);
work!(Execution, ExecutionId, ExecutionStatus, ExecutionState, StreamKey::execution);
