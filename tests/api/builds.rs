//! Builds: six steps, fingerprints, joining, and what goes wrong.

use std::fs;

use crate::support::tools::{files_of, with_file};
use crate::support::{Request, TestApp, Value, json, kind, types, wait_until};

const PHASES: [&str; 6] =
    ["create_venv", "upgrade_pip", "install_engine", "install_config", "verify_imports", "collect_metadata"];

fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap().to_owned()
}

fn of<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| kind(event) == name).collect()
}

fn venv_of(app: &TestApp, build: &Value) -> std::path::PathBuf {
    let word = |key: &str| build[key].as_str().unwrap().to_owned();
    app.data_dir().join("venvs").join(word("workspace_id")).join(word("configuration_id")).join(word("id"))
}

#[test]
fn a_build_reports_each_of_its_six_steps() {
    let app = TestApp::start();
    let project = app.project();
    let created = app.post(&project.builds(), &json!({})).expect(201);
    let first = created.json();
    let path = format!("/api/v1/builds/{}", id(&first));
    assert_eq!(created.header("location"), Some(path.as_str()));
    let keys = |build: &Value| build.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for key in [
        "id",
        "object",
        "workspace_id",
        "configuration_id",
        "status",
        "fingerprint",
        "engine_spec",
        "engine_version",
        "python_version",
        "python_interpreter",
        "content_digest",
        "created_at",
        "started_at",
        "completed_at",
        "duration_ms",
        "exit_code",
        "summary",
        "error",
        "links",
        "reused_build_id",
        "venv_present",
        "node_id",
    ] {
        assert!(keys(&first).iter().any(|found| found == key), "no {key}");
    }
    assert_eq!((&first["object"], &first["completed_at"]), (&json!("ade.build"), &Value::Null));
    let build = app.finish_build(&id(&first));
    assert_eq!(keys(&build), keys(&first));
    assert_eq!((&build["status"], &build["exit_code"], &build["error"]), (&json!("active"), &json!(0), &Value::Null));
    assert_eq!((&build["engine_version"], &build["venv_present"]), (&json!("7.1.0"), &json!(true)));
    assert!(build["python_version"].as_str().unwrap().starts_with("3."));

    let events = app.build_events(&id(&build));
    assert_eq!(types(&events)[..2], ["build.created", "build.started"]);
    assert_eq!(kind(&events[events.len() - 1]), "build.completed");
    let phases = |name| of(&events, name).iter().map(|event| event["payload"]["phase"].clone()).collect::<Vec<_>>();
    assert_eq!(phases("build.phase.started"), PHASES);
    assert_eq!(phases("build.phase.completed"), PHASES);
    for event in of(&events, "build.phase.completed") {
        let payload = &event["payload"];
        let skipped = payload["phase"] == "upgrade_pip";
        assert_eq!(payload["status"], if skipped { "skipped" } else { "succeeded" }, "{event}");
        assert!(payload["duration_ms"].is_u64() && payload.get("exit_code").is_some(), "{event}");
    }
    for event in &events {
        assert_eq!((&event["build_id"], event.get("run_id").unwrap_or(&Value::Null)), (&build["id"], &Value::Null));
    }
    for event in of(&events, "console.line") {
        assert_eq!(event["payload"]["scope"], "build");
    }
    let end = &events[events.len() - 1]["payload"];
    assert_eq!((&end["status"], &end["error"], &end["env"]["reused"]), (&json!("active"), &Value::Null, &json!(false)));
    let marker: Value = serde_json::from_slice(
        &fs::read(venv_of(&app, &build).join(".venv/ade_build.json"))
            .or_else(|_| fs::read(venv_of(&app, &build).join("ade_build.json")))
            .unwrap(),
    )
    .unwrap();
    assert_eq!((&marker["build_id"], &marker["fingerprint"]), (&build["id"], &build["fingerprint"]));
    let logs = app.get(&format!("{path}/logs?after_id=0")).expect(200).json();
    assert_eq!(logs["entries"].as_array().unwrap().len(), of(&events, "console.line").len());
    // The configuration tells rows, and a row follows its log.
    wait_until("the build is the configuration's", || {
        app.show_configuration(&project)["active_build_id"] == build["id"]
    });
}

