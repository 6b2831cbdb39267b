//! However an engine ends, its run says so: a status, a code, what it wrote, and nothing left running.

use serde_json::{Value, json};

use crate::support::log::Log;
use crate::support::process;
use crate::support::server::{Server, settings};
use crate::support::work::{Place, Run};

/// A service with a venv ready.
fn service(more: &[(&'static str, &str)]) -> (tempfile::TempDir, Server, Place) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.extend(more.iter().map(|&(name, value)| (name, value.to_owned())));
    let server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    (folder, server, place)
}

/// The row and the log of a run that must have failed with this code.
fn failed(server: &Server, run: &Run, code: &str) -> (Value, Log) {
    let row = run.ended(server);
    assert_eq!((&row["status"], &row["failure_code"]), (&json!("failed"), &json!(code)), "{row}");
    let log = Log::read(&server.data_dir, &row);
    let end = &log.assert_ended()["payload"];
    assert_eq!((&end["status"], &end["failure"]["code"]), (&json!("failed"), &json!(code)), "{end}");
    assert_eq!(log.of("run.error").len(), 1, "a failure is told before the end");
    let left = process::of_run(&run.id);
    assert!(left.is_empty(), "{}", process::describe(&left));
    (row, log)
}

#[test]
fn an_engine_that_fails_is_told_with_what_it_wrote() {
    let (_folder, server, place) = service(&[]);

    let silent = place.run(&server, "stderr first words\nstderr last words\nexit 3");
    let (row, log) = failed(&server, &silent, "engine_error");
    assert_eq!(row["exit_code"], 3);
    assert_eq!(log.console("stderr"), ["first words", "last words"]);

    let killed = place.run(&server, "stderr before\nkill 9");
    let (row, log) = failed(&server, &killed, "engine_error");
    assert_eq!((&row["exit_code"], log.console("stderr")), (&json!(137), vec!["before"]));

    let liar = place.run(&server, "stderr but\nprint {\"status\": \"succeeded\", \"output_paths\": []}\nexit 1");
    let (row, log) = failed(&server, &liar, "engine_error");
    assert_eq!((&row["exit_code"], log.console("stderr")), (&json!(1), vec!["but"]));

    let modest = place.run(&server, "print {\"status\": \"failed\", \"error\": {\"message\": \"no rows\"}}");
    let (row, _) = failed(&server, &modest, "engine_error");
    assert_eq!(row["failure_message"], "no rows");

    let broken = place.run(&server, "no_such_command");
    let (_, log) = failed(&server, &broken, "engine_error");
    assert!(log.console("stderr").iter().any(|line| line.contains("KeyError")), "{:?}", log.console("stderr"));
    server.stop();
}

#[test]
fn an_engine_that_leaves_processes_behind_ends_promptly_with_all_of_them() {
    let (_folder, server, place) = service(&[]);
    let run = place.run(&server, "daemon\ngroup\nhold\nprint done");
    let row = run.ended(&server);
    assert_eq!(row["status"], "succeeded", "{row}");
    let log = Log::read(&server.data_dir, &row);
    log.assert_ended();
    let cut = log.of("console.line").into_iter().filter(|event| event["payload"]["truncated"] == true).count();
    assert_eq!(cut, 1, "the stream says that output was cut");
    assert!(process::of_run(&run.id).is_empty());
    server.stop();
}

#[test]
fn output_of_any_kind_and_size_is_kept_or_cut_and_never_breaks_the_stream() {
    let (_folder, server, place) = service(&[]);
    let run = place.run(&server, "binary 100000\nlong 20\nprint \nobject 100\nprint \nprint {\"type\": 1\nprint after");
    let row = run.ended(&server);
    assert_eq!(row["status"], "succeeded", "{row}");
    let log = Log::read(&server.data_dir, &row);
    log.assert_ended();
    let lines = log.console("stdout");
    assert!(lines.iter().all(|text| text.len() <= 200_000), "no line is longer than a piece and its replacements");
    // Text is kept in pieces; what begins like an event and is too long for one is cut.
    assert_eq!(lines.iter().map(|text| text.matches('x').count()).sum::<usize>() / 1_000_000, 20);
    let cut = log.of("console.line").into_iter().filter(|event| event["payload"]["truncated"] == true);
    assert_eq!(cut.count(), 1);
    assert_eq!(lines.last(), Some(&"after"));
    server.stop();
}

#[test]
fn a_missing_input_fails_the_run() {
    let (folder, server, place) = service(&[("ADE_MAX_CONCURRENCY", "1")]);
    let gate = folder.path().join("gate");
    let first = place.run(&server, &format!("print ready\nwait {}", gate.display()));
    first.await_line(&server, "ready");
    let second = place.run(&server, "print never");
    let documents = folder.path().join(format!("workspaces/{}/documents", place.workspace));
    std::fs::remove_dir_all(documents).unwrap();
    std::fs::write(gate, "").unwrap();
    assert_eq!(first.ended(&server)["status"], "succeeded");
    failed(&server, &second, "input_missing");
    server.stop();
}

#[test]
fn a_run_that_takes_too_long_times_out() {
    let (_folder, server, place) = service(&[("ADE_RUN_TIMEOUT", "2s")]);
    let run = place.run(&server, "stderr slow\nignore\ndaemon\nemit 100000 50");
    let (_, log) = failed(&server, &run, "run_timeout");
    assert_eq!(log.console("stderr"), ["slow"]);
    assert!(log.of("test.tick").len() > 10);
    server.stop();
}

#[test]
fn a_run_that_is_silent_for_too_long_times_out() {
    let (_folder, server, place) = service(&[("ADE_RUN_IDLE_TIMEOUT", "2s")]);
    let run = place.run(&server, "emit 30 10\nstderr silence\ndaemon\nsleep 1000");
    let (_, log) = failed(&server, &run, "idle_timeout");
    assert_eq!((log.of("test.tick").len(), log.console("stderr")), (30, vec!["silence"]));
    server.stop();
}

#[test]
fn a_missing_interpreter_is_not_found() {
    let (folder, server, place) = service(&[("ADE_MAX_CONCURRENCY", "1")]);
    let gate = folder.path().join("gate");
    let first = place.run(&server, &format!("print ready\nwait {}", gate.display()));
    first.await_line(&server, "ready");
    // Its build is found whole; then it waits for the slot, and meanwhile the interpreter goes.
    let second = place.run(&server, "print never");
    second.await_event(&server, "wait for the slot", |event| event["payload"]["reason"] == "capacity");
    let python = find(&folder.path().join("venvs"), "bin/python").expect("there is a venv");
    std::fs::remove_file(python).unwrap();
    std::fs::write(gate, "").unwrap();
    assert_eq!(first.ended(&server)["status"], "succeeded");
    failed(&server, &second, "engine_not_found");
    // The damage is seen, and the next run has a venv again.
    place.warm_up(&server);
    server.stop();
}

fn find(folder: &std::path::Path, end: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.ends_with(end) { Some(path) } else { find(&path, end).filter(|_| path.is_dir()) }
    })
}
