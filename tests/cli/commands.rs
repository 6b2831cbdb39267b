//! The other commands, and how they end when they are misused.

use crate::support::log;
use crate::support::server::{Server, Settings, ade, settings};
use crate::support::work::{Place, Run};
use crate::{done, fixture, program};

/// A data folder with one run that has succeeded and one that has failed.
fn with_runs() -> (tempfile::TempDir, Place, Run, Run) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let place = Place::make(&server);
    let good = place.run(&server, "emit 5\nprint hello\noutput normalized.xlsx");
    assert_eq!(good.ended(&server)["status"], "succeeded");
    let bad = place.run(&server, "exit 2");
    assert_eq!(bad.ended(&server)["status"], "failed");
    server.stop();
    (folder, place, good, bad)
}

#[test]
fn tail_and_replay_show_what_the_log_contains() {
    let (folder, place, good, bad) = with_runs();
    let tail = |arguments: &[&str]| done(ade(folder.path(), &settings()).arg("tail").args(arguments));
    let resource = serde_json::json!({"id": good.id, "workspace_id": place.workspace});
    let path = log::path(folder.path(), &resource);
    let stored = std::fs::read_to_string(&path).unwrap();
    assert_eq!(tail(&["--json", &good.id]), (Some(0), stored.clone(), String::new()));

    let after = stored.lines().count() - 3;
    let (code, out, _) = tail(&["--json", "--after", &after.to_string(), &good.id]);
    assert_eq!((code, out.lines().count()), (Some(0), 3));
    assert!(stored.ends_with(&out));
    let (code, out, _) = tail(&["--json", "--types", "test.*", &good.id]);
    assert_eq!((code, out.lines().count()), (Some(0), 5 + 1), "the end passes every filter");
    let (code, out, _) = tail(&[&good.id]);
    assert!(code == Some(0) && out.contains("[run] hello") && !out.contains("sequence"), "{out}");
    assert_eq!(tail(&[&bad.id]).0, Some(1));
    assert_eq!(tail(&["run_01ARZ3NDEKTSV4RRFFQ69G5FAV"]).0, Some(1), "there is no such run");

    let (code, out, _) = done(program(folder.path()).arg("replay").arg(&path));
    assert_eq!(code, Some(0));
    assert!(out.starts_with(&format!("{} events", stored.lines().count())) && out.contains("succeeded"), "{out}");
    assert_eq!(done(program(folder.path()).args(["replay", "/nowhere/at/all"])).0, Some(1));
}

#[test]
fn the_nodes_of_a_running_service_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let status = |more: &[&str]| done(ade(folder.path(), &settings()).args(["cluster", "status"]).args(more));
    let (code, _, err) = status(&[]);
    assert!(code == Some(1) && err.contains("no service runs"), "{err}");
    let server = Server::start(folder.path());
    let id = std::fs::read_to_string(folder.path().join("node_id")).unwrap();
    let (code, out, err) = status(&[]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains(id.trim()) && out.contains("serving") && out.contains("answers"), "{out}");
    let (_, out, _) = status(&["--json"]);
    let list: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&list["total"], &list["items"][0]["node_id"]), (&1.into(), &id.trim().into()));
    server.stop();
}

#[test]
fn the_settings_are_shown_with_their_sources() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::from([("ADE_RUN_TIMEOUT", "90s".to_owned()), ("ADE_RUN_TIMEUOT", "1".to_owned())]);
    let (code, out, err) = done(ade(folder.path(), &settings).arg("config"));
    assert_eq!(code, Some(0));
    let line = |key: &str| out.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("run_timeout").contains("90s") && line("run_timeout").contains("ADE_RUN_TIMEOUT"), "{out}");
    assert!(line("cancel_grace").contains("default"), "{out}");
    assert!(err.contains("ADE_RUN_TIMEUOT"), "a name that is no setting is told: {err}");
    assert!(!folder.path().join("ade.db").exists(), "nothing was begun");
}