#[test]
fn building_does_not_change_the_configuration() {
    let app = TestApp::start();
    let project = app.project();
    let folder =
        app.data_dir().join("workspaces").join(&project.workspace).join("configurations").join(&project.configuration);
    let digest = || app.show_configuration(&project)["content_digest"].clone();
    let (before, files) = (digest(), listing(&folder));
    app.build(&project, &json!({}));
    app.run(&project, &json!([]));
    assert_eq!((digest(), listing(&folder)), (before, files));
}

fn listing(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        found.push(entry.path().display().to_string());
        if entry.path().is_dir() {
            found.extend(listing(&entry.path()));
        }
    }
    found.sort();
    found
}

#[test]
fn an_existing_build_is_reused() {
    let app = TestApp::start();
    let project = app.project();
    let first = app.build(&project, &json!({}));
    let second = app.create_build(&project, &json!({}));
    assert_ne!(second["id"], first["id"]);
    assert_eq!((&second["status"], &second["reused_build_id"]), (&json!("active"), &first["id"]));
    assert_eq!(second["fingerprint"], first["fingerprint"]);
    let events = app.build_events(&id(&second));
    assert_eq!(types(&events), ["build.created", "build.completed"]);
    assert_eq!(
        (&events[0]["payload"]["should_build"], &events[0]["payload"]["reason"]),
        (&json!(false), &json!("cache_hit"))
    );
    let end = &events[1]["payload"];
    assert_eq!((&end["status"], &end["env"]), (&json!("active"), &json!({"reason": "reuse_ok", "reused": true})));
    assert_eq!(app.build_events(&id(&first)).len() as u64, first["last_sequence"].as_u64().unwrap());
    // A run does not take the row that only points elsewhere for a venv.
    assert_eq!(app.run(&project, &json!([]))["build_id"], first["id"]);
    assert_eq!(app.list_builds(&project).len(), 2);
}

#[test]
fn force_rebuilds() {
    let app = TestApp::start();
    let project = app.project();
    let first = app.build(&project, &json!({}));
    let forced = app.build(&project, &json!({"force": true}));
    assert_eq!((&forced["status"], &forced["reused_build_id"]), (&json!("active"), &Value::Null));
    let events = app.build_events(&id(&forced));
    assert_eq!(
        (&events[0]["payload"]["reason"], &events[0]["payload"]["should_build"]),
        (&json!("force_rebuild"), &json!(true))
    );
    assert_ne!(forced["id"], first["id"]);
    let request = app.run_request(&project, &json!([]), json!({"force_rebuild": true}));
    let run = id(&app.send(&request).expect(201).json());
    let run = app.finish_run(&run);
    assert!(run["build_id"] != forced["id"] && run["build_id"] != first["id"], "{run}");
    assert_eq!((&run["status"], &run["env_reused"]), (&json!("succeeded"), &json!(false)));
}

#[test]
fn a_changed_configuration_is_rebuilt() {
    let app = TestApp::start();
    let project = app.project();
    let first = app.build(&project, &json!({}));
    let folder =
        app.data_dir().join("workspaces").join(&project.workspace).join("configurations").join(&project.configuration);
    fs::write(folder.join("src/ade_config/more.py"), "x = 1\n").unwrap();
    let second = app.build(&project, &json!({}));
    assert_eq!((&second["status"], &second["reused_build_id"]), (&json!("active"), &Value::Null));
    assert!(second["fingerprint"] != first["fingerprint"] && second["content_digest"] != first["content_digest"]);
}

