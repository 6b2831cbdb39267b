//! The resource of a workflow's document, at one version.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::AsResource;
use crate::domain::time;
use crate::domain::workflow_document::{DocumentStatus, WorkflowDocument};
use crate::domain::{DocumentId, ExecutionId, WorkspaceId};
use crate::http::paths;

/// As lists show it: without the content.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowDocumentItem<'a> {
    document_id: DocumentId,
    #[schema(pattern = "^ade[.]workflow_document$")]
    object: &'static str,
    workspace_id: WorkspaceId,
    scope_type: &'a str,
    scope_id: &'a str,
    document_type: &'a str,
    version: u64,
    is_latest: bool,
    title: &'a str,
    status: DocumentStatus,
    summary: Option<&'a str>,
    content_digest: &'a str,
    created_by: &'a str,
    #[schema(format = DateTime)]
    created_at: String,
    execution_id: Option<ExecutionId>,
    step_id: Option<&'a str>,
    item: Option<&'a str>,
    attempt: Option<u32>,
    links: WorkflowDocumentLinks,
}

#[derive(Debug, Serialize, ToSchema)]
struct WorkflowDocumentLinks {
    #[serde(rename = "self")]
    own: String,
    latest: String,
    versions: String,
}

/// With its content.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkflowDocument)]
pub struct WorkflowDocumentResource<'a> {
    #[serde(flatten)]
    item: WorkflowDocumentItem<'a>,
    content: &'a Value,
}

impl<'a> WorkflowDocumentResource<'a> {
    pub fn of(document: &'a WorkflowDocument) -> Self {
        Self { item: document.as_resource(), content: &document.content }
    }
}

impl AsResource for WorkflowDocument {
    type Resource<'a> = WorkflowDocumentItem<'a>;

    fn as_resource(&self) -> WorkflowDocumentItem<'_> {
        let latest = paths::workflow_document(self.id);
        let made_by = self.made_by.as_ref();
        let step = made_by.filter(|made_by| !made_by.is_given());
        WorkflowDocumentItem {
            document_id: self.id,
            object: "ade.workflow_document",
            workspace_id: self.chain.workspace_id,
            scope_type: &self.chain.scope.scope_type,
            scope_id: &self.chain.scope.scope_id,
            document_type: &self.chain.document_type,
            version: self.version,
            is_latest: self.is_latest,
            title: &self.title,
            status: self.status,
            summary: self.summary.as_deref(),
            content_digest: &self.content_digest,
            created_by: &self.created_by,
            created_at: time::format(self.created_at),
            execution_id: made_by.map(|made_by| made_by.execution_id),
            step_id: step.map(|step| step.step_id.as_str()),
            item: step.and_then(|step| step.item.as_deref()),
            attempt: step.map(|step| step.attempt),
            links: WorkflowDocumentLinks {
                own: format!("{latest}?version={}", self.version),
                versions: format!("{latest}/versions"),
                latest,
            },
        }
    }
}
