//! A data folder has one owner at a time.

use serde_json::json;

use crate::support::eventually;
use crate::support::server::{Server, ade, settings};
use crate::support::tools;
use crate::support::work::Place;

#[test]
fn a_second_server_refuses_the_folder_and_names_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let second = ade(folder.path(), &settings()).arg("serve").output().unwrap();
    let message = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{message}");
    assert!(message.contains("in use") && message.contains(&format!("http://{}", server.address)), "{message}");
    assert!(second.stdout.is_empty(), "it never says that it listens");
    assert_eq!(server.get("/health/ready")["status"], "ok", "the first is unharmed");
    server.stop();
    Server::start(folder.path()).stop();
}

#[test]
fn the_lock_of_a_killed_server_binds_nobody() {
    let folder = tempfile::tempdir().unwrap();
    Server::start(folder.path()).kill();
    Server::start(folder.path()).stop();
}

#[test]
fn a_run_from_the_command_line_is_done_by_the_server_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let place = Place::make(&server);
    place.warm_up(&server);
    let input = folder.path().join("input.txt");
    std::fs::write(&input, "output normalized.xlsx\nprint done\n").unwrap();
    let mut command = ade(folder.path(), &settings());
    let command = command.args(["run", "--workspace", &place.workspace, "--config-dir"]);
    let done = command.arg(tools::package("configuration")).arg(&input);
    let done = done.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}\n{err}");
    // A list tells rows, and a row follows its log.
    let runs = eventually("the row of the run has its end", || {
        let runs = server.get(&format!("/api/v1/workspaces/{}/runs", place.workspace));
        (runs["items"][0]["status"] != "running").then_some(runs)
    });
    assert_eq!((&runs["total"], &runs["items"][0]["status"]), (&json!(2), &json!("succeeded")), "{runs}");
    // The same content is the same configuration, and so the same venv.
    assert_eq!(runs["items"][0]["configuration_id"], place.configuration, "{runs}");
    assert_eq!(runs["items"][0]["env_reused"], true, "{runs}");
    assert!(out.trim_end().ends_with("output/normalized.xlsx"), "{out}");
    server.stop();
}
