//! Runs: created in the background or watched from the first event, and what their events tell.

use crate::support::{EventStream, Project, Request, TestApp, Value, json, kind, types};

const STATES: [&str; 3] = ["queued", "building", "running"];

fn steps() -> Value {
    json!([
        ["event", {"type": "run.started", "payload": {"engine_version": "9"}}],
        ["event", {"type": "run.phase.started", "payload": {"phase": "extracting"}}],
        ["event", {"type": "run.note", "sequence": 99, "event_id": "mine", "payload": {"a": [1, {"b": null}]}}],
        ["event", {"type": "run.phase.started", "payload": {"phase": "mapping"}}],
        ["output", "normalized.csv", "a,b\n"],
        ["event", {"type": "run.completed", "payload": {"status": "succeeded"}}],
    ])
}

#[test]
fn a_background_run_has_every_field_from_the_start() {
    let app = TestApp::start();
    let project = app.project();
    let request = app.run_request(&project, &json!([["output", "x.csv", "1"]]), json!({"metadata": {"k": "v"}}));
    let created = app.send(&request).expect(201);
    let run = created.json();
    let keys: Vec<&str> = run.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "attempt",
        "build_id",
        "completed_at",
        "config_version",
        "configuration_id",
        "created_at",
        "duration_ms",
        "engine_version",
        "env_reason",
        "env_reused",
        "events_path",
        "exit_code",
        "failure_code",
        "failure_message",
        "failure_stage",
        "id",
        "input",
        "last_sequence",
        "links",
        "log_degraded",
        "max_validation_severity",
        "mode",
        "node_id",
        "object",
        "output",
        "output_paths",
        "retry_of_run_id",
        "row_count",
        "started_at",
        "status",
        "table_count",
        "workspace_id",
    ];
    assert_eq!(keys, expected);
    let id = run["id"].as_str().unwrap();
    assert_eq!(created.header("location"), Some(format!("/api/v1/runs/{id}").as_str()));
    assert_eq!((&run["object"], &run["mode"], &run["attempt"]), (&json!("ade.run"), &json!("execute"), &json!(1)));
    assert!(STATES.contains(&run["status"].as_str().unwrap()), "{run}");
    assert_eq!((&run["completed_at"], &run["exit_code"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&run["workspace_id"], &run["configuration_id"]),
        (&json!(project.workspace), &json!(project.configuration))
    );
    let links: Vec<&str> = run["links"].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "cancel",
        "diagnostics",
        "events",
        "events_download",
        "events_stream",
        "logfile",
        "logs",
        "outputs",
        "self",
        "summary",
    ];
    assert_eq!(links, expected);

    let ended = app.finish_run(id);
    let now: Vec<&str> = ended.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(now, keys);
    assert_eq!((&ended["status"], &ended["exit_code"]), (&json!("succeeded"), &json!(0)));
    assert_eq!((&ended["engine_version"], &ended["config_version"]), (&json!("7.1.0"), &json!("1.2.3")));
    assert_eq!(ended["output_paths"], json!(["output/x.csv"]));
    assert_eq!(ended["output"]["output_count"], 1);
    assert_eq!(ended["input"]["input_file_count"], 1);
    assert!(ended["duration_ms"].is_u64() && ended["started_at"].as_str().unwrap().ends_with('Z'), "{ended}");
    for (name, link) in ended["links"].as_object().unwrap() {
        if name != "cancel" {
            let answer = app.get(link.as_str().unwrap());
            assert!(matches!(answer.status(), 200), "{name}: {answer}");
        }
    }
}

