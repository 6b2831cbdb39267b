//! Every way in which a build fails or is ended, for real: its code, what is told, and that nothing is left.

use std::fs;

use crate::support::index::Index;
use crate::support::tools::{self, files_of, interpreter, with_file};
use crate::support::{Project, Request, TestApp, Value, json, kind, process, wait_until};

fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap().to_owned()
}

/// What a build that failed must be like.
#[track_caller]
fn assert_failed(app: &TestApp, project: &Project, build: &Value, code: &str, phase: Option<&str>) {
    let events = app.build_events(&id(build));
    assert_eq!((&build["status"], &build["error"]["code"]), (&json!("failed"), &json!(code)), "{build}");
    let failed =
        events.iter().find(|event| event["payload"]["status"] == "failed" && kind(event) == "build.phase.completed");
    assert_eq!(failed.map(|event| event["payload"]["phase"].clone()), phase.map(Value::from), "{events:?}");
    let end = &events[events.len() - 1];
    assert_eq!((kind(end), &end["payload"]["error"]["code"]), ("build.completed", &json!(code)));
    assert_eq!(app.show_configuration(project)["active_build_id"], Value::Null);
    assert_nothing_left(app, project, &id(build));
}

#[track_caller]
fn assert_nothing_left(app: &TestApp, project: &Project, build: &str) {
    let folder = app.data_dir().join("venvs").join(&project.workspace).join(&project.configuration).join(build);
    assert!(!folder.exists(), "{folder:?}");
    assert_eq!(process::mentioning(build), Vec::<i32>::new());
}

#[test]
fn an_interpreter_that_cannot_create_a_venv() {
    let folder = tempfile::tempdir().unwrap();
    let python = interpreter(folder.path(), "case \"$*\" in *venv*) echo no room for a venv >&2; exit 3;; esac");
    let app = TestApp::with(&[("ADE_PYTHON_BIN", &python), ("ADE_INSTALLER", "pip")]);
    let project = app.project();
    let build = app.build(&project, &json!({}));
    assert_failed(&app, &project, &build, "venv_create_failed", Some("create_venv"));
    assert_eq!(build["exit_code"], 3);
    let events = app.build_events(&id(&build));
    let details = &events[events.len() - 1]["payload"]["error"]["details"];
    assert_eq!(details, &json!({"exit_code": 3, "last_lines": ["no room for a venv"]}));
}

