//! Idempotency keys of every kind of work in one table: a key belongs to a caller and a kind of work.
//!
//! An older binary looks for the two tables that go. The way back splits them again.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const JOINED: &str = "idempotency_keys";
const OF_EXECUTIONS: &str = "execution_idempotency_keys";
/// The table that is being filled; it then takes the name of the one that it replaces.
const FRESH: &str = "idempotency_keys_fresh";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = columns(FRESH, "work_id")
            .col(text("kind"))
            .primary_key(Index::create().col("caller").col("kind").col("key"))
            .to_owned();
        manager.create_table(table).await?;
        for (table, kind, id) in [(JOINED, "run", "run_id"), (OF_EXECUTIONS, "execution", "execution_id")] {
            copy(manager, (table, id), (FRESH, "work_id"), ("kind", Expr::val(kind)), None).await?;
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        rename(manager).await?;
        index(manager, JOINED, "work_id").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, kind, (id, of)) in
            [(FRESH, "run", ("run_id", "runs")), (OF_EXECUTIONS, "execution", ("execution_id", "executions"))]
        {
            let made = columns(table, id)
                .primary_key(Index::create().col("caller").col("key"))
                .foreign_key(ForeignKey::create().from(table, id).to(of, "id"))
                .to_owned();
            manager.create_table(made).await?;
            copy(manager, (JOINED, "work_id"), (table, id), ("", Expr::val("")), Some(kind)).await?;
        }
        manager.drop_table(Table::drop().table(JOINED).to_owned()).await?;
        rename(manager).await?;
        index(manager, JOINED, "run_id").await?;
        index(manager, OF_EXECUTIONS, "execution_id").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn columns(table: &'static str, id: &'static str) -> TableCreateStatement {
    Table::create()
        .table(table)
        .col(text("caller"))
        .col(text("key"))
        .col(text("request_digest"))
        .col(text(id))
        .col(timestamp_with_time_zone("created_at"))
        .to_owned()
}

/// Copies the rows of one table, or those of a kind, into another.
async fn copy(
    manager: &SchemaManager<'_>,
    (from, id): (&'static str, &'static str),
    (to, to_id): (&'static str, &'static str),
    (added, value): (&'static str, Expr),
    only: Option<&'static str>,
) -> Result<(), DbErr> {
    let common = ["caller", "key", "request_digest", "created_at"];
    let mut select = Query::select();
    select.columns(common).column(id).from(from);
    let mut into: Vec<&str> = common.into_iter().chain([to_id]).collect();
    match only {
        Some(kind) => drop(select.and_where(Expr::col("kind").eq(kind))),
        None => {
            select.expr(value);
            into.push(added);
        }
    }
    let insert = Query::insert().into_table(to).columns(into).select_from(select).map_err(migration)?.to_owned();
    manager.execute(insert).await
}

fn migration(error: impl std::fmt::Display) -> DbErr {
    DbErr::Migration(error.to_string())
}

async fn rename(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager.rename_table(Table::rename().table(FRESH, JOINED).to_owned()).await
}

async fn index(manager: &SchemaManager<'_>, table: &'static str, id: &'static str) -> Result<(), DbErr> {
    for column in ["created_at", id] {
        let name = format!("idx_{table}_{column}");
        manager.create_index(Index::create().name(name).table(table).col(column).to_owned()).await?;
    }
    Ok(())
}