#[test]
fn six_runs_at_once_on_a_new_configuration_build_once() {
    let app = TestApp::start();
    let project = app.project();
    let requests: Vec<Request> = (0..6).map(|_| app.run_request(&project, &json!([]), json!({}))).collect();
    let runs: Vec<String> = std::thread::scope(|scope| {
        let sent: Vec<_> =
            requests.iter().map(|request| scope.spawn(|| id(&app.send(request).expect(201).json()))).collect();
        sent.into_iter().map(|sent| sent.join().unwrap()).collect()
    });
    let ended: Vec<Value> = runs.iter().map(|run| app.finish_run(run)).collect();
    let builds = app.list_builds(&project);
    assert_eq!(builds.len(), 1, "{builds:?}");
    for run in &ended {
        assert_eq!((&run["status"], &run["build_id"]), (&json!("succeeded"), &builds[0]["id"]));
        let events = app.run_events(&id(run));
        for name in ["build.created", "build.completed", "run.started", "run.completed"] {
            assert_eq!(of(&events, name).len(), 1, "{name}");
        }
    }
}

#[test]
fn a_venv_deleted_by_hand_is_rebuilt() {
    let app = TestApp::start();
    let project = app.project();
    let first = app.build(&project, &json!({}));
    fs::remove_dir_all(venv_of(&app, &first)).unwrap();
    let run = app.run(&project, &json!([]));
    assert_eq!((&run["status"], &run["env_reused"]), (&json!("succeeded"), &json!(false)));
    assert_ne!(run["build_id"], first["id"]);
    let created = app.run_events(&id(&run)).into_iter().find(|event| kind(event) == "build.created").unwrap();
    assert_eq!(
        (&created["payload"]["reason"], &created["payload"]["should_build"]),
        (&json!("cache_miss"), &json!(true))
    );
    assert_eq!(app.show_build(&id(&first))["venv_present"], false);

    // Without its marker a venv is none.
    let second = app.show_build(run["build_id"].as_str().unwrap());
    let folder = venv_of(&app, &second);
    let marker = [folder.join(".venv/ade_build.json"), folder.join("ade_build.json")];
    marker.iter().filter(|path| path.exists()).for_each(|path| fs::remove_file(path).unwrap());
    let third = app.run(&project, &json!([]));
    assert_eq!(third["status"], "succeeded");
    assert_ne!(third["build_id"], second["id"]);
}

#[test]
fn a_build_can_be_waited_for_and_watched() {
    let app = TestApp::start();
    let project = app.project();
    let waited = app.create_build(&project, &json!({"wait": true}));
    assert_eq!(waited["status"], "active");
    let force = json!({"stream": true, "options": {"force": true}});
    let mut stream = app.stream(&Request::post(project.builds()).json(&force));
    let events = stream.until_type("build.completed");
    assert_eq!(kind(&events[0]), "build.created");
    assert!(stream.event().is_none());
    assert_eq!(app.show_build(events[0]["build_id"].as_str().unwrap())["status"], "active");
    let lines = Request::post(format!("{}?stream=true", project.builds())).header("Accept", "application/x-ndjson");
    let lines = app.send(&lines).expect(200);
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(lines.text().lines().count(), 2, "{lines}");
    for body in [json!({"x": 1}), json!({"options": {"x": 1}}), json!({"options": {"force": "yes"}})] {
        app.post(&project.builds(), &body).problem(422, "invalid_request");
    }
}

#[test]
fn a_build_whose_log_cannot_be_created_leaves_nothing_behind() {
    let app = TestApp::start();
    let project = app.project();
    let builds = app.data_dir().join("workspaces").join(&project.workspace).join("builds");
    fs::write(&builds, "not a folder").unwrap();
    app.post(&project.builds(), &json!({})).problem(503, "log_unavailable");
    assert_eq!(app.list_builds(&project).len(), 0);
    fs::remove_file(&builds).unwrap();
    assert_eq!(app.build(&project, &json!({}))["status"], "active");
}

#[test]
fn a_wait_that_times_out_returns_the_unfinished_build() {
    let app = TestApp::with(&[("ADE_BUILD_ENSURE_WAIT", "1s")]);
    let project = app.project_building(&json!({"await": app.path("go")}));
    let build = app.create_build(&project, &json!({"wait": true}));
    assert!(["queued", "building"].iter().any(|status| build["status"] == *status), "{build}");
    app.touch("go");
    assert_eq!(app.finish_build(&id(&build))["status"], "active");
}

