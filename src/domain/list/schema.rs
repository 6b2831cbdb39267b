//! What each list can be asked.

use super::{Comparison, Direction, Field, Sort, Test, Value};
use crate::domain::configuration::DocumentStatus as UploadStatus;
use crate::domain::status::{BuildStatus, ExecutionStatus, RunStatus};
use crate::domain::workflow_document::DocumentStatus;

/// A list: its name, what it is filtered and sorted by, and its order when none is asked for.
#[derive(Debug)]
pub struct Schema {
    pub name: &'static str,
    pub filters: &'static [Field],
    /// Fields that may be asked for as parameters of their own, with the names that they have as such.
    pub parameters: &'static [(&'static str, Field)],
    pub sorts: &'static [Field],
    /// The words that [`Field::Status`] may have.
    pub statuses: &'static [&'static str],
    pub order: Sort,
}

impl Schema {
    /// The same question as an index answers it: which of the few statuses it may be, rather than which it is not.
    pub fn positively(&self, field: Field, test: Test) -> Test {
        let others = |refused: &[Value]| {
            let words = self.statuses.iter().map(|word| Value::Text((*word).to_owned()));
            Test::In(words.filter(|word| !refused.contains(word)).collect())
        };
        match test {
            Test::Compare(Comparison::Ne, value) if field == Field::Status => others(&[value]),
            Test::NotIn(values) if field == Field::Status => others(&values),
            other => other,
        }
    }
}

const NEWEST_FIRST: Sort = Sort { field: Field::CreatedAt, direction: Direction::Descending };
const OLDEST_FIRST: Sort = Sort { field: Field::CreatedAt, direction: Direction::Ascending };

/// What work is sorted by.
const WORK: &[Field] = &[Field::Id, Field::Status, Field::CreatedAt, Field::StartedAt, Field::CompletedAt];

pub const RUNS: Schema = Schema {
    name: "runs",
    filters: &[
        Field::Status,
        Field::ConfigurationId,
        Field::InputDocumentId,
        Field::CreatedAt,
        Field::StartedAt,
        Field::CompletedAt,
        Field::HasOutput,
    ],
    parameters: &[("input_document_id", Field::InputDocumentId)],
    sorts: WORK,
    statuses: RunStatus::WORDS,
    order: NEWEST_FIRST,
};

pub const BUILDS: Schema = Schema {
    name: "builds",
    filters: &[Field::Status, Field::CreatedAt, Field::StartedAt, Field::CompletedAt],
    parameters: &[],
    sorts: WORK,
    statuses: BuildStatus::WORDS,
    order: NEWEST_FIRST,
};

pub const EXECUTIONS: Schema = Schema {
    name: "executions",
    filters: &[
        Field::Status,
        Field::WorkflowId,
        Field::ScopeType,
        Field::ScopeId,
        Field::IsActive,
        Field::CreatedAt,
        Field::StartedAt,
        Field::CompletedAt,
    ],
    parameters: &[
        ("workflow_id", Field::WorkflowId),
        ("scope_type", Field::ScopeType),
        ("scope_id", Field::ScopeId),
        ("active", Field::IsActive),
    ],
    sorts: WORK,
    statuses: ExecutionStatus::WORDS,
    order: NEWEST_FIRST,
};

/// Every version is an item, unless only the latest are asked for.
pub const WORKFLOW_DOCUMENTS: Schema = Schema {
    name: "workflow_documents",
    filters: &[
        Field::Status,
        Field::ScopeType,
        Field::ScopeId,
        Field::DocumentType,
        Field::ExecutionId,
        Field::IsLatest,
        Field::CreatedAt,
    ],
    parameters: &[
        ("scope_type", Field::ScopeType),
        ("scope_id", Field::ScopeId),
        ("document_type", Field::DocumentType),
        ("execution_id", Field::ExecutionId),
        ("latest", Field::IsLatest),
    ],
    sorts: &[Field::Id, Field::Status, Field::CreatedAt],
    statuses: DocumentStatus::WORDS,
    order: NEWEST_FIRST,
};

/// Of one document. The ids of versions have the order of their numbers.
pub const WORKFLOW_DOCUMENT_VERSIONS: Schema = Schema {
    name: "workflow_document_versions",
    sorts: &[Field::Id],
    order: Sort { field: Field::Id, direction: Direction::Descending },
    ..plain("")
};

pub const WORKSPACES: Schema = plain("workspaces");
pub const CONFIGURATIONS: Schema = plain("configurations");

/// Input documents.
pub const DOCUMENTS: Schema = Schema {
    filters: &[Field::Status, Field::Tags, Field::CreatedAt],
    parameters: &[("tags", Field::Tags)],
    statuses: UploadStatus::WORDS,
    ..plain("documents")
};

/// Paged and searched, oldest first.
const fn plain(name: &'static str) -> Schema {
    let sorts = &[Field::Id, Field::CreatedAt];
    Schema { name, filters: &[], parameters: &[], sorts, statuses: &[], order: OLDEST_FIRST }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_is_refused_leaves_the_others() {
        let of = |words: &[&str]| words.iter().map(|word| Value::Text((*word).to_owned())).collect::<Vec<_>>();
        let not_active = Test::Compare(Comparison::Ne, of(&["active"])[0].clone());
        let others = Test::In(of(&["queued", "building", "failed", "cancelled"]));
        assert_eq!(BUILDS.positively(Field::Status, not_active.clone()), others);
        assert_eq!(BUILDS.positively(Field::Status, Test::NotIn(of(&["active"]))), others);
        assert_eq!(BUILDS.positively(Field::Status, Test::NotIn(of(BuildStatus::WORDS))), Test::In(Vec::new()));
        assert_eq!(BUILDS.positively(Field::Status, others.clone()), others);
        assert_eq!(RUNS.positively(Field::ConfigurationId, not_active.clone()), not_active);
    }
}
