//! Logs in the archive, here a directory: they read as before, and what the archive does not give is told as that.

use std::fs;
use std::path::{Path, PathBuf};

use super::retention::{Ended, maintain, maintain_until, task};
use super::support::{Request, TestApp, json, wait_until};

/// Work that has ended, whose logs are archived; and the archive.
struct Archived {
    it: Ended,
    store: tempfile::TempDir,
}

fn settings(store: &Path) -> [(String, String); 3] {
    let variable = |name: &str, value: String| (name.to_owned(), value);
    [
        variable("ADE_LOG_COMPRESS_AFTER", "0s".into()),
        variable("ADE_LOG_ARCHIVE_AFTER", "0s".into()),
        variable("ADE_OBJECT_STORE", format!("file://{}", store.join("objects").display())),
    ]
}

/// A service on which a run has ended, and nothing was done with its log yet.
fn ended(store: &Path) -> Ended {
    fs::create_dir(store.join("objects")).unwrap();
    let settings = settings(store);
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Ended::with(&settings)
}

impl Archived {
    fn new() -> Self {
        let store = tempfile::tempdir().unwrap();
        let it = ended(store.path());
        // The log of the run, and that of its build.
        maintain_until(&it.app, "archive_logs", 2);
        assert_eq!(it.names(), ["events.ndjson.archived"]);
        Self { it, store }
    }

    fn restart(self) -> Self {
        let Self { it: Ended { app, project, run, log, last }, store } = self;
        Self { it: Ended { app: app.restart(), project, run, log, last }, store }
    }

    fn cache(&self) -> PathBuf {
        self.it.app.data_dir().join("archive/cache")
    }

    /// Nothing of the archive is on the disk any more.
    fn forget(&self) {
        fs::read_dir(self.cache()).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    }

    /// Every object, by its path.
    fn objects(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        find(&self.store.path().join("objects"), &mut found);
        found
    }

    /// The one of the run.
    fn object(&self) -> PathBuf {
        let is_of_run = |path: &PathBuf| path.display().to_string().contains(&self.it.run);
        self.objects().into_iter().find(is_of_run).expect("there is one")
    }
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => find(&path, found),
            false if path.ends_with("ade-store") => {}
            false => found.push(path),
        }
    }
}

#[test]
fn an_archived_log_answers_every_request_as_before() {
    let store = tempfile::tempdir().unwrap();
    let it = ended(store.path());
    let before = it.answers();
    maintain_until(&it.app, "archive_logs", 2);
    let archived = Archived { it, store };
    assert_eq!((archived.it.names(), archived.objects().len()), (vec!["events.ndjson.archived".to_owned()], 2));
    for (now, before) in archived.it.answers().into_iter().zip(&before) {
        assert_eq!(&now, before);
    }
    assert_eq!(fs::read_dir(archived.cache()).unwrap().count(), 1, "it was fetched, and is kept");
    let it = &archived.it;
    let part = it.with_header("/download", "Range", "bytes=0-499").expect(206);
    let etag = part.header("etag").unwrap().to_owned();
    it.with_header("/download", "If-None-Match", &etag).expect(304);
    archived.forget();
    let rest = Request::get(it.target("/download")).header("Range", "bytes=500-").header("If-Range", &etag);
    assert_eq!(format!("{}{}", part.text(), it.app.send(&rest).expect(206).text()), it.log);
    archived.forget();
    let head = it.app.send(&Request::new("HEAD", it.target("/download"))).expect(200);
    assert_eq!(head.header("content-length"), Some(it.log.len().to_string().as_str()));
    assert_eq!(task(&maintain(&it.app), "archive_logs")["done"], 0, "there is nothing left to do");
    let archived = archived.restart();
    for (now, before) in archived.it.answers().into_iter().zip(&before) {
        assert_eq!(&now, before);
    }
}

