//! The nodes that share this database. A program one migration older is none of them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(nodes()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("nodes").to_owned()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn nodes() -> TableCreateStatement {
    Table::create()
        .table("nodes")
        .col(text("node_id").primary_key())
        .col(text("name"))
        .col(text("cluster"))
        .col(text("address"))
        .col(text("version"))
        .col(text("journal"))
        .col(text("state"))
        .col(timestamp_with_time_zone("started_at"))
        .col(timestamp_with_time_zone("seen_at"))
        .col(big_integer("epoch").default(0))
        .to_owned()
}
