//! Requests that were answered under a key.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("idempotency_keys")
            .col(text("caller"))
            .col(text("key"))
            .col(text("request_digest"))
            .col(text("run_id"))
            .col(timestamp_with_time_zone("created_at"))
            .primary_key(Index::create().col("caller").col("key"))
            .foreign_key(ForeignKey::create().from("idempotency_keys", "run_id").to("runs", "id"))
            .to_owned();
        manager.create_table(table).await?;
        for column in ["created_at", "run_id"] {
            let name = format!("idx_idempotency_keys_{column}");
            manager.create_index(Index::create().name(name).table("idempotency_keys").col(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("idempotency_keys").to_owned()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
