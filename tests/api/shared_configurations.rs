//! Configurations of two nodes: services with a data directory each, on one database and one object store, here a directory.

use std::fs;
use std::path::{Path, PathBuf};

use super::retention::{maintain, task};
use super::support::tools::{files_of, with_file, zip_of};
use super::support::{Project, Request, Response, TestApp, Value, json, wait_until};

/// Two nodes, of which the first has a configuration.
struct Nodes {
    one: TestApp,
    other: TestApp,
    project: Project,
    store: tempfile::TempDir,
}

fn settings(store: &Path) -> [(String, String); 3] {
    let objects = format!("file://{}", store.join("objects").display());
    [
        ("ADE_OBJECT_STORE".to_owned(), objects),
        ("ADE_FILES".to_owned(), "store".to_owned()),
        ("ADE_DELETED_RETENTION".to_owned(), "0s".to_owned()),
    ]
}

impl Nodes {
    fn new() -> Self {
        let store = tempfile::tempdir().unwrap();
        fs::create_dir(store.path().join("objects")).unwrap();
        let own = settings(store.path());
        let own: Vec<_> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let one = TestApp::with(&own);
        let (project, other) = (one.project(), one.another());
        Self { one, other, project, store }
    }

    fn target(&self, rest: &str) -> String {
        format!("/api/v1/workspaces/{}/configurations/{}{rest}", self.project.workspace, self.project.configuration)
    }

    /// Where a node has the configuration.
    fn tree(&self, node: &TestApp) -> PathBuf {
        let of = node.data_dir().join("workspaces").join(&self.project.workspace);
        of.join("configurations").join(&self.project.configuration)
    }

    fn write(&self, node: &TestApp, path: &str, content: &str, if_match: Option<&str>) -> Response {
        let request =
            Request::new("PUT", self.target(&format!("/files/{path}?parents=true"))).body("text/plain", content);
        let (name, value) = if_match.map_or(("If-None-Match", "*"), |tag| ("If-Match", tag));
        node.send(&request.header(name, value))
    }

    fn replace(&self, node: &TestApp, if_match: &str, zip: &[u8]) -> Response {
        let form = [("file", Some("package.zip"), zip)];
        node.send(&Request::new("PUT", self.target("/import")).form(&form).header("If-Match", if_match))
    }

    /// What a node lists, without the times, which are its own.
    fn paths(&self, node: &TestApp) -> Vec<String> {
        let listed = node.get(&self.target("/files")).expect(200).json();
        let entries = listed["entries"].as_array().unwrap();
        entries.iter().map(|entry| entry["path"].as_str().unwrap().to_owned()).collect()
    }

    fn shown(&self, node: &TestApp) -> Value {
        node.get(&self.target("")).expect(200).json()
    }

    /// The archives in the store.
    fn archives(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        find(&self.store.path().join("objects/files"), &mut found);
        found.retain(|path| path.components().any(|part| part.as_os_str() == "packages"));
        found
    }

    fn unmount(&self) {
        fs::rename(self.store.path().join("objects"), self.store.path().join("elsewhere")).unwrap();
    }

    fn mount(&self) {
        fs::rename(self.store.path().join("elsewhere"), self.store.path().join("objects")).unwrap();
    }
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { find(&path, found) } else { found.push(path) }
    }
}

