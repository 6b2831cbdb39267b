//! All rows, from one database to another, of whatever kinds the two are: how a backup of PostgreSQL becomes a file, and
//! how a file becomes rows of PostgreSQL.
//!
//! Law: what is read is of one moment; what is written is there as a whole or not at all, and never beside other rows.

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, IntoActiveModel, Iterable, ModelTrait,
    PrimaryKeyToColumn, QueryFilter, QueryOrder, QuerySelect,
};

use super::{MigrateError, SchemaStatus, Store, StoreError};

/// Rows that are in memory at a time.
const AT_ONCE: u64 = 200;
/// Of tables in which a row may have megabytes.
const FEW_AT_ONCE: u64 = 8;
const LARGE: [&str; 5] = ["documents", "executions", "runs", "workflow_document_versions", "workflow_revisions"];

/// Rows were not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("the database has rows already; they are restored into one that has none")]
    NotEmpty,
    #[error("the schema is that of an older release; rows are restored into a database in which nothing was ever made")]
    Older,
    /// What this release does not know it would leave out.
    #[error("the schema has {0}, which this release does not know: use the release that made it")]
    Unknown(String),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DbErr> for CopyError {
    fn from(error: DbErr) -> Self {
        Self::Store(error.into())
    }
}

/// For every table, those first to which others refer; but for `nodes`, who are at work with this database and with no copy
/// of it, and `feed_owners`, which says which of them has what.
macro_rules! each_table {
    ($table:ident => $body:expr) => {
        each_table!(@ $table => $body;
            workspace default_workspace configuration document document_tag stored_file build run run_document system_setting
            api_key access_grant member person person_grant workflow workflow_revision workflow_document
            workflow_document_version execution idempotency_key feed_origin llm_call)
    };
    (@ $table:ident => $body:expr; $($name:ident)*) => {
        $({ type $table = entity::$name::Entity; $body; })*
    };
}

impl Store {
    /// Whether it is a file of SQLite, of which [`Store::snapshot`] makes a copy.
    pub fn is_file(&self) -> bool {
        self.dialect() == DbBackend::Sqlite
    }

    /// Refuses a database in which there is anything, before rows are brought for it.
    pub async fn prepare_empty(&self) -> Result<(), CopyError> {
        self.prepare().await?;
        let moment = self.moment().await?;
        let has_rows = has_rows(&moment).await?;
        moment.rollback().await?;
        if has_rows { Err(CopyError::NotEmpty) } else { Ok(()) }
    }

    /// A database in which nothing was ever made gets the schema; that of another release is not touched, since somebody
    /// may be using it.
    async fn prepare(&self) -> Result<(), CopyError> {
        let status = self.known_schema().await?;
        if !status.applied.is_empty() && !status.pending.is_empty() {
            return Err(CopyError::Older);
        }
        self.migrate().await?;
        Ok(())
    }

    /// Only what this binary knows is copied, so nothing may be there that it does not know.
    async fn known_schema(&self) -> Result<SchemaStatus, CopyError> {
        let status = self.migration_status().await?;
        match status.unknown.first() {
            Some(name) => Err(CopyError::Unknown(name.clone())),
            None => Ok(status),
        }
    }

    /// Copies all rows into a database that has none. Both have the schema of this binary afterwards; this one has it
    /// before, too. Gives the number of rows.
    pub async fn copy_into(&self, to: &Self) -> Result<u64, CopyError> {
        self.known_schema().await?;
        to.prepare().await?;
        let from = self.moment().await?;
        let writer = to.write().await;
        let into = writer.begin().await?;
        let mut rows = 0;
        let has_rows = has_rows(&into).await?;
        if !has_rows {
            each_table!(Table => rows += copy::<Table>(&from, &into).await?);
        }
        into.commit().await?;
        from.rollback().await?;
        if has_rows { Err(CopyError::NotEmpty) } else { Ok(rows) }
    }
}

async fn has_rows(within: &DatabaseTransaction) -> Result<bool, DbErr> {
    each_table!(Table => if Table::find().one(within).await?.is_some() { return Ok(true); });
    Ok(false)
}

/// By the primary key, so that no page has to be looked for.
async fn copy<E>(from: &DatabaseTransaction, into: &DatabaseTransaction) -> Result<u64, DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: Send,
{
    let at_once = if LARGE.contains(&E::default().table_name()) { FEW_AT_ONCE } else { AT_ONCE };
    let (mut after, mut copied) = (None, 0);
    loop {
        let rows = page::<E>(after.as_ref(), at_once).all(from).await?;
        let Some(last) = rows.last() else { return Ok(copied) };
        after = Some(last.clone());
        copied += rows.len() as u64;
        let rows = rows.into_iter().map(|row| row.into_active_model().reset_all());
        E::insert_many(rows).exec_without_returning(into).await?;
    }
}

