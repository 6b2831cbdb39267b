//! The schema and the binary: which is older, and what may be done about it.
//!
//! Law: the two are compared before the migrator is called, since it refuses every schema that it does not know.
//! A newer schema is a fact to report, not a failure, so that the binary can be rolled back alone.

use migration::{Migrator, MigratorTrait};
use sea_orm::DbErr;

use super::{MigrateError, Store, StoreError};

/// The migrations of the database against those of the binary, by name and oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaStatus {
    pub applied: Vec<String>,
    /// Known to the binary, not yet in the database.
    pub pending: Vec<String>,
    /// In the database, not known to the binary: a newer version has been here.
    pub unknown: Vec<String>,
}

impl SchemaStatus {
    /// The first unknown migration that says of itself that an older binary cannot work with its schema.
    pub fn breaking(&self) -> Option<&str> {
        self.unknown.iter().find(|name| name.contains("_breaking_")).map(String::as_str)
    }
}

impl Store {
    /// Compares, and changes nothing, not even in an empty database.
    pub async fn migration_status(&self) -> Result<SchemaStatus, StoreError> {
        Ok(self.compare().await?)
    }

    /// Brings the schema up to the binary and tells where it then stands. `unknown` is not empty when it is ahead.
    pub async fn migrate(&self) -> Result<SchemaStatus, MigrateError> {
        self.migrate_up(None).await
    }

    /// As [`Store::migrate`], but at most `steps`.
    pub async fn migrate_up(&self, steps: Option<u32>) -> Result<SchemaStatus, MigrateError> {
        let status = self.compare().await?;
        if let Some(name) = status.breaking() {
            return Err(MigrateError::Breaking { name: name.to_owned() });
        }
        match (status.unknown.first(), status.pending.first()) {
            (_, None) => return Ok(status),
            (Some(unknown), Some(pending)) => {
                return Err(MigrateError::Diverged { unknown: unknown.clone(), pending: pending.clone() });
            }
            (None, Some(_)) => Migrator::up(&*self.write().await, steps).await?,
        }
        Ok(self.compare().await?)
    }

    /// Takes back the last `steps` migrations, and their data with them.
    pub async fn migrate_down(&self, steps: u32) -> Result<SchemaStatus, MigrateError> {
        if let Some(name) = self.compare().await?.unknown.pop() {
            return Err(MigrateError::Newer { name });
        }
        Migrator::down(&*self.write().await, Some(steps)).await?;
        Ok(self.compare().await?)
    }

    async fn compare(&self) -> Result<SchemaStatus, DbErr> {
        let known = migration::known();
        let had = migration::applied(self.read()).await?;
        let (applied, unknown) = had.into_iter().partition::<Vec<_>, _>(|name| known.contains(name));
        let pending = known.into_iter().filter(|name| !applied.contains(name)).collect();
        Ok(SchemaStatus { applied, pending, unknown })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, Iden, Iterable, Statement};

    use super::*;
    use crate::store::fixture::TestStore;

    /// Rows of a query, each as the texts of two of its columns.
    async fn pairs(store: &Store, sql: &str, columns: [&str; 2]) -> BTreeMap<String, String> {
        let statement = Statement::from_string(sea_orm::DbBackend::Sqlite, sql);
        let rows = store.read().query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| (row.try_get("", columns[0]).unwrap(), row.try_get("", columns[1]).unwrap())).collect()
    }

    async fn schema(store: &Store) -> BTreeMap<String, String> {
        let sql = "select name, sql from sqlite_master where sql is not null and name not like 'seaql%'";
        pairs(store, sql, ["name", "sql"]).await
    }

    async fn pretend_applied(store: &Store, name: &str) {
        let sql = format!("insert into seaql_migrations (version, applied_at) values ('{name}', 0)");
        store.read().execute_unprepared(&sql).await.unwrap();
    }

    #[tokio::test]
    async fn the_schema_goes_up_and_down_and_up_the_same() {
        let store = TestStore::blank().await;
        assert_eq!(store.migration_status().await.unwrap().applied, [""; 0]);
        assert_eq!(pairs(&store, "select name, type from sqlite_master", ["name", "type"]).await, BTreeMap::new());

        let up = store.migrate().await.unwrap();
        assert_eq!((up.applied, up.pending.len(), up.unknown.len()), (migration::known(), 0, 0));
        let first = schema(&store).await;
        assert!(first.contains_key("runs") && first.contains_key("idx_runs_status"), "{first:?}");

        let down = store.migrate_down(migration::known().len() as u32).await.unwrap();
        assert_eq!((down.applied.len(), down.pending), (0, migration::known()));
        assert_eq!(schema(&store).await, BTreeMap::new());

        store.migrate_up(None).await.unwrap();
        assert_eq!(schema(&store).await, first);
    }

    #[tokio::test]
    async fn the_schema_has_the_columns_of_the_entities_and_no_others() {
        let store = TestStore::open().await;
        assert_same_columns(&store, entity::workspace::Entity).await;
        assert_same_columns(&store, entity::configuration::Entity).await;
        assert_same_columns(&store, entity::document::Entity).await;
        assert_same_columns(&store, entity::build::Entity).await;
        assert_same_columns(&store, entity::run::Entity).await;
        assert_same_columns(&store, entity::feed_origin::Entity).await;
    }

    async fn assert_same_columns<E: EntityTrait>(store: &Store, entity: E) {
        let name = |not_null: bool| if not_null { "1" } else { "0" }.to_owned();
        let table = entity.table_name();
        let sql = format!("select name, cast(\"notnull\" as text) as required from pragma_table_info('{table}')");
        let expected: BTreeMap<_, _> =
            E::Column::iter().map(|column| (column.unquoted().to_owned(), name(!column.def().is_null()))).collect();
        assert_eq!(pairs(store, &sql, ["name", "required"]).await, expected, "{table}");
    }

    #[tokio::test]
    async fn a_newer_schema_is_reported_and_left_alone() {
        let store = TestStore::open().await;
        pretend_applied(&store, "m20990101_000001_add_wings").await;
        let status = store.migrate().await.unwrap();
        assert_eq!(status.unknown, ["m20990101_000001_add_wings"]);
        assert_eq!(status.breaking(), None);
        assert!(matches!(store.migrate_down(1).await, Err(MigrateError::Newer { .. })));
    }

    #[tokio::test]
    async fn a_breaking_schema_is_refused() {
        let store = TestStore::open().await;
        pretend_applied(&store, "m20990101_000001_breaking_split_runs").await;
        assert!(matches!(store.migrate().await, Err(MigrateError::Breaking { .. })));
    }

    #[tokio::test]
    async fn a_schema_of_another_line_is_refused() {
        let store = TestStore::open().await;
        store.migrate_down(1).await.unwrap();
        pretend_applied(&store, "m20990101_000001_add_wings").await;
        assert!(matches!(store.migrate().await, Err(MigrateError::Diverged { .. })));
    }
}
