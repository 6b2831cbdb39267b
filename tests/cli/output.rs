//! What a command cannot write is its failure, and whoever stops reading is told nothing.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::log;
use crate::support::server::{Server, Settings, ade, settings};
use crate::support::work::{Place, Run};
use crate::{fixture, program};

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody reads any more.
fn broken() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// Exit code and what is said on standard error.
fn ended(command: &mut Command, stdout: Stdio) -> (Option<i32>, String) {
    let child = command.stdout(stdout).stderr(Stdio::piped()).spawn().expect("the program starts");
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Every command that says something of a running service, or needs none.
fn commands(folder: &Path, run: &Run, log: &Path) -> Vec<Command> {
    let id = run.id.as_str();
    let log = log.display().to_string();
    let all: [&[&str]; 12] = [
        &["tail", id],
        &["tail", "--json", id],
        &["replay", &log],
        &["config"],
        &["--help"],
        &["tail", "--help"],
        &["--version"],
        &["migrate", "status"],
        &["workflows", "list"],
        &["exec", "list"],
        &["maintenance"],
        &["verify"],
    ];
    let command = |arguments: &&[&str]| {
        let mut command = ade(folder, &settings());
        command.args(*arguments);
        command
    };
    all.iter().map(command).collect()
}

#[test]
fn a_write_that_fails_is_the_failure_of_any_command() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let place = Place::make(&server);
    let run = place.run(&server, "emit 500\nprint hello\noutput normalized.xlsx");
    assert_eq!(run.ended(&server)["status"], "succeeded");
    let resource = serde_json::json!({"id": run.id, "workspace_id": place.workspace});
    let log = log::path(folder.path(), &resource);
    for mut command in commands(folder.path(), &run, &log) {
        let (code, said) = ended(&mut command, Stdio::null());
        assert_eq!((code, said.as_str()), (Some(0), ""), "{command:?}");
        let (code, said) = ended(&mut command, full());
        assert!(code == Some(1) && said.contains("No space left on device"), "{command:?}: {code:?} {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        let (code, said) = ended(&mut command, broken());
        assert_eq!((code, said.as_str()), (Some(141), ""), "{command:?}");
    }
    server.stop();
}

#[test]
fn work_continues_without_readers() {
    let folder = tempfile::tempdir().unwrap();
    for (stdout, expected) in [(full(), 1), (broken(), 141)] {
        let (code, said) = ended(program(folder.path()).arg("run").arg(fixture("roster.csv")), stdout);
        assert_eq!(code, Some(expected), "{said}");
        assert_eq!(said.contains("No space left on device"), expected == 1, "{said}");
    }
    let server = Server::start(folder.path());
    let listed = server.get("/api/v1/workspaces")["items"][0]["id"].as_str().unwrap().to_owned();
    let runs = server.get(&format!("/api/v1/workspaces/{listed}/runs?status=succeeded"));
    assert_eq!(runs["total"], 2, "{runs}");
    server.stop();
}

#[test]
fn an_error_that_cannot_be_described_is_still_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let misspelt = Settings::from([("ADE_RUN_TIMEUOT", "1".to_owned())]);
    let code = |command: &mut Command| command.stdout(Stdio::null()).stderr(full()).status().unwrap().code();
    assert_eq!(code(ade(folder.path(), &misspelt).arg("config")), Some(1), "a warning that is lost");
    assert_eq!(code(ade(folder.path(), &misspelt).args(["tail", "nothing"])), Some(2));
    assert_eq!(code(ade(folder.path(), &misspelt).arg("no-such-command")), Some(2));
}