#[test]
fn a_run_that_builds_emits_its_events_in_order() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &steps());
    assert_eq!(run["status"], "succeeded");
    let events = app.run_events(run["id"].as_str().unwrap());
    let mut kinds = types(&events);
    kinds.dedup();
    let mut expected = vec!["run.queued", "run.waiting", "build.created", "build.started"];
    let phases = events.iter().filter(|event| kind(event) == "build.phase.completed").count();
    assert_eq!(phases, 6);
    let build_end = kinds.iter().position(|kind| *kind == "build.completed").unwrap();
    let within: Vec<&str> = kinds[4..build_end].to_vec();
    assert!(within.iter().all(|kind| kind.starts_with("build.phase.") || *kind == "console.line"), "{within:?}");
    expected.extend(within);
    expected.extend(["build.completed", "console.line", "run.started", "run.phase.started", "run.note"]);
    expected.extend(["run.phase.completed", "run.phase.started", "run.phase.completed", "run.completed"]);
    assert_eq!(kinds, expected);

    let sequences: Vec<_> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.iter().copied().eq(1..=events.len() as u64), "{sequences:?}");
    assert_eq!(run["last_sequence"], events.len());
    for event in &events {
        assert!(event["event_id"].as_str().unwrap().starts_with("evt_"), "{event}");
        assert_eq!((&event["run_id"], &event["workspace_id"]), (&run["id"], &run["workspace_id"]));
        if kind(event).starts_with("build.") || kind(event) == "run.started" {
            assert_eq!(event["build_id"], run["build_id"], "{event}");
        }
    }
    let mut ids: Vec<_> = events.iter().map(|event| event["event_id"].as_str().unwrap()).collect();
    let ordered = ids.clone();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, ordered);
}

#[test]
fn the_payloads_of_a_runs_own_events() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &steps());
    let events = app.run_events(run["id"].as_str().unwrap());
    let of = |name: &str| {
        let mut found = events.iter().filter(|event| kind(event) == name);
        let only = found.next().unwrap_or_else(|| panic!("no {name}"));
        assert!(found.next().is_none(), "one {name}");
        only
    };
    let queued = &of("run.queued")["payload"];
    assert_eq!((&queued["status"], &queued["mode"]), (&json!("queued"), &json!("execute")));
    assert_eq!(queued["options"]["document_ids"].as_array().unwrap().len(), 1);
    assert_eq!(of("run.waiting")["payload"]["reason"], "build");
    assert_eq!(of("build.created")["payload"]["should_build"], true);
    let started = &of("run.started")["payload"];
    assert_eq!((&started["status"], &started["mode"]), (&json!("in_progress"), &json!("execute")));
    assert_eq!((&started["engine_version"], &started["config_version"]), (&json!("7.1.0"), &json!("1.2.3")));
    assert_eq!(started["env"]["reused"], false);
    let note = of("run.note");
    assert_eq!(note["payload"], json!({"a": [1, {"b": null}]}));
    assert_eq!(note["source"], "engine");
    let completed = &of("run.completed")["payload"];
    assert_eq!((&completed["status"], &completed["failure"]), (&json!("succeeded"), &Value::Null));
    assert_eq!(completed["execution"]["exit_code"], 0);
    assert_eq!(completed["artifacts"]["output_paths"], json!(["output/normalized.csv"]));
    assert_eq!(completed["artifacts"]["events_path"], "logs/events.ndjson");
    assert_eq!(completed["summary"], app.get(run["links"]["summary"].as_str().unwrap()).json());
    let line = events.iter().filter(|event| kind(event) == "console.line").map(|event| &event["payload"]["message"]);
    assert!(line.into_iter().any(|message| message == "Configuration build completed; starting ADE run."));
}

#[test]
fn a_second_run_reuses_the_venv() {
    let app = TestApp::start();
    let project = app.project();
    let first = app.run(&project, &json!([]));
    let second = app.run(&project, &json!([]));
    assert_eq!(second["build_id"], first["build_id"]);
    assert_eq!((&second["env_reused"], &second["env_reason"]), (&json!(true), &json!("reuse_ok")));
    let events = app.run_events(second["id"].as_str().unwrap());
    let expected = ["run.queued", "build.created", "build.completed", "console.line", "run.started", "run.completed"];
    assert_eq!(types(&events), expected);
    assert_eq!(events[1]["payload"]["should_build"], false);
    assert_eq!(
        (&events[2]["payload"]["status"], &events[2]["payload"]["env"]["reused"]),
        (&json!("active"), &json!(true))
    );
    assert_eq!(app.list_builds(&project).len(), 1);
}

