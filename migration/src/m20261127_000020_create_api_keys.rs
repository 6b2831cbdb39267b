//! Keys of the interface, and what they were traded for: sessions of browsers and tickets for streams.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(keys()).await?;
        manager.create_table(grants()).await?;
        for column in ["key_id", "node_id"] {
            let name = format!("idx_access_grants_{column}");
            manager.create_index(Index::create().name(name).table("access_grants").col(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["access_grants", "api_keys"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn keys() -> TableCreateStatement {
    Table::create()
        .table("api_keys")
        .col(text("id").primary_key())
        .col(text("name"))
        .col(text("role"))
        .col(json_null("workspaces"))
        .col(text("secret_digest"))
        .col(text("created_by"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("expires_at"))
        .col(timestamp_with_time_zone_null("last_used_at"))
        .col(timestamp_with_time_zone_null("revoked_at"))
        .to_owned()
}

fn grants() -> TableCreateStatement {
    Table::create()
        .table("access_grants")
        .col(text("secret_digest").primary_key())
        .col(text("key_id"))
        .col(text_null("session_digest"))
        .col(text("node_id"))
        .col(text_null("stream"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("used_at"))
        .col(timestamp_with_time_zone("expires_at"))
        .foreign_key(ForeignKey::create().from("access_grants", "key_id").to("api_keys", "id"))
        .to_owned()
}
