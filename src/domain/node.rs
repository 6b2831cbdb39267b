//! The nodes of a cluster, as they tell each other of themselves.
//!
//! None of this is a promise: who may write a stream is decided by the fence in its journal, never by a row or a clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::NodeId;
use super::time::Timestamp;

super::status::text_enum! {
    /// What a node does, in its own words, but for `lost`, which others say of it.
    #[derive(Default)]
    NodeState {
        /// It takes work.
        #[default]
        Serving = "serving",
        /// It ends, and lets its work end first.
        Draining = "draining",
        /// It has ended in good order.
        Stopped = "stopped",
        /// Another node has taken its work over.
        Lost = "lost",
    }
}

/// A node, which is a data directory with a process at work in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: NodeId,
    /// Of its journal, as its operator calls it.
    pub name: String,
    pub cluster: String,
    /// Where the others reach its HTTP interface; without a slash at its end.
    pub address: String,
    /// Of the program.
    pub version: String,
    /// The stream that is its journal.
    pub journal: String,
    pub state: NodeState,
    pub started_at: Timestamp,
    /// By the clock of the database, as all times that are compared with it.
    pub seen_at: Timestamp,
}

/// A process of a node, and no other of its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incarnation {
    pub node: NodeId,
    #[serde(with = "super::time::serde_micros")]
    pub since: Timestamp,
}

/// A node that says so at least this often is alive.
pub const ALIVE_WITHIN: Duration = Duration::from_secs(10);

impl Node {
    pub fn incarnation(&self) -> Incarnation {
        Incarnation { node: self.id, since: self.started_at }
    }

    /// `now` is of the clock that `seen_at` is of.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        let is_at_work = matches!(self.state, NodeState::Serving | NodeState::Draining);
        is_at_work && (now - self.seen_at).to_std().unwrap_or_default() < ALIVE_WITHIN
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone, Utc};

    use super::*;

    #[test]
    fn a_node_is_alive_while_it_says_so() {
        let seen_at = Utc.timestamp_opt(1_767_225_600, 0).unwrap();
        let node = |state| Node {
            id: NodeId::generate(),
            name: "a".into(),
            cluster: "ade".into(),
            address: "http://10.0.0.1:8000".into(),
            version: "1.0.0".into(),
            journal: "ade-ade-j-a".into(),
            state,
            started_at: seen_at,
            seen_at,
        };
        let is_alive = |state, after| node(state).is_alive(seen_at + TimeDelta::seconds(after));
        for (state, after, alive) in [
            (NodeState::Serving, 9, true),
            (NodeState::Serving, 10, false),
            (NodeState::Serving, -5, true),
            (NodeState::Draining, 0, true),
            (NodeState::Stopped, 0, false),
            (NodeState::Lost, 0, false),
        ] {
            assert_eq!(is_alive(state, after), alive, "{state} after {after} s");
        }
    }
}
