//! The ledger: every call of a language model.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(llm_calls()).await?;
        for (name, columns) in INDEXES {
            let mut index = Index::create();
            index.name(format!("idx_llm_calls_{name}")).table("llm_calls");
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("llm_calls").to_owned()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn llm_calls() -> TableCreateStatement {
    Table::create()
        .table("llm_calls")
        .col(text("id").primary_key())
        .col(text("workspace_id"))
        .col(text("execution_id"))
        .col(text("workflow_id"))
        .col(text("scope_type"))
        .col(text("scope_id"))
        .col(text("step_id"))
        .col(text_null("item"))
        .col(big_integer("attempt"))
        .col(text("provider"))
        .col(text("model"))
        .col(big_integer("input_tokens"))
        .col(big_integer("output_tokens"))
        .col(big_integer("cache_read_tokens"))
        .col(big_integer("cache_write_tokens"))
        .col(big_integer("latency_ms"))
        .col(big_integer_null("cost_micro_usd"))
        .col(text("status"))
        .col(text_null("error_type"))
        .col(timestamp_with_time_zone("started_at"))
        .col(timestamp_with_time_zone("completed_at"))
        .col(text("day"))
        .foreign_key(ForeignKey::create().from("llm_calls", "workspace_id").to("workspaces", "id"))
        .to_owned()
}

/// Sums are over days of a workspace, over an execution, and over a workflow.
const INDEXES: [(&str, &[&str]); 3] = [
    ("day", &["workspace_id", "day"]),
    ("execution", &["execution_id"]),
    ("workflow", &["workspace_id", "workflow_id"]),
];
