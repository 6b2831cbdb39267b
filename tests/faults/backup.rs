//! Backups that are made while the service is under load, and what is restored from them. On PostgreSQL where
//! `ADE_TEST_DATABASE_URL` names one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

use ade_test_support::database::TestDatabase;
use serde_json::{Value, json};

use crate::support::definitions::{step, workflow};
use crate::support::eventually;
use crate::support::server::{Server, Settings, ade, settings, succeeds};
use crate::support::work::{Place, Run};

/// Rows in the data directory, or in a database of their own.
struct Rows(Option<TestDatabase>);

impl Rows {
    fn here() -> Self {
        Self(None)
    }

    /// What the tests are run on.
    fn tested() -> Self {
        Self(is_elsewhere().then(TestDatabase::create))
    }

    fn settings(&self) -> Settings {
        let url = self.0.iter().map(|database| ("ADE_DATABASE_URL", database.url().to_owned()));
        settings().into_iter().chain(url).collect()
    }

    fn run(&self, data_dir: &Path, arguments: &[&str]) -> Output {
        ade(data_dir, &self.settings()).args(arguments).output().expect("the program starts")
    }

    #[track_caller]
    fn succeeds(&self, data_dir: &Path, arguments: &[&str]) -> String {
        succeeds(data_dir, &self.settings(), arguments)
    }

    #[track_caller]
    fn refuses(&self, data_dir: &Path, arguments: &[&str], why: &str) {
        let output = self.run(data_dir, arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(why), "{arguments:?}: {text}");
    }

    fn start(&self, data_dir: &Path) -> Server {
        Server::start_with(data_dir, &self.settings())
    }
}

fn is_elsewhere() -> bool {
    std::env::var_os("ADE_TEST_DATABASE_URL").is_some()
}

/// The lines of a stream, by their sequences, as far as they are acknowledged now.
fn lines(server: &Server, path: &str) -> BTreeMap<u64, String> {
    let named = |event: &Value| (event["sequence"].as_u64().unwrap(), event["event_id"].to_string());
    events(server, path).iter().map(named).collect()
}

fn events(server: &Server, path: &str) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let page = server.get(&format!("{path}/events?limit=1000&after_sequence={}", events.len()));
        let items = page["items"].as_array().unwrap_or_else(|| panic!("{page}"));
        if items.is_empty() {
            return events;
        }
        events.extend(items.iter().cloned());
    }
}

/// Everything that a client can have seen by now.
fn seen(server: &Server, streams: &[String]) -> BTreeMap<String, BTreeMap<u64, String>> {
    streams.iter().map(|path| (path.clone(), lines(server, path))).collect()
}

fn dense(events: &BTreeMap<u64, String>) -> bool {
    events.keys().copied().eq(1..=events.len() as u64)
}

/// Which events of which streams a feed tells of.
fn origins(server: &Server, feed: &str) -> Vec<(String, u64)> {
    let origin = |event: &Value| {
        let origin = &event["payload"]["origin"];
        (origin["stream"].as_str().unwrap().to_owned(), origin["sequence"].as_u64().unwrap())
    };
    events(server, feed).iter().map(origin).collect()
}

const EXECUTIONS: &str = "/api/v1/executions";

fn execute(server: &Server, scope: usize) -> String {
    let body = json!({"workflow_id": "two", "scope_type": "project", "scope_id": scope.to_string(), "input": {}});
    let (status, execution) = server.post(EXECUTIONS, &body);
    assert_eq!(status, 201, "{execution}");
    format!("{EXECUTIONS}/{}", execution["execution_id"].as_str().unwrap())
}

