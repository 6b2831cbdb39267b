//! Documents in an object store, here a directory: what is on the disk is a copy, and what the store does not give or take is told
//! as that.

use std::fs;
use std::path::{Path, PathBuf};

use super::retention::{maintain, task};
use super::support::definitions::{step, workflow};
use super::support::{Project, Request, Response, TestApp, json, wait_until};

/// A service whose documents are in a store, and the store.
struct Stored {
    app: TestApp,
    project: Project,
    store: tempfile::TempDir,
}

fn settings(store: &Path) -> [(String, String); 2] {
    let objects = format!("file://{}", store.join("objects").display());
    [("ADE_OBJECT_STORE".to_owned(), objects), ("ADE_FILES".to_owned(), "store".to_owned())]
}

impl Stored {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(more: &[(&str, &str)]) -> Self {
        let store = tempfile::tempdir().unwrap();
        fs::create_dir(store.path().join("objects")).unwrap();
        let own = settings(store.path());
        let own: Vec<_> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let app = TestApp::with(&[&own[..], more].concat());
        let project = app.project();
        Self { app, project, store }
    }

    fn local(&self, document: &str) -> PathBuf {
        self.app.data_dir().join("workspaces").join(&self.project.workspace).join("documents").join(document)
    }

    /// Nothing of the document is on the disk any more.
    fn forget(&self, document: &str) {
        fs::remove_file(self.local(document)).unwrap();
    }

    fn target(&self, document: &str, rest: &str) -> String {
        format!("{}/{document}{rest}", self.project.documents())
    }

    fn download(&self, document: &str) -> Response {
        self.app.get(&self.target(document, "/download"))
    }

    fn try_upload(&self, content: &[u8]) -> Response {
        self.app.send(&Request::post(self.project.documents()).form(&[("file", Some("x.csv"), content)]))
    }

    /// Moves the store away, or back.
    fn unmount(&self) {
        fs::rename(self.store.path().join("objects"), self.store.path().join("elsewhere")).unwrap();
    }

    fn mount(&self) {
        fs::rename(self.store.path().join("elsewhere"), self.store.path().join("objects")).unwrap();
    }

    /// The objects of documents and outputs.
    fn objects(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        find(&self.store.path().join("objects/files"), &mut found);
        found.retain(|path| !path.components().any(|part| part.as_os_str() == "packages"));
        found
    }
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { find(&path, found) } else { found.push(path) }
    }
}

#[test]
fn a_document_of_which_nothing_is_on_the_disk_is_served_and_worked_on_as_before() {
    let it = Stored::new();
    let document = it.app.upload(&it.project, "steps.csv", b"0123456789");
    assert_eq!(it.objects().len(), 1);
    let whole = it.download(&document).expect(200);
    let etag = whole.header("etag").unwrap().to_owned();
    it.forget(&document);
    let again = it.download(&document).expect(200);
    for header in ["etag", "content-length", "content-type", "content-disposition"] {
        assert_eq!(again.header(header), whole.header(header));
    }
    assert_eq!(again.text(), "0123456789");
    it.forget(&document);
    let target = it.target(&document, "/download");
    let part = Request::get(&target).header("Range", "bytes=2-4").header("If-Range", &etag);
    assert_eq!(it.app.send(&part).expect(206).text(), "234", "it is the same content, wherever it comes from");
    it.app.send(&Request::get(&target).header("If-None-Match", &etag)).expect(304);
    it.forget(&document);
    let head = it.app.send(&Request::new("HEAD", &target)).expect(200);
    assert_eq!((head.header("content-length"), head.header("etag")), (Some("10"), Some(etag.as_str())));
    it.forget(&document);
    assert_eq!(it.app.get(&it.target(&document, "/sheets")).expect(200).json()[0]["kind"], "file");

    let steps = json!([["say", "from the store"]]).to_string();
    let input = it.app.upload(&it.project, "steps.json", steps.as_bytes());
    it.forget(&input);
    let run = it.app.post(&it.project.runs(), &json!({"options": {"document_ids": [input]}})).expect(201).json();
    assert_eq!(it.app.finish_run(run["id"].as_str().unwrap())["status"], "succeeded");
    let it = Stored { app: it.app.restart(), ..it };
    assert_eq!(it.download(&document).expect(200).text(), "0123456789");
    let metrics = it.app.get("/metrics").expect(200);
    assert!(metrics.text().contains("ade_files_owed"), "{}", metrics.text());
}

