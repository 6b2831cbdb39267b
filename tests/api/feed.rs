//! The feed of a workspace: what becomes of everything in it, in one stream.

use crate::support::{Project, Request, TestApp, Value, json, kind, types, wait_until};

/// What the feed has now.
fn told(app: &TestApp, project: &Project) -> Vec<Value> {
    app.get(&project.feed()).expect(200).json()["items"].as_array().unwrap().clone()
}

/// The events that a run's or a build's own stream has of the feed's types.
fn lifecycle(events: &[Value], prefix: &str) -> Vec<Value> {
    let lived = ["queued", "started", "completed", "created"].map(|what| format!("{prefix}.{what}"));
    let lived: Vec<_> = lived.into_iter().filter(|name| name != "build.started").collect();
    events.iter().filter(|event| lived.contains(&kind(event).to_owned())).cloned().collect()
}

/// The feed's entries of one stream must be that stream's events, each with its origin.
#[track_caller]
fn assert_told(feed: &[Value], stream: &str, events: &[Value]) {
    let entries = feed.iter().filter(|entry| entry["payload"]["origin"]["stream"] == stream);
    let as_events: Vec<Value> = entries.map(original).collect();
    let expected: Vec<Value> = events.iter().map(comparable).collect();
    assert_eq!(as_events, expected, "{stream}");
}

fn original(entry: &Value) -> Value {
    let mut entry = entry.clone();
    let origin = entry["payload"].as_object_mut().unwrap().remove("origin").unwrap();
    entry["sequence"] = origin["sequence"].clone();
    comparable(&entry)
}

/// But for what the feed gives itself.
fn comparable(event: &Value) -> Value {
    let mut event = event.clone();
    event.as_object_mut().unwrap().retain(|key, _| !["event_id", "created_at"].contains(&key.as_str()));
    event
}

fn wait_for(app: &TestApp, project: &Project, ends: usize) -> Vec<Value> {
    let is_end = |entry: &&Value| kind(entry) == "run.completed";
    wait_until("the feed tells the ends", || told(app, project).iter().filter(is_end).count() >= ends);
    told(app, project)
}

