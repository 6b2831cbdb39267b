//! The program with its journal in a cluster of real servers, while it, they or its disk are lost. Left out, loudly, where
//! the servers cannot be installed.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ade::domain::principal::Scope;
use ade::domain::run::Run as RunRow;
use ade_test_support::nats::{self, Nats};
use ade_test_support::wait_until;
use serde_json::{Value, json};

use crate::support::http::Request;
use crate::support::log::Log;
use crate::support::server::{Server, Settings, ade, log_path, settings};
use crate::support::work::{Place, Run};
use crate::support::{embedded, eventually, process};

pub fn in_cluster(nats: &Nats) -> Settings {
    let mut settings = settings();
    settings.insert("ADE_CLUSTER_NATS", nats.urls());
    settings.insert("ADE_CLUSTER_NODE", "a".into());
    settings
}

/// The components of readiness, by name.
pub fn ready(server: &Server) -> (u16, Value) {
    let response = server.send(&Request::get("/health/ready")).expect("a response");
    let status = response.status();
    let parts = response.json_or_null()["components"].clone();
    let journal = parts.as_array().and_then(|parts| parts.iter().find(|part| part["name"] == "journal").cloned());
    (status, journal.unwrap_or_default())
}

/// What a page of the events of a run has, from its first.
fn events(server: &Server, run: &Run) -> Vec<Value> {
    let page = server.get(&format!("{}/events?limit=1000", run.path()));
    page["items"].as_array().unwrap().clone()
}

fn assert_whole(server: &Server, run: &Run) -> Log {
    let row = run.ended(server);
    let log = Log::read(&server.data_dir, &row);
    let end = log.assert_ended();
    assert_eq!((&row["status"], &row["last_sequence"]), (&end["payload"]["status"], &json!(log.lines.len())), "{row}");
    log
}

fn assert_verified(data_dir: &Path, settings: &Settings) {
    let verified = ade(data_dir, settings).arg("verify").output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

/// Everything but the rows.
fn lose_logs(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true if name == "journal" => fs::remove_dir_all(path).unwrap(),
            true if name != "venvs" => lose_logs(&path),
            false if name.to_str().unwrap().starts_with("events.") => fs::remove_file(path).unwrap(),
            _ => {}
        }
    }
}

#[test]
fn a_killed_process_goes_on_where_the_cluster_is_and_a_lost_disk_is_restored() {
    if !nats::is_there() {
        return;
    }
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let settings = in_cluster(&nats);
    let server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    assert_eq!(ready(&server).1["status"], "ok");
    let run = place.run(&server, "print begun\nemit 200 50\nprint ready\nemit 20000 200\nsleep 1000");
    let subscriber = run.subscribe(&server, None);
    run.await_line(&server, "ready");
    server.kill();
    let seen = subscriber.finish();
    let server = Server::start_with(folder.path(), &settings);
    let log = assert_whole(&server, &run);
    assert_eq!(run.show(&server)["failure_code"], "interrupted");
    assert!(!seen.events.is_empty(), "nothing was shown");
    assert!(seen.events.iter().all(|(id, line)| log.lines[*id as usize - 1] == *line), "what was shown has changed");
    let left = process::of_run(&run.id);
    assert!(left.is_empty(), "{}", process::describe(&left));
    let second = place.run(&server, "print second\nemit 100\noutput second.xlsx");
    let whole = assert_whole(&server, &second);
    server.kill();

    lose_logs(folder.path());
    let server = Server::start_with(folder.path(), &settings);
    for (run, log) in [(&run, &log), (&second, &whole)] {
        assert_eq!(assert_whole(&server, run).lines, log.lines, "{}", run.id);
        assert_eq!(events(&server, run).len(), log.lines.len());
    }
    let third = place.run(&server, "print third");
    assert_whole(&server, &third);
    server.stop();
    assert_verified(folder.path(), &settings);
}

