//! Capacity: so many engines at once, the others in line, workspaces in turn.

use ade::domain::time::Timestamp;

use crate::support::{Project, TestApp, Value, json, kind, wait_until};

fn waits(events: &[Value]) -> Vec<Value> {
    let waits = events.iter().filter(|event| kind(event) == "run.waiting" && event["payload"]["reason"] == "capacity");
    waits.map(|event| event["payload"]["position"].clone()).collect()
}

/// A run that stands in line, and the position that it was told.
fn queued_run(app: &TestApp, project: &Project) -> (String, Value) {
    let run = app.create_run(project, &json!([]));
    let seen = app.run_stream(&run).until(|event| event["payload"]["reason"] == "capacity");
    (run, waits(&seen).remove(0))
}

fn in_order_of_start(app: &TestApp, runs: &[String]) -> Vec<String> {
    let mut ended: Vec<Value> = runs.iter().map(|run| app.finish_run(run)).collect();
    assert!(ended.iter().all(|run| run["status"] == "succeeded"), "{ended:?}");
    ended.sort_by_key(|run| run["started_at"].as_str().unwrap().to_owned());
    ended.iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_run_waits_in_line_and_then_runs() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let project = app.project();
    let first = app.held_run(&project);
    let (second, position) = queued_run(&app, &project);
    assert_eq!((position, &app.show_run(&second)["started_at"]), (json!(1), &Value::Null));
    let (third, position) = queued_run(&app, &project);
    assert_eq!(position, 2);
    app.touch("go");
    let ended: Vec<Value> = [&first, &second, &third].map(|run| app.finish_run(run)).into();
    for pair in ended.windows(2) {
        assert_eq!((&pair[0]["status"], &pair[1]["status"]), (&json!("succeeded"), &json!("succeeded")));
        assert!(pair[0]["completed_at"].as_str() <= pair[1]["started_at"].as_str(), "{pair:?}");
    }
}

#[test]
fn workspaces_are_served_in_turn() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let (greedy, modest) = (app.project(), app.project());
    assert_eq!(app.build(&modest, &json!({}))["status"], "active");
    let held = app.held_run(&greedy);
    let many: Vec<_> = (0..3).map(|_| queued_run(&app, &greedy)).collect();
    let (one, position) = queued_run(&app, &modest);
    assert_eq!(many.iter().map(|(_, position)| position.clone()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(position, 2, "after the next of the other workspace");
    app.touch("go");
    app.finish_run(&held);
    let [first, second, third] = [0, 1, 2].map(|n| many[n].0.clone());
    let all = [first.clone(), second.clone(), third.clone(), one.clone()];
    assert_eq!(in_order_of_start(&app, &all), [first, one, second, third]);
}

#[test]
fn a_changed_queue_position_is_reported_again() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let project = app.project();
    let held = app.held_run(&project);
    let ((second, _), (third, _)) = (queued_run(&app, &project), queued_run(&app, &project));
    let mut stream = app.run_stream(&third);
    app.cancel_run(&second).expect(202);
    let seen = stream.until(|event| event["payload"]["position"] == 1);
    assert_eq!(waits(&seen), [2, 1]);
    let told: Vec<Timestamp> = seen
        .iter()
        .filter(|event| event["payload"]["reason"] == "capacity")
        .map(|event| event["created_at"].as_str().unwrap().parse().unwrap())
        .collect();
    // Every five seconds at most, but for what the first took to get into the log.
    assert!((told[1] - told[0]).num_milliseconds() >= 4500, "{told:?}");
    app.touch("go");
    for run in [&held, &third] {
        assert_eq!(app.finish_run(run)["status"], "succeeded");
    }
}

#[test]
fn a_full_queue_rejects_work_until_there_is_room() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1"), ("ADE_QUEUE_SIZE", "1")]);
    let project = app.project();
    let held = app.held_run(&project);
    let (queued, _) = queued_run(&app, &project);
    let request = app.run_request(&project, &json!([]), json!({}));
    let refused = app.send(&request);
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    refused.problem(429, "queue_full");
    assert_eq!(app.get(&project.runs()).json()["total"], 2, "what is refused leaves nothing");
    app.cancel_run(&queued).expect(202);
    app.finish_run(&queued);
    let admitted = app.send(&request).expect(201).json();
    app.touch("go");
    for run in [held.as_str(), admitted["id"].as_str().unwrap()] {
        assert_eq!(app.finish_run(run)["status"], "succeeded");
    }
}

#[test]
fn runs_that_wait_for_their_build_are_queued_too() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1"), ("ADE_QUEUE_SIZE", "1")]);
    let project = app.project_building(&json!({"await": app.path("go"), "started": app.path("started")}));
    let request = app.run_request(&project, &json!([]), json!({}));
    let create = || app.send(&request).expect(201).json()["id"].as_str().unwrap().to_owned();
    // One for the free slot, one in line.
    let runs = [create(), create()];
    app.send(&request).problem(429, "queue_full");
    wait_until("the build is at work", || std::path::Path::new(&app.path("started")).exists());
    app.touch("go");
    for run in &runs {
        assert_eq!(app.finish_run(run)["status"], "succeeded");
    }
}

#[test]
fn a_build_uses_no_run_slot() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let (project, other) = (app.project(), app.project());
    let held = app.held_run(&project);
    assert_eq!(app.build(&other, &json!({}))["status"], "active");
    app.touch("go");
    assert_eq!(app.finish_run(&held)["status"], "succeeded");
}

#[test]
fn a_failed_run_releases_its_slot() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let project = app.project();
    for _ in 0..3 {
        assert_eq!(app.run(&project, &json!([["exit", 1]]))["status"], "failed");
    }
    assert_eq!(app.run(&project, &json!([]))["status"], "succeeded");
}
