//! `ade migrate`: the schema of the database.

use clap::Subcommand;

use super::exit::{CommandError, Exit};
use super::output::print_line;
use crate::config::Settings;
use crate::store::{SchemaStatus, Store};

#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Apply all pending migrations.
    Up,
    /// Revert the newest migrations; their data is lost.
    Down {
        #[arg(default_value_t = 1)]
        steps: u32,
    },
    /// Show applied and pending migrations; changes nothing.
    Status,
}

pub async fn migrate(action: &MigrateCommand, settings: &Settings) -> Result<Exit, CommandError> {
    let data_dir = &settings.storage.data_dir;
    std::fs::create_dir_all(data_dir)
        .map_err(|error| CommandError::failed(format!("data directory {}: {error}", data_dir.display())))?;
    let store = Store::connect(&settings.storage.database_url, 1).await.map_err(CommandError::failed)?;
    let status = match action {
        MigrateCommand::Up => store.migrate_up(None).await.map_err(CommandError::failed),
        MigrateCommand::Down { steps } => store.migrate_down(*steps).await.map_err(CommandError::failed),
        MigrateCommand::Status => store.migration_status().await.map_err(CommandError::failed),
    };
    let closed = store.close().await.map_err(CommandError::failed);
    show(&status?);
    closed.map(|()| Exit::Succeeded)
}

fn show(status: &SchemaStatus) {
    let lists = [("applied", &status.applied), ("pending", &status.pending), ("unknown (newer)", &status.unknown)];
    for (word, names) in lists {
        names.iter().for_each(|name| print_line(&format!("{word:<16} {name}")));
    }
    print_line(&format!("{} applied, {} pending", status.applied.len(), status.pending.len()));
}
