//! `ade maintenance`, and how the other commands read what it has left.

use std::path::{Path, PathBuf};

use ade::domain::principal::Scope;
use ade::domain::status::{LogState, RunStatus};
use ade::domain::work::Work as _;
use ade::store::Store;

use crate::support::log;
use crate::support::server::{Server, Settings, ade, settings};
use crate::support::work::{Place, Run};
use crate::{done, program};

fn with(more: &[(&'static str, &str)]) -> Settings {
    settings().into_iter().chain(more.iter().map(|&(name, value)| (name, value.to_owned()))).collect()
}

const OLD: [(&str, &str); 1] = [("ADE_LOG_COMPRESS_AFTER", "0s")];

/// A data folder that no service holds, with one run that has ended, and the log of it.
fn with_run(settings: &Settings) -> (tempfile::TempDir, Run, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), settings);
    let run = Place::make(&server).run(&server, "emit 40\nprint hello");
    let row = run.ended(&server);
    server.stop();
    let path = log::path(folder.path(), &row);
    let lines = std::fs::read_to_string(&path).unwrap();
    (folder, run, path, lines)
}

fn store_of(folder: &Path) -> impl Future<Output = Store> {
    let url = format!("sqlite://{}", folder.join("ade.db").display());
    async move { Store::connect(&url, 1).await.unwrap() }
}

fn compressed(path: &Path) -> PathBuf {
    path.with_added_extension("zst")
}

#[test]
fn every_command_reads_a_compressed_log_as_it_was() {
    let settings = with(&OLD);
    let (folder, run, path, lines) = with_run(&settings);
    let replayed = done(program(folder.path()).arg("replay").arg(&path));
    let (code, out, err) = done(ade(folder.path(), &settings).arg("maintenance"));
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("compress_logs") && out.contains("KiB"), "{out}");
    assert!(!path.exists() && compressed(&path).exists());

    let (code, out, _) = done(ade(folder.path(), &settings).arg("verify"));
    assert!(code == Some(0) && out.starts_with("3 logs, ") && out.contains(" 0 violations"), "{out}");
    assert_eq!(done(program(folder.path()).arg("replay").arg(compressed(&path))), replayed);
    let tail = |arguments: &[&str]| done(ade(folder.path(), &settings).args(["tail", "--json"]).args(arguments));
    assert_eq!(tail(&[&run.id]), (Some(0), lines.clone(), String::new()));
    let after = lines.lines().count() - 3;
    let (code, out, _) = tail(&["--after", &after.to_string(), &run.id]);
    assert!(code == Some(0) && out.lines().count() == 3 && lines.ends_with(&out), "{out}");

    // What is not what it was is found, in this form too.
    let mut bytes = std::fs::read(compressed(&path)).unwrap();
    let middle = bytes.len() / 4;
    bytes[middle] ^= 0xff;
    std::fs::write(compressed(&path), bytes).unwrap();
    let (code, out, _) = done(ade(folder.path(), &settings).arg("verify"));
    assert!(code == Some(1) && out.contains(&format!("{}: the compressed log is damaged", run.id)), "{out}");
    assert!(out.ends_with(" 1 violations\n"), "{out}");
}

#[test]
fn the_service_of_the_directory_does_it_if_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let settings = with(&OLD);
    let server = Server::start_with(folder.path(), &settings);
    let row = Place::make(&server).run(&server, "emit 3").ended(&server);
    let path = log::path(folder.path(), &row);
    // The folder is the service's: nobody else could do it.
    crate::support::eventually("the log is compressed", || {
        let (code, out, err) = done(ade(folder.path(), &settings).arg("maintenance"));
        assert_eq!(code, Some(0), "{out}{err}");
        compressed(&path).exists().then_some(())
    });
    let url = format!("http://{}", server.address);
    assert_eq!(done(ade(folder.path(), &settings).args(["maintenance", "--server", &url])).0, Some(0));
    server.stop();
    assert_eq!(done(ade(folder.path(), &settings).args(["maintenance", "--server", &url])).0, Some(1));
}