#[test]
fn what_one_node_imports_and_edits_the_other_lists_reads_exports_validates_and_runs() {
    let it = Nodes::new();
    assert!(!it.tree(&it.other).exists());
    assert_eq!(it.other.run(&it.project, &json!([["say", "there"]]))["status"], "succeeded");
    assert!(it.tree(&it.other).exists());
    let export = |node: &TestApp| node.get(&it.target("/export")).expect(200).body;
    assert!(export(&it.one) == export(&it.other));
    let packages = it.other.data_dir().join("workspaces").join(&it.project.workspace).join("packages");
    assert!(
        fs::read_dir(packages.join(&it.project.configuration)).unwrap().next().is_none(),
        "the directory is the copy"
    );

    it.write(&it.one, "notes/a.md", "from one", None).expect(201);
    it.one.send(&Request::new("PUT", it.target("/directories/empty"))).expect(201);
    assert_eq!(it.other.get(&it.target("/files/notes/a.md?format=raw")).expect(200).text(), "from one");
    assert_eq!(it.paths(&it.other), it.paths(&it.one));
    assert!(it.paths(&it.other).contains(&"empty".to_owned()), "{:?}", it.paths(&it.other));
    assert!(export(&it.one) == export(&it.other));
    assert_eq!(it.shown(&it.one), it.shown(&it.other));
    it.write(&it.other, "empty/b.md", "from the other", None).expect(201);
    assert_eq!(it.one.get(&it.target("/files/empty/b.md?format=raw")).expect(200).text(), "from the other");
    let manifest = "src/ade_config/manifest.json";
    let etag = it.one.get(&it.target(&format!("/files/{manifest}"))).expect(200).header("etag").unwrap().to_owned();
    it.write(&it.one, manifest, "no manifest", Some(&etag)).expect(200);
    let faults = |node: &TestApp| node.post(&it.target("/validate"), &json!({})).expect(200).json()["issues"].clone();
    assert_eq!(faults(&it.other), faults(&it.one));
    assert_ne!(faults(&it.other), json!([]));
    it.other.post(&it.target("/publish"), &json!({})).problem(422, "invalid_package");

    let zip = zip_of(&with_file(files_of("configuration"), "src/ade_config/more.py", "x = 1\n"));
    let replaced = it.replace(&it.other, "*", &zip).expect(200).json();
    let build = it.one.build(&it.project, &json!({}));
    assert_eq!((&build["status"], &build["content_digest"]), (&json!("active"), &replaced["content_digest"]));
    let source =
        json!({"display_name": "Copy", "source": {"type": "clone", "configuration_id": it.project.configuration}});
    let of_workspace = format!("/api/v1/workspaces/{}/configurations", it.project.workspace);
    let clone = it.other.post(&of_workspace, &source).expect(201).json();
    assert_eq!(clone["content_digest"], replaced["content_digest"]);
    let clone = Project { configuration: clone["id"].as_str().unwrap().to_owned(), ..it.project.clone() };
    assert_eq!(it.one.run(&clone, &json!([["say", "a copy"]]))["status"], "succeeded");

    // What was replaced goes, by the node that has put it.
    wait_until("one archive is left of each", || {
        maintain(&it.one);
        maintain(&it.other);
        it.archives().len() == 2
    });
    let it = Nodes { one: it.one.restart(), ..it };
    assert_eq!(it.paths(&it.one), it.paths(&it.other));
}

#[test]
fn of_two_nodes_that_change_the_same_at_once_one_is_told_and_changes_of_different_files_are_both_made() {
    let it = Nodes::new();
    it.write(&it.one, "a.md", "0", None).expect(201);
    for round in 0..4 {
        let etag = it.one.get(&it.target("/files/a.md")).expect(200).header("etag").unwrap().to_owned();
        let content = |who: &str| format!("{who} in round {round}");
        let both = |work: &(dyn Fn(&TestApp, &str) -> Response + Sync)| {
            std::thread::scope(|scope| {
                let one = scope.spawn(|| work(&it.one, "one").status());
                let other = scope.spawn(|| work(&it.other, "other").status());
                let mut statuses = [one.join().unwrap(), other.join().unwrap()];
                statuses.sort_unstable();
                statuses
            })
        };
        assert_eq!(both(&|node, who| it.write(node, "a.md", &content(who), Some(&etag))), [200, 412]);
        assert_eq!(both(&|node, who| it.write(node, &format!("{who}/{round}.md"), "new", None)), [201, 201]);
        let known = it.one.get(&it.target("")).expect(200).header("etag").unwrap().to_owned();
        let zip = |who: &str| zip_of(&with_file(files_of("configuration"), "a.md", content(who)));
        assert_eq!(both(&|node, who| it.replace(node, &known, &zip(who))), [200, 412]);
        let read = |node: &TestApp| node.get(&it.target("/files/a.md?format=raw")).expect(200).body;
        assert_eq!(read(&it.one), read(&it.other));
        assert_eq!(it.shown(&it.one), it.shown(&it.other));
    }
    it.one.post(&it.target("/publish"), &json!({})).expect(200);
    it.write(&it.other, "late.md", "x", None).problem(409, "configuration_not_editable");
}

