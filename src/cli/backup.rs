//! `ade backup` and `ade restore`: a copy of a data directory, made while a service works in it, and the way back.

use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{CommandError, Exit};
use super::output::print_line;
use super::verify::{Report, verify_data_dir};
use crate::app;
use crate::backup::{self, Manifest, Rows, Source, Staged, Target};
use crate::config::{Settings, url_path};
use crate::domain::time::micros;
use crate::store::{Store, sqlite_file};
use crate::telemetry;

#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The directory to make; nothing may be there.
    target: PathBuf,
}

#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// A backup that `ade backup` has made.
    backup: PathBuf,
}

/// With violations that the backup has, since the data directory has them, it is made all the same, and has failed.
pub async fn backup(arguments: &BackupArgs, settings: Settings) -> Result<Exit, CommandError> {
    telemetry::init(&settings.telemetry).map_err(CommandError::failed)?;
    // Without a service the journal may hold what the logs do not have yet, and none may start meanwhile.
    let at_rest = app::hold_at_rest(&settings).await.map_err(CommandError::failed)?;
    let source = source(&settings).await?;
    let made = make(&source, &arguments.target).await;
    source.store.close().await.map_err(CommandError::failed)?;
    drop(at_rest);
    let (manifest, report) = made?;
    report.violations.iter().for_each(|violation| print_line(violation));
    let (logs, events, violations) = (report.logs, report.events, report.violations.len());
    print_line(&format!("{logs} logs, {events} events, {violations} violations"));
    show(&manifest, &arguments.target);
    Ok(Exit::of_success(report.violations.is_empty()))
}

async fn source(settings: &Settings) -> Result<Source, CommandError> {
    let data_dir = settings.storage.data_dir.clone();
    let node_id = app::read_node_id(&data_dir).map_err(CommandError::failed)?;
    let store = Store::connect(&settings.storage.database_url, 2).await.map_err(CommandError::failed)?;
    let status = store.migration_status().await.map_err(CommandError::failed)?;
    if !status.pending.is_empty() || status.breaking().is_some() {
        return Err(CommandError::failed(
            "the database's schema is not this release's: use the one that works with it",
        ));
    }
    Ok(Source { data_dir, store, node_id })
}

/// Retention may delete a log between the copy of its row and its own turn: then the backup is not as it should be, and
/// is made once more.
async fn make(source: &Source, target: &Path) -> Result<(Manifest, Report), CommandError> {
    let (first, begun, report) = attempt(source, target).await?;
    let (staged, begun, report) = match report.violations.is_empty() {
        true => (first, begun, report),
        false => {
            drop(first);
            attempt(source, target).await?
        }
    };
    Ok((staged.finish(target, begun).map_err(CommandError::failed)?, report))
}

async fn attempt(
    source: &Source,
    target: &Path,
) -> Result<(Staged, crate::domain::time::Timestamp, Report), CommandError> {
    let begun = micros(chrono::Utc::now());
    let at = |error| CommandError::failed(format!("{}: {error}", target.display()));
    let mut staged = Staged::beside(target).map_err(at)?;
    backup::make(source, &mut staged).await.map_err(CommandError::failed)?;
    let url = format!("sqlite://{}", url_path(&staged.database()));
    let store = Store::connect(&url, 1).await.map_err(CommandError::failed)?;
    let report = verify_data_dir(&staged.data_dir(), Some(&store), None).await;
    store.close().await.map_err(CommandError::failed)?;
    Ok((staged, begun, report.map_err(CommandError::failed)?))
}

/// Whichever database the rows came from.
pub async fn restore(arguments: &RestoreArgs, settings: &Settings) -> Result<Exit, CommandError> {
    let (data_dir, url) = (settings.storage.data_dir.clone(), &settings.storage.database_url);
    let rows = sqlite_file(url).map_or(Rows::Elsewhere, Rows::File);
    let target = Target { data_dir, rows };
    let manifest = match target.rows {
        Rows::File(_) => backup::restore(&arguments.backup, &target).map_err(CommandError::failed)?,
        Rows::Elsewhere => {
            let store = Store::connect(url, 2).await.map_err(CommandError::failed)?;
            let restored = restore_into(&store, &arguments.backup, &target).await;
            store.close().await.map_err(CommandError::failed)?;
            restored?
        }
    };
    show(&manifest, &target.data_dir);
    Ok(Exit::Succeeded)
}

/// The rows last, all at once: until they are there no service starts, and the same command may be given again.
async fn restore_into(store: &Store, from: &Path, target: &Target) -> Result<Manifest, CommandError> {
    store.prepare_empty().await.map_err(CommandError::failed)?;
    let collected = backup::collect(from, target).map_err(CommandError::failed)?;
    let url = format!("sqlite://{}", url_path(&collected.database()));
    let rows = Store::connect(&url, 2).await.map_err(CommandError::failed)?;
    let copied = copy(&rows, store).await;
    rows.close().await.map_err(CommandError::failed)?;
    copied?;
    collected.finish().map_err(CommandError::failed)
}

/// Those of an older release get the schema of this one first.
async fn copy(rows: &Store, into: &Store) -> Result<(), CommandError> {
    rows.migrate().await.map_err(CommandError::failed)?;
    rows.copy_into(into).await.map(drop).map_err(CommandError::failed)
}

fn show(manifest: &Manifest, place: &Path) {
    let Manifest { files, bytes, begun_at, .. } = manifest;
    print_line(&format!("{files} files, {bytes} bytes, as of {begun_at}: {}", place.display()));
}
