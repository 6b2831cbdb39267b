//! Other names of routes: they answer like the main one.

use crate::support::tools::{files_of, zip_of};
use crate::support::{Project, Request, Response, TestApp, Value, json};

/// The answer without what is different each time.
fn gist(answer: &Response) -> (u16, Option<&str>, Vec<u8>) {
    (answer.status(), answer.header("content-type"), answer.body.clone())
}

#[track_caller]
fn assert_same(app: &TestApp, main: &str, alias: &str) {
    let (main_answer, answer) = (app.get(main).expect(200), app.get(alias).expect(200));
    assert_eq!(gist(&answer), gist(&main_answer), "{main} {alias}");
}

#[test]
fn configs_are_configurations() {
    let app = TestApp::start();
    let project = app.project();
    let Project { workspace, configuration } = &project;
    let base = |name: &str, rest: &str| format!("/api/v1/workspaces/{workspace}/{name}{rest}");
    let create = json!({"display_name": "Mine", "source": {"type": "clone", "configuration_id": configuration}});
    app.post(&base("configs", ""), &create).expect(201);
    let form = [("display_name", None, &b"Imported"[..]), ("file", Some("p.zip"), &zip_of(&files_of("configuration")))];
    app.send(&Request::post(base("configs", "/import")).form(&form)).expect(201);
    app.post(&base("configs", &format!("/{configuration}/activate")), &json!({})).expect(200);
    let build = app.post(&base("configs", &format!("/{configuration}/builds")), &json!({"options": {"wait": true}}));
    assert_eq!(build.expect(201).json()["status"], "active");
    let run =
        app.post(&base("configs", &format!("/{configuration}/runs")), &json!({"options": {"validate_only": true}}));
    let run = run.expect(201).json()["id"].as_str().unwrap().to_owned();
    app.finish_run(&run);
    for rest in [
        "",
        &format!("/{configuration}"),
        &format!("/{configuration}/builds"),
        &format!("/{configuration}/runs"),
        &format!("/{configuration}/export"),
    ] {
        assert_same(&app, &base("configurations", rest), &base("configs", rest));
    }
    let listed = app.get(&base("configs", &format!("/{configuration}/runs"))).json();
    assert_eq!(listed, app.get(&project.runs()).json());
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(1), &json!(run)));
}

#[test]
fn a_trailing_slash_changes_nothing() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([["output", "a.csv", "x"]]));
    let own = format!("/api/v1/runs/{}", run["id"].as_str().unwrap());
    let workspace = format!("/api/v1/workspaces/{}", project.workspace);
    for target in [
        "/api/v1/workspaces".to_owned(),
        format!("{workspace}/configurations"),
        format!("{workspace}/events"),
        own.clone(),
        format!("{own}/events"),
        format!("{own}/events/download"),
        format!("{own}/outputs"),
        format!("{own}/outputs/a.csv"),
        "/health/live".to_owned(),
    ] {
        assert_same(&app, &target, &format!("{target}/"));
    }
    let created = app.post("/api/v1/workspaces/", &json!({"name": "Slashed"}));
    assert_eq!(created.expect(201).json()["name"], "Slashed");
    let problem = app.get("/api/v1/nowhere/").problem(404, "not_found");
    assert_eq!(problem["instance"], "/api/v1/nowhere/");
}

#[test]
fn stream_and_download_are_forms_of_the_same() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([["emit", 5]]));
    let build = app.list_builds(&project)[0].clone();
    for (collection, resource) in [("runs", &run), ("builds", &build)] {
        let own = format!("/api/v1/{collection}/{}/events", resource["id"].as_str().unwrap());
        assert_same(&app, &format!("{own}?format=ndjson"), &format!("{own}/download"));
        assert_same(
            &app,
            &format!("{own}/download"),
            &format!("/api/v1/{collection}/{}/logfile", resource["id"].as_str().unwrap()),
        );
        let events = |target: String| -> Vec<Value> {
            app.stream(&Request::get(target)).rest().iter().map(crate::support::Frame::json).collect()
        };
        assert_eq!(events(format!("{own}?stream=true")), events(format!("{own}/stream")));
        let (head, whole) = (
            app.send(&Request::new("HEAD", format!("{own}/download"))).expect(200),
            app.get(&format!("{own}/download")),
        );
        assert_eq!(
            (head.header("content-length"), head.header("etag")),
            (whole.header("content-length"), whole.header("etag"))
        );
        assert!(head.body.is_empty());
    }
}

#[test]
fn logs_of_a_build_are_its_console_lines() {
    let app = TestApp::start();
    let project = app.project();
    let build = app.build(&project, &json!({}))["id"].as_str().unwrap().to_owned();
    let logs = app.get(&format!("/api/v1/builds/{build}/logs")).expect(200).json();
    let said: Vec<Value> =
        app.build_events(&build).into_iter().filter(|event| event["type"] == "console.line").collect();
    let entries = logs["entries"].as_array().unwrap();
    assert!(!entries.is_empty());
    assert_eq!(entries.len(), said.len());
    for (entry, event) in entries.iter().zip(&said) {
        assert_eq!((&entry["id"], &entry["message"]), (&event["sequence"], &event["payload"]["message"]));
        assert_eq!((&entry["scope"], &entry["created_at"]), (&json!("build"), &event["created_at"]));
    }
    let last = entries[entries.len() - 1]["id"].as_u64().unwrap();
    let rest = app.get(&format!("/api/v1/builds/{build}/logs?after_id={last}")).expect(200).json();
    assert_eq!(rest["entries"], json!([]));
}
