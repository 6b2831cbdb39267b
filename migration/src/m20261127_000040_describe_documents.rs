//! Tags of documents, when they expire, and when they were deleted. A deleted one keeps its row, which runs refer to.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in columns() {
            manager.alter_table(Table::alter().table("documents").add_column(column).to_owned()).await?;
        }
        manager.create_table(document_tags()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in [DELETED, EXPIRING] {
            manager.drop_index(Index::drop().name(name).to_owned()).await?;
        }
        manager.drop_table(Table::drop().table("document_tags").to_owned()).await?;
        for name in COLUMNS {
            manager.alter_table(Table::alter().table("documents").drop_column(name).to_owned()).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const COLUMNS: [&str; 5] = ["tags", "expires_at", "updated_at", "deleted_at", "files_removed_at"];
const DELETED: &str = "idx_documents_deleted";
const EXPIRING: &str = "idx_documents_expiring";

/// A program one migration older leaves all of them null.
fn columns() -> [ColumnDef; 5] {
    COLUMNS.map(|name| match name {
        "tags" => json_null(name).to_owned(),
        _ => timestamp_with_time_zone_null(name).to_owned(),
    })
}

/// A row for each tag, for lists that are asked for it.
fn document_tags() -> TableCreateStatement {
    Table::create()
        .table("document_tags")
        .col(text("tag"))
        .col(text("document_id"))
        .primary_key(Index::create().col("tag").col("document_id"))
        .foreign_key(
            ForeignKey::create()
                .from("document_tags", "document_id")
                .to("documents", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}

/// Few documents are in these, and maintenance looks for nothing else.
fn indexes() -> [IndexCreateStatement; 2] {
    [(DELETED, "deleted_at"), (EXPIRING, "expires_at")].map(|(name, column)| {
        let those = Expr::col(column).is_not_null();
        Index::create().name(name).table("documents").col(column).cond_where(those).to_owned()
    })
}
