//! When configurations and workspaces were deleted, when configurations were published, and which workspace is whose
//! default.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, name) in COLUMNS {
            let column = timestamp_with_time_zone_null(name).to_owned();
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
        }
        for (name, table) in INDEXES {
            manager.create_index(of_deleted(name, table)).await?;
        }
        manager.create_table(default_workspaces()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("default_workspaces").to_owned()).await?;
        for (name, _) in INDEXES {
            manager.drop_index(Index::drop().name(name).to_owned()).await?;
        }
        for (table, name) in COLUMNS {
            manager.alter_table(Table::alter().table(table).drop_column(name).to_owned()).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// A program one migration older leaves all of them null, and takes what is published for a draft.
const COLUMNS: [(&str, &str); 4] = [
    ("configurations", "published_at"),
    ("configurations", "deleted_at"),
    ("configurations", "files_removed_at"),
    ("workspaces", "deleted_at"),
];

/// Few rows are in these. That of workspaces is asked by every query: what is in a deleted one is not there.
const INDEXES: [(&str, &str); 2] =
    [("idx_configurations_deleted", "configurations"), ("idx_workspaces_deleted", "workspaces")];

fn of_deleted(name: &'static str, table: &'static str) -> IndexCreateStatement {
    let those = Expr::col("deleted_at").is_not_null();
    Index::create().name(name).table(table).col("deleted_at").col("id").cond_where(those).to_owned()
}

fn default_workspaces() -> TableCreateStatement {
    Table::create()
        .table("default_workspaces")
        .col(text("caller").primary_key())
        .col(text("workspace_id"))
        .foreign_key(ForeignKey::create().from("default_workspaces", "workspace_id").to("workspaces", "id"))
        .to_owned()
}
