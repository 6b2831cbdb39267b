//! What each list can be asked.

use super::{Direction, Field, Sort};
use crate::domain::status::{BuildStatus, RunStatus};

/// A list: its name, what it is filtered and sorted by, and its order when none is asked for.
#[derive(Debug)]
pub struct Schema {
    pub name: &'static str,
    pub filters: &'static [Field],
    pub sorts: &'static [Field],
    /// The words that [`Field::Status`] may have.
    pub statuses: &'static [&'static str],
    pub order: Sort,
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
    sorts: WORK,
    statuses: RunStatus::WORDS,
    order: NEWEST_FIRST,
};

pub const BUILDS: Schema = Schema {
    name: "builds",
    filters: &[Field::Status, Field::CreatedAt, Field::StartedAt, Field::CompletedAt],
    sorts: WORK,
    statuses: BuildStatus::WORDS,
    order: NEWEST_FIRST,
};

pub const WORKSPACES: Schema = plain("workspaces");
pub const CONFIGURATIONS: Schema = plain("configurations");
pub const DOCUMENTS: Schema = plain("documents");

/// Paged and searched, oldest first.
const fn plain(name: &'static str) -> Schema {
    Schema { name, filters: &[], sorts: &[Field::Id, Field::CreatedAt], statuses: &[], order: OLDEST_FIRST }
}
