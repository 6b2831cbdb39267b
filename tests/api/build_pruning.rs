//! Venvs that go, and venvs that stay.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use ade::domain::BuildId;
use ade::domain::id::NodeId;

use crate::support::{Project, TestApp, Value, json, kind, wait_until};

fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap().to_owned()
}

fn folder_of(app: &TestApp, project: &Project, build: &str) -> PathBuf {
    app.data_dir().join("venvs").join(&project.workspace).join(&project.configuration).join(build)
}

fn configuration_of(app: &TestApp, project: &Project) -> PathBuf {
    app.data_dir().join("workspaces").join(&project.workspace).join("configurations").join(&project.configuration)
}

fn forced(app: &TestApp, project: &Project) -> String {
    let build = app.build(project, &json!({"force": true}));
    assert_eq!(build["status"], "active", "{build}");
    id(&build)
}

/// What single rows and the list say, which must be the same.
#[track_caller]
fn assert_present(app: &TestApp, project: &Project, expected: &[(&str, bool)]) {
    let listed = app.list_builds(project);
    for (build, present) in expected {
        assert_eq!(app.show_build(build)["venv_present"], *present, "{build}");
        let row = listed.iter().find(|row| row["id"] == *build).unwrap();
        assert_eq!((&row["venv_present"], &row["status"]), (&json!(present), &json!("active")), "{row}");
    }
}

#[test]
fn an_environment_older_than_its_limit_is_rebuilt() {
    let app = TestApp::with(&[("ADE_BUILD_TTL", "1ms")]);
    let project = app.project();
    let first = app.build(&project, &json!({}));
    let second = app.build(&project, &json!({}));
    assert_eq!((&second["reused_build_id"], &second["fingerprint"]), (&Value::Null, &first["fingerprint"]));
    let run = app.run(&project, &json!([]));
    assert_eq!((&run["status"], &run["env_reused"]), (&json!("succeeded"), &json!(false)));
    assert_eq!(app.list_builds(&project).len(), 3);
}

#[test]
fn the_newest_venvs_stay_and_every_row_stays() {
    let app = TestApp::with(&[("ADE_BUILD_KEEP", "2")]);
    let project = app.project();
    let first = id(&app.build(&project, &json!({})));
    let pointing = app.create_build(&project, &json!({}));
    assert_eq!(pointing["reused_build_id"], first);
    let [second, third, fourth] = [(), (), ()].map(|()| forced(&app, &project));
    assert_present(&app, &project, &[(&first, true), (&id(&pointing), true), (&fourth, true)]);

    let report = app.prune();
    assert_eq!((report.configurations, report.venvs_removed, report.failed), (1, 2, 0), "{report:?}");
    assert!(report.bytes_freed > 10_000, "{report:?}");
    let expected = [(&first, false), (&second, false), (&third, true), (&fourth, true)];
    for (build, present) in expected {
        assert_eq!(folder_of(&app, &project, build).exists(), present);
    }
    assert_present(&app, &project, &expected.map(|(build, present)| (build.as_str(), present)));
    assert_present(&app, &project, &[(&id(&pointing), false)]);
    let events = app.build_events(&first);
    assert_eq!(kind(&events[events.len() - 1]), "build.completed", "the history stays");

    let again = app.prune();
    assert_eq!((again.venvs_removed, again.bytes_freed, again.failed), (0, 0, 0), "{again:?}");
    assert_eq!(app.run(&project, &json!([]))["build_id"], fourth);
}

#[test]
fn a_run_keeps_the_venv_it_started_with_while_others_are_built() {
    let app = TestApp::with(&[("ADE_BUILD_KEEP", "1")]);
    let project = app.project();
    let digest = app.show_configuration(&project)["content_digest"].clone();
    let run = app.held_run(&project);
    let first = app.show_run(&run)["build_id"].as_str().unwrap().to_owned();
    let [second, third] = [(), ()].map(|()| forced(&app, &project));
    assert_eq!(app.show_run(&run)["status"], "running", "a build and a run overlap");
    // The row of the third may be behind its log for a moment, and then the second is kept.
    wait_until("the one in between goes", || app.prune().venvs_removed == 1);
    assert_present(&app, &project, &[(&first, true), (&second, false), (&third, true)]);
    app.touch("go");
    assert_eq!(app.finish_run(&run)["status"], "succeeded");
    wait_until("the run lets go of its venv", || app.prune().venvs_removed == 1);
    assert_present(&app, &project, &[(&first, false), (&third, true)]);
    assert_eq!(app.show_configuration(&project)["content_digest"], digest);
}

#[test]
fn a_venv_that_is_being_built_is_left_alone() {
    let app = TestApp::with(&[("ADE_BUILD_KEEP", "1")]);
    let project = app.project_building(&json!({"await": app.path("go"), "started": app.path("started")}));
    let build = id(&app.create_build(&project, &json!({})));
    wait_until("the build is at work", || std::path::Path::new(&app.path("started")).exists());
    let queued = id(&app.create_build(&project, &json!({"force": true})));
    assert_eq!(app.prune().venvs_removed, 0);
    app.touch("go");
    assert_eq!(app.finish_build(&build)["status"], "active");
    assert_eq!(app.finish_build(&queued)["status"], "active");
}

