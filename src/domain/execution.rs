//! An execution of a workflow as its row keeps it. Everything but the request itself is a fold of the execution's log.

use serde_json::Value;

use super::id::NodeId;
use super::status::{ExecutionStatus, LogState};
use super::time::{Timestamp, duration_ms};
use super::workflow_document::WorkScope;
use super::{ExecutionId, WorkspaceId};

/// The row of an execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    pub id: ExecutionId,
    pub workspace_id: WorkspaceId,
    pub workflow_id: String,
    /// Of the workflow, when the execution was made; it keeps to it.
    pub revision: u64,
    pub scope: WorkScope,
    /// What the caller gave, by document type; none in lists.
    pub input: Option<Value>,
    pub retry_of_execution_id: Option<ExecutionId>,
    pub created_by: String,
    pub node_id: NodeId,
    pub created_at: Timestamp,
    /// The file behind the log failed; what is beyond `durable_bytes` is cut before it is used again.
    pub log_degraded: bool,
    pub durable_bytes: Option<u64>,
    /// What retention has made of the log.
    pub log_state: LogState,
    /// Where in the log [`Execution::state`] stands.
    pub last_sequence: u64,
    pub state: ExecutionState,
}

/// The part of an execution that its log decides: the same log gives the same state.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionState {
    pub status: ExecutionStatus,
    pub current_steps: Vec<String>,
    /// What waits for a person: a list.
    pub pending: Value,
    pub failure: Option<Value>,
    pub totals: Value,
    /// How often it asked a person.
    pub clarification_count: u64,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

impl ExecutionState {
    pub fn duration_ms(&self) -> Option<u64> {
        self.started_at.zip(self.completed_at).map(|(from, to)| duration_ms(from, to))
    }
}

impl Default for ExecutionState {
    fn default() -> Self {
        Self {
            status: ExecutionStatus::default(),
            current_steps: Vec::new(),
            pending: Value::Array(Vec::new()),
            failure: None,
            totals: Value::Object(serde_json::Map::new()),
            clarification_count: 0,
            started_at: None,
            completed_at: None,
        }
    }
}
