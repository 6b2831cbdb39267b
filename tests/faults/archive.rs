//! The program with an archive of logs, in a directory and in a real server of S3's protocol: while it is killed, while the
//! archive is away, and with a backup. The server is left out, loudly, where it cannot be installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ade_test_support::packages::paths_below;
use ade_test_support::wait::within;
use ade_test_support::wait_until;
use ade_test_support::weed::{self, Weed};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::http::Request;
use crate::support::server::{Server, Settings, ade, log_path, settings, succeeds};
use crate::support::work::{Place, Run};

fn archiving(store: impl IntoIterator<Item = (&'static str, String)>) -> Settings {
    let mut settings = settings();
    settings.extend([("ADE_LOG_COMPRESS_AFTER", "0s".into()), ("ADE_LOG_ARCHIVE_AFTER", "0s".into())]);
    settings.extend(store);
    settings
}

fn in_directory(folder: &Path) -> Settings {
    let store = folder.join("store");
    fs::create_dir_all(&store).unwrap();
    archiving([("ADE_OBJECT_STORE", format!("file://{}", store.display()))])
}

fn download(server: &Server, run: &Run) -> String {
    let path = format!("{}/events/download", run.path());
    server.send(&Request::get(path)).expect("a response").expect(200).text().to_owned()
}

/// Rounds until each of these logs is a pointer.
fn archive_all(server: &Server, runs: &[Run]) {
    within(Duration::from_secs(120), "every log is archived", || {
        server.post("/api/v1/system/maintenance", &json!({}));
        let logs = files(&server.data_dir.join("workspaces"), "events.ndjson.archived");
        runs.iter().all(|run| logs.iter().any(|path| path.display().to_string().contains(&run.id))).then_some(())
    });
}

/// The files of this name.
fn files(folder: &Path, name: &str) -> Vec<PathBuf> {
    paths_below(folder).into_iter().filter(|path| path.ends_with(name)).collect()
}

fn forget(data_dir: &Path) {
    for entry in fs::read_dir(data_dir.join("archive/cache")).unwrap().flatten() {
        fs::remove_file(entry.path()).unwrap();
    }
}

#[test]
fn logs_go_into_a_bucket_and_are_read_from_there_through_kills_and_absences() {
    if !weed::is_there() {
        return;
    }
    let (mut weed, folder) = (Weed::start(), tempfile::tempdir().unwrap());
    let settings = archiving(weed.settings());
    assert!(succeeds(folder.path(), &settings, &["doctor"]).contains("object store"));
    let server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    let run = place.run(&server, "emit 3000");
    run.ended(&server);
    let log = download(&server, &run);
    archive_all(&server, std::slice::from_ref(&run));
    forget(folder.path());
    assert_eq!(download(&server, &run), log);
    assert_read_everywhere(&server, &run, &log);

    weed.kill();
    forget(folder.path());
    let page = Request::get(format!("{}/events", run.path()));
    server.send(&page).expect("a response").problem(503, "archive_unavailable");
    // Whoever has nothing to do with the archive does not notice.
    let other = place.run(&server, "print meanwhile");
    assert_eq!(other.ended(&server)["status"], "succeeded");
    assert!(download(&server, &other).contains("meanwhile"));
    weed.revive();
    wait_until("the bucket answers again", || server.status(&format!("{}/events", run.path())) == 200);
    assert_eq!(download(&server, &run), log);
    server.stop();

    let told = fs::read_to_string(log_path(folder.path())).unwrap();
    assert!(!told.contains("test-secret") && !told.contains("test-key"), "a secret is in the log");
    assert!(succeeds(folder.path(), &settings, &["verify", "--archived"]).contains(" 0 violations"));
}

/// Pages, a part of the file, and a stream that is resumed.
fn assert_read_everywhere(server: &Server, run: &Run, log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    forget(&server.data_dir);
    let page = server.get(&format!("{}/events?after_sequence=1000&limit=10", run.path()));
    let wanted: Vec<Value> = lines[1000..1010].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(page["items"].as_array().unwrap(), &wanted);
    forget(&server.data_dir);
    let path = format!("{}/events/download", run.path());
    let part = server.send(&Request::get(path).header("Range", "bytes=5000-9999")).expect("a response").expect(206);
    assert_eq!(part.text(), &log[5000..10_000]);
    forget(&server.data_dir);
    let seen = run.subscribe(server, Some(2000)).finish();
    let rest: Vec<_> = seen.events.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(rest, lines[2000..]);
}

/// Kills the program as soon as the archive is being written, again and again: everything is readable, and in the end
/// archived.
fn survives_kills(folder: &Path, settings: &Settings) {
    let mut server = Server::start_with(folder, settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    let runs: Vec<Run> = (0..6).map(|_| place.run(&server, "emit 2000")).collect();
    let logs: Vec<String> = runs
        .iter()
        .map(|run| {
            run.ended(&server);
            download(&server, run)
        })
        .collect();
    for kills in 0..4 {
        let address = server.address;
        let asked = std::thread::spawn(move || {
            drop(Request::post("/api/v1/system/maintenance").json(&json!({})).send(address))
        });
        // A note of what is being put; or already a pointer more than there were.
        eventually("something is archived", || {
            let (notes, pointers) = ("events.ndjson.archived.tmp", "events.ndjson.archived");
            let workspaces = folder.join("workspaces");
            (!files(&workspaces, notes).is_empty() || files(&workspaces, pointers).len() > kills).then_some(())
        });
        server.kill();
        asked.join().unwrap();
        server = Server::start_with(folder, settings);
        for (run, log) in runs.iter().zip(&logs) {
            assert!(download(&server, run) == *log, "{} after {kills} kills", run.id);
        }
    }
    archive_all(&server, &runs);
    forget(folder);
    for (run, log) in runs.iter().zip(&logs) {
        assert!(download(&server, run) == *log, "{}", run.id);
    }
    server.stop();
    assert!(succeeds(folder, settings, &["verify", "--archived"]).contains(" 0 violations"));
}

#[test]
fn a_process_that_is_killed_while_it_archives_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, settings) = (folder.path().join("data"), in_directory(folder.path()));
    fs::create_dir(&data_dir).unwrap();
    survives_kills(&data_dir, &settings);
}

