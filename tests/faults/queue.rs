//! Many runs of several workspaces stand in line, the service is killed in the middle, and none is lost, none comes out
//! of its turn. `ADE_QUEUED_RUNS` says how many.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::server::{Server, Settings, ade, settings};
use crate::support::within;
use crate::support::work::{Place, id};

/// Runs at the same time.
const SLOTS: usize = 2;

const A_FEW: usize = 20;

#[test]
fn many_queued_runs_are_served_in_turn_and_a_kill_loses_none() {
    let count = std::env::var("ADE_QUEUED_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.insert("ADE_MAX_CONCURRENCY", SLOTS.to_string());
    settings.insert("ADE_QUEUE_SIZE", count.to_string());
    let server = Server::start_with(folder.path(), &settings);
    let [first, second, modest] = ["first", "second", "modest"].map(|name| Crowd::make(&server, name));
    let gate = folder.path().join("gate");
    make_engines_quick(&folder.path().join("venvs"), &gate);

    let began = Instant::now();
    let few = count / 30;
    for n in 0..(count - few) {
        if n % 2 == 0 { first.run(&server) } else { second.run(&server) }
    }
    (0..few).for_each(|_| modest.run(&server));
    eprintln!("{count} runs created in {:?}; {}", began.elapsed(), footprint(&server));
    let crowds = [&first, &second, &modest];
    let waiting =
        |server: &Server| crowds.iter().map(|crowd| crowd.total(server, &["queued", "building"])).sum::<u64>();
    within(Duration::from_secs(300), "all but two wait", || {
        let running: u64 = crowds.iter().map(|crowd| crowd.total(&server, &["running"])).sum();
        (running == SLOTS as u64).then_some(())
    });
    let more = [(); SLOTS + 1].map(|()| modest.try_run(&server));
    assert_eq!(more, [201, 201, 429], "those that have slots have left the queue");

    std::fs::write(&gate, "").unwrap();
    let (all, began) = ((count + SLOTS) as u64, Instant::now());
    within(Duration::from_secs(300), "a third of the runs", || (waiting(&server) < all * 2 / 3).then_some(()));
    eprintln!("a third has ended after {:?}; {}", began.elapsed(), footprint(&server));
    server.kill();
    let began = Instant::now();
    let server = Server::start_with(folder.path(), &settings);
    eprintln!("recovered after {:?}; {}", began.elapsed(), footprint(&server));
    let began = Instant::now();
    within(Duration::from_secs(600), "every run", || {
        let open: u64 = crowds.iter().map(|crowd| crowd.total(&server, &["queued", "building", "running"])).sum();
        (open == 0).then_some(())
    });
    eprintln!("the rest has ended after {:?}", began.elapsed());

    let runs: Vec<Vec<Value>> = crowds.iter().map(|crowd| crowd.runs(&server)).collect();
    assert_eq!(runs.iter().map(Vec::len).sum::<usize>(), all as usize, "none is lost");
    assert_ended(&runs.concat());
    for own in &runs {
        assert_in_order(own);
    }
    assert_in_turn(&runs[2], &runs[..2]);
    server.stop();
    assert_verified(folder.path(), &settings);
}

/// A workspace with a venv, and a document for all of its runs.
struct Crowd {
    place: Place,
    document: String,
}

impl Crowd {
    fn make(server: &Server, name: &str) -> Self {
        let place = Place::named(server, name);
        place.warm_up(server);
        let path = format!("/api/v1/workspaces/{}/documents", place.workspace);
        let document = id(&server.upload(&path, &[], "script.txt", b"print quick"));
        Self { place, document }
    }

    fn run(&self, server: &Server) {
        assert_eq!(self.try_run(server), 201);
    }

    fn try_run(&self, server: &Server) -> u16 {
        let path = format!("/api/v1/configurations/{}/runs", self.place.configuration);
        server.post(&path, &json!({"options": {"document_ids": [self.document]}})).0
    }

    fn total(&self, server: &Server, statuses: &[&str]) -> u64 {
        let statuses: String = statuses.iter().map(|status| format!("&status={status}")).collect();
        let path = format!("/api/v1/workspaces/{}/runs?perPage=1{statuses}", self.place.workspace);
        server.get(&path)["total"].as_u64().unwrap()
    }

    /// Every run but the one that has made the venv, oldest first.
    fn runs(&self, server: &Server) -> Vec<Value> {
        let page = |n| server.get(&format!("/api/v1/workspaces/{}/runs?perPage=200&page={n}", self.place.workspace));
        let pages = page(1)["pageCount"].as_u64().unwrap();
        let mut runs: Vec<Value> = (1..=pages).flat_map(|n| page(n)["items"].as_array().unwrap().clone()).collect();
        runs.reverse();
        runs.split_off(1)
    }
}

/// Puts a shell in the place of each interpreter: what is looked at here is the queue, not Python.
fn make_engines_quick(venvs: &Path, gate: &Path) {
    let script = format!("#!/bin/sh\nwhile [ ! -e {} ]; do sleep 0.05; done\n", gate.display());
    let mut found = 0;
    for folder in folders(venvs)
        .flat_map(|path| folders(&path).collect::<Vec<_>>())
        .flat_map(|path| folders(&path).collect::<Vec<_>>())
    {
        let python = folder.join(".venv/bin/python");
        std::fs::remove_file(&python).unwrap();
        std::fs::write(&python, &script).unwrap();
        std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
        found += 1;
    }
    assert_eq!(found, 3);
}

fn folders(path: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    std::fs::read_dir(path).unwrap().flatten().map(|entry| entry.path()).filter(|path| path.is_dir())
}

/// What the service holds: threads, files, memory.
fn footprint(server: &Server) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().replace('\t', " ");
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    format!("{}, {}, {files} open files", line("Threads:"), line("VmRSS:"))
}

