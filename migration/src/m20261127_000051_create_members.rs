//! What keys and people may do in single workspaces. A program one migration older knows nothing of it, and allows what keys
//! and groups say.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(members()).await?;
        let of_holder = Index::create().name("idx_members_holder").table("members").col("holder").to_owned();
        manager.create_index(of_holder).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("members").to_owned()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn members() -> TableCreateStatement {
    Table::create()
        .table("members")
        .col(text("workspace_id"))
        .col(text("holder"))
        .col(text("role"))
        .col(text("added_by"))
        .col(timestamp_with_time_zone("added_at"))
        .primary_key(Index::create().col("workspace_id").col("holder"))
        .foreign_key(ForeignKey::create().from("members", "workspace_id").to("workspaces", "id"))
        .to_owned()
}
