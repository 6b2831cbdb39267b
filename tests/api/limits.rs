//! What an engine may take, and what it can do: each limit ends the run with a word about it.

use std::fs;

use crate::support::{TestApp, Value, json, kind};

fn errors(app: &TestApp, run: &Value) -> Vec<Value> {
    let events = app.run_events(run["id"].as_str().unwrap());
    events.into_iter().filter(|event| kind(event) == "run.error").collect()
}

#[test]
fn an_engine_at_a_resource_limit_fails_and_the_limit_is_named() {
    for (setting, value, steps, phrase) in [
        ("ADE_WORKER_CPU_SECONDS", "1", json!([["burn"]]), "CPU time of 1 s"),
        ("ADE_WORKER_MEM_MB", "256", json!([["hoard", 1024]]), "memory than its 256 MiB"),
        ("ADE_WORKER_FSIZE_MB", "1", json!([["grow", "x.bin", 3]]), "more than 1 MiB into one file"),
    ] {
        let app = TestApp::with(&[(setting, value)]);
        let project = app.project();
        assert_eq!(app.run(&project, &json!([["output", "x.csv", "1"]]))["status"], "succeeded", "{setting}");
        let run = app.run(&project, &steps);
        assert_eq!((&run["status"], &run["failure_code"]), (&json!("failed"), &json!("engine_error")), "{run}");
        let message = run["failure_message"].as_str().unwrap();
        assert!(message.contains(setting) && message.contains(phrase), "{message}");
        let errors = errors(&app, &run);
        assert_eq!((errors.len(), &errors[0]["payload"]["message"]), (1, &run["failure_message"]));
    }
}

#[test]
fn a_failure_is_reported_once() {
    let app = TestApp::start();
    let project = app.project();
    let told = json!({"type": "run.error", "payload": {"stage": "run", "code": "bad_input", "message": "no header"}});
    let result =
        |message: &str| json!(["result", {"status": "failed", "error": {"code": "bad_input", "message": message}}]);
    let run = app.run(&project, &json!([["event", told], result("no header"), ["exit", 1]]));
    assert_eq!((&run["status"], &run["failure_message"]), (&json!("failed"), &json!("no header")));
    let once = errors(&app, &run);
    assert_eq!((once.len(), &once[0]["source"]), (1, &json!("engine")));
    // Another trouble on the way is not the end.
    let run = app.run(&project, &json!([["event", told], result("no rows"), ["exit", 1]]));
    let both = errors(&app, &run);
    let messages: Vec<_> = both.iter().map(|error| &error["payload"]["message"]).collect();
    assert_eq!(messages, [&json!("no header"), &json!("no rows")]);
}

/// A service whose engine says this of itself.
fn with_engine_that_tells(capabilities: &str) -> TestApp {
    let app = TestApp::start();
    let path = app.folder().join("engine/src/ade_engine/__main__.py");
    let text = fs::read_to_string(&path).unwrap();
    let all = r#", "capabilities": ["validate", "input_dir"]"#;
    assert!(text.contains(all));
    fs::write(&path, text.replace(all, capabilities)).unwrap();
    app
}

#[test]
fn several_documents_are_passed_to_an_engine_that_does_not_declare_otherwise() {
    for (capabilities, status) in [("", "succeeded"), (r#", "capabilities": ["validate"]"#, "failed")] {
        let app = with_engine_that_tells(capabilities);
        let project = app.project();
        let documents = ["a.json", "b.json"].map(|name| app.upload(&project, name, br#"[["say", "here"]]"#));
        let body = json!({"options": {"document_ids": documents}});
        let run = app.post(&project.runs(), &body).expect(201).json();
        let run = app.finish_run(run["id"].as_str().unwrap());
        assert_eq!(run["status"], status, "{run}");
        if status == "failed" {
            assert_eq!((&run["failure_code"], &run["started_at"]), (&json!("engine_error"), &Value::Null));
            assert!(run["failure_message"].as_str().unwrap().contains("one document at a time"), "{run}");
            assert_eq!(errors(&app, &run).len(), 1);
            assert_eq!(app.run(&project, &json!([]))["status"], "succeeded");
        }
    }
}

#[test]
fn an_engine_that_cannot_validate_has_its_configuration_imported() {
    let app = with_engine_that_tells("");
    let project = app.project();
    let validate = |project: &crate::support::Project| {
        let run = app.post(&project.runs(), &json!({"options": {"validate_only": true}})).expect(201).json();
        app.finish_run(run["id"].as_str().unwrap())
    };
    let good = validate(&project);
    assert_eq!((&good["status"], &good["mode"]), (&json!("succeeded"), &json!("validate_only")));
    let events = app.run_events(good["id"].as_str().unwrap());
    assert!(!events.iter().any(|event| kind(event) == "run.phase.started"), "the engine has not been asked");
    let diagnostics = app.get(&format!("/api/v1/runs/{}/diagnostics", good["id"].as_str().unwrap())).json();
    assert!(diagnostics.to_string().contains("import ade_engine, ade_config"), "{diagnostics}");
}
