//! What installers are told, what they say, and what must hold of what they have installed.

use std::fs;

use crate::support::index::{Index, pip_wheel, uv_wheel, wheel_of};
use crate::support::tools::{self, Files, files_of, with_file};
use crate::support::{Project, Request, TestApp, Value, json, kind, wait_until};

fn on_index(index: &Index, more: &[(&str, &str)]) -> TestApp {
    let of_index = index.settings();
    let mut settings: Vec<(&str, &str)> = of_index.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.extend(more);
    TestApp::with(&settings)
}

fn id(resource: &Value) -> &str {
    resource["id"].as_str().unwrap()
}

fn lines(app: &TestApp, build: &Value) -> Vec<Value> {
    let events = app.build_events(id(build));
    events.into_iter().filter(|event| kind(event) == "console.line").map(|event| event["payload"].clone()).collect()
}

fn put(app: &TestApp, path: &str, text: &str) {
    let path = app.folder().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A package that the tests' backend packs.
fn package(name: &str, version: &str, dependencies: &[&str]) -> Files {
    let text = format!(
        "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
         [project]\nname = \"{name}\"\nversion = \"{version}\"\ndependencies = {}\n",
        json!(dependencies)
    );
    let backend = files_of("engine").into_iter().filter(|(name, _)| name == "backend.py").collect();
    let module = format!("src/{}/__init__.py", name.replace('-', "_"));
    with_file(with_file(backend, "pyproject.toml", text), &module, "")
}

/// The files of a package of the tests that requires others.
fn requiring(name: &str, dependencies: &[&str]) -> Files {
    let files = files_of(name);
    let project = files.iter().find(|(path, _)| path == "pyproject.toml").unwrap().1.clone();
    let text = format!("{}\ndependencies = {}\n", String::from_utf8(project).unwrap(), json!(dependencies));
    with_file(files, "pyproject.toml", text)
}

#[test]
fn a_configuration_that_breaks_the_engines_requirements_is_rejected() {
    let helpers = ["1.0", "2.0"].map(|version| wheel_of(&package("helper", version, &[])));
    let [first, second] = helpers;
    let index = Index::serving([first, second, pip_wheel()]);
    for installer in ["uv", "pip"] {
        let app = on_index(&index, &[("ADE_INSTALLER", installer)]);
        tools::write_files(&app.folder().join("engine"), &requiring("engine", &["helper>=2"]));
        let fitting = app.project_of(&requiring("configuration", &["helper"]));
        assert_eq!(app.build(&fitting, &json!({}))["status"], "active", "{installer}");
        let project = app.project_of(&requiring("configuration", &["helper<2"]));
        let build = app.build(&project, &json!({}));
        assert_eq!(
            (&build["status"], &build["error"]["code"]),
            (&json!("failed"), &json!("dependency_conflict")),
            "{build}"
        );
        let message = build["error"]["message"].as_str().unwrap();
        assert!(message.contains("ade-engine") && message.contains("helper"), "{message}");
        let events = app.build_events(id(&build));
        let last = events.iter().rfind(|event| kind(event) == "build.phase.completed").unwrap();
        assert_eq!(
            (&last["payload"]["phase"], &last["payload"]["status"]),
            (&json!("verify_imports"), &json!("failed"))
        );
    }
}

#[test]
fn the_installers_own_settings_change_no_build() {
    let index = Index::serving([pip_wheel()]);
    let app = on_index(&index, &[("ADE_INSTALLER", "pip"), ("PIP_USER", "1"), ("PYTHONUSERBASE", "/nowhere")]);
    let conf = "[global]\nrequire-virtualenv = true\nquiet = 3\nformat = freeze\n\
                [install]\nuser = true\ntarget = /nowhere\nno-deps = true\nrequire-hashes = true\ndry-run = true\n";
    put(&app, ".config/pip/pip.conf", conf);
    let build = app.build(&app.project(), &json!({}));
    assert_eq!(build["status"], "active", "{build} {:?}", lines(&app, &build));

    let app = TestApp::with(&[("UV_SYSTEM_PYTHON", "1"), ("UV_REQUIRE_HASHES", "1")]);
    let conf = "required-version = '==0.0.0'\n[pip]\ntarget = '/nowhere'\nrequire-hashes = true\nno-build = true\n";
    put(&app, ".config/uv/uv.toml", conf);
    let build = app.build(&app.project(), &json!({}));
    assert_eq!(build["status"], "active", "{build} {:?}", lines(&app, &build));
}

#[test]
fn package_indexes_may_be_set_in_the_installers_own_files() {
    let index = Index::serving([wheel_of(&files_of("engine")), pip_wheel()]);
    let of_index = index.settings();
    let address = of_index.iter().find(|(name, _)| *name == "PIP_INDEX_URL").map(|(_, value)| value.clone()).unwrap();
    // Empty, so that the environment of the tests does not name another.
    let none = ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_EXTRA_INDEX_URL"].map(|name| (name, ""));
    for installer in ["uv", "pip"] {
        let mut settings: Vec<(&str, &str)> = of_index.iter().map(|(name, value)| (*name, value.as_str())).collect();
        settings.retain(|(name, _)| !name.contains("INDEX"));
        settings.extend(none);
        settings.extend([("ADE_INSTALLER", installer), ("ADE_ENGINE_SPEC", "ade-engine==7.1.0")]);
        let app = TestApp::with(&settings);
        put(&app, ".config/pip/pip.conf", &format!("[global]\nindex-url = {address}\n[install]\nuser = true\n"));
        let toml = format!("[[index]]\nurl = \"{address}\"\ndefault = true\n[pip]\nrequire-hashes = true\n");
        put(&app, ".config/uv/uv.toml", &toml);
        let build = app.build(&app.project(), &json!({}));
        assert_eq!(build["status"], "active", "{installer}: {build} {:?}", lines(&app, &build));
    }
}

#[test]
fn installer_progress_is_not_a_warning() {
    let app = TestApp::start();
    let build = app.build(&app.project(), &json!({}));
    let said = lines(&app, &build);
    let of_stderr: Vec<_> = said.iter().filter(|line| line["stream"] == "stderr").collect();
    assert!(!of_stderr.is_empty());
    for line in of_stderr {
        let is_warning = line["message"].as_str().unwrap().trim_start().starts_with("warning:");
        assert_eq!(line["level"], if is_warning { "warn" } else { "info" }, "{line}");
    }
}

#[test]
fn why_an_installer_failed_is_in_the_error() {
    let index = Index::serving([wheel_of(&files_of("engine")), pip_wheel()]);
    for installer in ["uv", "pip"] {
        let app = on_index(&index, &[("ADE_INSTALLER", installer), ("ADE_ENGINE_SPEC", "ade-engine==99")]);
        let build = app.build(&app.project(), &json!({}));
        assert_eq!(build["error"]["code"], "engine_install_failed");
        let message = build["error"]["message"].as_str().unwrap();
        let (how, reason) = message.split_once("exited with code 1: ").unwrap_or_else(|| panic!("{message}"));
        assert!(how.contains("installing engine"), "{message}");
        assert!(reason.contains("ade-engine==99"), "{message}");
        let events = app.build_events(id(&build));
        let lines = &events[events.len() - 1]["payload"]["error"]["details"]["last_lines"];
        assert!(lines.as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains("ade-engine==99")));
    }
}