#[test]
fn the_schema_goes_up_and_down() {
    let folder = tempfile::tempdir().unwrap();
    let migrate = |arguments: &[&str]| done(program(folder.path()).arg("migrate").args(arguments));
    let (code, out, err) = migrate(&["status"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("0 applied"), "{out}");
    let pending = out.lines().filter(|line| line.starts_with("pending")).count();
    assert!(pending > 0);
    let (code, out, _) = migrate(&["up"]);
    assert!(code == Some(0) && out.contains(&format!("{pending} applied, 0 pending")), "{out}");
    let (code, out, _) = migrate(&["down"]);
    assert!(code == Some(0) && out.contains(&format!("{} applied, 1 pending", pending - 1)), "{out}");
    let strict = Settings::from([("ADE_AUTO_MIGRATE", "false".to_owned())]);
    let (code, _, err) = done(ade(folder.path(), &strict).arg("serve"));
    assert!(code == Some(1) && err.contains("ade migrate up"), "{err}");
    assert_eq!(migrate(&["up"]).0, Some(0));
    assert!(migrate(&["status"]).1.contains(&format!("{pending} applied, 0 pending")));
}

#[test]
fn misuse_ends_with_two_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let misused = |arguments: &[&str], settings: &[(&'static str, &str)]| {
        let settings = settings.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        let (code, out, err) = done(ade(folder.path(), &settings).args(arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {out}{err}");
        assert!(!err.trim().is_empty(), "{arguments:?}");
    };
    misused(&[], &[]);
    misused(&["no-such-command"], &[]);
    misused(&["run"], &[]);
    misused(&["run", "--no-such-flag", "x"], &[]);
    misused(&["run", "/nowhere/at/all.xlsx"], &[]);
    misused(&["tail", "not-an-id"], &[]);
    misused(&["tail", "--after", "minus-one", "run_01ARZ3NDEKTSV4RRFFQ69G5FAV"], &[]);
    misused(&["migrate", "sideways"], &[]);
    misused(&["config"], &[("ADE_BIND", "nowhere")]);
    misused(&["config", "--config", "/nowhere/at/all.toml"], &[]);
    assert_eq!(done(program(folder.path()).arg("--help")).0, Some(0));
    assert_eq!(done(program(folder.path()).arg("--version")).0, Some(0));
}

#[cfg(not(feature = "otel"))]
#[test]
fn a_service_that_cannot_send_traces_does_not_start_where_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path());
    let (code, out, err) = done(command.arg("serve").env("ADE_OTEL_ENDPOINT", "http://127.0.0.1:4318"));
    assert_eq!((code, &*out), (Some(2), ""), "{err}");
    assert!(err.contains("otel_endpoint is given (variable ADE_OTEL_ENDPOINT)"), "{err}");
    assert!(err.contains("built without the feature otel"), "{err}");
}

#[test]
fn an_invalid_server_url_is_a_usage_error_that_names_the_form() {
    let folder = tempfile::tempdir().unwrap();
    let id = "run_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for server in ["foo", "127.0.0.1:8000", "https://127.0.0.1:8000", "http://", "ftp://x", ""] {
        let (code, _, err) = done(program(folder.path()).args(["tail", "--server", server, id]));
        assert_eq!(code, Some(2), "{server:?}: {err}");
        assert!(err.contains("--server <URL>") && err.contains("such as http://127.0.0.1:8000"), "{server:?}: {err}");
    }
    for server in ["http://127.0.0.1:1", "http://localhost:1/", "http://[::1]:1/ade"] {
        let (code, _, err) = done(program(folder.path()).args(["workflows", "list", "--server", server]));
        assert_eq!(code, Some(1), "there is a form, but no service: {err}");
    }
}

#[test]
fn global_options_have_a_heading_and_appear_only_where_they_apply() {
    let folder = tempfile::tempdir().unwrap();
    let help = |command: &[&str]| done(program(folder.path()).args(command).arg("--help")).1;
    for (command, expected) in [
        (&["run"][..], &["--data-dir", "--config", "--server", "--verbose"][..]),
        (&["tail"], &["--data-dir", "--config", "--server", "--verbose"]),
        (&["workflows", "list"], &["--data-dir", "--config", "--server", "--verbose"]),
        (&["serve"], &["--data-dir", "--config", "--verbose"]),
        (&["config"], &["--data-dir", "--config", "--verbose"]),
        (&["migrate", "up"], &["--data-dir", "--config"]),
        (&["verify"], &["--data-dir", "--config"]),
        (&["replay"], &[]),
        (&["workflows", "validate"], &[]),
    ] {
        let text = help(command);
        let global = text.split_once("\nGlobal options:\n").map(|(_, global)| global).unwrap_or_default();
        let stands = |option: &&&str| text.split_whitespace().any(|word| word.trim_end_matches('.') == **option);
        let shown: Vec<_> =
            ["--data-dir", "--config", "--server", "--verbose"].iter().filter(stands).copied().collect();
        assert_eq!(shown, expected, "{command:?}: {text}");
        assert!(expected.iter().all(|option| global.contains(option)), "{command:?}: {text}");
    }
    for arguments in [["--server", "http://127.0.0.1:1", "replay", "x"], ["replay", "x", "--data-dir", "y"]] {
        let (code, _, err) = done(program(folder.path()).args(arguments));
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains("means nothing to `ade replay`"), "{err}");
    }
}

#[test]
fn an_address_may_be_a_name_and_needs_no_port() {
    let folder = tempfile::tempdir().unwrap();
    for (given, expected) in [
        ("localhost", "127.0.0.1:8000"),
        ("localhost:81", "127.0.0.1:81"),
        ("127.0.0.1", "127.0.0.1:8000"),
        ("::1", "[::1]:8000"),
        ("[::1]", "[::1]:8000"),
    ] {
        let settings = Settings::from([("ADE_BIND", given.to_owned())]);
        let (code, out, err) = done(ade(folder.path(), &settings).arg("config"));
        assert!(code == Some(0) && out.contains(&format!("bind = \"{expected}\"")), "{given}: {out}{err}");
    }
}

#[test]
fn a_missing_configuration_directory_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = ["run", "--config-dir", "/nowhere/at/all"];
    let (code, _, err) = done(program(folder.path()).args(run).arg(fixture("roster.csv")));
    assert_ne!(code, Some(0));
    assert!(err.contains("/nowhere/at/all"), "{err}");
}
