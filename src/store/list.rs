//! Lists: newest first, the id breaks ties, one page at a time with the total beside it.

use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, FromQueryResult, PaginatorTrait, QuerySelect, Select};

use super::StoreError;
use crate::domain::principal::Scope;
use crate::domain::{ConfigurationId, WorkspaceId};

/// Which runs or builds, and which page of them, counted from 1. An empty `status` means any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery<Status> {
    pub workspace_id: Option<WorkspaceId>,
    pub configuration_id: Option<ConfigurationId>,
    pub status: Vec<Status>,
    pub page: u64,
    pub per_page: u64,
}

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<Record> {
    pub items: Vec<Record>,
    /// How many there are on all pages.
    pub total: u64,
}

/// Rows of the workspaces that a caller may see.
pub fn visible<C: ColumnTrait>(scope: &Scope, workspace_id: C) -> Condition {
    match scope {
        Scope::All => Condition::all(),
        Scope::Only(list) => Condition::all().add(workspace_id.is_in(list.iter().map(WorkspaceId::to_string))),
    }
}

/// The rows that a list query asks for, given the columns it speaks of.
pub fn asked<C: ColumnTrait, Status: Copy>(
    query: &ListQuery<Status>,
    [workspace_id, configuration_id, status]: [C; 3],
    word: fn(Status) -> &'static str,
) -> Condition {
    let statuses = query.status.iter().map(|&wanted| word(wanted));
    Condition::all()
        .add_option(query.workspace_id.map(|id| workspace_id.eq(id.to_string())))
        .add_option(query.configuration_id.map(|id| configuration_id.eq(id.to_string())))
        .add_option((!query.status.is_empty()).then(|| status.is_in(statuses)))
}

/// One page of rows, and how many rows there are. `select` is filtered and ordered.
pub async fn page<E, Status>(
    database: &DatabaseConnection,
    select: Select<E>,
    query: &ListQuery<Status>,
) -> Result<(Vec<E::Model>, u64), StoreError>
where
    E: EntityTrait,
    E::Model: FromQueryResult + Sized + Send + Sync,
{
    let total = select.clone().count(database).await?;
    // Beyond the last row there is nothing, and the database would refuse a number that it cannot count to.
    let before = query.page.saturating_sub(1).saturating_mul(query.per_page).min(total);
    let rows = select.offset(before).limit(query.per_page).all(database).await?;
    Ok((rows, total))
}
