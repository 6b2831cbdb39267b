//! The schema and the binary: which is older, and what may be done about it.
//!
//! Law: the two are compared before the migrator is called, since it refuses every schema that it does not know.
//! A newer schema is a fact to report, not a failure, so that the binary can be rolled back alone.

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr};

use super::database::Writer;
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

    /// Brings the schema up to the binary and returns where it then stands. `unknown` is not empty when it is ahead.
    pub async fn migrate(&self) -> Result<SchemaStatus, MigrateError> {
        let status = self.migrate_up(None).await?;
        // The kind of work that only tests have belongs to no migration.
        #[cfg(test)]
        {
            let writer = self.write().await;
            let change = alone(&writer).await?;
            crate::registry::kinds::probe::create_table(&change).await?;
            change.commit().await?;
        }
        Ok(status)
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
            (None, Some(_)) => {
                let writer = self.write().await;
                let change = alone(&writer).await?;
                Migrator::up(&change, steps).await?;
                change.commit().await?;
            }
        }
        Ok(self.compare().await?)
    }

    /// Takes back the last `steps` migrations, and their data with them.
    pub async fn migrate_down(&self, steps: u32) -> Result<SchemaStatus, MigrateError> {
        if let Some(name) = self.compare().await?.unknown.pop() {
            return Err(MigrateError::Newer { name });
        }
        let writer = self.write().await;
        let change = alone(&writer).await?;
        Migrator::down(&change, Some(steps)).await?;
        change.commit().await?;
        drop(writer);
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

/// Of several programs that start at once only one changes the schema; the others wait and find it done.
async fn alone(writer: &Writer<'_>) -> Result<DatabaseTransaction, DbErr> {
    let change = writer.begin().await?;
    if change.get_database_backend() == DbBackend::Postgres {
        change.execute_unprepared("SELECT pg_advisory_xact_lock(4702111482)").await?;
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sea_orm::{ColumnTrait, EntityTrait, Iden, Iterable, Statement};

    use super::*;
    use crate::store::fixture::{self, TestStore, run};

    /// Rows of a query, each as the texts of two of its columns.
    async fn pairs(store: &Store, sql: &str, columns: [&str; 2]) -> BTreeMap<String, String> {
        let rows = store.read().query_all_raw(Statement::from_string(store.dialect(), sql)).await.unwrap();
        rows.iter().map(|row| (row.try_get("", columns[0]).unwrap(), row.try_get("", columns[1]).unwrap())).collect()
    }

    const ON_SQLITE: &str = "select name, sql as definition from sqlite_master where sql is not null";
    /// Columns, indexes and constraints.
    const ON_POSTGRES: &str = "
        select table_name || '.' || column_name as name,
               concat_ws(' ', data_type, is_nullable, column_default, collation_name) as definition
            from information_schema.columns where table_schema = current_schema()
        union all select indexname, indexdef from pg_indexes where schemaname = current_schema()
        union all select conname, pg_get_constraintdef(oid) from pg_constraint
            where connamespace = current_schema()::regnamespace";

    /// All that is there but the migrator's own table, by name.
    async fn schema(store: &Store) -> BTreeMap<String, String> {
        let sql = if store.dialect() == DbBackend::Sqlite { ON_SQLITE } else { ON_POSTGRES };
        let mut all = pairs(store, sql, ["name", "definition"]).await;
        all.retain(|name, _| !name.starts_with("seaql"));
        all
    }

    async fn pretend_applied(store: &Store, name: &str) {
        let sql = format!("insert into seaql_migrations (version, applied_at) values ('{name}', 0)");
        store.read().execute_unprepared(&sql).await.unwrap();
    }

    #[tokio::test]
    async fn the_schema_goes_up_and_down_and_up_the_same() {
        let store = TestStore::blank().await;
        assert_eq!(store.migration_status().await.unwrap().applied, [""; 0]);
        assert_eq!(schema(&store).await, BTreeMap::new());
        assert!(migration::applied(store.read()).await.unwrap().is_empty(), "looking makes no table");

        let up = store.migrate_up(None).await.unwrap();
        assert_eq!((up.applied, up.pending.len(), up.unknown.len()), (migration::known(), 0, 0));
        let first = schema(&store).await;
        assert!(
            first.contains_key("idx_runs_status") && first.contains_key("idx_configurations_one_active"),
            "{first:?}"
        );

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
        assert_same_columns(&store, entity::document_tag::Entity).await;
        assert_same_columns(&store, entity::default_workspace::Entity).await;
        assert_same_columns(&store, entity::build::Entity).await;
        assert_same_columns(&store, entity::run::Entity).await;
        assert_same_columns(&store, entity::system_setting::Entity).await;
        assert_same_columns(&store, entity::idempotency_key::Entity).await;
        assert_same_columns(&store, entity::api_key::Entity).await;
        assert_same_columns(&store, entity::access_grant::Entity).await;
        assert_same_columns(&store, entity::person::Entity).await;
        assert_same_columns(&store, entity::person_grant::Entity).await;
        assert_same_columns(&store, entity::member::Entity).await;
        assert_same_columns(&store, entity::run_document::Entity).await;
        assert_same_columns(&store, entity::feed_origin::Entity).await;
        assert_same_columns(&store, entity::workflow_document::Entity).await;
        assert_same_columns(&store, entity::workflow_document_version::Entity).await;
        assert_same_columns(&store, entity::workflow::Entity).await;
        assert_same_columns(&store, entity::workflow_revision::Entity).await;
        assert_same_columns(&store, entity::execution::Entity).await;
        assert_same_columns(&store, entity::llm_call::Entity).await;
        assert_same_columns(&store, entity::node::Entity).await;
        assert_same_columns(&store, entity::feed_owner::Entity).await;
    }

    async fn assert_same_columns<E: EntityTrait>(store: &Store, entity: E) {
        let table = entity.table_name();
        let sql = match store.dialect() {
            DbBackend::Sqlite => format!(
                "select name, case \"notnull\" when 1 then 'NO' else 'YES' end as nullable \
                 from pragma_table_info('{table}')"
            ),
            _ => format!(
                "select column_name::text as name, is_nullable::text as nullable from information_schema.columns \
                 where table_schema = current_schema() and table_name = '{table}'"
            ),
        };
        let nullable = |column: &E::Column| if column.def().is_null() { "YES" } else { "NO" }.to_owned();
        let expected: BTreeMap<_, _> =
            E::Column::iter().map(|column| (column.unquoted().to_owned(), nullable(&column))).collect();
        assert_eq!(pairs(store, &sql, ["name", "nullable"]).await, expected, "{table}");
    }

    #[tokio::test]
    async fn many_programs_that_start_at_once_bring_the_schema_up_once() {
        let store = TestStore::blank().await;
        let mut others = Vec::new();
        for _ in 0..4 {
            others.push(store.another_handle().await);
        }
        let all = others.iter().map(|store| store.migrate());
        for status in futures_util::future::join_all(all).await {
            assert_eq!(status.unwrap().applied, migration::known());
        }
    }

    #[tokio::test]
    async fn runs_of_the_first_schema_are_found_by_their_documents_in_the_newest() {
        let (store, configuration) = TestStore::furnished().await;
        let mut run = run(&configuration);
        let inputs = [(); 2].map(|()| fixture::document(configuration.workspace_id));
        for input in &inputs {
            store.insert_document(input).await.unwrap();
        }
        run.options.document_ids = inputs.map(|input| input.id).into();
        store.insert(&run, None).await.unwrap();
        store.insert(&fixture::run(&configuration), None).await.unwrap();
        let rows = async || entity::run_document::Entity::find().all(store.read()).await.unwrap();
        let before = rows().await;
        assert_eq!(before.len(), 2);
        let first = migration::known().iter().position(|name| name.contains("_000002_")).unwrap();
        store.migrate_down((migration::known().len() - first) as u32).await.unwrap();
        store.migrate().await.unwrap();
        let mut after = rows().await;
        after.sort_by_key(|row| before.iter().position(|other| other == row));
        assert_eq!(after, before);
    }

    #[tokio::test]
    async fn idempotency_keys_keep_their_work_when_their_tables_are_joined_and_split() {
        use crate::domain::idempotency::{Claim, IdempotencyKey};
        let (store, configuration) = TestStore::furnished().await;
        let of = configuration.workspace_id;
        store.insert_workflow(of, &fixture::workflow("plan"), fixture::at(1)).await.unwrap();
        let (run, execution) = (run(&configuration), fixture::execution(of, "plan"));
        let claim = |digest: &str| Claim {
            caller: "a".into(),
            key: IdempotencyKey::parse(b"k").unwrap(),
            request_digest: digest.into(),
        };
        store.insert(&run, Some(&claim("r"))).await.unwrap();
        store.insert(&execution, Some(&claim("e"))).await.unwrap();
        let rows = async || entity::idempotency_key::Entity::find().all(store.read()).await.unwrap();
        let before = rows().await;
        let joined = migration::known().iter().position(|name| name.contains("_000014_")).unwrap();
        store.migrate_down((migration::known().len() - joined) as u32).await.unwrap();
        let split = pairs(
            &store,
            "select run_id as id, request_digest as digest from idempotency_keys
                union all select execution_id, request_digest from execution_idempotency_keys",
            ["id", "digest"],
        );
        let expected = [(run.id.to_string(), "r".to_owned()), (execution.id.to_string(), "e".to_owned())];
        assert_eq!(split.await, expected.into());
        store.migrate().await.unwrap();
        let mut after = rows().await;
        after.sort_by_key(|row| before.iter().position(|other| other == row));
        assert_eq!((after.len(), after), (2, before));
    }

    const NEEDS_ON_SQLITE: &str = "
        select tables.name || '.' || columns.name as name,
               case when columns.\"notnull\" = 1 and columns.dflt_value is null then 'required' else 'optional' end as need
            from sqlite_master as tables, pragma_table_info(tables.name) as columns where tables.type = 'table'";
    const NEEDS_ON_POSTGRES: &str = "
        select table_name || '.' || column_name as name,
               case when is_nullable = 'NO' and column_default is null then 'required' else 'optional' end as need
            from information_schema.columns where table_schema = current_schema()";

    /// All columns by `table.column`, and whether a new row must give them a value.
    async fn needs(store: &Store) -> BTreeMap<String, String> {
        let sql = if store.dialect() == DbBackend::Sqlite { NEEDS_ON_SQLITE } else { NEEDS_ON_POSTGRES };
        pairs(store, sql, ["name", "need"]).await
    }

    /// Why a program that knows only `older` could not read or write `newer`.
    fn obstacles(older: &BTreeMap<String, String>, newer: &BTreeMap<String, String>) -> Vec<String> {
        let table = |column: &str| column.split('.').next().unwrap_or_default().to_owned();
        let tables: std::collections::BTreeSet<_> = older.keys().map(|column| table(column)).collect();
        let gone = older.keys().filter(|column| !newer.contains_key(*column)).map(|column| format!("{column} is gone"));
        let required = newer.iter().filter(|(column, need)| {
            *need == "required" && tables.contains(&table(column)) && older.get(*column) != Some(need)
        });
        gone.chain(required.map(|(column, _)| format!("{column} has become required"))).collect()
    }

    #[tokio::test]
    async fn each_schema_can_be_used_by_a_program_one_migration_older() {
        let store = TestStore::blank().await;
        let mut older = BTreeMap::new();
        for name in migration::known() {
            store.migrate_up(Some(1)).await.unwrap();
            let newer = needs(&store).await;
            let obstacles = obstacles(&older, &newer);
            assert!(obstacles.is_empty() || name.contains("_breaking_"), "{name}: {obstacles:?}");
            older = newer;
        }
        assert!(older.len() > 50 && older["runs.id"] == "required", "{older:?}");
    }

    #[test]
    fn what_an_older_program_cannot_use_is_seen() {
        let of = |columns: &[(&str, &str)]| -> BTreeMap<String, String> {
            columns.iter().map(|(name, need)| ((*name).to_owned(), (*need).to_owned())).collect()
        };
        let older = of(&[("runs.id", "required"), ("runs.note", "optional")]);
        let wider =
            of(&[("runs.id", "required"), ("runs.note", "optional"), ("runs.x", "optional"), ("new.id", "required")]);
        assert_eq!(obstacles(&older, &wider), Vec::<String>::new());
        let narrower = of(&[("runs.id", "required"), ("runs.x", "required")]);
        assert_eq!(obstacles(&older, &narrower), ["runs.note is gone", "runs.x has become required"]);
        let tighter = of(&[("runs.id", "required"), ("runs.note", "required")]);
        assert_eq!(obstacles(&older, &tighter), ["runs.note has become required"]);
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
