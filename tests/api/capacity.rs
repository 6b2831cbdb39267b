//! Capacity: so many engines at once, the others in line.

use crate::support::{TestApp, Value, json, kind};

fn waits(events: &[Value]) -> Vec<(Value, Value)> {
    let waits = events.iter().filter(|event| kind(event) == "run.waiting" && event["payload"]["reason"] == "capacity");
    waits.map(|event| (event["payload"]["reason"].clone(), event["payload"]["position"].clone())).collect()
}

#[test]
fn a_run_waits_in_line_and_then_runs() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let project = app.project();
    let first = app.held_run(&project);
    let second = app.create_run(&project, &json!([]));
    let mut stream = app.run_stream(&second);
    let seen = stream.until(|event| event["payload"]["reason"] == "capacity");
    assert_eq!(waits(&seen), [(json!("capacity"), json!(1))]);
    assert_eq!(app.show_run(&second)["started_at"], Value::Null);
    let third = app.create_run(&project, &json!([]));
    let seen = app.run_stream(&third).until(|event| event["payload"]["reason"] == "capacity");
    assert_eq!(waits(&seen), [(json!("capacity"), json!(2))]);
    app.touch("go");
    let ended: Vec<Value> = [&first, &second, &third].map(|run| app.finish_run(run)).into();
    for pair in ended.windows(2) {
        assert_eq!((&pair[0]["status"], &pair[1]["status"]), (&json!("succeeded"), &json!("succeeded")));
        assert!(pair[0]["completed_at"].as_str() <= pair[1]["started_at"].as_str(), "{pair:?}");
    }
}

#[test]
fn a_build_takes_no_capacity() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let (project, other) = (app.project(), app.project());
    let held = app.held_run(&project);
    assert_eq!(app.build(&other, &json!({}))["status"], "active");
    app.touch("go");
    assert_eq!(app.finish_run(&held)["status"], "succeeded");
}

#[test]
fn a_run_that_fails_gives_its_place_free() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let project = app.project();
    for _ in 0..3 {
        assert_eq!(app.run(&project, &json!([["exit", 1]]))["status"], "failed");
    }
    assert_eq!(app.run(&project, &json!([]))["status"], "succeeded");
}
