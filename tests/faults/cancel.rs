//! A cancel ends whatever an engine has become, in time, and leaves nothing of it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::log::Log;
use crate::support::server::Server;
use crate::support::work::Place;
use crate::support::{eventually, process};

/// The grace time of these tests and three seconds.
const BOUND: Duration = Duration::from_secs(4);

/// What engines do before they are cancelled.
const ZOO: &[(&str, &str)] = &[
    ("ends when asked", "print ready\nsleep 1000"),
    ("ignores the signal", "ignore\nprint ready\nsleep 1000"),
    ("has a child", "child\nprint ready\nsleep 1000"),
    ("has a child in a group of its own", "group\nprint ready\nsleep 1000"),
    ("has a daemon in a session of its own", "daemon\nprint ready\nsleep 1000"),
    ("has a daemon and has detached nothing else", "ignore\ndaemon\ndaemon\nprint ready\nsleep 1000"),
    ("has a grandchild that holds the pipes", "hold\nprint ready\nsleep 1000"),
    ("has another program in another session", "executed 1000\nprint ready\nsleep 1000"),
    ("is always another process", "respawn\nprint ready\nsleep 1000"),
    ("has stopped itself", "print ready\nkill 19\nsleep 1000"),
    ("prints without end", "print ready\nflood"),
    ("prints one line of 100 MB", "print ready\nlong 100\nsleep 1000"),
    ("prints anything but text", "print ready\nbinary 1000000\nsleep 1000"),
    ("does all of that", "ignore\nchild\ngroup\ndaemon\nhold\nrespawn\nexecuted 1000\nprint ready\nflood"),
];

#[test]
fn every_engine_ends_in_time_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let place = Place::make(&server);
    place.warm_up(&server);
    for (what, script) in ZOO {
        let run = place.run(&server, script);
        run.await_line(&server, "ready");
        let begun = Instant::now();
        assert_eq!(run.cancel(&server), 202, "{what}");
        let row = run.ended(&server);
        let took = begun.elapsed();
        eprintln!("{what}: {took:?}");
        assert!(took < BOUND, "{what}: {took:?}");
        let left = process::of_run(&run.id);
        assert!(left.is_empty(), "{what}: {}", process::describe(&left));
        assert_eq!((&row["status"], &row["failure_code"]), (&json!("cancelled"), &json!("run_cancelled")), "{what}");
        let log = Log::read(folder.path(), &row);
        assert_eq!(log.assert_ended()["payload"]["status"], "cancelled", "{what}");
        assert_eq!(log.of("run.cancelling").len(), 1, "{what}");
        assert_eq!(run.cancel(&server), 200, "{what}: a second cancel finds it cancelled");
    }
    server.stop();
}

#[test]
fn a_run_that_waits_is_cancelled_at_once_and_a_build_that_nobody_wants_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let place = Place::make(&server);
    let run = place.run(&server, "print never");
    run.await_event(&server, "a step of the build", |event| event["type"] == "build.phase.started");
    assert_eq!(run.cancel(&server), 202);
    assert_eq!(run.ended(&server)["status"], "cancelled");
    let build = eventually("end of the build", || {
        let build = server.get(&place.builds_path())["items"][0].clone();
        matches!(build["status"].as_str(), Some("cancelled" | "failed" | "active")).then_some(build)
    });
    assert_eq!(build["status"], "cancelled");
    assert!(process::of_build(build["id"].as_str().unwrap()).is_empty());
    server.stop();
}