#[test]
fn an_archive_that_is_away_is_told_and_holds_up_nothing_else() {
    let archived = Archived::new();
    let (it, folder) = (&archived.it, archived.store.path());
    archived.forget();
    fs::rename(folder.join("objects"), folder.join("elsewhere")).unwrap();
    for rest in ["", "?format=ndjson", "/stream", "/download", "/download?follow=true"] {
        let answer = it.get(rest);
        assert!(answer.header("retry-after").is_some(), "{answer}");
        let problem = answer.problem(503, "archive_unavailable");
        assert!(!problem.to_string().contains("objects"), "{problem}");
    }
    it.app.get(&format!("/api/v1/runs/{}/logs", it.run)).problem(503, "archive_unavailable");
    assert_eq!(it.app.show_run(&it.run)["status"], "succeeded");
    // New work is done, and its log stays here until there is an archive again.
    let next = it.app.run(&it.project, &json!([["say", "meanwhile"]]));
    let path = format!("/api/v1/runs/{}/events/download", next["id"].as_str().unwrap());
    let log = it.app.get(&path).expect(200).text().to_owned();
    wait_until("the round cannot archive it", || {
        let report = maintain(&it.app);
        let task = task(&report, "archive_logs");
        task["failed"] == 1 && task["done"] == 0 && task["unfinished"] == true
    });
    assert_eq!(it.app.get(&path).expect(200).text(), log);
    fs::rename(folder.join("elsewhere"), folder.join("objects")).unwrap();
    wait_until("the archive answers again", || it.get("/download").status() == 200);
    assert_eq!(it.get("/download").text(), it.log);
    wait_until("the log is archived", || task(&maintain(&it.app), "archive_logs")["done"] == 1);
    assert_eq!(it.app.get(&path).expect(200).text(), log);
}

#[test]
fn an_object_that_has_changed_or_gone_is_told_and_never_read_as_a_log() {
    let archived = Archived::new();
    archived.forget();
    let (it, object) = (&archived.it, archived.object());
    let whole = fs::read(&object).unwrap();
    let mut damaged = whole.clone();
    damaged[20] ^= 1;
    for content in [&damaged[..], &whole[..whole.len() - 1], &[&whole[..], b"x"].concat(), b""] {
        fs::write(&object, content).unwrap();
        for rest in ["", "/stream", "/download"] {
            it.get(rest).problem(500, "archive_damaged");
        }
    }
    fs::remove_file(&object).unwrap();
    it.get("/download").problem(500, "archive_damaged");
    fs::write(&object, whole).unwrap();
    assert_eq!(it.get("/download").text(), it.log);
}

#[test]
fn an_archived_log_is_deleted_with_its_object_and_not_before() {
    let archived = Archived::new();
    let it = &archived.it;
    assert_eq!(archived.objects().len(), 2);
    // As retention leaves it when it is cut short.
    it.app.change_database("UPDATE runs SET log_state = 'expiring'");
    it.get("").problem(410, "gone");
    fs::rename(archived.store.path().join("objects"), archived.store.path().join("away")).unwrap();
    let report = maintain(&it.app);
    assert_eq!((&task(&report, "delete_logs")["failed"], it.names().len()), (&json!(1), 1), "{report}");
    fs::rename(archived.store.path().join("away"), archived.store.path().join("objects")).unwrap();
    wait_until("the log is deleted", || task(&maintain(&it.app), "delete_logs")["done"] == 1);
    assert_eq!((it.names(), archived.objects().len()), (Vec::new(), 1), "that of the build stays");
    it.get("").problem(410, "gone");
    assert_eq!(it.app.show_run(&it.run)["status"], "succeeded");
}

#[test]
fn without_an_archive_nothing_of_it_exists() {
    let it = Ended::with(&[("ADE_LOG_COMPRESS_AFTER", "0s")]);
    maintain_until(&it.app, "compress_logs", 2);
    assert_eq!(task(&maintain(&it.app), "archive_logs")["done"], 0);
    assert!(!it.app.data_dir().join("archive").exists());
    let refused = TestApp::refused(&[("ADE_LOG_ARCHIVE_AFTER", "1d")]);
    assert!(refused.contains("object_store"), "{refused}");
}
