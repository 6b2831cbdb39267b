//! `ade exec`: the example of the service, started, asked, answered, and looked at.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};

use crate::support::server::{Server, ade, settings};
use crate::support::{eventually, process};
use crate::workflows::example;
use crate::{done, fixture, outcome};

const START: [&str; 5] = ["exec", "start", "brief-to-plan", "--scope", "project:42"];

fn command(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = ade(data_dir, &settings());
    command.args(arguments);
    command
}

/// Starts the example with its brief, with more arguments.
fn start(data_dir: &Path, more: &[&str]) -> Command {
    let mut command = command(data_dir, &START);
    command.arg("--input").arg(fixture("brief.json")).args(more);
    command
}

/// Code, output and errors of a command that is given this input, and then no more.
fn with_input(command: &mut Command, input: &str) -> (Option<i32>, String, String) {
    let mut child = piped(command);
    // It may have ended without reading all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    outcome(&child.wait_with_output().unwrap())
}

fn piped(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The id of the execution that a command speaks of.
fn id_in(text: &str) -> String {
    let at = text.find("exec_").unwrap_or_else(|| panic!("no execution in {text:?}"));
    text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

fn execution(server: &Server, id: &str) -> Value {
    server.get(&format!("/api/v1/executions/{id}"))
}

fn await_status(server: &Server, id: &str, status: &str) -> Value {
    eventually(status, || Some(execution(server, id)).filter(|execution| execution["status"] == status))
}

#[test]
fn one_command_starts_answers_and_completes_an_execution() {
    let folder = tempfile::tempdir().unwrap();
    // The second is none of the choices, and is asked again.
    let (code, out, err) = with_input(&mut start(folder.path(), &["--follow"]), "The board\nnever\n2\n");
    assert_eq!(code, Some(0), "{out}\n{err}");
    for expected in [
        "brief-to-plan at revision 1 for project:42",
        "(1/2) Who will use the result? (required)",
        "(2/2) When is it needed? (one of these; optional)",
        "  2) this year",
        "\"never\" is none of the choices",
        "requirements is answered",
        "execution completed",
        "summary doc_",
        "USD",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    let id = id_in(&out);
    let (code, out, _) = done(&mut command(folder.path(), &["tail", "--json", &id]));
    let answers: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["type"] == "clarification_answered")
        .map(|event| event["payload"]["answers"].clone())
        .collect();
    assert_eq!((code, answers), (Some(0), vec![json!({"Q_1": "The board", "Q_2": "this year"})]));
    assert_eq!(done(&mut command(folder.path(), &["verify"])).0, Some(0));
}

#[test]
fn unanswered_questions_wait_for_another_process_too() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = with_input(&mut start(folder.path(), &["--follow"]), "The board\n");
    assert_eq!(code, Some(3), "{out}\n{err}");
    let id = id_in(&out);
    let told = format!("ade exec answer {id} requirements --answer Q_1=...");
    assert!(out.contains(&told) && out.contains(&format!("ade exec follow {id}")), "{out}");

    let server = Server::start(folder.path());
    assert_eq!(await_status(&server, &id, "waiting_clarification")["totals"]["calls"], 1);
    let answer = |answers: &[&str]| {
        let mut command = command(folder.path(), &["exec", "answer", &id, "requirements"]);
        command.args(answers.iter().flat_map(|answer| ["--answer", *answer]));
        done(&mut command)
    };
    let (code, _, err) = answer(&["Q_1=The board", "Q_2=never"]);
    assert!(code == Some(1) && err.contains("Q_2: \"never\" is none of the choices"), "{err}");
    let (code, _, err) = answer(&["Q_2=soon"]);
    assert!(code == Some(1) && err.contains("answers.Q_1") && err.contains("answer_missing"), "{err}");
    let (code, out, err) = answer(&["Q_1=The board", "Q_2=1"]);
    assert_eq!((code, out), (Some(0), format!("requirements of {id} has its answer\n")), "{err}");
    let (code, out, err) = done(&mut command(folder.path(), &["exec", "follow", &id]));
    assert!(code == Some(0) && out.contains("execution completed"), "{out}{err}");
    assert!(!out.contains("(1/2)"), "what is long answered is not asked: {out}");
    await_status(&server, &id, "completed");
    let (code, _, err) = answer(&["Q_1=The board", "Q_2=1"]);
    assert!(code == Some(1) && err.contains("is not waiting for this"), "{err}");
    server.stop();
}

#[test]
fn executions_are_listed_shown_and_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = done(&mut start(folder.path(), &[]));
    assert!(code == Some(1) && err.contains("no service runs"), "{err}");
    let server = Server::start(folder.path());
    let run = |arguments: &[&str]| done(&mut command(folder.path(), arguments));
    let (code, out, err) = done(&mut start(folder.path(), &[]));
    let id = id_in(&out);
    assert_eq!((code, out.trim()), (Some(0), id.as_str()), "{err}");
    await_status(&server, &id, "waiting_clarification");

    let (_, out, _) = run(&["exec", "list", "--active", "--workflow", "brief-to-plan", "--scope", "project:42"]);
    assert!(out.contains(&id) && out.contains("waiting_clarification") && out.contains("requirements"), "{out}");
    let (_, out, _) = run(&["exec", "list", "--scope", "project:43", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["total"], 0);
    assert!(!run(&["exec", "list", "--status", "completed"]).1.contains(&id));
    assert_eq!(run(&["exec", "list", "--status", "sleeping"]).0, Some(2));
    let (code, out, _) = run(&["exec", "show", &id]);
    assert!(code == Some(0) && out.contains("Q_1: (1/2) Who will use the result?") && out.contains("1) soon"), "{out}");
    let shown: Value = serde_json::from_str(&run(&["exec", "show", &id, "--json"]).1).unwrap();
    assert_eq!((&shown["execution_id"], &shown["steps"][0]["step_id"]), (&json!(id), &json!("requirements")));

    assert_eq!(run(&["exec", "cancel", &id, "--reason", "enough"]).0, Some(0));
    await_status(&server, &id, "cancelled");
    let (code, out, _) = run(&["exec", "follow", &id]);
    assert!(code == Some(1) && out.contains("execution cancelled"), "{out}");
    let (code, _, err) = run(&["exec", "start", "no-such-workflow", "--scope", "project:42"]);
    assert!(code == Some(1) && err.contains("not_found"), "{err}");
    let (code, _, err) = run(&["exec", "start", "brief-to-plan", "--scope", "project:44"]);
    assert!(code == Some(1) && err.contains("brief"), "a missing input is named: {err}");
    assert_eq!(run(&["exec", "start", "brief-to-plan", "--scope", "project"]).0, Some(2));
    server.stop();
}

/// A command that is followed line by line, and has somebody at its input.
struct AtWork {
    child: Child,
    _stdin: ChildStdin,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl AtWork {
    fn start(command: &mut Command) -> Self {
        let mut child = piped(command);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { _stdin: child.stdin.take().unwrap(), child, lines }
    }

    fn line(&mut self, wanted: &str) -> String {
        let found = self.lines.by_ref().map_while(Result::ok).find(|line| line.contains(wanted));
        found.unwrap_or_else(|| panic!("{wanted:?} is printed"))
    }

    fn end(mut self) -> Option<i32> {
        eventually("end of the command", || self.child.try_wait().unwrap()).code()
    }
}

#[test]
fn questions_answered_elsewhere_are_not_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut at_work = AtWork::start(&mut start(folder.path(), &["--follow"]));
    let id = id_in(&at_work.line("exec_"));
    at_work.line("(1/2)");
    let answers = folder.path().join("answers.json");
    fs::write(&answers, r#"{"Q_1": "The board", "Q_2": "soon"}"#).unwrap();
    let mut answer = command(folder.path(), &["exec", "answer", &id, "requirements", "--file"]);
    let (code, out, err) = done(answer.arg(&answers));
    assert_eq!(code, Some(0), "{out}{err}");
    at_work.line("answered elsewhere");
    at_work.line("execution completed");
    assert_eq!(at_work.end(), Some(0));
}

#[test]
fn an_interrupt_leaves_the_execution_running() {
    let folder = tempfile::tempdir().unwrap();
    let mut at_work = AtWork::start(&mut start(folder.path(), &["--follow"]));
    let id = id_in(&at_work.line("exec_"));
    at_work.line("(1/2)");
    process::signal(at_work.child.id(), libc::SIGINT);
    at_work.line("it continues when a service runs");
    assert_eq!(at_work.end(), Some(130));
    let (code, out, err) = with_input(&mut command(folder.path(), &["exec", "follow", &id]), "The board\nsoon\n");
    assert_eq!(code, Some(0), "{out}{err}");
}

#[test]
fn a_document_is_rejected_and_accepted() {
    let (folder, server) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(server.path());
    let mut definition = example();
    definition["workflow_id"] = json!("accepted");
    definition["prompts"]["tasks"]["requirements"] = json!("Write the requirements.");
    definition["steps"][0]["acceptance"] = json!({"required": true});
    definition["steps"][2]["acceptance"] = json!({"required": true});
    let path = folder.path().join("accepted.json");
    fs::write(&path, definition.to_string()).unwrap();
    let url = format!("http://{}", server.address);
    // Another folder: the service is the one that is named.
    let run = |arguments: &[&str]| command(folder.path(), &[&["--server", &url], arguments].concat());
    assert_eq!(done(run(&["workflows", "put"]).arg(&path)).0, Some(0));
    let mut follow = run(&["exec", "start", "accepted", "--scope", "team:7", "--follow", "--input"]);
    let (code, out, err) = with_input(follow.arg(fixture("brief.json")), "no\ntoo long\nyes\n\n");
    assert_eq!(code, Some(3), "{out}{err}");
    for expected in [
        "Is requirements version 1 of requirements accepted?",
        "\"title\"",
        "requirements is rejected: too long",
        "Is requirements version 2 of requirements accepted?",
        "requirements is accepted",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    let id = id_in(&out);
    assert!(out.contains(&format!("ade exec accept {id} summary")), "{out}");
    await_status(&server, &id, "waiting_acceptance");
    let (code, out, err) = done(&mut run(&["exec", "accept", &id, "summary", "--comment", "good"]));
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(await_status(&server, &id, "completed")["failure"], Value::Null);
    let (code, _, err) = done(&mut run(&["exec", "accept", &id, "summary", "--reject"]));
    assert!(code == Some(1) && err.contains("409"), "{err}");
    server.stop();
}

#[test]
fn misuse_is_reported_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.json");
    fs::write(&bad, "[]").unwrap();
    for arguments in [
        vec!["exec", "start", "brief-to-plan"],
        vec!["exec", "start", "brief-to-plan", "--scope", "a:b", "--follow", "--input", "/nowhere.json"],
        vec!["exec", "start", "brief-to-plan", "--scope", "a:b", "--follow", "--input", bad.to_str().unwrap()],
        vec!["exec", "show", "run_01ARZ3NDEKTSV4RRFFQ69G5FAV"],
        vec!["exec", "answer", "exec_01ARZ3NDEKTSV4RRFFQ69G5FAV", "plan"],
        vec!["exec", "answer", "exec_01ARZ3NDEKTSV4RRFFQ69G5FAV", "plan", "--answer", "Q_1"],
    ] {
        let (code, out, err) = done(&mut command(folder.path(), &arguments));
        assert!(code == Some(2) && !err.is_empty(), "{arguments:?}: {code:?} {out}{err}");
    }
    assert!(!folder.path().join("ade.db").exists());
}
