//! Asked to stop, the service finishes what it has begun; asked again, it leaves at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::json;

use crate::support::http::Request;
use crate::support::log::Log;
use crate::support::server::Server;
use crate::support::work::Place;
use crate::support::{NEVER, TIMEOUT, eventually, process};

/// A service that has its venv already, and gives work at a stop all the time that it wants.
fn warm(folder: &Path) -> (Server, Place) {
    let mut settings = crate::support::server::settings();
    settings.insert("ADE_DRAIN_TIMEOUT", NEVER.into());
    let server = Server::start_with(folder, &settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    (server, place)
}

/// Returns when it says that it stops.
fn ask_to_stop(server: &Server) {
    server.signal(libc::SIGTERM);
    eventually("the service says that it stops", || {
        let ready = server.send(&Request::get("/health/ready")).ok()?;
        (ready.status() == 503).then_some(())
    });
}

#[test]
fn an_idle_service_ends_promptly() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, place) = warm(folder.path());
    let run = place.run(&server, "emit 20000");
    assert_eq!(run.ended(&server)["status"], "succeeded");
    // One who never reads, and one who asks for nothing.
    let mut stalled = TcpStream::connect(server.address).unwrap();
    write!(stalled, "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", run.events_path(), server.address).unwrap();
    let _idle = TcpStream::connect(server.address).unwrap();
    stalled.peek(&mut [0]).unwrap();
    server.signal(libc::SIGTERM);
    assert!(server.wait().success());
}

#[test]
fn a_run_in_flight_is_finished_and_its_readers_see_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, place) = warm(folder.path());
    let gate = folder.path().join("gate");
    let run = place.run(&server, &format!("print ready\nwait {}\nemit 50", gate.display()));
    let subscriber = run.subscribe(&server, None);
    run.await_line(&server, "ready");
    ask_to_stop(&server);
    let body = json!({"options": {"validate_only": true}});
    let path = format!("/api/v1/configurations/{}/runs", place.configuration);
    assert_eq!(server.post(&path, &body).0, 503, "new work is refused");
    eventually("reading goes on", || (run.show(&server)["status"] == "running").then_some(()));
    std::fs::write(gate, "").unwrap();
    assert!(server.wait().success());
    let seen = subscriber.finish();
    assert!(seen.whole && seen.events.last().unwrap().1.contains("\"run.completed\""), "{seen:?}");
    drop(server);
    let server = Server::start(folder.path());
    assert_eq!(run.show(&server)["status"], "succeeded");
    server.stop();
}

#[test]
fn a_second_stop_signal_ends_it_at_once_with_its_processes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, place) = warm(folder.path());
    let run = place.run(&server, "ignore\ndaemon\ngroup\nprint ready\nsleep 1000");
    let subscriber = run.subscribe(&server, None);
    run.await_line(&server, "ready");
    ask_to_stop(&server);
    server.signal(libc::SIGTERM);
    assert!(server.wait().success());
    let seen = subscriber.finish();
    assert!(seen.whole, "readers are told and closed");
    let left = process::of_run(&run.id);
    assert!(left.is_empty(), "{}", process::describe(&left));
    drop(server);
    let server = Server::start(folder.path());
    let row = run.show(&server);
    assert_eq!((&row["status"], &row["failure_code"]), (&json!("failed"), &json!("interrupted")), "{row}");
    Log::read(folder.path(), &row).assert_ended();
    server.stop();
}

#[test]
fn work_that_outlasts_the_drain_time_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = crate::support::server::settings();
    settings.insert("ADE_DRAIN_TIMEOUT", "2s".into());
    settings.insert("ADE_MAX_CONCURRENCY", "1".into());
    let mut server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    let run = place.run(&server, "daemon\nprint ready\nsleep 1000");
    run.await_line(&server, "ready");
    let queued = place.run(&server, "print second");
    queued.await_event(&server, "wait for the slot", |event| event["payload"]["reason"] == "capacity");
    server.signal(libc::SIGTERM);
    assert!(server.wait().success());
    assert!(process::of_run(&run.id).is_empty());
    drop(server);
    let server = Server::start_with(folder.path(), &settings);
    let row = run.show(&server);
    assert_eq!((&row["status"], &row["failure_code"]), (&json!("failed"), &json!("interrupted")), "{row}");
    assert_eq!(queued.ended(&server)["status"], "succeeded", "queued work stays queued");
    server.stop();
}

/// What a reader gets, to the end of its connection.
fn rest(mut reader: TcpStream) -> String {
    let mut text = String::new();
    reader.set_read_timeout(Some(TIMEOUT)).unwrap();
    reader.read_to_string(&mut text).expect("the connection is closed in good order");
    text
}

#[test]
fn under_load_a_stop_ends_every_run_and_every_stream_within_the_drain_time() {
    const RUNS: usize = 10;
    const STREAMS: usize = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = crate::support::server::settings();
    settings.insert("ADE_DRAIN_TIMEOUT", "5s".into());
    settings.insert("ADE_MAX_CONCURRENCY", RUNS.to_string());
    process::raise_open_files();
    let mut server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    // Half of them end when they are let, the others never.
    let (gate, never) = (folder.path().join("gate"), folder.path().join("never"));
    let script = |n: usize| {
        let wait = if n.is_multiple_of(2) { &gate } else { &never };
        format!("print ready\nwait {}\nprint done\nemit 100", wait.display())
    };
    let runs: Vec<_> = (0..RUNS).map(|n| place.run(&server, &script(n))).collect();
    runs.iter().for_each(|run| run.await_line(&server, "ready"));
    let readers: Vec<_> = (0..STREAMS)
        .map(|n| {
            let mut reader = TcpStream::connect(server.address).unwrap();
            let path = runs[n % RUNS].events_path();
            write!(reader, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).unwrap();
            reader
        })
        .collect();
    readers.iter().for_each(|reader| assert_eq!(reader.peek(&mut [0]).unwrap(), 1, "it is served"));
    let begun = std::time::Instant::now();
    ask_to_stop(&server);
    let (status, refusal) = server.post("/api/v1/executions", &json!({"workflow_id": "brief-to-plan", "input": {}}));
    assert!(status >= 400, "{refusal}");
    std::fs::write(&gate, "").unwrap();
    assert!(server.wait().success());
    println!("{RUNS} runs, {STREAMS} streams: stopped after {:?}", begun.elapsed());
    for (n, reader) in readers.into_iter().enumerate() {
        let text = rest(reader);
        assert!(text.contains("\"run.completed\"") && text.ends_with("0\r\n\r\n"), "stream {n}: {text}");
    }
    drop(server);
    let server = Server::start_with(folder.path(), &settings);
    for (n, run) in runs.iter().enumerate() {
        let row = run.show(&server);
        let expected = if n % 2 == 0 { json!(["succeeded", null]) } else { json!(["failed", "interrupted"]) };
        assert_eq!(json!([row["status"], row["failure_code"]]), expected, "{row}");
        Log::read(folder.path(), &row).assert_ended();
        assert!(process::of_run(&run.id).is_empty());
    }
    server.stop();
    let verified = crate::support::server::ade(folder.path(), &settings).arg("verify").output().unwrap();
    assert!(String::from_utf8_lossy(&verified.stdout).contains(" 0 violations"), "{verified:?}");
}
