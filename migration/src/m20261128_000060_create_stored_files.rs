//! Which files an object store has, or is to have. A program one migration older knows nothing of it, and has the files that
//! are on its disk.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(stored_files()).await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            // By their bytes, so that what is below a directory is one range.
            let sql = r#"ALTER TABLE stored_files ALTER COLUMN path TYPE text COLLATE "C""#;
            manager.get_connection().execute_unprepared(sql).await?;
        }
        let by_state =
            Index::create().name("idx_stored_files_state").table("stored_files").col("state").col("path").to_owned();
        manager.create_index(by_state).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("stored_files").to_owned()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn stored_files() -> TableCreateStatement {
    Table::create()
        .table("stored_files")
        .col(text("path").primary_key())
        .col(text("workspace_id"))
        .col(big_integer("bytes"))
        .col(text("sha256"))
        .col(text("uploaded_by"))
        .col(text("state"))
        .col(timestamp_with_time_zone("changed_at"))
        .foreign_key(ForeignKey::create().from("stored_files", "workspace_id").to("workspaces", "id"))
        .to_owned()
}