/// Only what was at work when the service was killed may have failed.
fn assert_ended(runs: &[Value]) {
    let failed: Vec<_> = runs.iter().filter(|run| run["status"] != "succeeded").collect();
    assert!(failed.iter().all(|run| run["failure_code"] == "interrupted"), "{failed:?}");
    assert!(failed.len() <= SLOTS, "{failed:?}");
}

/// The runs of one workspace start in the order in which they were created, also those that a start finds. Between a
/// slot and the event that tells of it lies the disk, so those next to each other may pass each other.
fn assert_in_order(runs: &[Value]) {
    let mut started: Vec<(&str, usize)> =
        runs.iter().enumerate().filter_map(|(n, run)| Some((run["started_at"].as_str()?, n))).collect();
    started.sort();
    let farthest = started.iter().enumerate().map(|(place, (_, n))| place.abs_diff(*n)).max().unwrap_or_default();
    eprintln!("of {} runs none started more than {farthest} places from its own", runs.len());
    for (place, (_, n)) in started.iter().enumerate() {
        assert!(place.abs_diff(*n) <= 3 * SLOTS, "run {n} was the {place}. to start of {}", runs.len());
    }
}

/// Whatever stands before them, the runs of the modest one start in their turn: of each other workspace as many have
/// started before, and those that had slots already.
fn assert_in_turn(modest: &[Value], others: &[Vec<Value>]) {
    for (n, run) in modest.iter().enumerate() {
        for other in others {
            let earlier =
                |other: &&Value| other["started_at"].as_str().is_some_and(|at| Some(at) < run["started_at"].as_str());
            let before = other.iter().filter(earlier).count();
            assert!(before <= n + 1 + A_FEW, "{before} of another workspace have started before run {n}");
        }
    }
}

fn assert_verified(data_dir: &Path, settings: &Settings) {
    let verified = ade(data_dir, settings).arg("verify").output().unwrap();
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success() && said.contains(" 0 violations"), "{said}");
}
