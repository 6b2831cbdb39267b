//! Workflows as they are kept: the definition as it was accepted, and what lists show of it.

use serde_json::Value;

use super::WorkspaceId;
use super::time::Timestamp;

/// A definition that has been checked, to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewWorkflow {
    pub workflow_id: String,
    pub name: String,
    pub description: String,
    pub step_count: u64,
    /// Whatever it says about its revision does not count.
    pub definition: Value,
}

/// A workflow at its present revision.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredWorkflow {
    pub workspace_id: WorkspaceId,
    pub workflow_id: String,
    /// Counted from 1, and never twice the same: a workflow that is made again after it was deleted goes on.
    pub revision: u64,
    pub name: String,
    pub description: String,
    pub step_count: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
