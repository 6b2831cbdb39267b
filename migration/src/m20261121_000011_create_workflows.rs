//! Workflows, and the definition that each had at each revision.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(workflows()).await?;
        manager.create_table(revisions()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["workflow_revisions", "workflows"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn workflows() -> TableCreateStatement {
    Table::create()
        .table("workflows")
        .col(text("workspace_id"))
        .col(text("workflow_id"))
        .col(big_integer("revision"))
        .col(text("name"))
        .col(text("description"))
        .col(big_integer("step_count"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .primary_key(Index::create().col("workspace_id").col("workflow_id"))
        .foreign_key(ForeignKey::create().from("workflows", "workspace_id").to("workspaces", "id"))
        .to_owned()
}

/// They outlive their workflow: an execution keeps the revision that it began with.
fn revisions() -> TableCreateStatement {
    Table::create()
        .table("workflow_revisions")
        .col(text("workspace_id"))
        .col(text("workflow_id"))
        .col(big_integer("revision"))
        .col(json("definition"))
        .col(timestamp_with_time_zone("created_at"))
        .primary_key(Index::create().col("workspace_id").col("workflow_id").col("revision"))
        .foreign_key(ForeignKey::create().from("workflow_revisions", "workspace_id").to("workspaces", "id"))
        .to_owned()
}
