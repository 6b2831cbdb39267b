//! What engines, builds and clients leave in the service's folders: nothing of it stops the service, at work or at a
//! start, and nothing outside of these folders is changed or shown through it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::log::Log;
use crate::support::server::{Server, without_isolation};
use crate::support::work::{Place, Run};

/// Far deeper than a path may be long, and than a stack holds calls.
const DEEP: &str = "python [os.mkdir('d') or os.chdir('d') for n in [os.chdir(out)] + [0] * 30000]";

fn service(folder: &Path) -> (Server, Place) {
    let server = Server::start_with(folder, &without_isolation());
    let place = Place::make(&server);
    place.warm_up(&server);
    (server, place)
}

fn run_folder(server: &Server, run: &Run) -> PathBuf {
    let row = run.show(server);
    server.data_dir.join(row["events_path"].as_str().unwrap()).parent().unwrap().parent().unwrap().to_owned()
}

/// Names of ours in the data folder and in that of venvs: what was removed and is not deleted yet.
fn trash(data_dir: &Path) -> Vec<String> {
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let all = [names(data_dir), names(&data_dir.join("venvs"))].concat();
    all.into_iter().filter(|name| name.starts_with(".trash-") || name.starts_with(".stuck-")).collect()
}

fn assert_alive(server: &Server, place: &Place) {
    assert_eq!(server.get("/health/ready")["status"], "ok");
    assert_eq!(place.run(server, "print alive").ended(server)["status"], "succeeded");
}

#[test]
fn a_directory_tree_of_any_depth_in_a_dry_run_is_removed_after_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (server, place) = service(folder.path());
    let run = place.run_with(&server, DEEP, json!({"dry_run": true}));
    let row = run.ended(&server);
    assert_eq!(row["status"], "succeeded", "{row}");
    Log::read(&server.data_dir, &row).assert_ended();
    assert!(!run_folder(&server, &run).join("dry-run-output").exists());
    assert_alive(&server, &place);
    eventually("the tree is deleted", || trash(folder.path()).is_empty().then_some(()));
    server.stop();
}

/// Where a tree of any depth may lie that the service removes, walks or reads at a start.
#[test]
fn a_start_survives_directory_trees_of_any_depth() {
    let folder = tempfile::tempdir().unwrap();
    let (server, place) = service(folder.path());
    let run = place.run_with(&server, &format!("{DEEP}\nprint deep\nsleep 1000"), json!({"dry_run": true}));
    run.await_line(&server, "deep");
    let output = place.run(&server, &format!("{DEEP}\nprint deep\nsleep 1000"));
    output.await_line(&server, "deep");
    server.kill();
    let data = folder.path();
    let ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let (workspace, configuration) = (&place.workspace, &place.configuration);
    for place in [
        format!("incoming/{ulid}"),
        format!("tools/.staging-{ulid}"),
        format!("cache/wheels/.staging-{ulid}"),
        format!("cache/engine/.staging-{ulid}"),
        format!("workspaces/{workspace}/configurations/.staging-{ulid}"),
        format!("venvs/.trash-{ulid}"),
        format!("venvs/{workspace}/{configuration}/build_{ulid}"),
    ] {
        plant_deep(&data.join(place), 5_000);
    }
    for start in 0..2 {
        let server = Server::start_with(data, &without_isolation());
        let row = run.ended(&server);
        assert_eq!((&row["status"], &row["failure_code"]), (&json!("failed"), &json!("interrupted")), "start {start}");
        assert_eq!(output.ended(&server)["failure_code"], "interrupted");
        assert_alive(&server, &place);
        if start == 0 {
            server.kill();
            continue;
        }
        let (status, report) = server.post("/api/v1/system/maintenance", &Value::Null);
        assert_eq!(status, 200, "{report}");
        assert!(report["tasks"].as_array().unwrap().iter().all(|task| task["failed"] == 0), "{report}");
        eventually("everything is deleted", || trash(data).is_empty().then_some(()));
        assert!(!data.join(format!("venvs/{workspace}/{configuration}/build_{ulid}")).exists());
        server.stop();
    }
    remove_deep(&run_folder_of(data, &output));
}