#[test]
fn while_the_servers_are_away_nothing_begins_readers_go_on_and_nothing_is_lost() {
    if !nats::is_there() {
        return;
    }
    let (mut nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let server = Server::start_with(folder.path(), &in_cluster(&nats));
    let place = Place::make(&server);
    place.warm_up(&server);
    let gate = folder.path().join("gate");
    let run = place.run(&server, &format!("print ready\nwait {}\nemit 5000\nprint over", gate.display()));
    let subscriber = run.subscribe(&server, None);
    run.await_line(&server, "ready");
    let before = events(&server, &run);
    (0..3).for_each(|server| nats.kill(server));
    fs::write(gate, "").unwrap();
    let told = eventually("readiness tells of the journal", || {
        let (status, journal) = ready(&server);
        (status == 503).then_some(journal)
    });
    assert!(told["status"] == "unavailable" && told["detail"].is_string(), "{told}");
    let runs = format!("/api/v1/configurations/{}/runs", place.configuration);
    for (path, body) in [(runs, json!({"options": {"validate_only": true}})), (place.builds_path(), json!({}))] {
        let (status, problem) = server.post(&path, &body);
        assert_eq!((status, &problem["code"]), (503, &json!("journal_unavailable")), "{path}: {problem}");
    }
    // What was durable is read as ever, and nothing of what was not is shown.
    assert_eq!(events(&server, &run), before);
    eventually("the row follows", || (run.show(&server)["status"] == "running").then_some(()));
    nats.revive();
    let log = assert_whole(&server, &run);
    assert_eq!(run.show(&server)["status"], "succeeded");
    let seen = subscriber.finish();
    assert_eq!(seen.events.iter().map(|(_, line)| line).collect::<Vec<_>>(), log.lines.iter().collect::<Vec<_>>());
    assert_eq!(log.console("stdout").last(), Some(&"over"));
    eventually("it is ready again", || (ready(&server).0 == 200).then_some(()));
    assert_whole(&server, &place.run(&server, "print after"));
    server.stop();
}

#[test]
fn a_stop_does_not_wait_for_servers_that_are_away() {
    if !nats::is_there() {
        return;
    }
    let (mut nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let mut settings = in_cluster(&nats);
    settings.insert("ADE_DRAIN_TIMEOUT", "1s".into());
    let mut server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    let run = place.run(&server, "print ready\nemit 100000 100\nsleep 1000");
    run.await_line(&server, "ready");
    (0..3).for_each(|server| nats.kill(server));
    server.signal(libc::SIGTERM);
    server.wait();
    let left = process::of_run(&run.id);
    assert!(left.is_empty(), "{}", process::describe(&left));
    drop(server);
    // As after a crash: where this process thinks that the log ends, another one that has gone on from the servers would cut it.
    let row = stored(folder.path(), &run);
    assert!(!row.log_degraded && row.durable_bytes.is_none(), "{row:?}");
    assert!(row.state.completed_at.is_none(), "{row:?}");
    nats.revive();
    let server = Server::start_with(folder.path(), &settings);
    assert_whole(&server, &run);
    server.stop();
    assert_verified(folder.path(), &settings);
}

#[test]
fn a_process_whose_node_was_taken_over_ends_with_its_children() {
    if !nats::is_there() {
        return;
    }
    let (nats, folder, other) = (Nats::start(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = in_cluster(&nats);
    let mut first = Server::start_with(folder.path(), &settings);
    let place = Place::make(&first);
    place.warm_up(&first);
    let run = place.run(&first, "print ready\nemit 100000 100\nsleep 1000");
    run.await_line(&first, "ready");
    let second = Server::start_with(other.path(), &settings);
    assert!(!first.wait().success(), "it ended as if nothing had happened");
    let said = fs::read_to_string(log_path(folder.path())).unwrap();
    assert!(said.contains("taken the journal of this node over"), "{said}");
    eventually("its children are dead", || process::of_run(&run.id).is_empty().then_some(()));
    assert_eq!(ready(&second).0, 200);
    second.stop();
}

/// The row of a run, while no service is there.
fn stored(data_dir: &Path, run: &Run) -> RunRow {
    actix_web::rt::System::new().block_on(async {
        let store = embedded::store(data_dir).await;
        let found = store.find::<RunRow>(&Scope::All, run.id.parse().unwrap()).await.unwrap();
        store.close().await.unwrap();
        found.expect("a row of the run")
    })
}

/// Before the servers: lets so many requests of a kind pass, and holds everything from the next on.
pub struct Gate {
    kind: &'static [u8],
    passing: usize,
    asked: AtomicUsize,
    is_open: AtomicBool,
}

impl Gate {
    /// The first publish of a process is its fence. Also where it listens, for the setting.
    pub fn behind_fence(nats: &Nats) -> (Arc<Self>, String) {
        Self::before(nats, b"PUB ade-", 1)
    }

    pub fn before(nats: &Nats, kind: &'static [u8], passing: usize) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let server = nats.urls().split(',').next().unwrap().replace("nats://", "");
        let gate = Arc::new(Self { kind, passing, asked: AtomicUsize::new(0), is_open: AtomicBool::new(false) });
        let shared = gate.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(upstream) = TcpStream::connect(&server) else { continue };
                let (asking, asked) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
                let gate = shared.clone();
                std::thread::spawn(move || pass_on(asking, asked, |bytes| gate.pass(bytes)));
                std::thread::spawn(move || pass_on(upstream, client, |_| {}));
            }
        });
        (gate, url)
    }

    fn pass(&self, bytes: &[u8]) {
        let asked = bytes.windows(self.kind.len()).filter(|window| *window == self.kind).count();
        self.asked.fetch_add(asked, Ordering::AcqRel);
        while self.is_shut() && !self.is_open.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn is_shut(&self) -> bool {
        self.asked.load(Ordering::Acquire) > self.passing
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, before: impl Fn(&[u8])) {
    let mut buffer = [0; 64 << 10];
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        before(&buffer[..size]);
        if to.write_all(&buffer[..size]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// A service that does not listen yet; killed when dropped.
pub struct Starting(pub Child);

impl Starting {
    pub fn spawn(data_dir: &Path, settings: &Settings) -> Self {
        let log = File::options().create(true).append(true).open(log_path(data_dir)).unwrap();
        let mut command = ade(data_dir, settings);
        Self(command.env("ADE_AUTH", "off").arg("serve").stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    pub fn has_succeeded(&mut self) -> bool {
        eventually("end of the start", || self.0.try_wait().unwrap()).success()
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

/// A start whose recovery has a run to end, and cannot: the journal has taken its fence, and does not answer any more.
fn stuck_in_recovery(nats: &Nats, folder: &Path, settings: &Settings) -> (Starting, Arc<Gate>, Run) {
    let server = Server::start_with(folder, settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    let run = place.run(&server, "print ready\nsleep 1000");
    run.await_line(&server, "ready");
    server.kill();
    let (gate, url) = Gate::behind_fence(nats);
    let mut behind = settings.clone();
    behind.insert("ADE_CLUSTER_NATS", url);
    let starting = Starting::spawn(folder, &behind);
    wait_until("the recovery writes", || gate.is_shut());
    (starting, gate, run)
}

#[test]
fn a_start_whose_journal_does_not_answer_ends_by_a_signal() {
    if !nats::is_there() {
        return;
    }
    let (mut nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let settings = in_cluster(&nats);
    let (mut starting, _gate, run) = stuck_in_recovery(&nats, folder.path(), &settings);
    // The client would look for them beside the gate in time.
    (0..3).for_each(|server| nats.kill(server));
    process::signal(starting.0.id(), libc::SIGTERM);
    assert!(starting.has_succeeded());
    nats.revive();
    let row = stored(folder.path(), &run);
    assert!(!row.log_degraded && row.state.completed_at.is_none(), "{row:?}");
    let server = Server::start_with(folder.path(), &settings);
    assert_whole(&server, &run);
    server.stop();
    assert_verified(folder.path(), &settings);
}

#[test]
fn a_start_whose_node_is_taken_over_while_it_recovers_ends_with_an_error() {
    if !nats::is_there() {
        return;
    }
    let (nats, folder, other) = (Nats::start(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = in_cluster(&nats);
    let (mut starting, gate, run) = stuck_in_recovery(&nats, folder.path(), &settings);
    let second = Server::start_with(other.path(), &settings);
    gate.is_open.store(true, Ordering::Release);
    assert!(!starting.has_succeeded(), "it ended as if nothing had happened");
    let said = fs::read_to_string(log_path(folder.path())).unwrap();
    assert!(said.contains("taken the journal of this node over"), "{said}");
    assert!(!stored(folder.path(), &run).log_degraded);
    second.stop();
}