#[test]
fn a_request_during_a_running_build_joins_it() {
    let app = TestApp::start();
    let project = app.project_building(&json!({"await": app.path("go"), "started": app.path("started")}));
    let first = app.create_build(&project, &json!({}));
    wait_until("the build is at work", || std::path::Path::new(&app.path("started")).exists());
    let joined = app.create_build(&project, &json!({}));
    assert_eq!(joined["id"], first["id"]);
    let run = app.create_run(&project, &json!([]));
    let mut stream = app.run_stream(&run);
    let seen = stream.until_type("build.started");
    assert_eq!(seen[seen.len() - 1]["build_id"], first["id"]);
    // One that is forced waits for its turn.
    let forced = app.create_build(&project, &json!({"force": true}));
    assert_ne!(forced["id"], first["id"]);
    assert_eq!(app.show_build(&id(&forced))["status"], "queued");
    app.touch("go");
    stream.until_type("run.completed");
    assert_eq!(app.show_run(&run)["status"], "succeeded");
    let (first, forced) = (app.finish_build(&id(&first)), app.finish_build(&id(&forced)));
    assert_eq!((&first["status"], &forced["status"]), (&json!("active"), &json!("active")));
    assert!(forced["started_at"].as_str() >= first["completed_at"].as_str(), "{first} {forced}");
}

/// A build that has to fail; answers it and its events.
fn failed(app: &TestApp, project: &crate::support::Project, code: &str, phase: &str) -> (Value, Vec<Value>) {
    let build = app.build(project, &json!({}));
    assert_eq!((&build["status"], &build["error"]["code"]), (&json!("failed"), &json!(code)), "{build}");
    assert!(!build["error"]["message"].as_str().unwrap().is_empty());
    let events = app.build_events(&id(&build));
    let ended = of(&events, "build.phase.completed");
    let last = &ended[ended.len() - 1]["payload"];
    assert_eq!((&last["phase"], &last["status"]), (&json!(phase), &json!("failed")));
    let end = &events[events.len() - 1]["payload"];
    assert_eq!((&end["status"], &end["error"]["code"]), (&json!("failed"), &json!(code)));
    assert!(!venv_of(app, &build).join(".venv").exists(), "a build that fails leaves no venv");
    (build, events)
}

#[test]
fn an_engine_that_cannot_be_installed_fails_the_build() {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().display().to_string();
    fs::write(folder.path().join("pyproject.toml"), "[build-system]\nrequires = []\nbuild-backend = \"nothing\"\nbackend-path = [\".\"]\n[project]\nname = \"ade-engine\"\nversion = \"1\"\n").unwrap();
    let app = TestApp::with(&[("ADE_ENGINE_SPEC", &spec)]);
    let project = app.project();
    let (build, events) = failed(&app, &project, "engine_install_failed", "install_engine");
    let details = &events[events.len() - 1]["payload"]["error"]["details"];
    assert!(details["exit_code"].is_i64() && !details["last_lines"].as_array().unwrap().is_empty(), "{details}");
    assert_ne!(build["exit_code"], 0);
    let absent = TestApp::with(&[("ADE_ENGINE_SPEC", "/nowhere/engine")]);
    let project = absent.project();
    failed(&absent, &project, "engine_install_failed", "install_engine");
}

#[test]
fn a_configuration_that_cannot_be_installed_keeps_its_history() {
    let app = TestApp::start();
    let project = app.project_building(&json!({"fail": "no luck today"}));
    let (build, events) = failed(&app, &project, "config_install_failed", "install_config");
    assert!(
        of(&events, "console.line")
            .iter()
            .any(|line| line["payload"]["message"].as_str().unwrap().contains("no luck today"))
    );
    let log = app.get(&format!("/api/v1/builds/{}/events/download", id(&build))).expect(200);
    assert_eq!(log.text().lines().count(), events.len());
    assert_eq!(app.show_configuration(&project)["active_build_id"], Value::Null);
    // A failed build is not used again.
    let again = app.build(&project, &json!({}));
    assert_ne!(again["id"], build["id"]);
    assert_eq!(again["reused_build_id"], Value::Null);
}

