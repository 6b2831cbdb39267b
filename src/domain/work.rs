//! What every kind of work has in common: a record that belongs to one node and whose state its own log decides.

use std::fmt;
use std::str::FromStr;

use super::build::{Build, BuildState};
use super::execution::{Execution, ExecutionState};
use super::id::NodeId;
use super::run::{Run, RunState};
use super::status::{BuildStatus, ExecutionStatus, LogState, RunStatus};
use super::time::Timestamp;
use super::{BuildId, ExecutionId, RunId, StreamId, StreamKey, StreamKind, WorkspaceId};

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
    /// Whose log it is.
    pub node_id: NodeId,
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
    type Id: Copy
        + Eq
        + fmt::Debug
        + fmt::Display
        + FromStr
        + Into<StreamId>
        + TryFrom<StreamId>
        + Send
        + Sync
        + 'static;
    type Status: Status;
    /// The part that the log decides: the same log gives the same state.
    type State: Clone + Default + fmt::Debug + Send + Sync + 'static;

    const KIND: StreamKind;

    fn id(&self) -> Self::Id;
    fn workspace_id(&self) -> WorkspaceId;
    fn created_at(&self) -> Timestamp;
    fn state(&self) -> &Self::State;
    fn status(&self) -> Self::Status;
    fn log(&self) -> LogFacts;
    /// Of work that has failed: the code that its terminal event has in `failure` or `error`.
    fn failure_code(&self) -> Option<String>;
    /// The log is known to have come this far.
    fn advance_to(&mut self, sequence: u64);
    /// It is this node's from now on.
    fn set_node(&mut self, node_id: NodeId);

    fn stream_key(&self) -> StreamKey {
        StreamKey::of(self.workspace_id(), self.id())
    }

    fn has_ended(&self) -> bool {
        self.status().is_terminal()
    }
}

macro_rules! work {
    ($kind:ident, $id:ty, $status:ty, $state:ty, $stream:expr) => {
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

            const KIND: StreamKind = $stream;

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
                    node_id: self.node_id,
                    has_ended: self.state.status.is_terminal(),
                    completed_at: self.state.completed_at,
                    degraded: self.log_degraded,
                    durable_bytes: self.durable_bytes,
                    state: self.log_state,
                    last_sequence: self.last_sequence,
                }
            }

            fn failure_code(&self) -> Option<String> {
                self.state.failure_code()
            }

            fn advance_to(&mut self, sequence: u64) {
                self.last_sequence = self.last_sequence.max(sequence);
            }

            fn set_node(&mut self, node_id: NodeId) {
                self.node_id = node_id;
            }
        }
    };
}

#[cfg(test)]
pub(crate) use work;

work!(Run, RunId, RunStatus, RunState, StreamKind::RUN);
work!(Build, BuildId, BuildStatus, BuildState, StreamKind::BUILD);
work!(Execution, ExecutionId, ExecutionStatus, ExecutionState, StreamKind::EXECUTION);

/// The one list of the kinds of work: `each_kind!(W => f::<W>(…))` has the expression once for each kind, with `W` as its
/// type. They come in the order in which a start of the service recovers them. Builds come before runs: a run that is
/// recovered may start a build at once, which must not be taken for one that the previous process has left.
macro_rules! each_kind {
    ($kind:ident => $of_kind:expr) => {{
        $crate::domain::work::each_kind! {
            @ $kind, $of_kind;
            $crate::domain::build::Build,
            $crate::domain::run::Run,
            $crate::domain::execution::Execution,
            // Last: the check of imports leaves out what comes behind such a mark.
            #[cfg(test)] $crate::registry::kinds::probe::Probe,
        }
    }};
    (@ $kind:ident, $of_kind:expr; $($(#[$only:meta])? $type:path,)*) => {$(
        $(#[$only])?
        {
            type $kind = $type;
            $of_kind;
        }
    )*};
}
pub(crate) use each_kind;

/// All of them.
pub fn kinds() -> Vec<StreamKind> {
    let mut kinds = Vec::new();
    each_kind!(W => kinds.push(W::KIND));
    kinds
}

impl StreamId {
    /// The id of any stream. None for every other text.
    pub fn parse(text: &str) -> Option<Self> {
        each_kind!(W => if let Ok(id) = Self::parse_as(W::KIND, text) {
            return Some(id);
        });
        Self::parse_as(StreamKind::FEED, text).ok()
    }
}

impl StreamKey {
    /// Whose log is at this path, relative to a data directory; none if no log of ours has it.
    pub fn of_log(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix("workspaces/")?.split('/');
        let workspace_id = WorkspaceId::parse(parts.next()?).ok()?;
        let id = match (parts.next()?, parts.next()?) {
            ("feed", _) => workspace_id.into(),
            (_, id) => StreamId::parse(id)?,
        };
        let key = Self::of(workspace_id, id);
        // Any other spelling of it is no log.
        (key.log_path().as_os_str() == path).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::stream_kind::Facts;

    #[test]
    fn an_id_of_a_stream_survives_its_text() {
        let workspace_id = WorkspaceId::generate();
        for key in [
            StreamKey::of(workspace_id, RunId::generate()),
            StreamKey::of(workspace_id, BuildId::generate()),
            StreamKey::of(workspace_id, ExecutionId::generate()),
            StreamKey::feed(workspace_id),
        ] {
            assert_eq!(StreamId::parse(&key.to_string()), Some(key.id()));
            assert_eq!(StreamKey::of(workspace_id, key.id()), key);
        }
        assert_eq!(StreamId::parse("doc_01ARZ3NDEKTSV4RRFFQ69G5FAV"), None);
    }

    #[test]
    fn nothing_that_tells_kinds_apart_is_used_twice() {
        let all: Vec<_> = kinds().into_iter().chain([StreamKind::FEED]).map(StreamKind::facts).collect();
        let distinct = |of: fn(&Facts) -> Option<&'static str>| {
            let used: Vec<_> = all.iter().filter_map(|facts| of(facts)).collect();
            assert_eq!(used.iter().collect::<HashSet<_>>().len(), used.len(), "{used:?}");
        };
        distinct(|facts| Some(facts.name));
        distinct(|facts| Some(facts.prefix));
        distinct(|facts| Some(facts.collection));
        distinct(|facts| facts.marker);
        distinct(|facts| facts.terminal_type);
        // Other directories of a workspace.
        assert!(all.iter().all(|facts| !["documents", "configurations", "feed"].contains(&facts.collection)));
    }

    #[test]
    fn a_feed_is_that_of_its_own_workspace() {
        let [own, other] = [WorkspaceId::generate(), WorkspaceId::generate()];
        assert_eq!(StreamKey::of(other, own), StreamKey::feed(own));
    }
}
