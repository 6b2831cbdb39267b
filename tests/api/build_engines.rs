//! Where engines come from, and what installs them.

use std::fs;

use crate::support::index::{Index, pip_wheel, source_archive_of, uv_wheel, wheel_of};
use crate::support::tools::{Files, files_of, with_file};
use crate::support::{TestApp, Value, json, kind};

fn of<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| kind(event) == name).collect()
}

fn id(resource: &Value) -> &str {
    resource["id"].as_str().unwrap()
}

/// A service with these settings beside those that lead to the index.
fn on_index(index: &Index, more: &[(&str, &str)]) -> TestApp {
    let of_index = index.settings();
    let mut settings: Vec<(&str, &str)> = of_index.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.extend(more);
    TestApp::with(&settings)
}

/// The engine with one more module.
fn changed_engine() -> Files {
    with_file(files_of("engine"), "src/ade_engine/more.py", "x = 1\n")
}

#[test]
fn an_edited_engine_source_file_causes_a_new_build() {
    let app = TestApp::start();
    let project = app.project();
    let first = app.build(&project, &json!({}));
    assert_eq!(app.build(&project, &json!({}))["reused_build_id"], first["id"]);
    let engine = app.folder().join("engine");
    fs::write(engine.join("src/ade_engine/more.py"), "x = 1\n").unwrap();
    let second = app.build(&project, &json!({}));
    assert_eq!((&second["status"], &second["reused_build_id"]), (&json!("active"), &Value::Null));
    assert!(second["fingerprint"] != first["fingerprint"] && second["content_digest"] == first["content_digest"]);
    let venv = app.data_dir().join("venvs").join(&project.workspace).join(&project.configuration).join(id(&second));
    let installed = glob(&venv.join(".venv/lib"), "ade_engine/more.py");
    assert!(installed.is_some(), "the new file is installed");
    fs::remove_file(engine.join("src/ade_engine/more.py")).unwrap();
    assert_eq!(app.build(&project, &json!({}))["reused_build_id"], first["id"], "as it was before");
}

fn glob(folder: &std::path::Path, end: &str) -> Option<std::path::PathBuf> {
    fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .find_map(|path| if path.ends_with(end) { Some(path) } else { glob(&path, end).filter(|_| path.is_dir()) })
}

#[test]
fn an_engine_is_built_once_for_many_configurations() {
    let app = TestApp::start();
    let count = json!({"count": app.path("count")}).to_string();
    fs::write(app.folder().join("engine/src/ade_engine/build.json"), count).unwrap();
    for content in ["x = 1\n", "x = 2\n"] {
        let project = app.project_of(&with_file(files_of("configuration"), "src/ade_config/x.py", content));
        assert_eq!(app.build(&project, &json!({}))["status"], "active");
    }
    assert_eq!(fs::read_to_string(app.path("count")).unwrap().lines().count(), 1);
}

#[test]
fn an_engine_can_be_a_local_wheel_or_source_archive() {
    for make in [wheel_of, source_archive_of] {
        let folder = tempfile::tempdir().unwrap();
        let (name, content) = make(&files_of("engine"));
        let path = folder.path().join(&name);
        fs::write(&path, content).unwrap();
        let app = TestApp::with(&[("ADE_ENGINE_SPEC", path.to_str().unwrap())]);
        let project = app.project();
        let first = app.build(&project, &json!({}));
        assert_eq!((&first["status"], &first["engine_version"]), (&json!("active"), &json!("7.1.0")), "{name}");
        assert_eq!(app.run(&project, &json!([]))["status"], "succeeded");
        // The same name and version with another content is another engine.
        fs::write(&path, make(&changed_engine()).1).unwrap();
        let second = app.build(&project, &json!({}));
        assert_eq!((&second["status"], &second["reused_build_id"]), (&json!("active"), &Value::Null));
        assert_ne!(second["fingerprint"], first["fingerprint"]);
    }
}

