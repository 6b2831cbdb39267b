//! A cancel ends whatever an engine has become, and leaves nothing of it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::log::Log;
use crate::support::server::Server;
use crate::support::work::Place;
use crate::support::{NEVER, eventually, process};

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
fn every_engine_ends_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let place = Place::make(&server);
    place.warm_up(&server);
    for (what, script) in ZOO {
        let run = place.run(&server, script);
        run.await_line(&server, "ready");
        assert_eq!(run.cancel(&server), 202, "{what}");
        let row = run.ended(&server);
        let left = process::of_run(&run.id);
        assert!(left.is_empty(), "{what}: {}", process::describe(&left));
        assert_eq!((&row["status"], &row["failure_code"]), (&json!("cancelled"), &json!("run_cancelled")), "{what}");
        let log = Log::read(folder.path(), &row);
        assert_eq!(log.assert_ended()["payload"]["status"], "cancelled", "{what}");
        let cancelling = log.of("run.cancelling");
        assert_eq!(cancelling.len(), 1, "{what}");
        let ignores = script.contains("ignore") || script.contains("child") || script.contains("hold");
        let grace = time(log.assert_ended()) - time(cancelling[0]);
        assert!(!ignores || grace >= TimeDelta::seconds(1), "{what}: it had {grace}");
        assert_eq!(run.cancel(&server), 200, "{what}: a second cancel finds it cancelled");
    }
    server.stop();
}

fn time(event: &Value) -> DateTime<Utc> {
    event["created_at"].as_str().expect("an event has a time").parse().expect("as RFC 3339 says")
}

#[test]
fn an_engine_that_ends_when_asked_is_not_given_the_grace_of_one_that_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = crate::support::server::settings();
    settings.insert("ADE_CANCEL_GRACE", NEVER.into());
    let server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    for script in
        ["print ready\nsleep 1000", "executed 1000\nprint ready\nsleep 1000", "print ready\nkill 19\nsleep 1000"]
    {
        let run = place.run(&server, script);
        run.await_line(&server, "ready");
        assert_eq!(run.cancel(&server), 202);
        assert_eq!(run.ended(&server)["status"], "cancelled", "{script}");
        assert!(process::of_run(&run.id).is_empty());
    }
    server.stop();
}

#[test]
fn a_waiting_run_is_cancelled_at_once_together_with_its_unwanted_build() {
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
