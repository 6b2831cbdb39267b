//! Documents of workflows: what steps produce and people put in. (Uploaded input files of runs are
//! [`Document`](super::configuration::Document)s.)
//!
//! Law: a document is the chain of its versions, 1, 2, 3 and so on without holes; the content of a
//! version never changes. A workspace
//! has one document of a type in a scope, whoever has written its versions.

use serde_json::Value;

use super::status::text_enum;
use super::time::Timestamp;
use super::{DocumentId, ExecutionId, WorkspaceId};

text_enum! {
    #[derive(Default)]
    DocumentStatus {
        #[default]
        Draft = "draft",
        Active = "active",
        /// What it was made from has changed.
        Stale = "stale",
        Archived = "archived",
    }
}

/// What an execution is for: a project, a team, anything with an id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkScope {
    pub scope_type: String,
    pub scope_id: String,
}

impl WorkScope {
    /// Of one item of a step that runs once for each: its documents have chains of their own.
    pub fn of_item(&self, step_id: &str, item: &str) -> Self {
        Self { scope_type: self.scope_type.clone(), scope_id: format!("{}/{step_id}/{item}", self.scope_id) }
    }
}

/// What distinguishes documents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chain {
    pub workspace_id: WorkspaceId,
    pub scope: WorkScope,
    pub document_type: String,
}

/// What its writer decides about a version.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentDraft {
    pub title: String,
    pub status: DocumentStatus,
    pub summary: Option<String>,
    pub content: Value,
    /// The name of a person, or of the caller that started the execution.
    pub created_by: String,
    pub created_at: Timestamp,
}

/// What a change of a document says; the rest stays as it is in the latest version.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentChange {
    pub title: Option<String>,
    pub status: Option<DocumentStatus>,
    /// Inside, none takes it away.
    pub summary: Option<Option<String>>,
    pub content: Option<Value>,
    pub created_by: String,
    pub created_at: Timestamp,
}

impl DocumentChange {
    pub fn of(self, latest: WorkflowDocument) -> DocumentDraft {
        DocumentDraft {
            title: self.title.unwrap_or(latest.title),
            status: self.status.unwrap_or(latest.status),
            summary: self.summary.unwrap_or(latest.summary),
            content: self.content.unwrap_or(latest.content),
            created_by: self.created_by,
            created_at: self.created_at,
        }
    }
}

/// The work that a version came from; it makes one version, however often it is done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StepAttempt {
    pub execution_id: ExecutionId,
    pub step_id: String,
    /// Of a step that runs once for each item of a collection.
    pub item: Option<String>,
    pub attempt: u32,
}

impl StepAttempt {
    /// Stands where a step's id does; no step has such an id.
    const GIVEN: &str = "(input)";

    /// What an execution was given at its start, once for each type.
    pub fn given(execution_id: ExecutionId, document_type: &str) -> Self {
        Self { execution_id, step_id: Self::GIVEN.to_owned(), item: Some(document_type.to_owned()), attempt: 0 }
    }

    /// No step has made it: it was given to the execution.
    pub fn is_given(&self) -> bool {
        self.step_id == Self::GIVEN
    }
}

/// A version of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowDocument {
    pub id: DocumentId,
    pub chain: Chain,
    pub version: u64,
    pub is_latest: bool,
    pub title: String,
    pub status: DocumentStatus,
    pub summary: Option<String>,
    /// Null in lists.
    pub content: Value,
    /// `sha256:<hex>` over the content with the keys of its objects in order, without spaces.
    pub content_digest: String,
    pub created_by: String,
    pub made_by: Option<StepAttempt>,
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_has_a_scope_of_its_own() {
        let scope = WorkScope { scope_type: "project".into(), scope_id: "42".into() };
        let item = scope.of_item("review", "0");
        assert_eq!((item.scope_type.as_str(), item.scope_id.as_str()), ("project", "42/review/0"));
    }
}
