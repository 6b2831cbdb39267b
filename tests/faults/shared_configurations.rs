//! Two nodes on one database and one object store edit one configuration, and one of them is killed at it: what was answered is there
//! for the other, and for itself when it is back.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ade_test_support::database::TestDatabase;
use ade_test_support::packages::paths_below;
use ade_test_support::wait::within;
use ade_test_support::weed::{self, Weed};
use serde_json::json;

use crate::support::eventually;
use crate::support::http::Request;
use crate::support::server::{Server, Settings, settings, succeeds};

fn sharing(store: impl IntoIterator<Item = (&'static str, String)>, database: &TestDatabase) -> Settings {
    let mut settings = settings();
    settings.insert("ADE_FILES", "store".into());
    settings.insert("ADE_DATABASE_URL", database.url().to_owned());
    settings.extend(store);
    settings
}

/// The names below `notes`, as a node lists them.
fn notes(server: &Server, of: &str) -> BTreeSet<String> {
    let listed = server.get(&format!("{of}/files?prefix=notes&limit=1000"));
    let entries = listed["entries"].as_array().unwrap_or_else(|| panic!("{listed}"));
    entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

/// Both nodes write files until the first one dies; the other one writes as many as the first has been answered, and one more. Gives the names
/// of those that were answered with 201.
fn write_until_killed(dying: Server, other: &Server, of: &str, next: &AtomicUsize, most: usize) -> BTreeSet<String> {
    let (answered, is_dead) = (Mutex::new(BTreeSet::new()), AtomicBool::new(false));
    let (one, by_dying, by_other) = (dying.address, AtomicUsize::new(0), AtomicUsize::new(0));
    let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        // Also when this one panics.
        let ending = Ending(&is_dead);
        for (address, own) in [(one, &by_dying), (one, &by_dying), (other.address, &by_other)] {
            let (answered, is_dead, by_dying) = (&answered, &is_dead, &by_dying);
            scope.spawn(move || {
                while !is_dead.load(Ordering::Relaxed) {
                    if address != one && count(own) > count(by_dying) {
                        std::thread::yield_now();
                        continue;
                    }
                    let name = format!("{}.md", next.fetch_add(1, Ordering::Relaxed));
                    let request = Request::new("PUT", format!("{of}/files/notes/{name}?parents=true"));
                    let request = request.body("text/plain", name.as_str()).header("If-None-Match", "*");
                    if request.send(address).is_ok_and(|answer| answer.status() == 201) {
                        answered.lock().unwrap().insert(name);
                        own.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        eventually("some are answered", || (count(&by_dying) >= most).then_some(()));
        dying.kill();
        drop(ending);
    });
    answered.into_inner().unwrap()
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Three times, with an edit at least of each node in between.
fn survives_kills(settings: &Settings) {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut server = Server::start_with(one.path(), settings);
    let other = Server::start_with(two.path(), settings);
    let workspace = server.post("/api/v1/workspaces", &json!({"name": "Acme"})).1;
    let workspace = format!("/api/v1/workspaces/{}", workspace["id"].as_str().unwrap());
    let new = json!({"display_name": "Notes", "source": {"type": "template", "template_id": "default"}});
    let (status, made) = server.post(&format!("{workspace}/configurations"), &new);
    assert_eq!(status, 201, "{made}");
    let of = format!("{workspace}/configurations/{}", made["id"].as_str().unwrap());
    let (next, mut answered) = (AtomicUsize::new(0), BTreeSet::new());
    for most in [1, 3, 5] {
        answered.extend(write_until_killed(server, &other, &of, &next, most));
        let there = notes(&other, &of);
        assert!(there.is_superset(&answered), "{:?}", answered.difference(&there).collect::<Vec<_>>());
        server = Server::start_with(one.path(), settings);
        assert_eq!(notes(&server, &of), there);
        let export = |server: &Server| server.send(&Request::get(format!("{of}/export"))).unwrap().expect(200).body;
        assert!(export(&server) == export(&other));
    }
    tidy(&server);
    tidy(&other);
    for server in [server, other] {
        server.stop();
    }
    for folder in [&one, &two] {
        assert!(succeeds(folder.path(), settings, &["verify", "--archived"]).contains(" 0 violations"));
    }
}

/// What a node has put and nothing leads to any more is gone.
fn tidy(server: &Server) {
    within(Duration::from_secs(120), "what was replaced is removed", || {
        let report = server.post("/api/v1/system/maintenance", &json!({})).1;
        let task = report["tasks"].as_array().unwrap().iter().find(|task| task["name"] == "store_files").unwrap();
        (task["done"] == 0 && task["failed"] == 0).then_some(())
    });
}

fn archives(store: &Path) -> usize {
    paths_below(&store.join("files"))
        .iter()
        .filter(|path| path.components().any(|part| part.as_os_str() == "packages"))
        .count()
}

#[test]
fn edits_of_two_nodes_survive_kills_of_one_with_a_directory_and_leave_one_archive() {
    let (store, database) = (tempfile::tempdir().unwrap(), TestDatabase::create());
    let place = [("ADE_OBJECT_STORE", format!("file://{}", store.path().display()))];
    survives_kills(&sharing(place, &database));
    assert_eq!(archives(store.path()), 1);
}

#[test]
fn edits_of_two_nodes_survive_kills_of_one_with_a_bucket() {
    if weed::is_there() {
        let (weed, database) = (Weed::start(), TestDatabase::create());
        survives_kills(&sharing(weed.settings(), &database));
    }
}
