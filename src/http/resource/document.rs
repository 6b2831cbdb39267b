//! The resource of an input document.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::AsResource;
use crate::domain::configuration::{Document, DocumentStatus};
use crate::domain::status::RunStatus;
use crate::domain::time;
use crate::domain::{DocumentId, RunId, WorkspaceId};
use crate::http::paths;
use crate::workbook::{Sheet, Visibility};

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Document)]
pub struct DocumentResource<'a> {
    id: DocumentId,
    #[schema(pattern = "^ade[.]document$")]
    object: &'static str,
    workspace_id: WorkspaceId,
    name: &'a str,
    content_type: &'a str,
    byte_size: u64,
    sha256: &'a str,
    #[schema(value_type = Object)]
    metadata: &'a Value,
    #[schema(inline)]
    status: DocumentStatus,
    tags: &'a [String],
    last_run: Option<LastRunResource<'a>>,
    #[schema(format = DateTime)]
    last_run_at: Option<String>,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    links: DocumentLinks,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastRun)]
struct LastRunResource<'a> {
    run_id: RunId,
    status: RunStatus,
    #[schema(format = DateTime)]
    run_at: String,
    message: Option<&'a str>,
}

#[derive(Debug, Serialize, ToSchema)]
struct DocumentLinks {
    #[serde(rename = "self")]
    own: String,
    download: String,
    sheets: String,
}

impl AsResource for Document {
    type Resource<'a> = DocumentResource<'a>;

    fn as_resource(&self) -> DocumentResource<'_> {
        let own = paths::document(self.workspace_id, self.id);
        let run_at = self.last_run.as_ref().map(|run| time::format(run.run_at));
        DocumentResource {
            id: self.id,
            object: "ade.document",
            workspace_id: self.workspace_id,
            name: &self.name,
            content_type: &self.content_type,
            byte_size: self.byte_size,
            sha256: &self.sha256,
            metadata: &self.metadata,
            status: self.status(),
            tags: &self.tags,
            last_run: self.last_run.as_ref().map(|run| LastRunResource {
                run_id: run.run_id,
                status: run.status,
                run_at: time::format(run.run_at),
                message: run.message.as_deref(),
            }),
            last_run_at: run_at,
            expires_at: self.expires_at.map(time::format),
            created_at: time::format(self.created_at),
            updated_at: time::format(self.updated_at),
            links: DocumentLinks { download: format!("{own}/download"), sheets: format!("{own}/sheets"), own },
        }
    }
}

/// A sheet of a workbook, or the one that a text file is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sheet)]
pub struct SheetResource {
    name: String,
    /// Its place among all sheets, from 0.
    index: usize,
    kind: &'static str,
    /// The one that is shown when the workbook is opened.
    is_active: bool,
    state: &'static str,
}

impl SheetResource {
    pub fn of_file(name: &str) -> Self {
        Self { name: name.to_owned(), index: 0, kind: "file", is_active: true, state: "visible" }
    }
}

impl From<Sheet> for SheetResource {
    fn from(sheet: Sheet) -> Self {
        let state = match sheet.visibility {
            Visibility::Visible => "visible",
            Visibility::Hidden => "hidden",
            Visibility::VeryHidden => "very_hidden",
        };
        Self { name: sheet.name, index: sheet.index, kind: "worksheet", is_active: sheet.is_active, state }
    }
}