/// An interpreter that makes no venv for uv before there is such a file.
fn holding(app_folder: &std::path::Path, gate: &std::path::Path) -> String {
    let wait = format!("while [ ! -e '{}' ]; do /bin/sleep 0.02; done", gate.display());
    tools::interpreter(app_folder, &format!("case \"$*\" in *-m*venv*/tools/*) echo making room; {wait};; esac"))
}

fn creating(app: &TestApp, project: &Project, options: &Value) -> Value {
    app.send(&Request::post(project.builds()).json(&json!({"options": options}))).expect(201).json()
}

#[test]
fn fetching_the_installer_is_shown_in_the_builds_stream() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    let python = holding(folder.path(), &gate);
    let index = Index::serving([uv_wheel()]);
    let settings = [("ADE_INSTALLER", "auto"), ("PATH", "/nowhere"), ("ADE_PYTHON_BIN", python.as_str())];
    let app = on_index(&index, &[&settings[..], &[("ADE_BUILD_ENSURE_WAIT", "1s")]].concat());
    let (one, two) = (app.project(), app.project());
    // Nobody waits for the installer before there is an answer, not even one who waits for the build.
    let first = creating(&app, &one, &json!({"wait": true}));
    assert!(["queued", "building"].iter().any(|status| first["status"] == *status), "{first}");
    let joined = creating(&app, &one, &json!({}));
    assert_eq!(joined["id"], first["id"], "what it will be made of is known");
    let run = app.create_run(&two, &json!([]));
    wait_until("the run's stream shows its build", || {
        app.run_events(&run).iter().any(|event| kind(event) == "build.started")
    });
    let says = |wanted: &str| lines(&app, &first).iter().any(|line| line["message"].as_str().unwrap().contains(wanted));
    wait_until("it is told what takes so long", || says("looking for"));
    let second = app.list_builds(&two).remove(0);
    let cancel = Request::post(format!("/api/v1/runs/{run}/cancel")).json(&json!({}));
    app.send(&cancel).expect(202);
    assert_eq!(app.finish_run(&run)["status"], "cancelled");
    assert_eq!(app.finish_build(id(&second))["status"], "cancelled");
    fs::write(&gate, "").unwrap();
    let ended = app.finish_build(id(&first));
    assert_eq!(ended["status"], "active", "{} {:?}", ended["error"], lines(&app, &first));
    assert_eq!(app.build(&one, &json!({}))["reused_build_id"], first["id"]);
}

