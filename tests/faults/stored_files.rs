//! The program with documents in an object store, in a directory and in a real server of S3's protocol, killed while it takes
//! uploads. The server is left out, loudly, where it cannot be installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ade_test_support::packages::paths_below;
use ade_test_support::wait::within;
use ade_test_support::weed::{self, Weed};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::http::Request;
use crate::support::server::{Server, Settings, ade, settings, succeeds};

fn storing(store: impl IntoIterator<Item = (&'static str, String)>) -> Settings {
    let mut settings = settings();
    settings.insert("ADE_FILES", "store".into());
    settings.extend(store);
    settings
}

fn content(number: usize) -> Vec<u8> {
    format!("document {number}, ").repeat(20_000).into_bytes()
}

/// The documents that are listed, by their ids.
fn listed(server: &Server, documents: &str) -> Vec<String> {
    let page = server.get(&format!("{documents}?page_size=200"));
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// The files at the places of documents.
fn local(data_dir: &Path, workspace: &str) -> Vec<PathBuf> {
    let folder = data_dir.join("workspaces").join(workspace).join("documents");
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn download(server: &Server, documents: &str, id: &str) -> Vec<u8> {
    let path = format!("{documents}/{id}/download");
    server.send(&Request::get(path)).expect("a response").expect(200).body
}

/// Uploads from several clients until the program dies. Gives what was answered with 201, by its content's number.
fn upload_until_killed(server: Server, documents: &str, next: &AtomicUsize, most: usize) -> Vec<(String, usize)> {
    let (answered, is_dead, address) = (Mutex::new(Vec::new()), AtomicBool::new(false), server.address);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_dead.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let request = Request::post(documents).form(&[("file", Some("x.csv"), &content(number))]);
                    let Ok(response) = request.send(address) else { continue };
                    if response.status() == 201 {
                        let id = response.json_or_null()["id"].as_str().unwrap().to_owned();
                        answered.lock().unwrap().push((id, number));
                    }
                }
            });
        }
        eventually("some are answered", || (answered.lock().unwrap().len() >= most).then_some(()));
        server.kill();
        is_dead.store(true, Ordering::Relaxed);
    });
    answered.into_inner().unwrap()
}

/// Kills the program while it takes uploads: what was answered is there, from the store alone too; what was not is whole or
/// nothing, and nothing of it stays in the store.
fn survives_kills(folder: &Path, settings: &Settings) -> (Server, String) {
    let mut server = Server::start_with(folder, settings);
    let workspace = server.post("/api/v1/workspaces", &json!({"name": "Acme"})).1;
    let workspace = workspace["id"].as_str().unwrap().to_owned();
    let documents = format!("/api/v1/workspaces/{workspace}/documents");
    let (next, mut answered) = (AtomicUsize::new(0), Vec::new());
    for most in [1, 4, 7] {
        answered.extend(upload_until_killed(server, &documents, &next, most));
        server = Server::start_with(folder, settings);
        within(Duration::from_secs(120), "what came to nothing is removed", || {
            let report = server.post("/api/v1/system/maintenance", &json!({})).1;
            let task = report["tasks"].as_array().unwrap().iter().find(|task| task["name"] == "store_files").unwrap();
            (task["done"] == 0 && task["failed"] == 0).then_some(())
        });
        let there = listed(&server, &documents);
        assert_eq!(local(folder, &workspace).len(), there.len());
        assert!(answered.iter().all(|(id, _)| there.contains(id)));
    }
    local(folder, &workspace).iter().for_each(|path| fs::remove_file(path).unwrap());
    for (id, number) in &answered {
        assert!(download(&server, &documents, id) == content(*number), "{id}");
    }
    for id in listed(&server, &documents) {
        let shown = server.get(&format!("{documents}/{id}"));
        assert_eq!(shown["byte_size"], json!(download(&server, &documents, &id).len()), "{id}");
    }
    (server, documents)
}

fn doctor(folder: &Path, settings: &Settings) -> String {
    let output = ade(folder, settings).arg("doctor").output().expect("the program starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn uploads_survive_kills_and_leave_nothing_in_a_directory_that_no_document_has() {
    let (folder, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = storing([("ADE_OBJECT_STORE", format!("file://{}", store.path().display()))]);
    let (server, documents) = survives_kills(folder.path(), &settings);
    let count = listed(&server, &documents).len();
    assert_eq!(paths_below(&store.path().join("files")).len(), count);
    server.stop();
    assert!(doctor(folder.path(), &settings).contains(&format!("{count} in the object store, 0 owed")));
    assert!(succeeds(folder.path(), &settings, &["verify", "--archived"]).contains(" 0 violations"));
    let object = paths_below(&store.path().join("files")).remove(0);
    let whole = fs::read(&object).unwrap();
    fs::write(&object, "something else").unwrap();
    let found = ade(folder.path(), &settings).arg("verify").output().unwrap();
    assert!(!found.status.success() && String::from_utf8_lossy(&found.stdout).contains("its object has 14 of"));
    fs::write(&object, whole).unwrap();
    a_restored_directory_deletes_nothing_of_the_old_one(folder.path(), store.path(), settings, &documents);
}

/// Nor does it need a copy: the backup has none.
fn a_restored_directory_deletes_nothing_of_the_old_one(
    data_dir: &Path,
    store: &Path,
    mut settings: Settings,
    documents: &str,
) {
    let workspace = documents.split('/').nth(4).unwrap();
    local(data_dir, workspace).iter().for_each(|path| fs::remove_file(path).unwrap());
    let elsewhere = tempfile::tempdir().unwrap();
    let [copy, restored] = ["copy", "data"].map(|name| elsewhere.path().join(name));
    succeeds(data_dir, &settings, &["backup", copy.to_str().unwrap()]);
    succeeds(&restored, &settings, &["restore", copy.to_str().unwrap()]);
    let before = paths_below(&store.join("files"));
    settings.insert("ADE_DELETED_RETENTION", "0s".into());
    let server = Server::start_with(&restored, &settings);
    let there = listed(&server, documents);
    assert_eq!(there.len(), before.len());
    for id in &there {
        assert!(!download(&server, documents, id).is_empty());
        server.send(&Request::new("DELETE", format!("{documents}/{id}"))).expect("a response").expect(204);
    }
    within(Duration::from_secs(60), "they are removed there", || {
        server.post("/api/v1/system/maintenance", &json!({}));
        local(&restored, workspace).is_empty().then_some(())
    });
    server.stop();
    assert_eq!(paths_below(&store.join("files")), before);
}

#[test]
fn uploads_into_a_bucket_survive_kills_of_the_program_and_of_the_bucket() {
    if !weed::is_there() {
        return;
    }
    let (mut weed, folder) = (Weed::start(), tempfile::tempdir().unwrap());
    let settings = storing(weed.settings());
    let (server, documents) = survives_kills(folder.path(), &settings);
    let before = listed(&server, &documents);
    weed.kill();
    let upload = Request::post(&documents).form(&[("file", Some("x.csv"), &b"new"[..])]);
    server.send(&upload).expect("a response").problem(503, "store_unavailable");
    assert_eq!(listed(&server, &documents), before);
    weed.revive();
    let created = within(Duration::from_secs(60), "the bucket takes it", || {
        let answer = server.send(&upload).expect("a response");
        (answer.status() == 201).then(|| answer.json_or_null())
    });
    assert_eq!(download(&server, &documents, id(&created)), b"new");
    server.stop();
    assert!(doctor(folder.path(), &settings).contains(&format!("{} in the object store", before.len() + 1)));
}

fn id(created: &Value) -> &str {
    created["id"].as_str().unwrap()
}