/// A run goes back to an older venv just when that is about to go.
#[test]
fn no_run_loses_its_venv_to_pruning() {
    let app = TestApp::with(&[("ADE_BUILD_KEEP", "1")]);
    let project = app.project();
    let marked = configuration_of(&app, &project).join("src/ade_config/which.py");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(app.prune().failed, 0);
            }
        });
        for round in 0..10 {
            fs::write(&marked, format!("which = {}\n", round % 2)).unwrap();
            let runs: Vec<String> =
                (0..3).map(|_| app.create_run(&project, &json!([["output", "x.csv", "1"]]))).collect();
            for run in runs {
                let run = app.finish_run(&run);
                assert_eq!(run["status"], "succeeded", "round {round}: {run}");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_directory_deleted_by_hand_is_noticed_at_once() {
    let app = TestApp::start();
    let project = app.project();
    let older = id(&app.build(&project, &json!({})));
    let newer = forced(&app, &project);
    let pointing = id(&app.create_build(&project, &json!({})));
    fs::remove_dir_all(folder_of(&app, &project, &newer)).unwrap();
    assert_present(&app, &project, &[(&older, true), (&newer, false), (&pointing, false)]);
    // Another of the same content is as good.
    let run = app.run(&project, &json!([]));
    assert_eq!(
        (&run["status"], &run["build_id"], &run["env_reused"]),
        (&json!("succeeded"), &json!(older), &json!(true))
    );
    fs::remove_dir_all(app.data_dir().join("venvs").join(&project.workspace)).unwrap();
    assert_eq!(app.prune().failed, 0);
    assert_present(&app, &project, &[(&older, false)]);
    let run = app.run(&project, &json!([]));
    assert_eq!((&run["status"], &run["env_reused"]), (&json!("succeeded"), &json!(false)));
}

#[test]
fn a_venv_with_the_marker_of_another_build_is_rebuilt() {
    let app = TestApp::start();
    let project = app.project();
    let first = id(&app.build(&project, &json!({})));
    let path = folder_of(&app, &project, &first).join(".venv/ade_build.json");
    let mut marker: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    marker["fingerprint"] = json!("0".repeat(64));
    fs::write(&path, marker.to_string()).unwrap();
    let run = app.run(&project, &json!([]));
    assert_eq!((&run["status"], &run["env_reason"]), (&json!("succeeded"), &json!("cache_miss")));
    assert_ne!(run["build_id"], first);
    let names: Vec<String> = app.run_events(&id(&run)).iter().map(|event| kind(event).to_owned()).collect();
    for name in ["build.created", "build.started", "build.phase.completed", "build.completed"] {
        assert!(names.iter().any(|seen| seen == name), "{names:?}");
    }
    assert_present(&app, &project, &[(&first, false), (run["build_id"].as_str().unwrap(), true)]);
    assert_eq!(app.prune().venvs_removed, 1, "what is not whole goes");
}

#[test]
fn the_venv_of_another_node_is_neither_used_nor_pruned() {
    let mut app = TestApp::with(&[("ADE_BUILD_KEEP", "1")]);
    let project = app.project();
    let theirs = id(&app.build(&project, &json!({})));
    app.stop_now();
    fs::write(app.data_dir().join("node_id"), NodeId::generate().to_string()).unwrap();
    let app = app.restart();
    let run = app.run(&project, &json!([]));
    assert_eq!((&run["status"], &run["env_reused"]), (&json!("succeeded"), &json!(false)));
    assert_eq!(app.prune().venvs_removed, 0);
    assert!(folder_of(&app, &project, &theirs).exists());
}

#[test]
fn partial_work_left_by_a_crash_is_removed_at_the_next_start() {
    let mut app = TestApp::with(&[("ADE_MAINTENANCE_INTERVAL", "1s")]);
    let project = app.project();
    let build = id(&app.build(&project, &json!({})));
    app.stop_now();
    let ulid = BuildId::generate().ulid();
    let venvs = app.data_dir().join("venvs");
    let half = folder_of(&app, &project, &BuildId::generate().to_string());
    let goes = [
        half.join(".venv/bin/python"),
        venvs.join(format!(".trash-{ulid}/.venv/bin/python")),
        app.data_dir().join(format!("incoming/{ulid}")),
        configuration_of(&app, &project).with_file_name(format!(".staging-{ulid}")).join("pyproject.toml"),
    ];
    let stays = [
        venvs.join("lost+found/x"),
        venvs.join(format!("{}/{}/notes/x", project.workspace, project.configuration)),
        // Another service may know this configuration.
        venvs.join(format!("{}/cfg_{ulid}/{}/.venv/x", project.workspace, BuildId::generate())),
    ];
    for path in goes.iter().chain(&stays) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "half").unwrap();
    }
    let app = app.restart();
    wait_until("the leftovers are gone", || goes.iter().all(|path| !path.exists()) && !half.exists());
    assert!(stays.iter().all(|path| path.exists()), "{stays:?}");
    assert_eq!(app.run(&project, &json!([]))["build_id"], build);
}