#[test]
fn a_run_can_be_followed_from_its_first_event() {
    let app = TestApp::start();
    let project = app.project();
    app.build(&project, &json!({}));
    let request = app.run_request(&project, &json!([["say", "hello"]]), json!({}));
    let in_body = |stream: bool| {
        let document = app.upload(&project, "steps.json", b"[]");
        json!({"stream": stream, "options": {"document_ids": [document]}})
    };
    let by_query = Request::post(format!("{}?stream=true", project.runs())).json(&in_body(false));
    let by_body = Request::post(project.runs()).json(&in_body(true));
    let in_workspace =
        format!("/api/v1/workspaces/{}/configurations/{}/runs", project.workspace, project.configuration);
    let nested = Request::post(in_workspace).json(&in_body(true));
    for request in [by_query, by_body, nested] {
        let mut stream = app.stream(&request);
        let frames = stream.rest();
        let ids: Vec<_> = frames.iter().map(|frame| frame.id.unwrap()).collect();
        assert!(ids.iter().copied().eq(1..=frames.len() as u64), "{ids:?}");
        assert_eq!(frames[0].json()["type"], "run.queued");
        let end = frames[frames.len() - 1].json();
        assert_eq!((&end["type"], &end["payload"]["status"]), (&json!("run.completed"), &json!("succeeded")));
        assert_eq!(app.show_run(end["run_id"].as_str().unwrap())["status"], "succeeded");
    }
    let run = app.send(&request).expect(201).json();
    app.finish_run(run["id"].as_str().unwrap());
}