#[test]
fn a_store_that_is_away_takes_no_upload_and_what_is_here_is_served() {
    let it = Stored::new();
    let (here, there) = (it.app.upload(&it.project, "a.csv", b"here"), it.app.upload(&it.project, "b.csv", b"there"));
    it.forget(&there);
    it.unmount();
    for _ in 0..2 {
        let refused = it.try_upload(b"new");
        assert!(refused.header("retry-after").is_some(), "{refused}");
        let problem = refused.problem(503, "store_unavailable");
        assert!(!problem.to_string().contains("objects"), "{problem}");
    }
    it.download(&there).problem(503, "store_unavailable");
    assert_eq!(it.download(&here).expect(200).text(), "here");
    assert_eq!(it.app.get(&it.project.documents()).json()["total"], 2, "nothing is half kept");
    assert_eq!(fs::read_dir(it.local(&here).parent().unwrap()).unwrap().count(), 1);
    it.mount();
    wait_until("the store answers again", || it.download(&there).status() == 200);
    assert_eq!(it.download(&there).text(), "there");
    assert_eq!(it.download(&it.app.upload(&it.project, "c.csv", b"new")).text(), "new");
    assert_eq!(it.objects().len(), 3);
}

#[test]
fn a_run_whose_document_the_store_does_not_give_waits_for_it() {
    let it = Stored::new();
    let input = it.app.upload(&it.project, "steps.json", json!([["say", "at last"]]).to_string().as_bytes());
    it.forget(&input);
    it.unmount();
    let run = it.app.post(&it.project.runs(), &json!({"options": {"document_ids": [input]}})).expect(201).json();
    let run = run["id"].as_str().unwrap();
    wait_until("the store was asked", || {
        let metrics = it.app.get("/metrics").expect(200);
        metrics.text().lines().any(|line| line.starts_with("ade_files_failed_total ") && !line.ends_with(" 0"))
    });
    assert_ne!(it.app.show_run(run)["status"], "failed");
    it.mount();
    assert_eq!(it.app.finish_run(run)["status"], "succeeded");
}

#[test]
fn an_object_that_has_changed_or_gone_is_told_and_never_sent_as_the_file() {
    let it = Stored::new();
    let document = it.app.upload(&it.project, "a.csv", b"content");
    it.forget(&document);
    let object = it.objects().remove(0);
    for content in [&b"cOntent"[..], b"conten", b"contents", b""] {
        fs::write(&object, content).unwrap();
        it.download(&document).problem(500, "stored_file_damaged");
    }
    fs::remove_file(&object).unwrap();
    it.download(&document).problem(500, "stored_file_damaged");
    assert!(!it.local(&document).exists());
    let body = json!({"options": {"document_ids": [document]}});
    let run = it.app.post(&it.project.runs(), &body).expect(201).json();
    let ended = it.app.finish_run(run["id"].as_str().unwrap());
    assert_eq!(ended["failure_code"], "input_missing", "{ended}");
    assert!(!ended.to_string().contains("files/"), "the names of objects are for the log: {ended}");
    fs::write(&object, "content").unwrap();
    assert_eq!(it.download(&document).expect(200).text(), "content");
}

#[test]
fn documents_of_before_go_into_the_store_and_copies_make_room() {
    let store = tempfile::tempdir().unwrap();
    fs::create_dir(store.path().join("objects")).unwrap();
    let app = TestApp::start();
    let project = app.project();
    let document = app.upload(&project, "a.csv", b"content");
    let own = settings(store.path());
    let mut own: Vec<_> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    own.push(("ADE_FILES_CACHE", "0"));
    let it = Stored { app: app.restart_with(&own), project, store };
    assert_eq!(it.download(&document).expect(200).text(), "content");
    it.unmount();
    let report = maintain(&it.app);
    assert_eq!((&task(&report, "store_files")["failed"], it.local(&document).exists()), (&json!(1), true), "{report}");
    it.mount();
    wait_until("it is in the store", || {
        let report = maintain(&it.app);
        let (stored, released) = (task(&report, "store_files"), task(&report, "release_files"));
        // And the archive of the configuration.
        stored["done"] == 2 && released["done"] == 2 && released["bytes_freed"].as_u64() > Some(7)
    });
    assert!(!it.local(&document).exists());
    assert_eq!(it.download(&document).expect(200).text(), "content");
    assert!(it.local(&document).exists(), "it is a copy until room is wanted again");

    // Turned off again.
    it.forget(&document);
    let it = Stored { app: it.app.restart_with(&[("ADE_FILES", "disk")]), ..it };
    it.download(&document).problem(500, "file_elsewhere");
    assert_eq!(it.download(&it.app.upload(&it.project, "b.csv", b"here")).expect(200).text(), "here");
    assert_eq!((it.objects().len(), &task(&maintain(&it.app), "store_files")["done"]), (1, &json!(0)));
}

