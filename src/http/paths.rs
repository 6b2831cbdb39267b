//! Where everything is. Links in resources and routes are made from the same words.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::domain::access::Holder;
use crate::domain::{ConfigurationId, DocumentId, ExecutionId, KeyId, StreamId, WorkspaceId};

pub const API: &str = "/api/v1";

pub const SESSION: &str = "/api/v1/session";

pub const OIDC: &str = "/api/v1/session/oidc";

/// Where a provider sends browsers back to, below the address that they know.
pub const OIDC_CALLBACK: &str = "/api/v1/session/oidc/callback";

pub fn member(workspace: WorkspaceId, holder: Holder) -> String {
    format!("{API}/workspaces/{workspace}/members/{holder}")
}

pub fn api_key(id: KeyId) -> String {
    format!("{API}/api-keys/{id}")
}

pub fn configuration(workspace_id: WorkspaceId, id: ConfigurationId) -> String {
    format!("{API}/workspaces/{workspace_id}/configurations/{id}")
}

pub fn workspace(id: WorkspaceId) -> String {
    format!("{API}/workspaces/{id}")
}

/// What of a path of files stays as it is in a link.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The names of a path of files, for the end of a link: written in one way, however somebody else has written them.
pub fn encoded(path: &str) -> PercentEncode<'_> {
    utf8_percent_encode(path, PLAIN)
}

/// Below the configurations of a workspace, under both names that these have.
pub fn of_configurations(below: &str) -> Vec<String> {
    ["configurations", "configs"].map(|name| format!("/workspaces/{{workspace}}/{name}{below}")).into()
}

/// Of a piece of work of any kind, by its id.
pub fn work(id: impl Into<StreamId>) -> String {
    let id = id.into();
    format!("{API}/{}/{id}", id.kind().facts().collection)
}

pub fn execution_costs(id: ExecutionId) -> String {
    format!("{API}/telemetry/executions/{id}/costs")
}

pub fn document(workspace_id: WorkspaceId, id: DocumentId) -> String {
    format!("{API}/workspaces/{workspace_id}/documents/{id}")
}

/// Of a workflow's document, at its latest version.
pub fn workflow_document(id: DocumentId) -> String {
    format!("{API}/documents/{id}")
}

/// Workspaces have workflows of the same id, so the path alone is ambiguous.
pub fn workflow(workspace_id: WorkspaceId, workflow_id: &str) -> String {
    format!("{API}/workflows/{workflow_id}?workspace_id={workspace_id}")
}
