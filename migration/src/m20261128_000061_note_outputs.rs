//! When the outputs of a run were noted for the object store. A program one migration older does not name the column when it adds
//! a row, and its runs are noted later.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::timestamp_with_time_zone_null;

const NAME: &str = "idx_runs_outputs_noted_at_id";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = timestamp_with_time_zone_null("outputs_noted_at");
        manager.alter_table(Table::alter().table("runs").add_column(column).to_owned()).await?;
        let index = Index::create().name(NAME).table("runs").col("outputs_noted_at").col("id").to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(NAME).table("runs").to_owned()).await?;
        manager.alter_table(Table::alter().table("runs").drop_column("outputs_noted_at").to_owned()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
