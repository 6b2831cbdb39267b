//! Workflows: the definition that was sent, and what the service says about it.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::AsResource;
use crate::domain::WorkspaceId;
use crate::domain::time;
use crate::domain::workflow::StoredWorkflow;
use crate::http::paths;

/// May be sent back as it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workflow)]
pub struct WorkflowResource {
    /// Without the members below, which a JSON object must not have twice.
    #[serde(flatten)]
    definition: Map<String, Value>,
    revision: u64,
    #[schema(pattern = "^ade[.]workflow$")]
    object: &'static str,
    workspace_id: WorkspaceId,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    links: WorkflowLinks,
}

#[derive(Debug, Serialize, ToSchema)]
struct WorkflowLinks {
    #[serde(rename = "self")]
    own: String,
}

impl WorkflowResource {
    pub fn of(workflow: &StoredWorkflow, definition: Value) -> Self {
        let mut definition = match definition {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        for name in ["revision", "object", "workspace_id", "created_at", "updated_at", "links"] {
            definition.remove(name);
        }
        Self {
            definition,
            revision: workflow.revision,
            object: "ade.workflow",
            workspace_id: workflow.workspace_id,
            created_at: time::format(workflow.created_at),
            updated_at: time::format(workflow.updated_at),
            links: WorkflowLinks { own: paths::workflow(workflow.workspace_id, &workflow.workflow_id) },
        }
    }
}

/// All workflows of a workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowList<'a> {
    workflows: Vec<WorkflowItem<'a>>,
    total: usize,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowItem<'a> {
    workflow_id: &'a str,
    name: &'a str,
    description: &'a str,
    revision: u64,
    step_count: u64,
}

impl<'a> WorkflowList<'a> {
    pub fn of(workflows: &'a [StoredWorkflow]) -> Self {
        Self { workflows: workflows.iter().map(StoredWorkflow::as_resource).collect(), total: workflows.len() }
    }
}

impl AsResource for StoredWorkflow {
    type Resource<'a> = WorkflowItem<'a>;

    fn as_resource(&self) -> WorkflowItem<'_> {
        WorkflowItem {
            workflow_id: &self.workflow_id,
            name: &self.name,
            description: &self.description,
            revision: self.revision,
            step_count: self.step_count,
        }
    }
}
