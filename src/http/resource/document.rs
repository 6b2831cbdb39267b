//! The resource of an input document.

use serde::Serialize;
use serde_json::Value;

use super::AsResource;
use crate::domain::configuration::Document;
use crate::domain::time;
use crate::domain::{DocumentId, WorkspaceId};
use crate::http::paths;

#[derive(Debug, Serialize)]
pub struct DocumentResource<'a> {
    id: DocumentId,
    object: &'static str,
    workspace_id: WorkspaceId,
    name: &'a str,
    content_type: &'a str,
    byte_size: u64,
    sha256: &'a str,
    metadata: &'a Value,
    created_at: String,
    links: DocumentLinks,
}

#[derive(Debug, Serialize)]
struct DocumentLinks {
    #[serde(rename = "self")]
    own: String,
    download: String,
}

impl AsResource for Document {
    type Resource<'a> = DocumentResource<'a>;

    fn as_resource(&self) -> DocumentResource<'_> {
        let own = paths::document(self.workspace_id, self.id);
        DocumentResource {
            id: self.id,
            object: "ade.document",
            workspace_id: self.workspace_id,
            name: &self.name,
            content_type: &self.content_type,
            byte_size: self.byte_size,
            sha256: &self.sha256,
            metadata: &self.metadata,
            created_at: time::format(self.created_at),
            links: DocumentLinks { download: format!("{own}/download"), own },
        }
    }
}
