//! Lists: a query of the domain, answered one part at a time.
//!
//! By number, with the total beside it; or behind a place, so that a part deep in the list costs what the first one
//! does. For that, rows without the first key are asked for apart from those with it: both are then plain walks along
//! an index, and neither database has to be talked into one order of nulls.

use entity::workspace;
use sea_orm::sea_query::{Asterisk, Condition, Expr, ExprTrait, Func, NullOrdering};
use sea_orm::{
    ColumnTrait, EntityTrait, ModelTrait, Order as Towards, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    Value as SqlValue,
};

use super::filter::{condition, sql};
use super::listable::{Listable, column_of, sorted};
use super::{Store, StoreError};
use crate::domain::WorkspaceId;
use crate::domain::list::{Direction, Field, Order, Place, Query, Sort, Value, Within};
use crate::domain::principal::Scope;

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<Record> {
    pub items: Vec<Record>,
    /// How many there are on all pages.
    pub total: u64,
}

/// The records behind a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice<Record> {
    pub items: Vec<Record>,
    /// Where the last of them stands; none when nothing comes after it.
    pub next: Option<Place>,
}

impl Store {
    /// The page of this number, counted from 1, and how many records there are.
    pub async fn page<R: Listable>(
        &self,
        scope: &Scope,
        query: &Query,
        page: u64,
        per_page: u64,
    ) -> Result<Listed<R>, StoreError> {
        // Databases count in signed numbers.
        let before = std::cmp::min(page.saturating_sub(1).saturating_mul(per_page), i64::MAX as u64);
        let select = ordered::<R>(self.asked::<R>(R::select(), scope, query), query.order.keys(), Nulls::Last);
        let (total, rows) =
            tokio::try_join!(self.count::<R>(scope, query), select.offset(before).limit(per_page).all(self.read()))?;
        Ok(Listed { items: records(rows)?, total })
    }