/// Installers take such characters for parts of a URL, of a requirement or of a variable.
const ODD: &str = "a?b#c%41 ; d[e]@${HOME}-";

#[test]
fn a_data_directory_may_have_any_name() {
    let index = Index::serving([pip_wheel()]);
    for installer in ["uv", "pip"] {
        let of_index = index.settings();
        let mut settings: Vec<(&str, &str)> = of_index.iter().map(|(name, value)| (*name, value.as_str())).collect();
        settings.push(("ADE_INSTALLER", installer));
        let app = TestApp::in_folder(ODD, &settings);
        let project = app.project();
        let run = app.run(&project, &json!([["say", "here"]]));
        let build = app.list_builds(&project).remove(0);
        assert_eq!(build["status"], "active", "{installer}: {build} {:?}", lines(&app, &build));
        assert_eq!(run["status"], "succeeded", "{run}");
        // What was made of the engine once is installed again.
        assert_eq!(app.build(&app.project(), &json!({}))["status"], "active", "{installer}");
    }
}

#[test]
fn the_archive_of_an_engine_may_be_anywhere() {
    let index = Index::serving([pip_wheel()]);
    let folder = tempfile::Builder::new().prefix(ODD).tempdir().unwrap();
    let (name, content) = wheel_of(&files_of("engine"));
    let archive = folder.path().join(name);
    fs::write(&archive, content).unwrap();
    for installer in ["uv", "pip"] {
        let settings = [("ADE_INSTALLER", installer), ("ADE_ENGINE_SPEC", archive.to_str().unwrap())];
        let app = on_index(&index, &settings);
        let build = app.build(&app.project(), &json!({}));
        assert_eq!(build["status"], "active", "{installer}: {build} {:?}", lines(&app, &build));
    }
}
