//! Asking for a list: which records, and in which order.
//!
//! Law: a query means the same whatever answers it. A missing value matches no comparison, not even `ne` and `notIn`,
//! and stands last in both directions; letters are compared as they are, but `iLike` and words take ASCII letters of
//! either case for the same; and every order ends with the id, so that no two records are equal in it.

mod pattern;
mod schema;

use serde::Serialize;

pub use pattern::{Pattern, Piece};
pub use schema::{
    BUILDS, CONFIGURATIONS, DOCUMENTS, EXECUTIONS, RUNS, Schema, WORKFLOW_DOCUMENT_VERSIONS, WORKFLOW_DOCUMENTS,
    WORKSPACES,
};

use super::status::text_enum;
use super::time::Timestamp;
use super::{ConfigurationId, DocumentId, WorkspaceId};

text_enum! {
    /// What distinguishes records.
    Field {
        Id = "id",
        Status = "status",
        ConfigurationId = "configuration_id",
        InputDocumentId = "input_document_id",
        CreatedAt = "created_at",
        StartedAt = "started_at",
        CompletedAt = "completed_at",
        HasOutput = "has_output",
        ScopeType = "scope_type",
        ScopeId = "scope_id",
        DocumentType = "document_type",
        WorkflowId = "workflow_id",
        ExecutionId = "execution_id",
        IsLatest = "is_latest",
        IsActive = "is_active",
        Tags = "tags",
    }
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of a closed list.
    Word,
    Id,
    /// A name that a person chose.
    Text,
    Time,
    /// True or false, never missing.
    Flag,
}

impl Field {
    pub fn kind(self) -> Kind {
        match self {
            Self::Status => Kind::Word,
            Self::Id | Self::ConfigurationId | Self::InputDocumentId | Self::ExecutionId => Kind::Id,
            Self::ScopeType | Self::ScopeId | Self::DocumentType | Self::WorkflowId | Self::Tags => Kind::Text,
            Self::CreatedAt | Self::StartedAt | Self::CompletedAt => Kind::Time,
            Self::HasOutput | Self::IsLatest | Self::IsActive => Kind::Flag,
        }
    }

    /// Whether a record may have no value for it. A run has any number of input documents, and a document of tags;
    /// what people write comes from no execution.
    pub fn may_be_missing(self) -> bool {
        matches!(self, Self::InputDocumentId | Self::Tags | Self::ExecutionId | Self::StartedAt | Self::CompletedAt)
    }
}

text_enum! {
    Operator {
        Eq = "eq", Ne = "ne", Lt = "lt", Lte = "lte", Gt = "gt", Gte = "gte", ILike = "iLike", NotILike = "notILike",
        In = "in", NotIn = "notIn", Between = "between", IsEmpty = "isEmpty", IsNotEmpty = "isNotEmpty",
    }
}

impl Kind {
    /// The operators that make sense of it.
    pub fn operators(self) -> &'static [Operator] {
        use Operator::{Between, Eq, Gt, Gte, ILike, In, IsEmpty, IsNotEmpty, Lt, Lte, Ne, NotILike, NotIn};
        match self {
            Self::Word | Self::Id | Self::Text => &[Eq, Ne, In, NotIn, ILike, NotILike, IsEmpty, IsNotEmpty],
            Self::Time => &[Eq, Ne, Lt, Lte, Gt, Gte, Between, In, NotIn, IsEmpty, IsNotEmpty],
            Self::Flag => &[Eq, Ne],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Value {
    Text(String),
    Time(Timestamp),
    Flag(bool),
}

/// How a value that is there is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Lte,
    Gt,
    Gte,
}

/// What is asked of one field. Of a run's input documents and a document's tags: `Ne`, `NotIn` and `NotLike` ask it of
/// all of them, the others of any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Test {
    Compare(Comparison, Value),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Like(Pattern),
    NotLike(Pattern),
    /// Both ends count.
    Between(Value, Value),
    Empty,
    NotEmpty,
}

/// Which records. `All` of nothing is every record; there is no `Any` of nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Test(Field, Test),
    /// Some searched text of the record contains this.
    Word(String),
}

impl Filter {
    pub fn everything() -> Self {
        Self::All(Vec::new())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Direction {
    Ascending,
    Descending,
}

/// One key of an order; records without a value come last in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sort {
    pub field: Field,
    pub direction: Direction,
}

/// By one to three keys and the id, which has the direction of the first key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Order(Vec<Sort>);

impl Order {
    /// Keys that repeat an earlier one decide nothing and are left out; so are those after the id.
    pub fn by(first: Sort, others: &[Sort]) -> Self {
        let id = Sort { field: Field::Id, direction: first.direction };
        let mut keys: Vec<Sort> = Vec::new();
        for &key in [first].iter().chain(others).chain([&id]) {
            let is_decided = keys.iter().any(|earlier| earlier.field == key.field || earlier.field == Field::Id);
            if !is_decided {
                keys.push(key);
            }
        }
        Self(keys)
    }

    pub fn keys(&self) -> &[Sort] {
        &self.0
    }
}

/// The branch of the tree that a list belongs to; narrower than what its reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Within {
    pub workspace_id: Option<WorkspaceId>,
    pub configuration_id: Option<ConfigurationId>,
    /// Of a workflow's document.
    pub document_id: Option<DocumentId>,
}

/// All but the part of the list that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Query {
    pub within: Within,
    pub filter: Filter,
    pub order: Order,
}

impl Query {
    /// Every record, by one key.
    pub fn all(key: Sort) -> Self {
        Self { within: Within::default(), filter: Filter::everything(), order: Order::by(key, &[]) }
    }
}

/// Where a record stands in an order: a value for each key, none where it has none.
pub type Place = Vec<Option<Value>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(field: Field, direction: Direction) -> Sort {
        Sort { field, direction }
    }

    #[test]
    fn every_order_ends_with_the_id_once() {
        use Direction::{Ascending, Descending};
        use Field::{CreatedAt, Id, Status};
        let newest = sort(CreatedAt, Descending);
        assert_eq!(Order::by(newest, &[]).keys(), [newest, sort(Id, Descending)]);
        let by_status = [sort(Status, Ascending), newest, sort(Id, Ascending)];
        assert_eq!(Order::by(by_status[0], &[newest, sort(Status, Descending)]).keys(), by_status);
        assert_eq!(Order::by(sort(Id, Ascending), &[newest]).keys(), [sort(Id, Ascending)]);
    }

    #[test]
    fn what_is_never_missing_has_no_operator_for_it() {
        for &field in Field::ALL {
            let operators = field.kind().operators();
            assert!(!field.may_be_missing() || operators.contains(&Operator::IsEmpty), "{field}");
            assert!(field.kind() != Kind::Flag || operators.len() == 2);
        }
    }
}