#[test]
fn while_the_store_is_away_nothing_is_changed_and_what_is_here_is_read() {
    let it = Nodes::new();
    let (before, paths) = (it.shown(&it.one), it.paths(&it.one));
    it.unmount();
    it.write(&it.one, "new.md", "x", None).problem(503, "store_unavailable");
    it.one.send(&Request::new("PUT", it.target("/directories/new"))).problem(503, "store_unavailable");
    it.replace(&it.one, "*", &zip_of(&files_of("configuration"))).expect(200);
    let zip = zip_of(&with_file(files_of("configuration"), "new.md", "x"));
    let refused = it.replace(&it.one, "*", &zip).problem(503, "store_unavailable");
    assert!(!refused.to_string().contains("objects"), "{refused}");
    it.one.import(&it.project.workspace, &zip).problem(503, "store_unavailable");
    for rest in ["/files", "/files/pyproject.toml", "/export"] {
        it.other.get(&it.target(rest)).problem(503, "store_unavailable");
    }
    it.other.post(&it.target("/validate"), &json!({})).problem(503, "store_unavailable");
    assert_eq!((it.shown(&it.one), it.paths(&it.one)), (before, paths));
    let of_workspace = format!("/api/v1/workspaces/{}/configurations", it.project.workspace);
    assert_eq!(it.one.get(&of_workspace).expect(200).json()["total"], 1);
    let trees = fs::read_dir(it.tree(&it.one).parent().unwrap()).unwrap();
    assert_eq!(trees.count(), 1, "nothing half made stays");
    let input = it.one.data_dir().join("incoming");
    assert_eq!(fs::read_dir(input).map_or(0, Iterator::count), 0);

    it.mount();
    wait_until("the store answers again", || it.other.get(&it.target("/files")).status() == 200);
    it.write(&it.one, "new.md", "x", None).expect(201);
    assert_eq!(it.other.get(&it.target("/files/new.md?format=raw")).expect(200).text(), "x");
    wait_until("what came to nothing is gone", || {
        maintain(&it.one);
        it.archives().len() == 1
    });
}

#[test]
fn a_run_whose_configuration_the_store_does_not_give_waits_for_it() {
    let it = Nodes::new();
    let input = it.other.upload(&it.project, "steps.json", json!([["say", "at last"]]).to_string().as_bytes());
    it.unmount();
    let run = it.other.post(&it.project.runs(), &json!({"options": {"document_ids": [input]}})).expect(201).json();
    let run = run["id"].as_str().unwrap();
    wait_until("the store was asked", || {
        let metrics = it.other.get("/metrics").expect(200);
        metrics.text().lines().any(|line| line.starts_with("ade_files_failed_total ") && !line.ends_with(" 0"))
    });
    assert_ne!(it.other.show_run(run)["status"], "failed");
    it.mount();
    assert_eq!(it.other.finish_run(run)["status"], "succeeded");
}

#[test]
fn an_archive_that_has_changed_or_gone_is_told_and_never_unpacked() {
    let it = Nodes::new();
    let object = it.archives().remove(0);
    let whole = fs::read(&object).unwrap();
    let mut changed = whole.clone();
    changed[40] ^= 1;
    for content in [&changed[..], &whole[1..], b""] {
        fs::write(&object, content).unwrap();
        it.other.get(&it.target("/files")).problem(500, "stored_file_damaged");
        it.write(&it.other, "new.md", "x", None).problem(500, "stored_file_damaged");
    }
    fs::remove_file(&object).unwrap();
    let told = it.other.get(&it.target("/export")).problem(500, "stored_file_damaged");
    assert!(!told.to_string().contains("files/"), "{told}");
    let input = it.other.upload(&it.project, "steps.json", b"[]");
    let run = it.other.post(&it.project.runs(), &json!({"options": {"document_ids": [input]}})).expect(201).json();
    let ended = it.other.finish_run(run["id"].as_str().unwrap());
    assert_eq!(ended["failure_code"], "build_failed", "{ended}");
    assert!(!ended.to_string().contains("packages/"), "the names of objects are for the log: {ended}");
    assert!(!it.tree(&it.other).exists());
    assert!(!it.paths(&it.one).is_empty(), "the node that has the files needs no object");
    fs::write(&object, whole).unwrap();
    assert_eq!(it.paths(&it.other), it.paths(&it.one));
}

