//! Workspaces, configurations, documents, builds and runs.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [workspaces(), configurations(), documents(), builds(), runs()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["runs", "builds", "documents", "configurations", "workspaces"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(name).col(text("id").primary_key()).to_owned()
}

/// A column that names a row of another table.
fn refers(table: &'static str, column: &'static str, to: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().from(table, column).to(to, "id").to_owned()
}

fn workspaces() -> TableCreateStatement {
    table("workspaces").col(text("name")).col(text_uniq("slug")).col(timestamp_with_time_zone("created_at")).to_owned()
}

fn configurations() -> TableCreateStatement {
    table("configurations")
        .col(text("workspace_id"))
        .col(text("display_name"))
        .col(text("status"))
        .col(text("content_digest"))
        .col(text_null("active_build_id"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .col(timestamp_with_time_zone_null("activated_at"))
        .foreign_key(&mut refers("configurations", "workspace_id", "workspaces"))
        .to_owned()
}

fn documents() -> TableCreateStatement {
    table("documents")
        .col(text("workspace_id"))
        .col(text("name"))
        .col(text("content_type"))
        .col(big_integer("byte_size"))
        .col(text("sha256"))
        .col(json("metadata"))
        .col(timestamp_with_time_zone("created_at"))
        .foreign_key(&mut refers("documents", "workspace_id", "workspaces"))
        .to_owned()
}

fn builds() -> TableCreateStatement {
    table("builds")
        .col(text("workspace_id"))
        .col(text("configuration_id"))
        .col(text("reason"))
        .col(text("fingerprint"))
        .col(text("content_digest"))
        .col(text("engine_spec"))
        .col(text_null("engine_version_hint"))
        .col(text("python_interpreter"))
        .col(text_null("reused_build_id"))
        .col(text("node_id"))
        .col(timestamp_with_time_zone("created_at"))
        .col(boolean("venv_present"))
        .col(boolean("log_degraded"))
        .col(big_integer_null("durable_bytes"))
        .col(big_integer("last_sequence"))
        .col(text("status"))
        .col(text_null("engine_version"))
        .col(text_null("python_version"))
        .col(text_null("config_version"))
        .col(timestamp_with_time_zone_null("started_at"))
        .col(timestamp_with_time_zone_null("completed_at"))
        .col(integer_null("exit_code"))
        .col(text_null("summary"))
        .col(text_null("error_code"))
        .col(text_null("error_message"))
        .foreign_key(&mut refers("builds", "workspace_id", "workspaces"))
        .foreign_key(&mut refers("builds", "configuration_id", "configurations"))
        .to_owned()
}

fn runs() -> TableCreateStatement {
    table("runs")
        .col(text("workspace_id"))
        .col(text("configuration_id"))
        .col(json("options"))
        .col(big_integer("attempt"))
        .col(text_null("retry_of_run_id"))
        .col(text("node_id"))
        .col(timestamp_with_time_zone("created_at"))
        .col(boolean("log_degraded"))
        .col(big_integer_null("durable_bytes"))
        .col(big_integer("last_sequence"))
        .col(text("status"))
        .col(text_null("build_id"))
        .col(text_null("failure_code"))
        .col(text_null("failure_stage"))
        .col(text_null("failure_message"))
        .col(text_null("engine_version"))
        .col(text_null("config_version"))
        .col(text_null("env_reason"))
        .col(boolean_null("env_reused"))
        .col(timestamp_with_time_zone_null("started_at"))
        .col(timestamp_with_time_zone_null("completed_at"))
        .col(integer_null("exit_code"))
        .col(big_integer_null("table_count"))
        .col(big_integer_null("row_count"))
        .col(big_integer_null("sheet_count"))
        .col(text_null("max_validation_severity"))
        .col(json("output_paths"))
        .col(json("processed_files"))
        .col(json_null("summary"))
        .foreign_key(&mut refers("runs", "workspace_id", "workspaces"))
        .foreign_key(&mut refers("runs", "configuration_id", "configurations"))
        .to_owned()
}

/// The id ends every index that a list is read by: it breaks ties between rows of the same moment.
fn indexes() -> Vec<IndexCreateStatement> {
    let mut all = vec![
        index("configurations", &["workspace_id", "created_at", "id"]),
        index("documents", &["workspace_id", "created_at", "id"]),
        index("builds", &["workspace_id", "created_at", "id"]),
        index("builds", &["configuration_id", "created_at", "id"]),
        index("builds", &["configuration_id", "fingerprint"]),
        index("builds", &["status"]),
        index("runs", &["workspace_id", "created_at", "id"]),
        index("runs", &["configuration_id", "created_at", "id"]),
        index("runs", &["status"]),
    ];
    all.push(one_active_configuration());
    all
}

fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("idx_{table}_{}", columns.join("_"))).table(table);
    for column in columns {
        index.col(*column);
    }
    index
}

/// A workspace has at most one active configuration, whatever the code above it does.
fn one_active_configuration() -> IndexCreateStatement {
    let active = Expr::col("status").eq(Expr::cust("'active'"));
    index("configurations", &["workspace_id"])
        .name("idx_configurations_one_active")
        .unique()
        .cond_where(active)
        .to_owned()
}
