//! What lists are filtered and sorted by: the documents of a run as rows, and an index for each way.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (database, dialect) = (manager.get_connection(), manager.get_database_backend());
        if dialect == DbBackend::Postgres {
            collate(manager, "C").await?;
        }
        let has_output = boolean("has_output").default(false).to_owned();
        manager.alter_table(Table::alter().table("runs").add_column(has_output).to_owned()).await?;
        database.execute_unprepared("UPDATE runs SET has_output = (CAST(output_paths AS text) <> '[]')").await?;
        manager.create_table(run_documents()).await?;
        database.execute_unprepared(copy_of_options(dialect)).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        if dialect == DbBackend::Sqlite {
            database.execute_unprepared(&statistics()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (database, dialect) = (manager.get_connection(), manager.get_database_backend());
        if dialect == DbBackend::Sqlite {
            // ANALYZE makes the second where SQLite was built with it.
            database.execute_unprepared("DROP TABLE IF EXISTS sqlite_stat1; DROP TABLE IF EXISTS sqlite_stat4").await?;
        }
        for (table, columns) in INDEXES {
            manager.drop_index(Index::drop().name(name(table, columns)).to_owned()).await?;
        }
        manager.drop_table(Table::drop().table("run_documents").to_owned()).await?;
        manager.alter_table(Table::alter().table("runs").drop_column("has_output").to_owned()).await?;
        if dialect == DbBackend::Postgres {
            collate(manager, "default").await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Texts that are sorted by, byte by byte as SQLite does it, whatever the locale of the PostgreSQL database.
const SORTED: [(&str, &str); 7] = [
    ("workspaces", "id"),
    ("configurations", "id"),
    ("documents", "id"),
    ("builds", "id"),
    ("builds", "status"),
    ("runs", "id"),
    ("runs", "status"),
];

async fn collate(manager: &SchemaManager<'_>, collation: &str) -> Result<(), DbErr> {
    for (table, column) in SORTED {
        let sql = format!(r#"ALTER TABLE {table} ALTER COLUMN {column} TYPE text COLLATE "{collation}""#);
        manager.get_connection().execute_unprepared(&sql).await?;
    }
    Ok(())
}

fn run_documents() -> TableCreateStatement {
    Table::create()
        .table("run_documents")
        .col(text("run_id"))
        .col(text("document_id"))
        .primary_key(Index::create().col("run_id").col("document_id"))
        .foreign_key(
            ForeignKey::create().from("run_documents", "run_id").to("runs", "id").on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}

/// The runs that are there already.
fn copy_of_options(dialect: DbBackend) -> &'static str {
    match dialect {
        DbBackend::Postgres => {
            "INSERT INTO run_documents (run_id, document_id) SELECT DISTINCT runs.id, document.id FROM runs \
             CROSS JOIN LATERAL json_array_elements_text(runs.options -> 'document_ids') AS document(id)"
        }
        _ => {
            "INSERT INTO run_documents (run_id, document_id) SELECT DISTINCT runs.id, document.value FROM runs, \
             json_each(runs.options, '$.document_ids') AS document"
        }
    }
}

type Columns = &'static [&'static str];

/// The columns in front are those that a list is limited to, then what it is sorted by, ending with the id, which
/// breaks ties. `created_at` behind it lets a list be counted, and sorted as usual, without a look at the rows.
const INDEXES: [(&str, Columns); 7] = [
    ("run_documents", &["document_id", "run_id"]),
    ("runs", &["workspace_id", "status", "created_at", "id"]),
    ("runs", &["configuration_id", "status", "created_at", "id"]),
    ("runs", &["workspace_id", "started_at", "id", "created_at"]),
    ("runs", &["workspace_id", "completed_at", "id", "created_at"]),
    ("runs", &["workspace_id", "has_output", "created_at", "id"]),
    ("builds", &["configuration_id", "status", "created_at", "id"]),
];

fn name(table: &str, columns: Columns) -> String {
    format!("idx_{table}_{}", columns.join("_"))
}

fn indexes() -> impl Iterator<Item = IndexCreateStatement> {
    INDEXES.iter().map(|(table, columns)| {
        let mut index = Index::create();
        index.name(name(table, columns)).table(*table);
        for column in *columns {
            index.col(*column);
        }
        index
    })
}

/// Without statistics SQLite takes it that a workspace has ten runs, and then walks through all of them, newest first,
/// whatever is asked for. These say once and for all what a large one looks like: rows, then how many of them share
/// the first column of an index, the first two, and so on. PostgreSQL finds out by itself.
const STATISTICS: [(&str, &str, &str); 12] = [
    ("runs", "sqlite_autoindex_runs_1", "100000 1"),
    ("runs", "idx_runs_workspace_id_created_at_id", "100000 20000 1 1"),
    ("runs", "idx_runs_configuration_id_created_at_id", "100000 5000 1 1"),
    ("runs", "idx_runs_status", "100000 20000"),
    ("runs", "idx_runs_workspace_id_status_created_at_id", "100000 20000 4000 1 1"),
    ("runs", "idx_runs_configuration_id_status_created_at_id", "100000 5000 1000 1 1"),
    ("runs", "idx_runs_workspace_id_started_at_id_created_at", "100000 20000 1 1 1"),
    ("runs", "idx_runs_workspace_id_completed_at_id_created_at", "100000 20000 1 1 1"),
    ("runs", "idx_runs_workspace_id_has_output_created_at_id", "100000 20000 10000 1 1"),
    ("run_documents", "sqlite_autoindex_run_documents_1", "100000 1 1"),
    ("run_documents", "idx_run_documents_document_id_run_id", "100000 3 1"),
    ("documents", "sqlite_autoindex_documents_1", "30000 1"),
];

fn statistics() -> String {
    let rows: Vec<_> =
        STATISTICS.iter().map(|(table, index, shape)| format!("('{table}', '{index}', '{shape}')")).collect();
    format!(
        "ANALYZE sqlite_schema; \
         DELETE FROM sqlite_stat1 WHERE tbl IN ('runs', 'run_documents', 'documents'); \
         INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES {}; \
         ANALYZE sqlite_schema",
        rows.join(", ")
    )
}
