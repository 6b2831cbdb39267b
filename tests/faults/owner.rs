//! A data folder has one owner at a time.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::eventually;
use crate::support::process;
use crate::support::server::{Server, ade, settings};
use crate::support::tools;
use crate::support::work::Place;

#[test]
fn a_second_service_refuses_the_directory_and_names_the_first() {
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
fn the_lock_of_a_killed_service_blocks_no_other() {
    let folder = tempfile::tempdir().unwrap();
    Server::start(folder.path()).kill();
    Server::start(folder.path()).stop();
}

/// A service that was killed while it started a child: that has the lock until it becomes another program.
#[test]
fn a_lock_that_a_dead_owners_child_still_holds_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let dead = Command::new("true").spawn().and_then(|mut child| child.wait().map(|_| child.id())).unwrap();
    let path = folder.path().join(".lock");
    let owner =
        json!({"address": "127.0.0.1:1", "node_id": "node_01M8BZAT2XCXW2D6A55ZBWPFNK", "pid": dead, "start": 1});
    std::fs::write(&path, owner.to_string()).unwrap();
    let lock = File::open(&path).unwrap();
    lock.lock().unwrap();
    let mut holder = Command::new("sleep").arg("1000").stdin(lock.try_clone().unwrap()).spawn().unwrap();
    drop(lock);
    let mut starting = ade(folder.path(), &settings());
    let mut starting = starting.arg("serve").stdout(Stdio::piped()).spawn().unwrap();
    let descriptors = format!("/proc/{}/fd", starting.id());
    eventually("the service wants the lock", || {
        let mut open = std::fs::read_dir(&descriptors).unwrap().flatten();
        open.any(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == path)).then_some(())
    });
    holder.kill().unwrap();
    holder.wait().unwrap();
    let mut line = String::new();
    // Held, since it has more to say, and a write into a closed pipe would end it.
    let mut said = BufReader::new(starting.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    process::signal(starting.id(), libc::SIGTERM);
    assert!(line.starts_with("listening on "), "{line:?}");
    assert!(starting.wait().unwrap().success());
}

#[test]
fn ade_run_uses_the_service_of_its_data_directory() {
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
