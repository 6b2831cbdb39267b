//! What retention has made of the log of a run or a build.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text;

const TABLES: [&str; 2] = ["runs", "builds"];

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            // An older binary does not name the column when it adds a row.
            let column = text("log_state").default("plain").to_owned();
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
            manager.create_index(index(table)).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            manager.drop_index(Index::drop().name(index_name(table)).table(table).to_owned()).await?;
            manager.alter_table(Table::alter().table(table).drop_column("log_state").to_owned()).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// What is due is found by state and age.
fn index(table: &'static str) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(index_name(table)).table(table).col("log_state").col("completed_at").col("id");
    index
}

fn index_name(table: &str) -> String {
    format!("idx_{table}_log_state_completed_at_id")
}