#[test]
fn an_engine_is_a_pinned_requirement_from_an_index() {
    let index = Index::serving([wheel_of(&files_of("engine"))]);
    let app = on_index(&index, &[("ADE_ENGINE_SPEC", "ade-engine==7.1.0")]);
    let project = app.project();
    let build = app.build(&project, &json!({}));
    assert_eq!((&build["status"], &build["engine_version"]), (&json!("active"), &json!("7.1.0")), "{build}");
    let created = &app.build_events(id(&build))[0]["payload"];
    assert_eq!(
        (&created["engine_spec"], &created["engine_version_hint"]),
        (&json!("ade-engine==7.1.0"), &json!("7.1.0"))
    );
    let run = app.run(&project, &json!([]));
    assert_eq!(
        (&run["status"], &run["build_id"], &run["engine_version"]),
        (&json!("succeeded"), &build["id"], &json!("7.1.0"))
    );
    assert!(index.times_served("ade-engine") > 0, "it comes from the index");

    let absent = on_index(&index, &[("ADE_ENGINE_SPEC", "ade-engine==99")]);
    let build = absent.build(&absent.project(), &json!({}));
    assert_eq!(build["error"]["code"], "engine_install_failed");
}

#[test]
fn an_engine_that_is_not_there_is_named() {
    let empty = tempfile::tempdir().unwrap();
    let folder = empty.path().to_str().unwrap();
    for (spec, why) in [("/nowhere/engine", "does not exist"), (folder, "neither pyproject.toml nor setup.py")] {
        let app = TestApp::with(&[("ADE_ENGINE_SPEC", spec)]);
        let project = app.project();
        let build = app.build(&project, &json!({}));
        assert_eq!((&build["status"], &build["error"]["code"]), (&json!("failed"), &json!("engine_install_failed")));
        let message = build["error"]["message"].as_str().unwrap();
        assert!(message.contains(spec) && message.contains(why), "{message}");
        let run = app.run(&project, &json!([]));
        assert_eq!((&run["failure_code"], &run["failure_message"]), (&json!("build_failed"), &json!(message)));
    }
}

#[test]
fn a_missing_uv_is_fetched_once_for_concurrent_builds() {
    let index = Index::serving([uv_wheel()]);
    let app = on_index(&index, &[("ADE_INSTALLER", "auto"), ("PATH", "/nowhere")]);
    let projects = [app.project(), app.project(), app.project()];
    let builds = std::thread::scope(|scope| {
        let asked = projects.each_ref().map(|project| scope.spawn(|| app.build(project, &json!({}))));
        asked.map(|asked| asked.join().unwrap())
    });
    for build in &builds {
        assert_eq!(build["status"], "active", "{build}");
        let events = app.build_events(id(build));
        let ended = of(&events, "build.phase.completed");
        let upgrade = ended.iter().find(|event| event["payload"]["phase"] == "upgrade_pip").unwrap();
        assert_eq!(upgrade["payload"]["status"], "skipped", "{upgrade}");
    }
    assert_eq!(index.times_served("uv"), 1);
    assert!(app.data_dir().join("tools/uv/bin/uv").is_file());
    let tools = fs::read_dir(app.data_dir().join("tools")).unwrap().count();
    assert_eq!(tools, 1, "nothing half made is left beside it");
    let app = app.restart();
    assert_eq!(app.build(&projects[0], &json!({"force": true}))["status"], "active");
    assert_eq!(index.times_served("uv"), 1, "it is there already");
}

#[test]
fn without_uv_pip_is_used_and_the_stream_reports_it() {
    let index = Index::serving([pip_wheel()]);
    let app = on_index(&index, &[("ADE_INSTALLER", "auto"), ("PATH", "/nowhere")]);
    let project = app.project();
    let run = app.run(&project, &json!([]));
    assert_eq!(run["status"], "succeeded", "{}", app.run_log(&project, id(&run)));
    let build = app.list_builds(&project).remove(0);
    for events in [app.run_events(id(&run)), app.build_events(id(&build))] {
        let lines = of(&events, "console.line");
        let said: Vec<_> = lines
            .iter()
            .filter(|line| line["payload"]["message"].as_str().unwrap().contains("uv is not available"))
            .collect();
        assert_eq!(said.len(), 1, "{lines:?}");
        assert_eq!((&said[0]["payload"]["level"], &said[0]["payload"]["scope"]), (&json!("warn"), &json!("build")));
        let ended = of(&events, "build.phase.completed");
        assert!(ended.iter().all(|event| event["payload"]["status"] == "succeeded"), "{ended:?}");
    }
    assert!(!app.data_dir().join("tools/uv").exists());
    // Told once more to whoever watches the next build; asked of the network only once.
    assert_eq!(app.build(&project, &json!({}))["reused_build_id"], build["id"]);
}
