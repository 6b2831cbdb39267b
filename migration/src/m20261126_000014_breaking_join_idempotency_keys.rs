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
            let rows = rows_of(table, id).expr(Expr::val(kind)).to_owned();
            copy(manager, rows, FRESH, &["work_id", "kind"]).await?;
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
            let rows = rows_of(JOINED, "work_id").and_where(Expr::col("kind").eq(kind)).to_owned();
            copy(manager, rows, table, &[id]).await?;
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

/// What every one of these tables has.
const COMMON: [&str; 4] = ["caller", "key", "request_digest", "created_at"];

fn rows_of(table: &'static str, id: &'static str) -> SelectStatement {
    Query::select().columns(COMMON).column(id).from(table).to_owned()
}

/// Copies rows into a table, which has `further` columns beside the common ones.
async fn copy(
    manager: &SchemaManager<'_>,
    rows: SelectStatement,
    into: &'static str,
    further: &[&'static str],
) -> Result<(), DbErr> {
    let columns = COMMON.iter().chain(further).copied();
    let insert = Query::insert().into_table(into).columns(columns).select_from(rows).map(|insert| insert.to_owned());
    manager.execute(insert.map_err(|error| DbErr::Migration(error.to_string()))?).await
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