#[test]
fn a_deleted_document_goes_from_the_store_too_when_its_time_is_over() {
    let it = Stored::with(&[("ADE_DELETED_RETENTION", "0s")]);
    let [document, other] = [b"one", b"two"].map(|content| it.app.upload(&it.project, "a.csv", content));
    it.forget(&document);
    for document in [&document, &other] {
        it.app.send(&Request::new("DELETE", it.target(document, ""))).expect(204);
    }
    it.unmount();
    let report = maintain(&it.app);
    assert_eq!(task(&report, "remove_deleted")["done"], 0, "{report}");
    it.mount();
    wait_until("they are removed", || {
        maintain(&it.app);
        it.objects().is_empty()
    });
    assert!(!it.local(&other).exists());
    it.download(&document).problem(404, "not_found");
}

#[test]
fn outputs_go_into_the_store_when_a_run_has_ended_and_are_listed_and_served_from_there() {
    let it = Stored::new();
    let run = it.app.run(&it.project, &json!([["output", "a.csv", "one"], ["output", "b.csv", "three"]]));
    let (id, own) = (run["id"].as_str().unwrap(), format!("/api/v1/runs/{}/outputs", run["id"].as_str().unwrap()));
    let is_output = |path: &PathBuf| path.display().to_string().contains(id);
    wait_until("both are there", || it.objects().iter().filter(|path| is_output(path)).count() == 2);
    assert_eq!(task(&maintain(&it.app), "store_files")["failed"], 0);
    let listed = it.app.get(&own).expect(200).json();
    let whole = it.app.get(&format!("{own}/b.csv")).expect(200);
    let folder = it.app.data_dir().join("workspaces").join(&it.project.workspace).join("runs").join(id).join("output");
    fs::read_dir(&folder).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    assert_eq!(it.app.get(&own).expect(200).json(), listed, "with the sizes that they have");
    let part = Request::get(format!("{own}/b.csv")).header("Range", "bytes=1-3");
    let part = it.app.send(&part.header("If-Range", whole.header("etag").unwrap())).expect(206);
    assert_eq!(part.text(), "hre");
    it.app.get(&format!("{own}/c.csv")).problem(404, "no_output");
    it.unmount();
    it.app.get(&format!("{own}/a.csv")).problem(503, "store_unavailable");
    it.mount();
    wait_until("it answers again", || it.app.get(&format!("{own}/a.csv")).status() == 200);
}

#[test]
fn a_run_ends_as_it_would_while_the_store_is_away_and_its_outputs_go_there_later() {
    let it = Stored::new();
    let run = it.app.create_run(&it.project, &json!([["await", it.app.path("go")], ["output", "a.csv", "one"]]));
    it.app.run_stream(&run).until_type("run.started");
    it.unmount();
    it.app.touch("go");
    assert_eq!(it.app.finish_run(&run)["status"], "succeeded");
    let output = format!("/api/v1/runs/{run}/outputs/a.csv");
    assert_eq!(it.app.get(&output).expect(200).text(), "one");
    wait_until("it is owed", || {
        maintain(&it.app);
        it.app.get("/metrics").expect(200).text().lines().any(|line| line == "ade_files_owed 1")
    });
    let it = Stored { app: it.app.restart(), ..it };
    it.mount();
    let is_there = || it.objects().iter().any(|path| path.display().to_string().contains(&run));
    wait_until("it is in the store", || {
        maintain(&it.app);
        is_there()
    });
    assert_eq!(it.app.get(&output).expect(200).text(), "one");
}

#[test]
fn files_in_a_store_need_one() {
    let refused = TestApp::refused(&[("ADE_FILES", "store")]);
    assert!(refused.contains("object_store"), "{refused}");
}

#[test]
fn replies_of_calls_go_into_the_store_before_they_are_told_of_and_go_with_their_log() {
    let it = Stored::new();
    let note = |id: &str| workflow(id, &[step("note", &[], "Write it.")]);
    let mut first = it.app.execute_new(&note("first"));
    first.until_type("llm_call");
    assert_eq!(it.objects().iter().filter(|path| is_of(path, &first.id)).count(), 1);
    first.ends("completed");

    // A store that is away holds nothing up, and is owed the reply.
    it.unmount();
    let mut second = it.app.execute_new(&note("second"));
    second.ends("completed");
    let (one, other) = (first.id.clone(), second.id.clone());
    drop((first, second));
    it.mount();
    wait_until("it is in the store too", || {
        maintain(&it.app);
        it.objects().iter().any(|path| is_of(path, &other))
    });
    let it = Stored { app: it.app.restart_with(&[("ADE_LOG_RETENTION", "0s")]), ..it };
    wait_until("the replies go with the logs", || {
        maintain(&it.app);
        !it.objects().iter().any(|path| is_of(path, &one) || is_of(path, &other))
    });
}

fn is_of(path: &Path, execution: &str) -> bool {
    path.components().any(|part| part.as_os_str() == execution)
}