#[tokio::test]
async fn deleted_logs_are_reported_and_leftovers_are_removed_by_the_next_pass() {
    let settings = with(&[("ADE_LOG_RETENTION", "0s")]);
    let (folder, run, path, lines) = with_run(&settings);
    let (code, out, err) = done(ade(folder.path(), &settings).arg("maintenance"));
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(!path.exists() && !compressed(&path).exists());
    let verify = || done(ade(folder.path(), &settings).arg("verify"));
    let told = format!("{}: the log was deleted by retention\n", run.id);
    let (code, out, _) = verify();
    // What is left is the feed.
    assert!(code == Some(0) && out.contains(&told) && out.ends_with("1 logs, 5 events, 0 violations\n"), "{out}");

    // As a crash would leave it, between the row that says it and the last file.
    let store = store_of(folder.path()).await;
    let row = store.find::<ade::domain::run::Run>(&Scope::All, run.id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((row.log_state, row.state.status), (LogState::Deleted, RunStatus::Succeeded));
    assert!(store.set_log_state(row.stream_key(), LogState::Expiring).await.unwrap());
    std::fs::write(&path, &lines).unwrap();
    assert_eq!(verify().0, Some(0));
    assert_eq!(done(ade(folder.path(), &settings).arg("maintenance")).0, Some(0));
    assert!(!path.exists());
    let row = store.find::<ade::domain::run::Run>(&Scope::All, run.id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(row.log_state, LogState::Deleted);

    // A log that is gone for any other reason is still missed.
    assert!(store.set_log_state(row.stream_key(), LogState::Compressed).await.unwrap());
    store.close().await.unwrap();
    let (code, out, _) = verify();
    assert!(code == Some(1) && out.contains("there is no log of it"), "{out}");
}

#[test]
fn a_damaged_log_is_left_alone_and_named() {
    let settings = with(&OLD);
    let (folder, run, path, lines) = with_run(&settings);
    let damaged: String =
        lines.split_inclusive('\n').enumerate().filter(|(n, _)| *n != 7).map(|(_, line)| line).collect();
    std::fs::write(&path, &damaged).unwrap();
    let (code, out, _) = done(ade(folder.path(), &settings).arg("maintenance"));
    assert!(code == Some(1) && out.contains(&format!("{}: the sequences of the log are not dense", run.id)), "{out}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
}

#[tokio::test]
async fn without_a_service_no_work_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let settings = with(&[("ADE_MAX_CONCURRENCY", "1"), ("ADE_DRAIN_TIMEOUT", "1s")]);
    let server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    let gate = folder.path().join("gate");
    let first = place.run(&server, &format!("print ready\nwait {}", gate.display()));
    first.await_line(&server, "ready");
    let waiting = place.run(&server, "print done");
    waiting.await_event(&server, "it waits", |event| event["type"] == "run.waiting");
    server.stop();
    let (code, out, err) = done(ade(folder.path(), &settings).arg("maintenance"));
    assert_eq!(code, Some(0), "{out}{err}");
    let store = store_of(folder.path()).await;
    let row = store.find::<ade::domain::run::Run>(&Scope::All, waiting.id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(row.state.status, RunStatus::Queued);
    store.close().await.unwrap();
    let server = Server::start_with(folder.path(), &settings);
    assert_eq!(waiting.ended(&server)["status"], "succeeded");
    server.stop();
}

/// From a backup of the database, for instance: the log is right, and nothing of it is written.
#[tokio::test]
async fn a_row_that_is_older_than_its_compressed_log_is_corrected_at_the_start() {
    let settings = with(&OLD);
    let (folder, run, path, lines) = with_run(&settings);
    let store = store_of(folder.path()).await;
    let row = store.find::<ade::domain::run::Run>(&Scope::All, run.id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(done(ade(folder.path(), &settings).arg("maintenance")).0, Some(0));
    store.close().await.unwrap();
    // The store takes no older state.
    behind_its_back(folder.path(), "UPDATE runs SET status = 'running', last_sequence = 3").await;
    let server = Server::start_with(folder.path(), &settings);
    let shown = run.show(&server);
    server.stop();
    assert_eq!((&shown["status"], &shown["last_sequence"]), (&"succeeded".into(), &row.last_sequence.into()));
    assert!(!path.exists() && compressed(&path).exists());
    let (code, out, _) = done(ade(folder.path(), &settings).arg("verify"));
    assert!(code == Some(0) && !lines.is_empty(), "{out}");
}

async fn behind_its_back(folder: &Path, sql: &str) {
    use sea_orm::ConnectionTrait as _;
    let url = format!("sqlite://{}", folder.join("ade.db").display());
    let database = sea_orm::Database::connect(url).await.unwrap();
    assert_eq!(database.execute_unprepared(sql).await.unwrap().rows_affected(), 1);
    database.close().await.unwrap();
}
