//! Starts and commands at rest of the program that may not take the node over, or are asked to end before they do. Real
//! servers; left out, loudly, where they cannot be installed.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use ade_test_support::nats::{self, Nats};
use ade_test_support::wait_until;
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{Gate, Starting, in_cluster, ready};
use crate::support::process;
use crate::support::server::{Server, Settings, ade, log_path};

const STREAM: &str = "ade-ade-j-a";

fn last_message(nats: &Nats) -> u64 {
    nats.info(STREAM)["state"]["last_seq"].as_u64().unwrap()
}

fn run(data_dir: &Path, settings: &Settings, arguments: &[&str]) -> Output {
    ade(data_dir, settings).env("ADE_AUTH", "off").args(arguments).output().unwrap()
}

fn assert_refused(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(why), "{said}");
}

/// What this one has, in files of its own.
fn copy_of(data_dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(data_dir.join(".")).arg(copy.path()).status().unwrap();
    assert!(copied.success());
    copy
}

/// As a release wrote it that did not note by which fence it has the node.
fn forget_fence(data_dir: &Path) {
    let file = data_dir.join("journal/stream.json");
    let mut known: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    known.as_object_mut().unwrap().retain(|name, _| !["fence", "place"].contains(&name.as_str()));
    fs::write(file, known.to_string()).unwrap();
}

#[test]
fn no_command_at_rest_takes_a_node_from_where_it_is_at_work() {
    if !nats::is_there() {
        return;
    }
    let (nats, elsewhere) = (Nats::start(), tempfile::tempdir().unwrap());
    let (old, new, blank) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = in_cluster(&nats);
    Server::start_with(old.path(), &settings).stop();
    let backup = elsewhere.path().join("backup");
    let backup = ["backup", backup.to_str().unwrap()];
    // Of the directory that has the node, they may do their work.
    for arguments in [&backup[..], &["maintenance"]] {
        let output = run(old.path(), &settings, arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // Nor of a copy of it, which would have the node from then on, or of one that may be: a start of the service may.
    let (copy, earlier) = (copy_of(old.path()), copy_of(old.path()));
    forget_fence(earlier.path());
    let before = last_message(&nats);
    assert_refused(&run(copy.path(), &settings, &["maintenance"]), "is a copy");
    assert_refused(&run(earlier.path(), &settings, &["maintenance"]), "has never been at work");
    assert_eq!(last_message(&nats), before, "somebody has put a fence there");
    let server = Server::start_with(new.path(), &settings);
    let before = last_message(&nats);
    let again = elsewhere.path().join("again");
    for arguments in [&["backup", again.to_str().unwrap()][..], &["maintenance"]] {
        assert_refused(&run(old.path(), &settings, arguments), "taken the journal of this node over");
        assert_refused(&run(blank.path(), &settings, arguments), "has never been at work");
    }
    assert!(!Starting::spawn(old.path(), &settings).has_succeeded());
    let said = fs::read_to_string(log_path(old.path())).unwrap();
    assert!(said.contains("taken the journal of this node over"), "{said}");
    assert_eq!(last_message(&nats), before, "somebody has put a fence there");
    assert_eq!(ready(&server).0, 200);
    server.stop();
}

#[test]
fn a_start_that_waits_for_its_servers_ends_by_a_signal() {
    if !nats::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // It accepts, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nats = Nats::start();
    let mut settings = in_cluster(&nats);
    settings.insert("ADE_CLUSTER_NATS", format!("nats://{}", silent.local_addr().unwrap()));
    let mut starting = Starting::spawn(folder.path(), &settings);
    let _connection = silent.accept().unwrap();
    process::signal(starting.0.id(), libc::SIGTERM);
    assert!(starting.has_succeeded());
}

#[test]
fn a_start_that_reads_its_stream_ends_by_a_signal_and_fences_nobody() {
    if !nats::is_there() {
        return;
    }
    let (mut nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let mut settings = in_cluster(&nats);
    Server::start_with(folder.path(), &settings).kill();
    let before = last_message(&nats);
    let (gate, url) = Gate::before(&nats, b"PUB $JS.API.DIRECT.GET", 0);
    let behind = settings.insert("ADE_CLUSTER_NATS", url).unwrap();
    let mut starting = Starting::spawn(folder.path(), &settings);
    wait_until("it reads", || gate.is_shut());
    // The client would look for them beside the gate in time.
    (0..3).for_each(|server| nats.kill(server));
    process::signal(starting.0.id(), libc::SIGTERM);
    assert!(starting.has_succeeded());
    nats.revive();
    assert_eq!(last_message(&nats), before);
    settings.insert("ADE_CLUSTER_NATS", behind);
    Server::start_with(folder.path(), &settings).stop();
}
