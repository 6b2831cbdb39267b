//! What a run is asked to do.

use std::fs;

use crate::support::{Project, TestApp, Value, json, kind};

fn refused(app: &TestApp, project: &Project, body: Value, code: &str) -> Value {
    app.post(&project.runs(), &body).problem(422, code)
}

#[test]
fn invalid_run_options_are_named() {
    let app = TestApp::start();
    let project = app.project();
    let document = app.upload(&project, "x.json", b"[]");
    for body in [
        json!({"colour": 1}),
        json!({"options": {"colour": 1}}),
        json!({"options": {"dry_run": "yes", "document_ids": [document]}}),
        json!({"options": {"metadata": {"k": 1}, "document_ids": [document]}}),
        json!({"options": {"log_level": "loud", "document_ids": [document]}}),
        json!({"options": 3}),
        json!([]),
    ] {
        refused(&app, &project, body, "invalid_request");
    }
    for options in [json!({}), json!({"dry_run": true}), json!({"document_ids": []})] {
        let problem = refused(&app, &project, json!({"options": options}), "input_required");
        assert_eq!(problem["errors"][0]["path"], "options.document_ids");
    }
    app.send(&crate::support::Request::post(project.runs())).problem(422, "input_required");
    refused(&app, &project, json!({"options": {"document_ids": ["x"]}}), "invalid_id");
    let unknown = "doc_01J00000000000000000000000";
    refused(&app, &project, json!({"options": {"document_ids": [document, unknown]}}), "input_not_found");
    let elsewhere = app.project();
    refused(&app, &elsewhere, json!({"options": {"document_ids": [document]}}), "input_not_found");
    assert_eq!(app.get(&project.runs()).json()["total"], 0);
    assert_eq!(app.list_builds(&project).len(), 0);
}

#[test]
fn options_that_cannot_be_passed_to_an_engine_are_rejected_with_their_key() {
    let app = TestApp::start();
    let project = app.project();
    let document = app.upload(&project, "x.json", b"[]");
    let long = "v".repeat(20_000);
    let all: Value =
        (0..10).map(|n| (format!("k{n}"), json!("v".repeat(10_000)))).collect::<serde_json::Map<_, _>>().into();
    for (options, path) in [
        (json!({"metadata": {"run_id": "x"}}), "options.metadata.run_id"),
        (json!({"metadata": {"workspace_id": "x"}}), "options.metadata.workspace_id"),
        (json!({"metadata": {"document_name": "x"}}), "options.metadata.document_name"),
        (json!({"metadata": {"": "x"}}), "options.metadata."),
        (json!({"metadata": {"a=b": "x"}}), "options.metadata.a=b"),
        (json!({"metadata": {"--k": "x"}}), "options.metadata.--k"),
        (json!({"metadata": {"k": "a\u{1}"}}), "options.metadata.k"),
        (json!({"metadata": {"k": long}}), "options.metadata.k"),
        (json!({"metadata": all}), "options.metadata"),
        (json!({"input_sheet_names": ["One", ""]}), "options.input_sheet_names[1]"),
        (json!({"input_sheet_names": ["a\nb"]}), "options.input_sheet_names[0]"),
        (json!({"input_sheet_name": long}), "options.input_sheet_name"),
        (json!({"input_sheet_names": vec!["n"; 300]}), "options.input_sheet_names"),
        (json!({"metadata": {"k": "a\u{0}"}}), "options.metadata.k"),
    ] {
        let mut options = options;
        options["document_ids"] = json!([document]);
        let problem = refused(&app, &project, json!({"options": options}), "invalid_request");
        assert_eq!(problem["errors"][0]["path"], path, "{}", problem["detail"]);
    }
    assert_eq!(app.get(&project.runs()).json()["total"], 0);
}

#[test]
fn missing_resources_are_404_and_invalid_ids_422() {
    let app = TestApp::start();
    let project = app.project();
    let validate = json!({"options": {"validate_only": true}});
    app.post("/api/v1/configurations/cfg_x/runs", &validate).problem(422, "invalid_id");
    app.post("/api/v1/configurations/cfg_01J00000000000000000000000/runs", &validate).problem(404, "not_found");
    let other = app.create_workspace("Other");
    let foreign = format!("/api/v1/workspaces/{other}/configurations/{}/runs", project.configuration);
    app.post(&foreign, &validate).problem(404, "not_found");
    for below in [
        "",
        "/summary",
        "/events",
        "/events/stream",
        "/events/download",
        "/logs",
        "/logfile",
        "/outputs",
        "/outputs/x",
        "/diagnostics",
    ] {
        app.get(&format!("/api/v1/runs/run_01J00000000000000000000000{below}")).problem(404, "not_found");
        app.get(&format!("/api/v1/runs/run_x{below}")).problem(422, "invalid_id");
    }
    app.cancel_run("run_01J00000000000000000000000").problem(404, "not_found");
    app.cancel_run("build_01J00000000000000000000000").problem(422, "invalid_id");
}

#[test]
fn a_validation_builds_and_checks_but_processes_nothing() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.post(&project.runs(), &json!({"options": {"validate_only": true}})).expect(201).json();
    let run = app.finish_run(run["id"].as_str().unwrap());
    assert_eq!((&run["status"], &run["mode"]), (&json!("succeeded"), &json!("validate_only")));
    assert_eq!(run["output_paths"], json!([]));
    let events = app.run_events(run["id"].as_str().unwrap());
    let phases: Vec<_> = events.iter().filter(|event| kind(event) == "run.phase.started").collect();
    assert_eq!(phases.len(), 1);
    assert_eq!(phases[0]["payload"]["phase"], "validating");

    let document = app.upload(&project, "x.json", br#"[["output", "x.csv", "1"], ["exit", 1]]"#);
    let body = json!({"options": {"validate_only": true, "document_ids": [document]}});
    let run = app.post(&project.runs(), &body).expect(201).json();
    assert_eq!(app.finish_run(run["id"].as_str().unwrap())["status"], "succeeded");
}

