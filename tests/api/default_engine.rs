//! The engine and the template that ship with the service, as they are.

use std::fs;

use crate::support::{Project, TestApp, Value, json, kind};

fn default_project(app: &TestApp) -> Project {
    let workspace = app.create_workspace("W");
    let source = json!({"type": "template", "template_id": "default"});
    let target = format!("/api/v1/workspaces/{workspace}/configurations");
    let created = app.post(&target, &json!({"display_name": "Roster", "source": source})).expect(201).json();
    Project { workspace, configuration: created["id"].as_str().unwrap().to_owned() }
}

fn run_fixture(app: &TestApp, project: &Project, name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let document = app.upload(project, name, &fs::read(path).unwrap());
    let run = app.post(&project.runs(), &json!({"options": {"document_ids": [document]}})).expect(201).json();
    app.finish_run(run["id"].as_str().unwrap())
}

#[test]
fn a_roster_becomes_a_normalized_workbook() {
    let app = TestApp::with_builtin_engine();
    let project = default_project(&app);
    for name in ["roster.xlsx", "roster.csv"] {
        let run = run_fixture(&app, &project, name);
        let log = app.run_log(&project, run["id"].as_str().unwrap());
        assert_eq!(run["status"], "succeeded", "{log}");
        assert!(run["table_count"].as_u64().unwrap() >= 1 && run["row_count"].as_u64().unwrap() >= 1, "{run}");
        let id = run["id"].as_str().unwrap();
        let files = app.get(&format!("/api/v1/runs/{id}/outputs")).expect(200).json()["files"].clone();
        assert_eq!((&files[0]["name"], &files[0]["kind"]), (&json!("normalized.xlsx"), &json!("normalized_workbook")));
        let workbook = app.get(files[0]["download_url"].as_str().unwrap()).expect(200);
        assert!(workbook.body.starts_with(b"PK"), "an xlsx is a zip");
        let events = app.run_events(id);
        let table = events.iter().find(|event| kind(event) == "run.table.summary").unwrap();
        assert_eq!(table["payload"]["source_file"], name);
        assert!(!app.run_log(&project, id).contains(&app.data_dir().join("workspaces").display().to_string()));
    }

    let validated = app.post(&project.runs(), &json!({"options": {"validate_only": true}})).expect(201).json();
    assert_eq!(app.finish_run(validated["id"].as_str().unwrap())["status"], "succeeded");
    let broken = run_fixture(&app, &project, "corrupt.xlsx");
    assert_eq!((&broken["status"], &broken["failure_code"]), (&json!("failed"), &json!("input_error")));
    assert_eq!(app.list_builds(&project).len(), 1);
}
