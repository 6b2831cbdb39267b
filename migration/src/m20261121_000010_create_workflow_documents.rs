//! What steps of workflows produce and people put in: chains, and their versions.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(documents()).await?;
        manager.create_table(versions()).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            // Sorted by, byte by byte as SQLite does it.
            let sql = r#"ALTER TABLE workflow_document_versions ALTER COLUMN id TYPE text COLLATE "C",
                         ALTER COLUMN status TYPE text COLLATE "C""#;
            manager.get_connection().execute_unprepared(sql).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["workflow_document_versions", "workflow_documents"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn documents() -> TableCreateStatement {
    Table::create()
        .table("workflow_documents")
        .col(text("id").primary_key())
        .col(text("workspace_id"))
        .col(text("scope_type"))
        .col(text("scope_id"))
        .col(text("document_type"))
        .col(big_integer("latest_version"))
        .col(timestamp_with_time_zone("created_at"))
        .foreign_key(ForeignKey::create().from("workflow_documents", "workspace_id").to("workspaces", "id"))
        .to_owned()
}

/// What a chain is told apart by never changes, so that the versions can carry it too and be listed by themselves.
fn versions() -> TableCreateStatement {
    Table::create()
        .table("workflow_document_versions")
        .col(text("id").primary_key())
        .col(text("document_id"))
        .col(big_integer("version"))
        .col(text("workspace_id"))
        .col(text("scope_type"))
        .col(text("scope_id"))
        .col(text("document_type"))
        .col(boolean("is_latest"))
        .col(text("title"))
        .col(text("status"))
        .col(text_null("summary"))
        .col(json_null("content"))
        .col(text("content_digest"))
        .col(text("created_by"))
        .col(text_null("execution_id"))
        .col(text_null("step_id"))
        .col(text("item"))
        .col(big_integer_null("attempt"))
        .col(timestamp_with_time_zone("created_at"))
        .foreign_key(
            ForeignKey::create().from("workflow_document_versions", "document_id").to("workflow_documents", "id"),
        )
        .to_owned()
}

fn indexes() -> Vec<IndexCreateStatement> {
    let versions = "workflow_document_versions";
    vec![
        index("workflow_documents", "chain", &["workspace_id", "scope_type", "scope_id", "document_type"])
            .unique()
            .to_owned(),
        index(versions, "version", &["document_id", "version"]).unique().to_owned(),
        // What people wrote has no execution, and nulls are never the same.
        index(versions, "attempt", &["execution_id", "step_id", "item", "attempt"]).unique().to_owned(),
        index(versions, "created_at", &["workspace_id", "created_at", "id"]),
        index(versions, "latest", &["workspace_id", "is_latest", "created_at", "id"]),
        index(versions, "status", &["workspace_id", "status", "created_at", "id"]),
        index(versions, "scope", &["workspace_id", "scope_type", "scope_id", "document_type", "created_at", "id"]),
    ]
}

fn index(table: &'static str, name: &str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("idx_{table}_{name}")).table(table);
    for column in columns {
        index.col(*column);
    }
    index
}
