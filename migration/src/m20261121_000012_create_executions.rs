//! Executions of workflows, and the requests that made them under a key.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(executions()).await?;
        manager.create_table(keys()).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            // Sorted by, byte by byte as SQLite does it.
            let sql = r#"ALTER TABLE executions ALTER COLUMN id TYPE text COLLATE "C",
                         ALTER COLUMN status TYPE text COLLATE "C""#;
            manager.get_connection().execute_unprepared(sql).await?;
        }
        for (table, columns) in INDEXES {
            manager.create_index(index(table, columns)).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["execution_idempotency_keys", "executions"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// No reference to the workflow: it may be deleted when its executions are over.
fn executions() -> TableCreateStatement {
    Table::create()
        .table("executions")
        .col(text("id").primary_key())
        .col(text("workspace_id"))
        .col(text("workflow_id"))
        .col(big_integer("revision"))
        .col(text("scope_type"))
        .col(text("scope_id"))
        .col(json_null("input"))
        .col(text_null("retry_of_execution_id"))
        .col(text("created_by"))
        .col(text("node_id"))
        .col(timestamp_with_time_zone("created_at"))
        .col(boolean("log_degraded"))
        .col(big_integer_null("durable_bytes"))
        .col(text("log_state"))
        .col(big_integer("last_sequence"))
        .col(text("status"))
        .col(boolean("is_active"))
        .col(json("current_steps"))
        .col(json("pending"))
        .col(json_null("failure"))
        .col(json("totals"))
        .col(big_integer("clarification_count"))
        .col(timestamp_with_time_zone_null("started_at"))
        .col(timestamp_with_time_zone_null("completed_at"))
        .col(big_integer_null("duration_ms"))
        .foreign_key(ForeignKey::create().from("executions", "workspace_id").to("workspaces", "id"))
        .to_owned()
}

fn keys() -> TableCreateStatement {
    Table::create()
        .table("execution_idempotency_keys")
        .col(text("caller"))
        .col(text("key"))
        .col(text("request_digest"))
        .col(text("execution_id"))
        .col(timestamp_with_time_zone("created_at"))
        .primary_key(Index::create().col("caller").col("key"))
        .foreign_key(ForeignKey::create().from("execution_idempotency_keys", "execution_id").to("executions", "id"))
        .to_owned()
}

type Columns = &'static [&'static str];

/// What a list is limited to, then what it is sorted by, ending with the id.
const INDEXES: [(&str, Columns); 12] = [
    ("executions", &["workspace_id", "created_at", "id"]),
    ("executions", &["workspace_id", "status", "created_at", "id"]),
    ("executions", &["workspace_id", "is_active", "created_at", "id"]),
    ("executions", &["workspace_id", "workflow_id", "created_at", "id"]),
    ("executions", &["workspace_id", "scope_type", "scope_id", "created_at", "id"]),
    ("executions", &["workspace_id", "started_at", "id", "created_at"]),
    ("executions", &["workspace_id", "completed_at", "id", "created_at"]),
    ("executions", &["workspace_id", "workflow_id", "status", "duration_ms"]),
    ("executions", &["status"]),
    ("executions", &["log_state", "completed_at", "id"]),
    ("execution_idempotency_keys", &["created_at"]),
    ("execution_idempotency_keys", &["execution_id"]),
];

fn index(table: &'static str, columns: Columns) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("idx_{table}_{}", columns.join("_"))).table(table);
    for column in columns {
        index.col(*column);
    }
    index
}