#[test]
fn a_dry_run_does_everything_but_its_output() {
    let app = TestApp::start();
    let project = app.project();
    let steps = json!([["output", "x.csv", "1"], ["say", "processed"]]);
    let run = app.send(&app.run_request(&project, &steps, json!({"dry_run": true}))).expect(201).json();
    let run = app.finish_run(run["id"].as_str().unwrap());
    assert_eq!((&run["status"], &run["mode"]), (&json!("succeeded"), &json!("dry_run")));
    assert_eq!((&run["output_paths"], &run["output"]["has_outputs"]), (&json!([]), &json!(false)));
    let id = run["id"].as_str().unwrap();
    assert!(app.run_events(id).iter().any(|event| event["payload"]["message"] == "processed"));
    assert_eq!(app.get(&format!("/api/v1/runs/{id}/outputs")).expect(200).json()["files"], json!([]));
    app.get(&format!("/api/v1/runs/{id}/outputs/x.csv")).expect(404);
    let folder = app.data_dir().join("workspaces").join(&project.workspace).join("runs").join(id);
    let left: Vec<_> = walk(&folder).into_iter().filter(|name| name.ends_with("x.csv")).collect();
    assert_eq!(left, Vec::<String>::new());
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path.display().to_string()) }
    }
    found
}

/// What the engine of a run with these options was started with.
fn described(app: &TestApp, project: &Project, options: Value) -> Value {
    let run = app.send(&app.run_request(project, &json!([["describe", "told.json"]]), options)).expect(201).json();
    let id = run["id"].as_str().unwrap();
    assert_eq!(app.finish_run(id)["status"], "succeeded");
    let mut told = app.get(&format!("/api/v1/runs/{id}/outputs/told.json")).expect(200).json();
    told["run"] = app.show_run(id);
    told
}

#[test]
fn an_engine_gets_its_options_and_nothing_of_the_services_secrets() {
    let secrets = [
        ("ADE_OPENAI_API_KEY", "hush"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("MINE", "m"),
        ("ADE_ENGINE_ENV_ALLOW", "MINE"),
    ];
    let app = TestApp::with(&secrets);
    let project = app.project();
    let options = json!({"input_sheet_name": "One", "input_sheet_names": ["Two"], "metadata": {"k": "v=1"}});
    let told = described(&app, &project, options);
    assert!(!told.to_string().contains("hush"));
    let (run, environment) = (&told["run"], &told["environment"]);
    assert_eq!(environment["MINE"], "m");
    assert_eq!((&environment["ADE_RUN_ID"], &environment["ADE_BUILD_ID"]), (&run["id"], &run["build_id"]));
    let sheets: Vec<String> = serde_json::from_str(environment["ADE_RUN_INPUT_SHEETS"].as_str().unwrap()).unwrap();
    assert_eq!((sheets.contains(&"One".into()), sheets.contains(&"Two".into()), sheets.len()), (true, true, 2));
    assert_eq!((&environment["PYTHONUNBUFFERED"], &environment["ADE_RUN_DRY_RUN"]), (&json!("1"), &Value::Null));
    assert!(
        environment["PATH"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{}/bin:", environment["VIRTUAL_ENV"].as_str().unwrap()))
    );
    let arguments: Vec<&str> =
        told["arguments"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let after = |option: &str| -> Vec<&str> {
        arguments.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1]).collect()
    };
    assert_eq!(after("--input-sheet").len(), 2);
    let metadata = after("--metadata");
    assert!(
        metadata.contains(&"k=v=1") && metadata.contains(&format!("run_id={}", run["id"].as_str().unwrap()).as_str())
    );
    assert_eq!(after("--output-dir"), [format!("{}/output", told["folder"].as_str().unwrap())]);
}

#[test]
fn several_documents_are_staged_together() {
    let app = TestApp::start();
    let project = app.project();
    let first = app.upload(&project, "a.json", br#"[["describe", "told.json"]]"#);
    let second = app.upload(&project, "b.json", br#"[["say", "second"]]"#);
    let options = json!({"document_ids": [first, first], "input_document_id": second});
    let run = app.post(&project.runs(), &json!({"options": options})).expect(201).json();
    assert_eq!(run["input"]["document_ids"], json!([first, second]));
    let id = run["id"].as_str().unwrap();
    assert_eq!(app.finish_run(id)["status"], "succeeded");
    let told = app.get(&format!("/api/v1/runs/{id}/outputs/told.json")).expect(200).json();
    assert_eq!(told["inputs"].as_array().unwrap().len(), 2);
    assert!(app.run_events(id).iter().any(|event| event["payload"]["message"] == "second"));
}

#[test]
fn an_engine_that_takes_too_long_or_is_silent_times_out() {
    for (setting, code) in [("ADE_RUN_TIMEOUT", "run_timeout"), ("ADE_RUN_IDLE_TIMEOUT", "idle_timeout")] {
        let app = TestApp::with(&[(setting, "1s")]);
        let project = app.project();
        let run = app.run(&project, &json!([["await", app.path("never")]]));
        assert_eq!((&run["status"], &run["failure_code"]), (&json!("failed"), &json!(code)));
    }
}
