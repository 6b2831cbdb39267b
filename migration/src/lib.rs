//! Schema changes in their order, each with its way back.
//!
//! Law: a migration runs in one transaction, so a crash leaves either the old schema or the new one. One that an older
//! binary cannot work with (it takes a column away, or requires one) says so in its name,
//! `m<date>_<time>_breaking_<what>`: names are all that an older binary sees of it. Nothing here imports the entities, which show the newest schema only.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DatabaseConnection, EntityTrait};
use sea_orm_migration::seaql_migrations;

mod m20261121_000001_create_core_tables;
mod m20261121_000002_index_lists;
mod m20261121_000003_create_system_settings;
mod m20261121_000004_create_idempotency_keys;
mod m20261121_000005_note_log_state;
mod m20261121_000007_create_feed_origins;
mod m20261121_000010_create_workflow_documents;
mod m20261121_000011_create_workflows;
mod m20261121_000012_create_executions;
mod m20261121_000013_create_llm_calls;
mod m20261126_000014_breaking_join_idempotency_keys;
mod m20261127_000020_create_api_keys;
mod m20261127_000040_describe_documents;
mod m20261127_000041_let_workspaces_go;
mod m20261127_000050_create_people;
mod m20261127_000051_create_members;
mod m20261128_000060_create_stored_files;
mod m20261128_000061_note_outputs;
mod m20261128_000064_name_packages;
mod m20261128_000065_create_nodes;
mod m20261128_000066_create_feed_owners;

pub use sea_orm_migration::MigratorTrait;

pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_create_core_tables::Migration),
            Box::new(m20261121_000002_index_lists::Migration),
            Box::new(m20261121_000003_create_system_settings::Migration),
            Box::new(m20261121_000004_create_idempotency_keys::Migration),
            Box::new(m20261121_000005_note_log_state::Migration),
            Box::new(m20261121_000007_create_feed_origins::Migration),
            Box::new(m20261121_000010_create_workflow_documents::Migration),
            Box::new(m20261121_000011_create_workflows::Migration),
            Box::new(m20261121_000012_create_executions::Migration),
            Box::new(m20261121_000013_create_llm_calls::Migration),
            Box::new(m20261126_000014_breaking_join_idempotency_keys::Migration),
            Box::new(m20261127_000020_create_api_keys::Migration),
            Box::new(m20261127_000040_describe_documents::Migration),
            Box::new(m20261127_000041_let_workspaces_go::Migration),
            Box::new(m20261127_000050_create_people::Migration),
            Box::new(m20261127_000051_create_members::Migration),
            Box::new(m20261128_000060_create_stored_files::Migration),
            Box::new(m20261128_000061_note_outputs::Migration),
            Box::new(m20261128_000064_name_packages::Migration),
            Box::new(m20261128_000065_create_nodes::Migration),
            Box::new(m20261128_000066_create_feed_owners::Migration),
        ]
    }
}

/// The names of the migrations this binary knows, oldest first.
pub fn known() -> Vec<String> {
    Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect()
}

/// The names of the migrations the database has had, oldest first. Only reads: a new database is left untouched.
pub async fn applied(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    if !SchemaManager::new(db).has_table("seaql_migrations").await? {
        return Ok(Vec::new());
    }
    let mut rows = seaql_migrations::Entity::find().all(db).await?;
    rows.sort_by(|a, b| a.version.cmp(&b.version));
    Ok(rows.into_iter().map(|row| row.version).collect())
}