/// With relative names, since no path is that long.
fn plant_deep(folder: &Path, depth: usize) {
    use nix::fcntl::{AT_FDCWD, OFlag, openat};
    use nix::sys::stat::{Mode, mkdirat};
    fs::create_dir_all(folder).unwrap();
    let mut at = openat(AT_FDCWD, folder, OFlag::O_DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..depth {
        mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
        at = openat(&at, "d", OFlag::O_DIRECTORY, Mode::empty()).unwrap();
    }
}

/// What nobody but the owner of the data folder removes; the test's own clearing away would need a deep stack.
fn remove_deep(folder: &Path) {
    ade::files::remove_tree(folder).unwrap();
    while !ade::files::empty_trash(folder.parent().unwrap(), u64::MAX, &|| false).unwrap().is_done {}
}

fn run_folder_of(data: &Path, run: &Run) -> PathBuf {
    let workspaces = fs::read_dir(data.join("workspaces")).unwrap().flatten();
    let found = workspaces.map(|workspace| workspace.path().join("runs").join(&run.id)).find(|path| path.is_dir());
    found.expect("a run has a folder")
}

/// What an engine may do to the folder that the service writes its log in; `{victim}` is not its own.
const SABOTAGE: &[(&str, &str)] = &[
    ("a link to the victim", "os.remove(log); os.symlink('{victim}', log)"),
    ("another name of the victim", "os.remove(log); os.link('{victim}', log)"),
    ("a pipe", "os.remove(log); os.mkfifo(log)"),
    ("a folder", "os.remove(log); os.makedirs(log + '/inside')"),
    ("nothing", "os.remove(log)"),
    (
        "a link in place of the folder",
        "os.rename(run + '/logs', run + '/before'); os.symlink('{others}', run + '/logs')",
    ),
    ("a link in place of the run", "os.rename(run, run + '-before'); os.symlink('{others}', run)"),
];

#[test]
fn an_engine_that_destroys_its_log_stops_no_start_and_reaches_no_other_files() {
    let (folder, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let victim = others.path().join("events.ndjson");
    fs::write(&victim, "of others").unwrap();
    let mut settings = without_isolation();
    settings.insert("ADE_MAX_CONCURRENCY", "20".into());
    let server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    let script = |code: &str, then: &str| {
        let code = code.replace("{victim}", victim.to_str().unwrap());
        let code = code.replace("{others}", others.path().to_str().unwrap());
        format!("emit 20\npython log = run + '/logs/events.ndjson'; {code}\nprint planted\nemit 20\n{then}")
    };
    // With the service at work the file that it has open is the log.
    for (what, code) in SABOTAGE {
        let run = place.run(&server, &script(code, "print done"));
        assert_eq!(run.ended(&server)["status"], "succeeded", "{what}");
        for below in ["events", "events/stream", "events/download", "logs", "diagnostics", "outputs", "summary"] {
            let path = format!("{}/{below}", run.path());
            let status = server.status(&path);
            assert!(status < 500 || status == 503, "{what}: {status} of {path}");
        }
    }
    let runs: Vec<_> = SABOTAGE.iter().map(|(_, code)| place.run(&server, &script(code, "sleep 1000"))).collect();
    runs.iter().for_each(|run| run.await_line(&server, "planted"));
    server.kill();
    for start in 0..2 {
        let server = Server::start_with(folder.path(), &settings);
        for ((what, _), run) in SABOTAGE.iter().zip(&runs) {
            let row = run.ended(&server);
            assert_eq!(row["failure_code"], "interrupted", "{what} at start {start}: {row}");
        }
        assert_alive(&server, &place);
        let (status, report) = server.post("/api/v1/system/maintenance", &Value::Null);
        assert_eq!(status, 200, "{report}");
        server.stop();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "of others");
    }
    let made: Vec<_> = fs::read_dir(others.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(made, ["events.ndjson"], "nothing was made elsewhere");
    // What was destroyed is told, and all the rest is looked at.
    let verified = crate::support::server::ade(folder.path(), &settings).arg("verify").output().unwrap();
    let text = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.code() == Some(1) && text.contains(" logs, "), "{text}");
}