#[test]
fn a_run_can_be_followed_as_lines() {
    let app = TestApp::start();
    let project = app.project();
    let document = app.upload(&project, "steps.json", br#"[["say", "hello"]]"#);
    let body = json!({"stream": true, "options": {"document_ids": [document]}});
    let answer =
        app.send(&Request::post(project.runs()).header("Accept", "application/x-ndjson").json(&body)).expect(200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let first: Value = serde_json::from_str(answer.text().lines().next().unwrap()).unwrap();
    assert_eq!(answer.text(), app.run_log(&project, first["run_id"].as_str().unwrap()));
}

/// Opens a streaming create and reads its first event.
fn watch_new(app: &TestApp, project: &Project, steps: &Value) -> (EventStream, String) {
    let document = app.upload(project, "steps.json", steps.to_string().as_bytes());
    let body = json!({"stream": true, "options": {"document_ids": [document]}});
    let mut stream = app.stream(&Request::post(project.runs()).json(&body));
    let run = stream.until_type("run.queued")[0]["run_id"].as_str().unwrap().to_owned();
    (stream, run)
}

#[test]
fn a_client_that_hangs_up_does_not_stop_the_run() {
    let app = TestApp::start();
    let project = app.project();
    let steps = json!([["say", "here"], ["await", app.path("go")], ["output", "x.csv", "1"]]);
    let (mut stream, run) = watch_new(&app, &project, &steps);
    stream.until(|event| event["payload"]["message"] == "here");
    drop(stream);
    let (early, other) = watch_new(&app, &project, &json!([]));
    drop(early);
    app.touch("go");
    assert_eq!(app.finish_run(&run)["status"], "succeeded");
    assert_eq!(app.finish_run(&other)["status"], "succeeded");
}

#[test]
fn a_client_that_has_seen_the_end_finds_the_run_ended() {
    let app = TestApp::start();
    let project = app.project();
    app.build(&project, &json!({}));
    for _ in 0..10 {
        let (mut stream, run) = watch_new(&app, &project, &json!([]));
        stream.until_type("run.completed");
        let seen = app.show_run(&run);
        assert_eq!((&seen["status"], &seen["exit_code"]), (&json!("succeeded"), &json!(0)));
        app.get(&format!("/api/v1/runs/{run}/summary")).expect(200);
        let list = app.get(&format!("{}?status=succeeded", project.runs())).expect(200).json();
        assert!(list["items"].as_array().unwrap().iter().any(|item| item["id"] == json!(run)), "{list}");
    }
}

#[test]
fn runs_are_listed_where_they_belong() {
    let app = TestApp::start();
    let (one, two) = (app.project(), app.project());
    let runs: Vec<Value> = (0..3).map(|_| app.run(&one, &json!([]))).collect();
    app.run(&two, &json!([["exit", 1]]));
    for target in [one.runs(), format!("/api/v1/workspaces/{}/runs", one.workspace)] {
        let list = app.get(&target).expect(200).json();
        assert_eq!((&list["total"], &list["page"], &list["pageCount"]), (&json!(3), &json!(1), &json!(1)));
        for run in &runs {
            assert!(list["items"].as_array().unwrap().contains(run), "{list}");
        }
        let page = app.get(&format!("{target}?perPage=2&page=2")).expect(200).json();
        assert_eq!((page["items"].as_array().unwrap().len(), &page["pageCount"]), (1, &json!(2)));
        assert_eq!(app.get(&format!("{target}?status=failed")).json()["total"], 0);
    }
    assert_eq!(app.get(&format!("{}?status=failed&status=succeeded", two.runs())).json()["total"], 1);
    let problem = app.get(&format!("{}?colour=red", one.runs())).problem(400, "invalid_query");
    assert!(
        problem["detail"].as_str().unwrap().contains("perPage")
            || problem["errors"][0]["message"].as_str().unwrap().contains("perPage"),
        "{problem}"
    );
    app.get(&format!("{}?perPage=201", one.runs())).problem(400, "invalid_query");
    app.get(&format!("{}?status=lost", one.runs())).problem(400, "invalid_query");
}

#[test]
fn an_engine_that_fails_fails_its_run_and_leaves_its_words() {
    let app = TestApp::start();
    let project = app.project();
    let told = app.run(
        &project,
        &json!([
            ["complain", "no header row"],
            ["result", {"status": "failed", "error": {"code": "bad_input", "stage": "run", "message": "no header"}}],
            ["exit", 1],
        ]),
    );
    assert_eq!((&told["status"], &told["exit_code"]), (&json!("failed"), &json!(1)));
    assert_eq!((&told["failure_code"], &told["failure_stage"]), (&json!("bad_input"), &json!("run")));
    assert!(told["failure_message"].as_str().unwrap().contains("no header"), "{told}");
    let events = app.run_events(told["id"].as_str().unwrap());
    let complaint = events.iter().find(|event| event["payload"]["message"] == "no header row").unwrap();
    assert_eq!((&complaint["payload"]["stream"], &complaint["payload"]["level"]), (&json!("stderr"), &json!("warn")));
    let errors: Vec<_> = events.iter().filter(|event| kind(event) == "run.error").collect();
    assert_eq!(errors.len(), 1);

    let lied = app.run(&project, &json!([["result", {"status": "succeeded"}], ["exit", 3]]));
    assert_eq!((&lied["status"], &lied["exit_code"]), (&json!("failed"), &json!(3)));
}

#[test]
fn a_run_whose_log_cannot_be_created_leaves_nothing_behind() {
    let app = TestApp::start();
    let project = app.project();
    let runs = app.data_dir().join("workspaces").join(&project.workspace).join("runs");
    std::fs::write(&runs, "not a folder").unwrap();
    let request = Request::post(project.runs()).json(&json!({"options": {"validate_only": true}}));
    let request = request.header("Idempotency-Key", "k");
    app.send(&request).problem(503, "log_unavailable");
    assert_eq!(app.get(&project.runs()).json()["total"], 0);
    std::fs::remove_file(&runs).unwrap();
    let run = app.send(&request).expect(201);
    assert_eq!(run.header("idempotency-replayed"), None, "what has failed has used no key");
    assert_eq!(app.finish_run(run.json()["id"].as_str().unwrap())["status"], "succeeded");
    assert_eq!(app.restart().get(&project.runs()).json()["total"], 1);
}

#[test]
fn an_engine_cannot_speak_for_the_service() {
    let app = TestApp::start();
    let project = app.project();
    let forged = ["run.queued", "run.waiting", "run.cancelling", "build.completed", "stream.degraded"];
    let steps: Vec<Value> = forged.iter().map(|name| json!(["event", {"type": name, "payload": {}}])).collect();
    let run = app.run(&project, &json!(steps));
    assert_eq!(run["status"], "succeeded");
    let events = app.run_events(run["id"].as_str().unwrap());
    let from = events.iter().position(|event| kind(event) == "run.started").unwrap();
    let after = &events[from + 1..];
    assert_eq!(after.len(), forged.len() + 1, "{:?}", types(after));
    for event in &after[..forged.len()] {
        assert_eq!((kind(event), &event["payload"]["level"]), ("console.line", &json!("warn")));
    }
}
