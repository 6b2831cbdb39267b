//! What lists are filtered and sorted by: the documents of a run as rows, and an index for each way.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            collate(manager, "C").await?;
        }
        manager.create_table(run_documents()).await?;
        manager.get_connection().execute_unprepared(copy_of_options(manager.get_database_backend())).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for index in indexes() {
            let name = index.get_index_spec().get_name().unwrap_or_default().to_owned();
            manager.drop_index(Index::drop().name(name).to_owned()).await?;
        }
        manager.drop_table(Table::drop().table("run_documents").to_owned()).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
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

/// The columns in front are those that a list is limited to, the id at the end breaks ties.
fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("run_documents", &["document_id", "run_id"]),
        index("runs", &["workspace_id", "status", "created_at", "id"]),
        index("runs", &["configuration_id", "status", "created_at", "id"]),
        index("runs", &["workspace_id", "started_at", "id"]),
        index("runs", &["workspace_id", "completed_at", "id"]),
        index("builds", &["configuration_id", "status", "created_at", "id"]),
    ]
}

fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("idx_{table}_{}", columns.join("_"))).table(table);
    for column in columns {
        index.col(*column);
    }
    index
}