fn page<E: EntityTrait>(after: Option<&E::Model>, at_once: u64) -> sea_orm::Select<E> {
    let keys: Vec<E::Column> = E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column).collect();
    let select = keys.iter().fold(E::find().limit(at_once), |select, key| select.order_by_asc(*key));
    let Some(after) = after else { return select };
    let names = keys.iter().map(|key| Expr::col((E::default(), *key)));
    let values = keys.iter().map(|key| Expr::value(after.get(*key)));
    select.filter(Expr::tuple(names).gt(Expr::tuple(values)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sea_orm::{ConnectionTrait, EntityName, Statement};

    use super::*;
    use crate::domain::list::Query;
    use crate::domain::principal::Scope;
    use crate::domain::run::Run;
    use crate::store::fixture::{TestStore, at, execution, run, workflow};

    async fn file(folder: &tempfile::TempDir, name: &str) -> Store {
        Store::connect(&format!("sqlite://{}", folder.path().join(name).display()), 2).await.unwrap()
    }

    /// Every row of every table, as text.
    async fn contents(store: &Store) -> Vec<String> {
        let mut all = Vec::new();
        let moment = store.moment().await.unwrap();
        each_table!(Table => {
            let mut rows: Vec<_> = Table::find().all(&moment).await.unwrap().iter().map(|row| format!("{row:?}")).collect();
            rows.sort_unstable();
            all.extend(rows);
        });
        moment.rollback().await.unwrap();
        all
    }

    #[tokio::test]
    async fn rows_go_to_a_file_and_back_and_are_what_they_were() {
        let (store, own) = TestStore::furnished().await;
        let folder = tempfile::tempdir().unwrap();
        store.insert_workflow(own.workspace_id, &workflow("plan"), at(1)).await.unwrap();
        store.insert(&execution(own.workspace_id, "plan"), None).await.unwrap();
        // More than one page.
        for _ in 0..(AT_ONCE + 3) {
            store.insert(&run(&own), None).await.unwrap();
        }
        let before = contents(&store).await;
        let copy = file(&folder, "copy.db").await;
        assert_eq!(store.copy_into(&copy).await.unwrap(), before.len() as u64);
        assert_eq!(contents(&copy).await, before);
        assert!(matches!(store.copy_into(&copy).await, Err(CopyError::NotEmpty)), "never beside other rows");
        assert!(matches!(copy.prepare_empty().await, Err(CopyError::NotEmpty)));
        assert_eq!(contents(&copy).await, before);

        let again = TestStore::blank().await;
        again.prepare_empty().await.unwrap();
        copy.copy_into(&again).await.unwrap();
        assert_eq!(contents(&again).await, before);
    }

    #[tokio::test]
    async fn the_schema_of_another_release_is_neither_changed_nor_copied_in_part() {
        let older = TestStore::blank().await;
        older.migrate_up(Some(3)).await.unwrap();
        let before = older.migration_status().await.unwrap();
        assert!(matches!(older.prepare_empty().await, Err(CopyError::Older)));
        assert_eq!(older.migration_status().await.unwrap().applied, before.applied);

        let (newer, _) = TestStore::furnished().await;
        let sql = "insert into seaql_migrations (version, applied_at) values ('m20990101_000001_add_wings', 0)";
        newer.write().await.execute_unprepared(sql).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let copy = file(&folder, "copy.db").await;
        assert!(matches!(newer.copy_into(&copy).await, Err(CopyError::Unknown(name)) if name.ends_with("add_wings")));
        assert_eq!(copy.migration_status().await.unwrap().applied, [""; 0]);
    }

    #[tokio::test]
    async fn what_is_copied_is_of_one_moment() {
        let (store, own) = TestStore::furnished().await;
        let moment = store.moment().await.unwrap();
        assert!(has_rows(&moment).await.unwrap());
        store.insert(&run(&own), None).await.unwrap();
        assert_eq!(entity::run::Entity::find().all(&moment).await.unwrap(), []);
        let listed = store.page::<Run>(&Scope::All, &Query::all(crate::domain::list::RUNS.order), 1, 10).await;
        assert_eq!(listed.unwrap().total, 1);
        moment.rollback().await.unwrap();
    }

    #[tokio::test]
    async fn no_table_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = file(&folder, "all.db").await;
        store.migrate().await.unwrap();
        let sql = "select name from sqlite_master where type = 'table' and name not like 'sqlite%'";
        let rows = store.read().query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
        let mut there: BTreeSet<String> = rows.iter().map(|row| row.try_get("", "name").unwrap()).collect();
        // The migrator's own, and the one of the kind of work that only tests have.
        there.retain(|name| {
            !name.starts_with("seaql")
                && !name.starts_with("probe")
                && !["nodes", "feed_owners"].contains(&name.as_str())
        });
        let mut copied = BTreeSet::new();
        each_table!(Table => copied.insert(Table::default().table_name().to_owned()));
        assert_eq!(copied, there);
        for name in LARGE {
            assert!(there.contains(name), "{name}");
        }
    }
}