#[test]
fn without_an_interpreter_there_is_no_build() {
    let app = TestApp::with(&[("ADE_PYTHON_BIN", "/nowhere/python")]);
    let project = app.project();
    let problem = app.post(&project.builds(), &json!({})).problem(503, "builds_unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("/nowhere/python"), "{problem}");
    let run = app.run(&project, &json!([]));
    assert_eq!((&run["status"], &run["failure_code"]), (&json!("failed"), &json!("build_failed")));
    assert!(run["failure_message"].as_str().unwrap().contains("/nowhere/python"), "{run}");
    assert_eq!(app.list_builds(&project).len(), 0);
}

#[test]
fn a_missing_pip() {
    let index = Index::serving([]);
    let of_index = index.settings();
    let mut settings: Vec<_> = of_index.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.push(("ADE_INSTALLER", "pip"));
    let app = TestApp::with(&settings);
    let project = app.project();
    let build = app.build(&project, &json!({}));
    assert_failed(&app, &project, &build, "pip_upgrade_failed", Some("upgrade_pip"));
}

#[test]
fn an_engine_without_a_version() {
    for (says, phase) in [("print('one point two')", None), ("raise SystemExit(4)", Some("collect_metadata"))] {
        let app = TestApp::start();
        fs::write(app.folder().join("engine/src/ade_engine/__main__.py"), says).unwrap();
        let project = app.project();
        let build = app.build(&project, &json!({}));
        assert_failed(&app, &project, &build, "metadata_failed", phase);
    }
}

#[test]
fn a_venvs_directory_that_was_replaced_by_something_else() {
    let app = TestApp::start();
    let project = app.project();
    let venvs = app.data_dir().join("venvs");
    wait_until("the start is over", || fs::remove_dir(&venvs).is_ok());
    fs::write(&venvs, "a file").unwrap();
    let build = app.build(&project, &json!({}));
    assert_failed(&app, &project, &build, "venvs_dir_unwritable", None);
    assert!(app.prune().failed > 0, "pruning says so");
    fs::remove_file(&venvs).unwrap();
    assert_eq!(app.build(&project, &json!({}))["status"], "active", "it is made again");
}

#[test]
fn safe_mode_refuses_builds() {
    let app = TestApp::with(&[("ADE_SAFE_MODE", "true")]);
    let project = app.project();
    app.post(&project.builds(), &json!({})).problem(409, "safe_mode_enabled");
    assert_eq!(app.list_builds(&project).len(), 0);
}

#[test]
fn a_stopped_service_interrupts_its_builds() {
    let mut app = TestApp::start();
    let project = app.project_building(&json!({"await": app.path("never"), "started": app.path("started")}));
    let build = id(&app.create_build(&project, &json!({})));
    wait_until("the build is at work", || std::path::Path::new(&app.path("started")).exists());
    app.stop_now();
    assert_nothing_left(&app, &project, &build);
    let app = app.restart();
    let build = app.show_build(&build);
    assert_failed(&app, &project, &build, "interrupted", Some("install_config"));
}

/// Python that says that it has begun and then waits for ever.
fn stall(started: &str) -> String {
    format!("import pathlib, time\npathlib.Path({started:?}).touch()\nwhile True: time.sleep(0.05)\n")
}

/// A service and a configuration whose builds stall in this step.
fn stalling_in(phase: &str, folder: &std::path::Path) -> (TestApp, Project) {
    let started = folder.join("started").display().to_string();
    let at = |pattern: &str| {
        interpreter(
            folder,
            &format!("case \"$*\" in {pattern}) touch '{started}'; while :; do sleep 0.05; done;; esac"),
        )
    };
    let python = match phase {
        "create_venv" => at("*without-pip*"),
        "upgrade_pip" => at("*--upgrade*"),
        _ => tools::python().to_owned(),
    };
    let installer = if python == tools::python() { "uv" } else { "pip" };
    let writable = folder.display().to_string();
    let settings = [("ADE_PYTHON_BIN", &python[..]), ("ADE_INSTALLER", installer), ("ADE_ISOLATION_WRITE", &writable)];
    let app = TestApp::with(&settings);
    let engine = app.folder().join("engine/src/ade_engine");
    let script = json!({"started": started, "await": folder.join("never")});
    match phase {
        "install_engine" => fs::write(engine.join("build.json"), script.to_string()).unwrap(),
        "collect_metadata" => fs::write(engine.join("__main__.py"), stall(&started)).unwrap(),
        _ => {}
    }
    let files = match phase {
        "install_config" => with_file(files_of("configuration"), "src/ade_config/build.json", script.to_string()),
        "verify_imports" => with_file(files_of("configuration"), "src/ade_config/__init__.py", stall(&started)),
        _ => files_of("configuration"),
    };
    let project = app.project_of(&files);
    (app, project)
}

#[test]
fn a_build_is_cancelled_in_whichever_step_it_is() {
    for phase in
        ["create_venv", "upgrade_pip", "install_engine", "install_config", "verify_imports", "collect_metadata"]
    {
        let folder = tempfile::tempdir().unwrap();
        let (app, project) = stalling_in(phase, folder.path());
        let build = id(&app.create_build(&project, &json!({})));
        wait_until(phase, || folder.path().join("started").exists());
        let cancel = Request::post(format!("/api/v1/builds/{build}/cancel")).json(&json!({"reason": "never mind"}));
        app.send(&cancel).expect(202);
        let ended = app.finish_build(&build);
        assert_eq!(
            (&ended["status"], &ended["error"]["code"]),
            (&json!("cancelled"), &json!("build_cancelled")),
            "{phase}"
        );
        assert_eq!(ended["error"]["message"], "never mind");
        let events = app.build_events(&build);
        let [.., last, _] = &events[..] else { panic!("{events:?}") };
        assert_eq!((kind(last), &last["payload"]["phase"]), ("build.phase.completed", &json!(phase)));
        assert_eq!(last["payload"]["status"], "failed");
        assert_nothing_left(&app, &project, &build);
        let wheels = fs::read_dir(app.data_dir().join("cache/wheels")).into_iter().flatten().flatten();
        let half_made = wheels.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"."));
        assert_eq!(half_made.count(), 0, "{phase}");
    }
}

#[test]
fn the_timeout_applies_to_the_whole_build() {
    let folder = tempfile::tempdir().unwrap();
    let slow = "case \"$*\" in *without-pip*) sleep 3;; *--upgrade*) echo still here; sleep 600;; esac";
    let python = interpreter(folder.path(), slow);
    let app = TestApp::with(&[("ADE_PYTHON_BIN", &python), ("ADE_INSTALLER", "pip"), ("ADE_BUILD_TIMEOUT", "15s")]);
    let project = app.project();
    let build = app.build(&project, &json!({}));
    assert_failed(&app, &project, &build, "build_timeout", Some("upgrade_pip"));
    assert_eq!(build["error"]["message"], "the build took longer than 15 s");
    let events = app.build_events(&id(&build));
    let of_step = events.iter().rfind(|event| kind(event) == "build.phase.completed").unwrap();
    let (step, whole) = (&of_step["payload"]["duration_ms"], &build["duration_ms"]);
    assert!(
        whole.as_u64().unwrap() >= 15_000 && step.as_u64().unwrap() <= whole.as_u64().unwrap() - 3_000,
        "{of_step}"
    );
}