    /// Every record that `scope` allows, oldest id first, read a thousand at a time; for those who keep things in
    /// order, so also what has been deleted.
    pub async fn all<R: Listable>(&self, scope: &Scope) -> Result<Vec<R>, StoreError> {
        const AT_ONCE: u64 = 1000;
        let (mut all, mut last, id) = (Vec::new(), String::new(), column_of::<R>(Field::Id));
        loop {
            let select = R::select().filter(permitted(scope, R::workspace_column())).filter(id.gt(&last));
            let rows = select.order_by_asc(id).limit(AT_ONCE).all(self.read()).await?;
            let is_last = (rows.len() as u64) < AT_ONCE;
            if let Some(SqlValue::String(Some(text))) = rows.last().map(|row| row.get(id)) {
                last = text;
            }
            all.extend(records::<R>(rows)?);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Up to `limit` records behind a place, or from the beginning.
    pub async fn slice<R: Listable>(
        &self,
        scope: &Scope,
        query: &Query,
        place: Option<&Place>,
        limit: u64,
    ) -> Result<Slice<R>, StoreError> {
        let mut rows = Vec::new();
        for walk in walks::<R>(&query.order, place) {
            // One more than wanted shows whether there is more.
            let missing = limit + 1 - rows.len() as u64;
            if missing > 0 {
                let select = self.asked::<R>(R::select(), scope, query).filter(walk.rows);
                let select = ordered::<R>(select, walk.keys, walk.nulls);
                rows.extend(select.limit(missing).all(self.read()).await?);
            }
        }
        let has_more = rows.len() as u64 > limit;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| has_more).map(|last| place_of::<R>(last, &query.order));
        Ok(Slice { items: records(rows)?, next })
    }

    async fn count<R: Listable>(&self, scope: &Scope, query: &Query) -> Result<u64, sea_orm::DbErr> {
        let counted = R::Entity::find().select_only().expr_as(Func::count(Expr::col(Asterisk)), "total");
        let total = self.asked::<R>(counted, scope, query).into_tuple::<i64>().one(self.read()).await?;
        Ok(total.unwrap_or_default().unsigned_abs())
    }

    fn asked<R: Listable>(&self, select: Select<R::Entity>, scope: &Scope, query: &Query) -> Select<R::Entity> {
        let Within { workspace_id, configuration_id, document_id } = query.within;
        let in_configuration = R::configuration_id().zip(configuration_id);
        let of_document = R::document_id().zip(document_id);
        let present = match query.within == Within::default() {
            true => present::<R>(scope),
            // Its reader has found the branch, so it is there. Large lists are counted quicker without the question.
            false => permitted(scope, R::workspace_column()).add_option(not_deleted::<R>()),
        };
        select
            .filter(present)
            .filter(Condition::all().add_option(workspace_id.map(|id| R::workspace_column().eq(id.to_string()))))
            .filter(Condition::all().add_option(in_configuration.map(|(column, id)| column.eq(id.to_string()))))
            .filter(Condition::all().add_option(of_document.map(|(column, id)| column.eq(id.to_string()))))
            .filter(condition::<R>(&query.filter, self.dialect()))
    }
}

/// Rows that are there for a caller: of a workspace that it may see, and not deleted.
pub fn present<R: Listable>(scope: &Scope) -> Condition {
    visible(scope, R::workspace_column()).add_option(not_deleted::<R>())
}

fn not_deleted<R: Listable>() -> Option<Expr> {
    R::deleted_at().map(|deleted_at| deleted_at.is_null())
}

/// Rows of the workspaces that a caller may see. Nobody sees what is in one that has been deleted.
pub fn visible<C: ColumnTrait>(scope: &Scope, workspace_id: C) -> Condition {
    let deleted = workspace::Entity::find()
        .select_only()
        .column(workspace::Column::Id)
        .filter(workspace::Column::DeletedAt.is_not_null());
    permitted(scope, workspace_id).add(workspace_id.not_in_subquery(deleted.into_query()))
}

/// As [`visible`], also of deleted workspaces: what is kept for good, such as costs.
pub fn permitted<C: ColumnTrait>(scope: &Scope, workspace_id: C) -> Condition {
    match scope {
        Scope::All => Condition::all(),
        Scope::Only(list) => Condition::all().add(workspace_id.is_in(list.iter().map(WorkspaceId::to_string))),
    }
}

fn records<R: Listable>(rows: Vec<<R::Entity as EntityTrait>::Model>) -> Result<Vec<R>, StoreError> {
    rows.into_iter().map(R::record).collect()
}

fn place_of<R: Listable>(row: &<R::Entity as EntityTrait>::Model, order: &Order) -> Place {
    let value = |field| match row.get(column_of::<R>(field)) {
        SqlValue::String(text) => text.map(Value::Text),
        SqlValue::ChronoDateTimeUtc(time) => time.map(Value::Time),
        other => unreachable!("no list is sorted by {other:?}"),
    };
    order.keys().iter().map(|key| value(key.field)).collect()
}

/// Where nulls stand, as far as it must be said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nulls {
    Last,
    /// There are none in the first key. An index then gives the order by itself.
    NotInFirstKey,
}

fn ordered<R: Listable>(mut select: Select<R::Entity>, keys: &[Sort], nulls: Nulls) -> Select<R::Entity> {
    for (index, key) in keys.iter().enumerate() {
        let towards = match key.direction {
            Direction::Ascending => Towards::Asc,
            Direction::Descending => Towards::Desc,
        };
        let may_be_null = key.field.may_be_missing() && !(index == 0 && nulls == Nulls::NotInFirstKey);
        select = match may_be_null {
            true => select.order_by_with_nulls(sorted::<R>(key.field), towards, NullOrdering::Last),
            false => select.order_by(sorted::<R>(key.field), towards),
        };
    }
    select
}

/// Rows that are walked along, in the order of these keys.
struct Walk<'a> {
    rows: Condition,
    keys: &'a [Sort],
    nulls: Nulls,
}

/// The walks that, one after the other, give the rows behind a place.
fn walks<'a, R: Listable>(order: &'a Order, place: Option<&Place>) -> Vec<Walk<'a>> {
    let keys = order.keys();
    let (first, column) = (keys[0], sorted::<R>(keys[0].field));
    let with = |rows: Condition| Walk { rows, keys, nulls: Nulls::NotInFirstKey };
    let without = |rows: Condition| {
        let rows = Condition::all().add(column.clone().is_null()).add(rows);
        Walk { rows, keys: &keys[1..], nulls: Nulls::Last }
    };
    match place {
        None if !first.field.may_be_missing() => vec![with(Condition::all())],
        None => vec![with(column.clone().is_not_null().into()), without(Condition::all())],
        Some(place) => match &place[0] {
            None => vec![without(behind::<R>(&keys[1..], &place[1..]))],
            Some(value) => {
                // Says nothing new, but is what an index can begin at.
                let bound = match first.direction {
                    Direction::Ascending => column.clone().gte(sql(value)),
                    Direction::Descending => column.clone().lte(sql(value)),
                };
                let rest = with(Condition::all().add(bound).add(behind::<R>(keys, place)));
                let last = first.field.may_be_missing().then(|| without(Condition::all()));
                [rest].into_iter().chain(last).collect()
            }
        },
    }
}

