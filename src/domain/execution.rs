//! An execution of a workflow as its row keeps it. Everything but the request itself is a fold of the execution's log.

use serde::Serialize;
use serde_json::Value;

use super::id::NodeId;
use super::progress::{Progress, Totals};
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
    pub fn failure_code(&self) -> Option<String> {
        self.failure.as_ref()?["code"].as_str().map(str::to_owned)
    }

    pub fn duration_ms(&self) -> Option<u64> {
        self.started_at.zip(self.completed_at).map(|(from, to)| duration_ms(from, to))
    }
}

/// What a row has of it; the steps are in the log.
impl From<&Progress> for ExecutionState {
    fn from(progress: &Progress) -> Self {
        Self {
            status: progress.status,
            current_steps: progress.current_steps(),
            pending: json(&progress.pending()),
            failure: progress.failure.as_ref().map(json),
            totals: json(&progress.totals),
            clarification_count: progress.clarification_count,
            started_at: progress.started_at,
            completed_at: progress.completed_at,
        }
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("only shapes that JSON has")
}

impl Default for ExecutionState {
    fn default() -> Self {
        Self {
            status: ExecutionStatus::default(),
            current_steps: Vec::new(),
            pending: Value::Array(Vec::new()),
            failure: None,
            totals: json(&Totals::default()),
            clarification_count: 0,
            started_at: None,
            completed_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::progress::{StepKey, StepState};
    use crate::domain::status::StepStatus;

    #[test]
    fn the_row_of_an_execution_tells_where_it_stands() {
        let nothing = ExecutionState::from(&Progress::default());
        assert_eq!(nothing.pending, json!([]));
        assert_eq!((nothing.status, nothing.current_steps.len()), (ExecutionStatus::Pending, 0));
        assert_eq!(nothing.totals["cost_usd"], "0.000000");

        let mut progress = Progress { status: ExecutionStatus::Running, clarification_count: 2, ..Progress::default() };
        for (step_id, status) in [("a", StepStatus::Completed), ("b", StepStatus::Running)] {
            progress.steps.insert(StepKey::step(step_id), StepState { status, ..StepState::default() });
        }
        let state = ExecutionState::from(&progress);
        assert_eq!((state.current_steps, state.clarification_count), (vec!["b".to_owned()], 2));
        assert_eq!((state.status, state.failure), (ExecutionStatus::Running, None));
    }
}