#[test]
fn a_process_that_is_killed_while_it_fills_a_bucket_loses_nothing() {
    if !weed::is_there() {
        return;
    }
    let (weed, folder) = (Weed::start(), tempfile::tempdir().unwrap());
    survives_kills(folder.path(), &archiving(weed.settings()));
}

#[test]
fn a_restored_backup_reads_what_is_archived_and_never_deletes_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = in_directory(folder.path());
    let [data_dir, copy, restored] = ["data", "copy", "restored"].map(|name| folder.path().join(name));
    fs::create_dir(&data_dir).unwrap();
    let server = Server::start_with(&data_dir, &settings);
    let place = Place::make(&server);
    let run = place.run(&server, "emit 500");
    run.ended(&server);
    let log = download(&server, &run);
    archive_all(&server, std::slice::from_ref(&run));
    let told = succeeds(&data_dir, &settings, &["backup", copy.to_str().unwrap()]);
    assert!(told.contains(" 0 violations"), "{told}");
    server.stop();
    succeeds(&restored, &settings, &["restore", copy.to_str().unwrap()]);
    assert!(succeeds(&restored, &settings, &["verify", "--archived"]).contains(" 0 violations"));
    let mut short = settings.clone();
    short.insert("ADE_LOG_RETENTION", "0s".into());
    let second = Server::start_with(&restored, &settings);
    assert_eq!(download(&second, &run), log);
    second.stop();
    // Its retention is over: the log is gone there, and still whole where it was made.
    let second = Server::start_with(&restored, &short);
    let path = format!("{}/events", run.path());
    wait_until("retention has deleted it", || {
        second.post("/api/v1/system/maintenance", &json!({}));
        second.status(&path) == 410
    });
    second.stop();
    let server = Server::start_with(&data_dir, &settings);
    forget(&data_dir);
    assert_eq!(download(&server, &run), log);
    server.stop();
    // And what the store has lost is found, by its size or by its content.
    let objects = paths_below(&folder.path().join("store"));
    let object = objects.iter().find(|path| path.display().to_string().contains(&run.id)).unwrap();
    let mut bytes = fs::read(object).unwrap();
    bytes[30] ^= 1;
    fs::write(object, &bytes).unwrap();
    let verify = |arguments: &[&str]| ade(&data_dir, &settings).args(arguments).output().unwrap();
    assert!(verify(&["verify"]).status.success(), "of the size of the right one");
    let found = verify(&["verify", "--archived"]);
    assert!(!found.status.success() && String::from_utf8_lossy(&found.stdout).contains("is not what was put there"));
    fs::rename(folder.path().join("store"), folder.path().join("away")).unwrap();
    let found = verify(&["verify"]);
    let told = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(!found.status.success() && told.contains("did not say") && told.contains(" 0 violations"), "{told}");
    fs::rename(folder.path().join("away"), folder.path().join("store")).unwrap();
    fs::remove_file(object).unwrap();
    let found = verify(&["verify"]);
    assert!(!found.status.success() && String::from_utf8_lossy(&found.stdout).contains("not in the store any more"));
}
