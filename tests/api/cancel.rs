//! Cancelling: what was asked for ends, all of it, and nothing else does.

use crate::support::{Project, Request, TestApp, Value, json, kind, process, types, wait_until};

fn ids(resource: &Value) -> String {
    resource["id"].as_str().unwrap().to_owned()
}

/// A configuration whose build waits until `go` exists, with a run that waits for it.
fn building(app: &TestApp) -> (Project, String, String) {
    let project = app.project_building(&json!({"await": app.path("go"), "started": app.path("started")}));
    let run = app.create_run(&project, &json!([]));
    let seen = app.run_stream(&run).until_type("build.started");
    wait_until("the build is at work", || std::path::Path::new(&app.path("started")).exists());
    let build = seen[seen.len() - 1]["build_id"].as_str().unwrap().to_owned();
    (project, run, build)
}

#[test]
fn a_running_run_is_cancelled_with_all_its_processes() {
    let app = TestApp::start();
    let project = app.project();
    let steps = json!([["spawn", app.path("child")], ["say", "here"], ["await", app.path("never")]]);
    let run = app.create_run(&project, &steps);
    let mut stream = app.run_stream(&run);
    stream.until(|event| event["payload"]["message"] == "here");
    assert!(process::mentioning(&run).len() >= 2);
    let body = json!({"reason": "wrong file"});
    let cancelled = app.post(&format!("/api/v1/runs/{run}/cancel"), &body).expect(202).json();
    assert_eq!(cancelled["id"], run);
    let events = stream.until_type("run.completed");
    let cancelling: Vec<_> = events.iter().filter(|event| kind(event) == "run.cancelling").collect();
    assert_eq!(cancelling.len(), 1);
    assert_eq!(cancelling[0]["payload"]["grace_seconds"], 1);
    let end = &events[events.len() - 1]["payload"];
    assert_eq!((&end["status"], &end["failure"]["code"]), (&json!("cancelled"), &json!("run_cancelled")));
    assert_eq!(end["failure"]["message"], "wrong file");
    assert_eq!(process::mentioning(&run), Vec::<i32>::new());
    let shown = app.show_run(&run);
    assert_eq!((&shown["status"], &shown["failure_code"]), (&json!("cancelled"), &json!("run_cancelled")));
    assert_eq!(app.cancel_run(&run).expect(200).json()["status"], "cancelled");
    assert_eq!(app.run_events(&run).iter().filter(|event| kind(event) == "run.cancelling").count(), 1);
}

#[test]
fn an_engine_that_ignores_the_signal_is_killed_after_the_grace() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.create_run(&project, &json!([["stubborn"], ["say", "here"], ["await", app.path("never")]]));
    let mut stream = app.run_stream(&run);
    stream.until(|event| event["payload"]["message"] == "here");
    app.cancel_run(&run).expect(202);
    assert_eq!(app.cancel_run(&run).expect(200).json()["id"], run);
    let events = stream.until_type("run.completed");
    assert_eq!(events[events.len() - 1]["payload"]["status"], "cancelled");
    assert_eq!(process::mentioning(&run), Vec::<i32>::new());
}

#[test]
fn an_engine_that_leaves_a_child_behind_does_not_keep_its_run_open() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([["spawn", app.path("child")], ["output", "x.csv", "1"]]));
    assert_eq!(run["status"], "succeeded");
    assert_eq!(process::mentioning(&ids(&run)), Vec::<i32>::new());
    let events = app.run_events(&ids(&run));
    assert!(events.iter().any(|event| event["payload"]["truncated"] == true), "{:?}", types(&events));
}

#[test]
fn work_that_ended_differently_cannot_be_cancelled() {
    let app = TestApp::start();
    let project = app.project();
    let run = ids(&app.run(&project, &json!([])));
    app.cancel_run(&run).problem(409, "run_not_cancellable");
    assert_eq!(app.show_run(&run)["status"], "succeeded");
    let failed = ids(&app.run(&project, &json!([["exit", 1]])));
    app.cancel_run(&failed).problem(409, "run_not_cancellable");
    let build = ids(&app.list_builds(&project)[0]);
    app.cancel_build(&build).problem(409, "build_not_cancellable");
    app.cancel_build("build_01J00000000000000000000000").problem(404, "not_found");
    let unknown = Request::post(format!("/api/v1/runs/{run}/cancel")).json(&json!({"colour": "red"}));
    app.send(&unknown).problem(422, "invalid_request");
}