#[test]
fn what_is_changed_by_hand_on_one_disk_is_not_what_counts() {
    let it = Nodes::new();
    let before = it.shown(&it.one)["content_digest"].clone();
    fs::write(it.tree(&it.one).join("src/ade_config/by_hand.py"), "z = 3\n").unwrap();
    let build = it.one.build(&it.project, &json!({}));
    assert_eq!((&build["status"], &build["content_digest"]), (&json!("active"), &before));
    assert_eq!(it.paths(&it.one), it.paths(&it.other));
    fs::remove_dir_all(it.tree(&it.one)).unwrap();
    assert_eq!(it.paths(&it.one), it.paths(&it.other));
    // Nor after a start, which knows nothing.
    fs::remove_file(it.tree(&it.one).join("pyproject.toml")).unwrap();
    let it = Nodes { one: it.one.restart(), ..it };
    assert_eq!(it.paths(&it.one), it.paths(&it.other));
}

#[test]
fn a_deleted_configuration_goes_from_the_store_and_from_the_disk() {
    let it = Nodes::new();
    assert_eq!(it.paths(&it.one), it.paths(&it.other));
    it.write(&it.other, "new.md", "x", None).expect(201);
    it.other.send(&Request::new("DELETE", it.target(""))).expect(204);
    it.one.get(&it.target("/files")).problem(404, "not_found");
    let document = it.other.upload(&it.project, "a.csv", b"content");
    let document = format!("{}/{document}", it.project.documents());
    it.one.get(&format!("{document}/download")).expect(200);
    it.other.send(&Request::new("DELETE", &document)).expect(204);
    let documents = |node: &TestApp| {
        let of = node.data_dir().join("workspaces").join(&it.project.workspace).join("documents");
        fs::read_dir(of).map_or(0, Iterator::count)
    };
    assert_eq!((documents(&it.one), documents(&it.other)), (1, 1));
    wait_until("all of it is removed from the store and from both disks", || {
        maintain(&it.other);
        maintain(&it.one);
        let trees = [&it.one, &it.other].map(|node| it.tree(node).exists() || documents(node) > 0);
        it.archives().is_empty() && trees == [false, false]
    });
}

#[test]
fn configurations_of_before_go_into_the_store_and_the_other_node_has_them_then() {
    let store = tempfile::tempdir().unwrap();
    fs::create_dir(store.path().join("objects")).unwrap();
    let one = TestApp::start();
    let project = one.project();
    let own = settings(store.path());
    let own: Vec<_> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let one = one.restart_with(&own);
    let other = one.another();
    let it = Nodes { one, other, project, store };
    it.other.get(&it.target("/files")).problem(503, "store_unavailable");
    let before = it.shown(&it.one);
    assert_eq!(it.one.run(&it.project, &json!([["say", "from the disk"]]))["status"], "succeeded");
    assert_eq!(task(&maintain(&it.one), "store_files")["failed"], 0);
    assert_eq!(it.archives().len(), 1);
    let after = it.shown(&it.one);
    assert_eq!((&after["content_digest"], &after["updated_at"]), (&before["content_digest"], &before["updated_at"]));
    assert_eq!(it.paths(&it.other), it.paths(&it.one));

    // Turned off and on again: what was changed meanwhile counts.
    it.write(&it.other, "seen.md", "x", None).expect(201);
    assert!(it.paths(&it.one).contains(&"seen.md".to_owned()));
    let it = Nodes { one: it.one.restart_with(&[("ADE_FILES", "disk")]), ..it };
    it.write(&it.one, "meanwhile.md", "x", None).expect(201);
    let it = Nodes { one: it.one.restart_with(&[("ADE_FILES", "store")]), ..it };
    wait_until("it is packed", || task(&maintain(&it.one), "store_files")["done"] != json!(0));
    assert_eq!(it.other.get(&it.target("/files/meanwhile.md?format=raw")).expect(200).text(), "x");
    assert_eq!(it.paths(&it.other), it.paths(&it.one));
}