/// Rows that come after these values in the order of these keys.
fn behind<R: Listable>(keys: &[Sort], values: &[Option<Value>]) -> Condition {
    let mut any = Condition::any();
    let Some(((key, value), (later_keys, later_values))) = split(keys, values) else { return any };
    let column = sorted::<R>(key.field);
    let same = match value {
        None => column.clone().is_null(),
        Some(value) => {
            any = any.add(match key.direction {
                Direction::Ascending => column.clone().gt(sql(value)),
                Direction::Descending => column.clone().lt(sql(value)),
            });
            if key.field.may_be_missing() {
                any = any.add(column.clone().is_null());
            }
            column.eq(sql(value))
        }
    };
    if later_keys.is_empty() {
        any
    } else {
        any.add(Condition::all().add(same).add(behind::<R>(later_keys, later_values)))
    }
}

type Split<'a> = ((&'a Sort, &'a Option<Value>), (&'a [Sort], &'a [Option<Value>]));

fn split<'a>(keys: &'a [Sort], values: &'a [Option<Value>]) -> Option<Split<'a>> {
    let (key, later_keys) = keys.split_first()?;
    let (value, later_values) = values.split_first()?;
    Some(((key, value), (later_keys, later_values)))
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait, DbBackend, Statement};

    use super::*;
    use crate::domain::DocumentId;
    use crate::domain::list::{Comparison, Filter, RUNS, Test};
    use crate::domain::run::Run;
    use crate::store::fixture::TestStore;

    async fn plan(store: &Store, query: &Query) -> String {
        let select =
            ordered::<Run>(store.asked::<Run>(Run::select(), &Scope::All, query), query.order.keys(), Nulls::Last);
        let Statement { sql, values, .. } = select.limit(50).build(DbBackend::Sqlite);
        let explain = Statement { sql: format!("EXPLAIN QUERY PLAN {sql}"), values, db_backend: DbBackend::Sqlite };
        let steps = store.read().query_all_raw(explain).await.unwrap();
        steps.iter().map(|step| step.try_get::<String>("", "detail").unwrap()).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn sqlite_goes_by_the_index_that_leads_to_the_fewest_rows() {
        let (store, configuration) = TestStore::furnished().await;
        if store.dialect() != DbBackend::Sqlite {
            return;
        }
        let text = |text: &str| Value::Text(text.into());
        let is = |value| Test::Compare(Comparison::Eq, value);
        for (filter, index) in [
            (Filter::everything(), "idx_runs_workspace_id_created_at_id"),
            (Filter::Test(Field::Status, is(text("failed"))), "idx_runs_workspace_id_status"),
            (Filter::Test(Field::StartedAt, Test::Empty), "idx_runs_workspace_id_started_at"),
            (Filter::Test(Field::HasOutput, is(Value::Flag(false))), "idx_runs_workspace_id_has_output"),
            (
                Filter::Test(Field::InputDocumentId, is(Value::Text(DocumentId::generate().to_string()))),
                "autoindex_runs",
            ),
        ] {
            let within = Within { workspace_id: Some(configuration.workspace_id), ..Within::default() };
            let plan = plan(&store, &Query { within, filter: filter.clone(), ..Query::all(RUNS.order) }).await;
            assert!(plan.contains(index), "{filter:?}: {plan}");
        }
        for (field, index) in [(Field::StartedAt, "started_at"), (Field::CompletedAt, "completed_at")] {
            for direction in [Direction::Ascending, Direction::Descending] {
                let within = Within { workspace_id: Some(configuration.workspace_id), ..Within::default() };
                let plan = plan(&store, &Query { within, ..Query::all(Sort { field, direction }) }).await;
                assert!(plan.contains(index) && !plan.contains("TEMP"), "{field}: {plan}");
            }
        }
    }
}