#[test]
fn a_run_that_waits_for_capacity_is_cancelled_at_once() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let project = app.project();
    let first = app.held_run(&project);
    let second = app.create_run(&project, &json!([]));
    let mut stream = app.run_stream(&second);
    stream.until(|event| event["payload"]["reason"] == "capacity");
    app.cancel_run(&second).expect(202);
    let events = stream.until_type("run.completed");
    assert_eq!(events[events.len() - 1]["payload"]["status"], "cancelled");
    let shown = app.show_run(&second);
    assert_eq!((&shown["status"], &shown["started_at"]), (&json!("cancelled"), &Value::Null));
    app.cancel_run(&second).expect(200);
    app.touch("go");
    assert_eq!(app.finish_run(&first)["status"], "succeeded");
}

#[test]
fn cancelling_the_last_waiting_run_cancels_the_build() {
    let app = TestApp::start();
    let (_, run, build) = building(&app);
    assert_eq!(app.show_run(&run)["status"], "building");
    app.cancel_run(&run).expect(202);
    assert_eq!(app.finish_run(&run)["status"], "cancelled");
    let build = app.finish_build(&build);
    assert_eq!((&build["status"], &build["error"]["code"]), (&json!("cancelled"), &json!("build_cancelled")));
    assert_eq!(process::mentioning(build["id"].as_str().unwrap()), Vec::<i32>::new());
}

#[test]
fn cancelling_one_run_does_not_cancel_the_build_another_waits_for() {
    let app = TestApp::start();
    let (project, first, build) = building(&app);
    let second = app.create_run(&project, &json!([]));
    app.run_stream(&second).until_type("build.started");
    app.cancel_run(&first).expect(202);
    assert_eq!(app.finish_run(&first)["status"], "cancelled");
    assert_eq!(app.show_build(&build)["status"], "building");
    app.touch("go");
    let second = app.finish_run(&second);
    assert_eq!((&second["status"], &second["build_id"]), (&json!("succeeded"), &json!(build)));
    assert_eq!(app.list_builds(&project).len(), 1);
}

#[test]
fn a_requested_build_continues_without_the_run_that_joined_it() {
    let app = TestApp::start();
    let project = app.project_building(&json!({"await": app.path("go"), "started": app.path("started")}));
    let build = ids(&app.create_build(&project, &json!({})));
    let run = app.create_run(&project, &json!([]));
    app.run_stream(&run).until_type("build.started");
    app.cancel_run(&run).expect(202);
    app.finish_run(&run);
    app.touch("go");
    assert_eq!(app.finish_build(&build)["status"], "active");
}

#[test]
fn a_cancelled_build_fails_the_runs_that_wait_for_it() {
    let app = TestApp::start();
    let (project, run, build) = building(&app);
    let cancelled = app.cancel_build(&build).expect(202).json();
    assert_eq!(cancelled["id"], build);
    let ended = app.finish_build(&build);
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("cancelled"), &json!("build_cancelled")));
    assert_eq!(app.cancel_build(&build).expect(200).json()["status"], "cancelled");
    assert_eq!(process::mentioning(&build), Vec::<i32>::new());
    let run = app.finish_run(&run);
    assert_eq!((&run["status"], &run["failure_code"]), (&json!("failed"), &json!("build_failed")));
    // What was cancelled is not used again.
    app.touch("go");
    assert_eq!(app.run(&project, &json!([]))["status"], "succeeded");
}

#[test]
fn a_queued_build_is_cancelled_at_once() {
    let app = TestApp::start();
    let (project, run, _) = building(&app);
    let forced = ids(&app.create_build(&project, &json!({"force": true})));
    app.cancel_build(&forced).expect(202);
    let ended = app.finish_build(&forced);
    assert_eq!((&ended["status"], &ended["started_at"]), (&json!("cancelled"), &Value::Null));
    app.touch("go");
    assert_eq!(app.finish_run(&run)["status"], "succeeded");
}
