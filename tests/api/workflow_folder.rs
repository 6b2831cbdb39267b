//! Workflows that a start brings: a folder of the operator's, and the examples of the service.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Request, TestApp, Value, json};

const EXAMPLE: &str = "/api/v1/workflows/brief-to-plan";

fn example() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/assets/workflows/brief-to-plan.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn definition(workflow_id: &str, name: &str) -> Value {
    let mut definition = example();
    definition["workflow_id"] = json!(workflow_id);
    definition["name"] = json!(name);
    definition
}

/// A folder of its own, beside those of the service.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn write(&self, name: &str, content: &Value) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content.to_string()).unwrap();
        path
    }

    fn service(&self) -> TestApp {
        TestApp::with(&[("ADE_WORKFLOWS_DIR", self.path())])
    }
}

/// Name and revision of a workflow of the default workspace.
fn stored(app: &TestApp, workflow_id: &str) -> (Value, Value) {
    let workflow = app.get(&format!("/api/v1/workflows/{workflow_id}")).expect(200).json();
    (workflow["name"].clone(), workflow["revision"].clone())
}

#[test]
fn the_files_of_a_directory_are_stored_at_the_start_and_again_when_they_change() {
    let folder = Folder::new();
    folder.write("same.json", &definition("same", "Same"));
    folder.write("changing.json", &definition("changing", "Before"));
    folder.write("bad.json", &json!({"workflow_id": "bad"}));
    let app = folder.service();
    assert_eq!(stored(&app, "same"), (json!("Same"), json!(1)));
    assert_eq!(stored(&app, "changing"), (json!("Before"), json!(1)));
    app.get("/api/v1/workflows/bad").problem(404, "not_found");

    folder.write("changing.json", &definition("changing", "After"));
    let app = app.restart();
    assert_eq!(stored(&app, "same"), (json!("Same"), json!(1)));
    assert_eq!(stored(&app, "changing"), (json!("After"), json!(2)));
    // What stands in the folder holds, also over what was changed or deleted elsewhere.
    let elsewhere = Request::new("PUT", "/api/v1/workflows/same").header("If-Match", "*");
    app.send(&elsewhere.json(&definition("same", "Elsewhere"))).expect(200);
    app.send(&Request::new("DELETE", "/api/v1/workflows/changing")).expect(204);
    let app = app.restart();
    assert_eq!(stored(&app, "same"), (json!("Same"), json!(3)));
    assert_eq!(stored(&app, "changing"), (json!("After"), json!(3)));
}

#[test]
fn a_missing_file_removes_nothing() {
    let folder = Folder::new();
    let path = folder.write("mine.json", &definition("mine", "Mine"));
    let app = folder.service();
    fs::remove_file(path).unwrap();
    assert_eq!(stored(&app.restart(), "mine"), (json!("Mine"), json!(1)));
}

#[test]
fn the_example_exists_from_the_start_and_keeps_changes() {
    let app = TestApp::start();
    let shown = app.get(EXAMPLE).expect(200).json();
    assert_eq!((&shown["revision"], &shown["steps"]), (&json!(1), &example()["steps"]));
    let changed = Request::new("PUT", EXAMPLE).header("If-Match", "\"1\"");
    app.send(&changed.json(&definition("brief-to-plan", "Mine"))).expect(200);
    let app = app.restart();
    assert_eq!(stored(&app, "brief-to-plan"), (json!("Mine"), json!(2)));
    app.send(&Request::new("DELETE", EXAMPLE)).expect(204);
    let app = app.restart();
    app.get(EXAMPLE).problem(404, "not_found");
    assert_eq!(app.get("/api/v1/workflows").json()["total"], 0);
}

#[test]
fn a_file_with_the_examples_id_takes_precedence() {
    let folder = Folder::new();
    folder.write("mine.json", &definition("brief-to-plan", "Mine"));
    assert_eq!(stored(&folder.service(), "brief-to-plan"), (json!("Mine"), json!(1)));
}

#[test]
fn a_missing_directory_prevents_the_start() {
    let error = TestApp::refused(&[("ADE_WORKFLOWS_DIR", "/nowhere/at/all")]);
    assert!(error.starts_with("ADE_WORKFLOWS_DIR /nowhere/at/all cannot be read: "), "{error}");
}