#[test]
fn a_feed_reports_all_work_in_its_workspace() {
    let app = TestApp::start();
    let (project, elsewhere) = (app.project(), app.project());
    let run = app.run(&project, &json!([["emit", 20], ["say", "x"]]));
    let again = app.run(&project, &json!([["exit", 3]]));
    app.run(&elsewhere, &json!([]));
    let feed = wait_for(&app, &project, 2);
    let build = app.list_builds(&project)[0]["id"].as_str().unwrap().to_owned();
    for run in [&run, &again] {
        let id = run["id"].as_str().unwrap();
        assert_told(&feed, id, &lifecycle(&app.run_events(id), "run"));
    }
    assert_told(&feed, &build, &lifecycle(&app.build_events(&build), "build"));
    assert_eq!(feed.len(), 8, "{:?}", types(&feed));
    assert!(feed.iter().map(|entry| entry["sequence"].as_u64().unwrap()).eq(1..=8));
    assert!(feed.iter().all(|entry| entry["workspace_id"] == project.workspace.as_str()));
    let page = app.get(&project.feed()).json();
    assert_eq!((&page["closed"], &page["last_sequence"]), (&json!(false), &json!(8)));
    let keys: Vec<&String> = feed[0].as_object().unwrap().keys().collect();
    let expected = [
        "build_id",
        "configuration_id",
        "created_at",
        "engine_timestamp",
        "event_id",
        "payload",
        "run_id",
        "sequence",
        "source",
        "type",
        "workspace_id",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn a_reused_build_is_streamed_as_one_that_ended_at_once() {
    let app = TestApp::start();
    let project = app.project();
    app.build(&project, &json!({}));
    let again = app.build(&project, &json!({}))["id"].as_str().unwrap().to_owned();
    wait_until("both builds are told", || told(&app, &project).len() == 4);
    assert_told(&told(&app, &project), &again, &lifecycle(&app.build_events(&again), "build"));
}

#[test]
fn a_feed_is_read_like_any_stream() {
    let app = TestApp::start();
    let project = app.project();
    let mut live = app.stream(&Request::get(format!("{}/stream", project.feed())));
    app.run(&project, &json!([]));
    let mut seen = live.until_type("run.completed");
    app.run(&project, &json!([]));
    seen.extend(live.until_type("run.completed"));
    let last = seen.len() as u64;
    assert!(seen.iter().map(|event| event["sequence"].as_u64().unwrap()).eq(1..=last));

    let target = |rest: &str| format!("{}{rest}", project.feed());
    let lines = app.get(&target("/download")).expect(200);
    let read: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, seen);
    let name = format!("attachment; filename=\"{}.events.ndjson\"", project.workspace);
    assert_eq!(lines.header("content-disposition"), Some(name.as_str()));
    let head = app.send(&Request::new("HEAD", target("/download?follow=true"))).expect(200);
    assert_eq!((head.header("content-disposition"), head.body.len()), (Some(name.as_str()), 0));
    assert_eq!(app.get(&target("?format=ndjson")).expect(200).body, lines.body);
    let file = app.data_dir().join("workspaces").join(&project.workspace).join("feed/events.ndjson");
    assert_eq!(std::fs::read(file).unwrap(), lines.body);
    for (rest, first) in
        [("?after_sequence=3", 4), ("?from_sequence=3", 3), ("?tail=2", last - 1), ("?last_event_id=5", 6)]
    {
        let page = app.get(&target(rest)).expect(200).json();
        let read = page["items"].as_array().unwrap().iter().map(|event| event["sequence"].as_u64().unwrap());
        assert!(read.eq(first..=last), "{rest}: {page}");
    }
    let ends = app.get(&target("?types=run.completed")).expect(200).json();
    assert_eq!(types(ends["items"].as_array().unwrap()), ["run.completed", "run.completed"]);
    assert_eq!(app.get(&target("?after_sequence=999")).problem(409, "sequence_ahead")["last_sequence"], last);
    // A reader that has everything waits: a feed has no end.
    let resumed = Request::get(target("/stream")).header("Last-Event-ID", last);
    let mut resumed = app.stream(&resumed);
    app.run(&project, &json!([]));
    assert_eq!(resumed.event().unwrap().id, Some(last + 1));
}

#[test]
fn a_new_feed_is_empty_and_the_feed_of_an_unknown_workspace_is_404() {
    let app = TestApp::start();
    let workspace = app.create_workspace("Idle");
    let page = app.get(&format!("/api/v1/workspaces/{workspace}/events")).expect(200).json();
    assert_eq!(page, json!({"items": [], "next_after_sequence": 0, "last_sequence": 0, "closed": false}));
    for rest in ["", "/stream", "/download"] {
        app.get(&format!("/api/v1/workspaces/ws_01ARZ3NDEKTSV4RRFFQ69G5FAV/events{rest}")).problem(404, "not_found");
        app.get(&format!("/api/v1/workspaces/nonsense/events{rest}")).problem(422, "invalid_id");
    }
}

#[test]
fn a_restart_delivers_what_was_pending_and_nothing_twice() {
    let app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1"), ("ADE_DRAIN_TIMEOUT", "1s")]);
    let project = app.project();
    app.run(&project, &json!([]));
    let held = app.held_run(&project);
    let waiting = app.create_run(&project, &json!([]));
    wait_for(&app, &project, 1);
    let app = app.restart();
    app.finish_run(&waiting);
    let feed = wait_for(&app, &project, 3);
    for run in [&held, &waiting] {
        assert_told(&feed, run, &lifecycle(&app.run_events(run), "run"));
    }
    assert!(feed.iter().map(|entry| entry["sequence"].as_u64().unwrap()).eq(1..=feed.len() as u64));
    // What comes later goes on behind it.
    app.run(&project, &json!([]));
    assert_eq!(wait_for(&app, &project, 4).len(), feed.len() + 3);
}

#[test]
fn a_stop_notifies_and_closes_the_readers_of_a_feed() {
    let mut app = TestApp::with(&[("ADE_DRAIN_TIMEOUT", "600s")]);
    let project = app.project();
    let mut reader = app.stream(&Request::get(format!("{}/stream", project.feed())));
    reader.frame().unwrap();
    let took = app.stop_gracefully();
    assert!(took < std::time::Duration::from_secs(600), "{took:?}");
    let frames = reader.frames();
    assert_eq!(frames[frames.len() - 1].event.as_deref(), Some("stream.draining"), "{frames:?}");
}
