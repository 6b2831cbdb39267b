//! Safe mode: nothing new begins, everything can be read, and what is queued waits.

use crate::support::{Project, Request, Response, TestApp, Value, json, kind, wait_until};

const SWITCH: &str = "/api/v1/system/safe-mode";

fn put(app: &TestApp, body: Value) -> Response {
    app.send(&Request::new("PUT", SWITCH).json(&body))
}

fn switch(app: &TestApp, enabled: bool) -> Value {
    put(app, json!({"enabled": enabled, "detail": enabled.then_some("moving disks")})).expect(200).json()
}

fn validation(app: &TestApp, project: &Project) -> Response {
    app.post(&project.runs(), &json!({"options": {"validate_only": true}}))
}

fn component(app: &TestApp) -> (Value, Value) {
    let ready = app.get("/health/ready").expect(200).json();
    let parts = ready["components"].as_array().unwrap();
    let part = parts.iter().find(|part| part["name"] == "safe_mode").unwrap();
    (ready["status"].clone(), part.clone())
}

fn reasons(app: &TestApp, run: &str) -> Vec<Value> {
    let events = app.run_events(run);
    events.iter().filter(|event| kind(event) == "run.waiting").map(|event| event["payload"]["reason"].clone()).collect()
}

#[test]
fn new_work_is_rejected_with_the_detail_and_reading_continues() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([["output", "x.csv", "1"]]));
    let id = run["id"].as_str().unwrap();
    let retry = format!("/api/v1/runs/{id}/retry");
    assert_eq!(app.get(SWITCH).expect(200).json(), json!({"enabled": false, "detail": null}));
    assert_eq!(component(&app), (json!("ok"), json!({"name": "safe_mode", "status": "ok", "detail": null})));

    assert_eq!(switch(&app, true), json!({"enabled": true, "detail": "moving disks"}));
    assert_eq!(app.get(SWITCH).expect(200).json(), json!({"enabled": true, "detail": "moving disks"}));
    let request = app.run_request(&project, &json!([]), json!({}));
    for refused in [
        app.send(&request),
        validation(&app, &project),
        app.post(&format!("{}?stream=true", project.runs()), &json!({"options": {"validate_only": true}})),
        app.post(&project.builds(), &json!({})),
        app.post(&project.builds(), &json!({"options": {"force": true}})),
        app.send(&Request::post(&retry)),
    ] {
        assert_eq!(refused.problem(409, "safe_mode_enabled")["detail"], "moving disks");
    }
    let degraded = json!({"name": "safe_mode", "status": "degraded", "detail": "moving disks"});
    assert_eq!(component(&app), (json!("degraded"), degraded));
    assert_eq!(app.show_run(id), run);
    for below in ["summary", "events", "outputs/x.csv", "logs"] {
        app.get(&format!("/api/v1/runs/{id}/{below}")).expect(200);
    }

    assert_eq!(switch(&app, false), json!({"enabled": false, "detail": null}));
    assert_eq!(component(&app).0, "ok");
    let run = validation(&app, &project).expect(201).json();
    assert_eq!(app.finish_run(run["id"].as_str().unwrap())["status"], "succeeded");
}

#[test]
fn a_switched_safe_mode_outlives_a_restart_and_overrides_the_setting() {
    let app = TestApp::with(&[("ADE_SAFE_MODE", "true")]);
    let project = app.project();
    assert_eq!(app.get(SWITCH).json(), json!({"enabled": true, "detail": null}));
    validation(&app, &project).problem(409, "safe_mode_enabled");
    switch(&app, false);
    let app = app.restart();
    assert_eq!(app.get(SWITCH).json()["enabled"], false);
    let run = validation(&app, &project).expect(201).json();
    app.finish_run(run["id"].as_str().unwrap());
    switch(&app, true);
    let app = app.restart();
    assert_eq!(app.get(SWITCH).json(), json!({"enabled": true, "detail": "moving disks"}));
    assert_eq!(validation(&app, &project).problem(409, "safe_mode_enabled")["detail"], "moving disks");
}

#[test]
fn queued_work_waits_until_it_is_lifted_and_running_work_continues() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let project = app.project();
    let first = app.held_run(&project);
    let second = app.create_run(&project, &json!([]));
    let mut stream = app.run_stream(&second);
    stream.until(|event| event["payload"]["reason"] == "capacity");
    switch(&app, true);
    app.touch("go");
    assert_eq!(app.finish_run(&first)["status"], "succeeded");
    stream.until(|event| event["payload"]["reason"] == "safe_mode");
    assert_eq!(app.show_run(&second)["status"], "queued");
    switch(&app, false);
    assert_eq!(app.finish_run(&second)["status"], "succeeded");
    assert_eq!(reasons(&app, &second), ["capacity", "safe_mode"]);
}

#[test]
fn work_queued_at_a_start_in_safe_mode_waits_until_it_is_lifted() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let project = app.project();
    app.held_run(&project);
    let second = app.create_run(&project, &json!([]));
    let third = app.create_run(&project, &json!([]));
    for run in [&second, &third] {
        app.run_stream(run).until(|event| event["payload"]["reason"] == "capacity");
    }
    switch(&app, true);
    let app = app.restart();
    let mut stream = app.run_stream(&second);
    stream.until(|event| event["payload"]["reason"] == "safe_mode");
    app.cancel_run(&third).expect(202);
    assert_eq!(app.finish_run(&third)["status"], "cancelled", "who waits for it to be lifted can be cancelled");
    assert_eq!(app.show_run(&second)["status"], "queued");
    // A stop finds nothing at work to wait for.
    let app = app.restart();
    switch(&app, false);
    assert_eq!(app.finish_run(&second)["status"], "succeeded");
}

#[test]
fn a_queued_build_waits_too() {
    let app = TestApp::start();
    let project = app.project_building(&json!({"await": app.path("go"), "started": app.path("started")}));
    let id = |build: Value| build["id"].as_str().unwrap().to_owned();
    let first = id(app.create_build(&project, &json!({})));
    wait_until("the build is at work", || std::path::Path::new(&app.path("started")).exists());
    let second = id(app.create_build(&project, &json!({"force": true})));
    switch(&app, true);
    app.touch("go");
    assert_eq!(app.finish_build(&first)["status"], "active");
    assert_eq!(app.show_build(&second)["status"], "queued");
    switch(&app, false);
    assert_eq!(app.finish_build(&second)["status"], "active");
}

#[test]
fn a_malformed_safe_mode_switch_is_rejected() {
    let app = TestApp::start();
    for body in [
        json!({}),
        json!({"enabled": "yes"}),
        json!({"enabled": true, "colour": 1}),
        json!({"enabled": true, "detail": 3}),
        json!({"enabled": true, "detail": "x".repeat(501)}),
        json!([true]),
    ] {
        put(&app, body).problem(422, "invalid_request");
    }
    app.send(&Request::new("PUT", SWITCH).body("text/plain", "true")).problem(415, "unsupported_media_type");
    app.send(&Request::post(SWITCH)).problem(405, "method_not_allowed");
    assert_eq!(app.get(SWITCH).json()["enabled"], false);
    assert_eq!(put(&app, json!({"enabled": true, "detail": "  "})).expect(200).json()["detail"], Value::Null);
}