#[test]
fn a_configuration_that_cannot_be_imported_fails_its_build() {
    let app = TestApp::start();
    let broken =
        with_file(files_of("configuration"), "src/ade_config/__init__.py", "raise RuntimeError('not today')\n");
    let project = app.project_of(&broken);
    let (_, events) = failed(&app, &project, "import_check_failed", "verify_imports");
    assert!(
        of(&events, "console.line")
            .iter()
            .any(|line| line["payload"]["message"].as_str().unwrap().contains("not today"))
    );
}

#[test]
fn a_run_whose_build_fails_reports_it_once() {
    let app = TestApp::start();
    let project = app.project_building(&json!({"fail": "no luck today"}));
    let run = app.run(&project, &json!([]));
    assert_eq!((&run["status"], &run["failure_code"]), (&json!("failed"), &json!("build_failed")));
    assert_eq!((&run["failure_stage"], &run["started_at"]), (&json!("build"), &Value::Null));
    let events = app.run_events(&id(&run));
    let end = types(&events)[events.len() - 3..].to_vec();
    assert_eq!(end, ["build.completed", "run.error", "run.completed"]);
    assert_eq!(of(&events, "run.error").len(), 1);
    let error = &of(&events, "run.error")[0]["payload"];
    assert_eq!((&error["stage"], &error["code"]), (&json!("build"), &json!("config_install_failed")));
    assert_eq!(of(&events, "run.started").len(), 0);
    let completed = &events[events.len() - 1]["payload"];
    assert_eq!(
        (&completed["failure"]["code"], &completed["failure"]["stage"]),
        (&json!("build_failed"), &json!("build"))
    );
    assert_eq!(app.list_builds(&project)[0]["status"], "failed");
}

#[test]
fn a_build_that_exceeds_its_timeout_fails() {
    let app = TestApp::with(&[("ADE_BUILD_TIMEOUT", "4s")]);
    let project = app.project_building(&json!({"await": app.path("never")}));
    let build = app.build(&project, &json!({}));
    assert_eq!((&build["status"], &build["error"]["code"]), (&json!("failed"), &json!("build_timeout")));
}

#[test]
fn builds_are_listed_and_belong_to_their_configuration() {
    let app = TestApp::start();
    let (one, two) = (app.project(), app.project());
    let build = app.build(&one, &json!({}));
    assert_eq!(app.list_builds(&one), std::slice::from_ref(&build));
    assert_eq!(app.list_builds(&two).len(), 0);
    let all = |workspace: &str, query: &str| {
        app.get(&format!("/api/v1/workspaces/{workspace}/builds?{query}")).expect(200).json()["items"].clone()
    };
    assert_eq!(all(&one.workspace, ""), json!([build]));
    assert_eq!((all(&one.workspace, "status=failed"), all(&two.workspace, "")), (json!([]), json!([])));
    assert_eq!(app.get(&format!("{}?status=failed", one.builds())).expect(200).json()["total"], 0);
    let crossed = format!("/api/v1/workspaces/{}/configurations/{}/builds", two.workspace, one.configuration);
    app.get(&crossed).problem(404, "not_found");
    app.post(&crossed, &json!({})).problem(404, "not_found");
    for below in ["", "/events", "/events/stream", "/events/download", "/logs"] {
        app.get(&format!("/api/v1/builds/build_01J00000000000000000000000{below}")).problem(404, "not_found");
        app.get(&format!("/api/v1/builds/x{below}")).problem(422, "invalid_id");
    }
    // The events of a build come on the same transports as those of a run.
    let path = format!("/api/v1/builds/{}/events", id(&build));
    let last = build["last_sequence"].as_u64().unwrap();
    assert_eq!(app.stream(&Request::get(format!("{path}/stream?after_sequence=2"))).rest().len() as u64, last - 2);
    app.send(&Request::get(format!("{path}/stream")).header("Last-Event-ID", last)).expect(204);
    assert_eq!(
        app.get(&format!("{path}/stream?after_sequence={}", last + 1)).problem(409, "sequence_ahead")["last_sequence"],
        last
    );
}