#[test]
fn a_backup_under_load_has_everything_that_was_acknowledged_and_a_service_goes_on_from_it() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let rows = Rows::tested();
    let server = rows.start(folder.path());
    let place = Place::make(&server);
    place.warm_up(&server);
    let definition = workflow(
        "two",
        &[
            step("first", &[], "Write it.\nbuiltin: delay 100"),
            step("second", &["first"], "Go on.\nbuiltin: delay 100"),
        ],
    );
    assert_eq!(server.post("/api/v1/workflows", &definition).0, 201);
    let ended: Vec<_> = (0..3).map(|n| place.run(&server, &format!("print {n}"))).collect();
    ended.iter().for_each(|run| drop(run.ended(&server)));
    let done = AtomicBool::new(false);
    let backup = elsewhere.path().join("backup");
    let (mut made, before) = std::thread::scope(|scope| {
        let stop = &done;
        let (server, place) = (&server, &place);
        // Until the backup is made, work begins, writes and ends all the time.
        let load: Vec<_> = (0..2)
            .map(|lane| {
                scope.spawn(move || {
                    let mut made = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let run = place.run(server, &format!("{}sleep 0.1\nprint end", "print a\n".repeat(300)));
                        made.push(run.path());
                        made.push(execute(server, lane * 1000 + made.len()));
                        eventually("a line", || (!lines(server, &run.path()).is_empty()).then_some(()));
                    }
                    made
                })
            })
            .collect();
        let streams: Vec<_> = ended.iter().map(Run::path).collect();
        eventually("work is at work", || {
            let system = server.get("/api/v1/system/actors");
            (system["runs"].as_u64() > Some(1) && system["executions"].as_u64() > Some(1)).then_some(())
        });
        let active = server.get("/api/v1/system/actors");
        let active = active["actors"].as_array().unwrap().iter().map(|actor| {
            let kind = format!("{}s", actor["kind"].as_str().unwrap());
            format!("/api/v1/{kind}/{}", actor["id"].as_str().unwrap())
        });
        let streams: Vec<_> = streams.into_iter().chain(active).collect();
        let before = seen(server, &streams);
        let output = rows.run(folder.path(), &["backup", backup.to_str().unwrap()]);
        done.store(true, Ordering::Relaxed);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && text.contains("0 violations"), "{text}");
        let made: Vec<String> = load.into_iter().flat_map(|lane| lane.join().unwrap()).collect();
        (made, before)
    });
    made.extend(ended.iter().map(Run::path));
    assert!(before.values().any(|events| !events.is_empty()));
    let names: Vec<_> = std::fs::read_dir(elsewhere.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["backup"], "nothing half made is left");
    let restore = ["restore", backup.to_str().unwrap()];
    let restored = elsewhere.path().join("restored");
    if is_elsewhere() {
        rows.refuses(&restored, &restore, "the database has rows already");
        assert!(!restored.exists(), "nothing was begun");
    } else {
        rows.refuses(folder.path(), &restore, "is not empty");
    }
    server.stop();

    let into = Rows::tested();
    if is_elsewhere() {
        into.refuses(folder.path(), &restore, "is not empty");
    }
    into.succeeds(&restored, &restore);
    assert!(into.succeeds(&restored, &["verify"]).contains("0 violations"));
    assert!(!restored.join("venvs").exists(), "environments are made again");
    assert!(!is_elsewhere() || !restored.join("ade.db").exists(), "the rows are in one place");
    let server = into.start(&restored);
    for (path, events) in &before {
        let now = lines(&server, path);
        assert!(dense(&now), "{path}");
        assert!(events.iter().all(|(sequence, id)| now.get(sequence) == Some(id)), "{path}: {events:?}\n{now:?}");
    }
    eventually("all work ends", || (server.get("/api/v1/system/actors")["actors"] == json!([])).then_some(()));
    let restored_streams: Vec<_> = made.iter().filter(|path| server.status(path) == 200).collect();
    assert!(restored_streams.len() > ended.len(), "some of the load is in it");
    for path in &restored_streams {
        assert!(dense(&lines(&server, path)), "{path}");
    }
    // The feeds tell of each lifecycle event once.
    let execution = restored_streams.iter().find(|path| path.contains("executions")).expect("an execution");
    let local = server.get(execution)["workspace_id"].as_str().unwrap().to_owned();
    for (feed, kind) in [(&place.workspace, "/runs/"), (&local, "/executions/")] {
        let feed = format!("/api/v1/workspaces/{feed}");
        let expected = |path: &&&String| path.contains(kind);
        let ids = || restored_streams.iter().filter(expected).map(|path| path.rsplit('/').next().unwrap());
        eventually("the feed has every end", || {
            let origins = origins(&server, &feed);
            ids().all(|id| origins.iter().filter(|(stream, _)| stream == id).count() >= 2).then_some(())
        });
        let found = origins(&server, &feed);
        let once: std::collections::BTreeSet<_> = found.iter().collect();
        assert_eq!(once.len(), found.len(), "each once: {found:?}");
        assert!(dense(&lines(&server, &feed)));
    }
    let run = place.run(&server, "print again").ended(&server);
    assert_eq!(run["status"], "succeeded", "{run}");
    let data_dir = server.data_dir.clone();
    server.stop();
    assert!(into.succeeds(&data_dir, &["verify"]).contains("0 violations"));
}

#[test]
fn a_backup_is_restored_into_either_database() {
    if !is_elsewhere() {
        return;
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let at = |name: &str| elsewhere.path().join(name);
    let text = |name: &str| at(name).to_str().unwrap().to_owned();
    let (first, moved) = (Rows::here(), Rows::tested());
    std::fs::create_dir(at("first")).unwrap();
    let server = first.start(&at("first"));
    let place = Place::make(&server);
    let run = place.run(&server, "print a\nprint \u{1f980}");
    let ended = run.ended(&server);
    let events = lines(&server, &run.path());
    server.stop();

    first.succeeds(&at("first"), &["backup", &text("backup")]);
    moved.succeeds(&at("moved"), &["restore", &text("backup")]);
    let server = moved.start(&at("moved"));
    assert_eq!((run.show(&server), lines(&server, &run.path())), (ended.clone(), events.clone()));
    let another = place.run(&server, "print b");
    assert_eq!(another.ended(&server)["status"], "succeeded");
    server.stop();

    moved.succeeds(&at("moved"), &["backup", &text("again")]);
    first.succeeds(&at("back"), &["restore", &text("again")]);
    let server = first.start(&at("back"));
    assert_eq!((run.show(&server), lines(&server, &run.path())), (ended, events));
    assert_eq!(another.ended(&server)["status"], "succeeded");
}

#[test]
fn a_backup_without_a_service_has_what_only_the_journal_has() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let rows = Rows::tested();
    let server = rows.start(folder.path());
    let place = Place::make(&server);
    let run = place.run(&server, "print a\nprint b");
    run.ended(&server);
    let events = lines(&server, &run.path());
    let log = crate::support::log::path(folder.path(), &run.show(&server));
    server.kill();
    // What a loss of power may leave: the journal is synced, the file is not.
    let whole = std::fs::read(&log).unwrap();
    std::fs::write(&log, &whole[..whole.len() / 2]).unwrap();
    let backup = elsewhere.path().join("backup");
    rows.succeeds(folder.path(), &["backup", backup.to_str().unwrap()]);
    let (restored, into) = (elsewhere.path().join("restored"), Rows::tested());
    into.succeeds(&restored, &["restore", backup.to_str().unwrap()]);
    let server = into.start(&restored);
    assert_eq!(lines(&server, &run.path()), events);
}

#[test]
fn a_service_does_not_start_where_a_restore_was_broken_off() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(".restore")).unwrap();
    let output: Output = ade(folder.path(), &settings()).arg("serve").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("restore"), "{text}");
}
