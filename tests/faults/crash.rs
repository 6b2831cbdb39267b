//! The service is killed at any moment and started again: nothing that a client has seen is lost, nothing is sent
//! twice, every stream gets its one end, and no process of the earlier life is left.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::log::Log;
use crate::support::random::Random;
use crate::support::server::{Server, ade, settings};
use crate::support::sse::{Seen, Subscriber};
use crate::support::work::{Place, Run};
use crate::support::{eventually, process};

/// About a second and a half of work, with processes that do not want to go.
const SCRIPT: &str =
    "print begun\nemit 60 200\ndaemon\ngroup\nchild\nlog 50\nemit 100 200\noutput normalized.xlsx\nemit 40";

/// What a round is about.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Running,
    Building,
    /// While one run holds the only slot, another waits for it.
    Queued,
}

#[test]
fn a_kill_at_any_moment_loses_no_event_and_no_terminal_event() {
    let kills = std::env::var("ADE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let seed = std::env::var("ADE_KILL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121);
    let (folder, mut random) = (tempfile::tempdir().unwrap(), Random::new(seed));
    let mut settings = settings();
    settings.insert("ADE_MAX_CONCURRENCY", "1".into());
    let mut server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    let mut interrupted = 0;
    for round in 0..kills {
        let moment = [Moment::Running, Moment::Running, Moment::Building, Moment::Queued][round % 4];
        let delay = Duration::from_millis(random.below(if moment == Moment::Building { 2500 } else { 1600 }));
        eprintln!("kill {round} of {kills} (seed {seed}): {moment:?} after {delay:?}");
        let works = begin(&server, &place, moment);
        std::thread::sleep(delay);
        server.kill();
        let works: Vec<_> = works.into_iter().map(Watched::disconnected).collect();
        server = Server::start_with(folder.path(), &settings);
        interrupted += works.into_iter().filter(|work| check(&server, work)).count();
    }
    assert!(interrupted > 0, "no kill has hit a run at work");
    let listed = server
        .get(&format!("/api/v1/workspaces/{}/runs?status=queued&status=building&status=running", place.workspace));
    assert_eq!(listed["total"], 0, "{listed}");
    assert_fed(&server, &place);
    server.stop();
    assert_verified(folder.path());
}

/// A run and those who watch it.
struct Watched {
    run: Run,
    subscribers: Vec<(u64, Subscriber)>,
}

/// A run whose connections are gone: where each began and what it has brought.
struct Cut {
    run: Run,
    seen: Vec<(u64, Seen)>,
}

fn begin(server: &Server, place: &Place, moment: Moment) -> Vec<Watched> {
    let options = match moment {
        Moment::Building => json!({"force_rebuild": true}),
        _ => json!({}),
    };
    let mut runs = vec![place.run_with(server, SCRIPT, options)];
    if moment == Moment::Queued {
        runs.push(place.run(server, "print second\nemit 20\noutput second.xlsx"));
    }
    let watch = |run: Run| {
        let subscribers = [0, 0, 1].map(|after| (after, run.subscribe(server, (after > 0).then_some(after))));
        Watched { run, subscribers: subscribers.into() }
    };
    runs.into_iter().map(watch).collect()
}

impl Watched {
    fn disconnected(self) -> Cut {
        let seen = self.subscribers.into_iter().map(|(after, subscriber)| (after, subscriber.finish())).collect();
        Cut { run: self.run, seen }
    }
}

/// Everything that must hold for one run after the restart. True when it was interrupted.
fn check(server: &Server, work: &Cut) -> bool {
    let rest: Vec<_> = work.seen.iter().map(|(after, seen)| reconnect(server, &work.run, *after, seen)).collect();
    let row = work.run.ended(server);
    let log = Log::read(&server.data_dir, &row);
    let end = log.assert_ended();
    for ((after, before), rest) in work.seen.iter().zip(rest) {
        let both: Vec<_> = before.events.iter().chain(&rest.events).collect();
        let wanted: Vec<_> = (1..).zip(&log.lines).skip(*after as usize).collect();
        assert_eq!(both.len(), wanted.len(), "{row}\nfirst {:?}, then {:?}", before.last_id(), rest.last_id());
        assert!(both.iter().zip(wanted).all(|((id, line), (n, stored))| *id == n && line == stored));
    }
    assert_row_says(&row, end, log.lines.len());
    let left = process::of_run(&work.run.id);
    assert!(left.is_empty(), "{}", process::describe(&left));
    if row["status"] == "failed" {
        assert_eq!(row["failure_code"], "interrupted", "{row}");
        return true;
    }
    assert_eq!(row["status"], "succeeded", "{row}");
    assert_eq!(log.of("run.queued").len(), 1, "a run that is queued again was queued once");
    false
}

fn reconnect(server: &Server, run: &Run, after: u64, seen: &Seen) -> Seen {
    let last_id = seen.last_id().or((after > 0).then_some(after));
    let rest = run.subscribe(server, last_id).finish();
    assert!(rest.whole && rest.controls.is_empty(), "{rest:?}");
    assert_eq!(rest.status, if rest.events.is_empty() { 204 } else { 200 });
    rest
}

fn assert_row_says(row: &Value, end: &Value, events: usize) {
    let payload = &end["payload"];
    assert_eq!(row["status"], payload["status"], "{row}\n{end}");
    assert_eq!(row["failure_code"], payload["failure"]["code"], "{row}\n{end}");
    assert_eq!(row["last_sequence"], events, "{row}");
    assert_eq!(row["log_degraded"], false, "{row}");
}

/// The feed has told every run and every build of the workspace: all that became of each, once and in order.
fn assert_fed(server: &Server, place: &Place) {
    let mut expected = Vec::new();
    let runs = format!("/api/v1/workspaces/{}/runs", place.workspace);
    for (list, prefix, middle) in [(runs, "run", "run.started"), (place.builds_path(), "build", "build.created")] {
        for page in 1.. {
            let listed = server.get(&format!("{list}?perPage=200&page={page}"));
            for work in listed["items"].as_array().unwrap() {
                let lived = [format!("{prefix}.queued"), middle.to_owned(), format!("{prefix}.completed")];
                let log = Log::read(&server.data_dir, work);
                let own = log.events.iter().filter(|event| lived.iter().any(|kind| event["type"] == kind.as_str()));
                let id = work["id"].as_str().unwrap();
                expected.extend(own.map(|event| (id.to_owned(), event["sequence"].as_u64().unwrap())));
            }
            if listed["items"].as_array().unwrap().len() < 200 {
                break;
            }
        }
    }
    let mut told = eventually("the feed has told everything", || {
        let told = feed(server, place);
        (told.len() >= expected.len()).then_some(told)
    });
    let mut last = HashMap::new();
    for (stream, sequence) in &told {
        let before = last.insert(stream, sequence);
        assert!(before.is_none_or(|before| before < sequence), "{stream}: {before:?}, then {sequence}");
    }
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
}

/// The origins of the feed's entries, in its order.
fn feed(server: &Server, place: &Place) -> Vec<(String, u64)> {
    let (mut told, mut after) = (Vec::new(), 0);
    loop {
        let page = server.get(&format!("/api/v1/workspaces/{}/events?after_sequence={after}", place.workspace));
        for entry in page["items"].as_array().unwrap() {
            let origin = &entry["payload"]["origin"];
            told.push((origin["stream"].as_str().unwrap().to_owned(), origin["sequence"].as_u64().unwrap()));
        }
        after = page["next_after_sequence"].as_u64().unwrap();
        if page["next_after_sequence"] == page["last_sequence"] {
            return told;
        }
    }
}

fn assert_verified(data_dir: &Path) {
    let verified = ade(data_dir, &settings()).arg("verify").output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn a_queued_run_continues_and_a_running_one_is_interrupted_with_all_its_processes() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.insert("ADE_MAX_CONCURRENCY", "1".into());
    let server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    let first = place.run(&server, "daemon\ngroup\nchild\nrespawn\nexecuted 1000\nprint ready\nsleep 1000");
    let second = place.run(&server, "print second\nemit 5");
    first.await_line(&server, "ready");
    second.await_event(&server, "second waits", |event| event["payload"]["reason"] == "capacity");
    assert!(process::of_run(&first.id).len() >= 5);
    // Else the launcher would end them when it sees that the service is gone.
    let launcher = process::launcher_of(&first.id).expect("an engine has a launcher");
    process::signal(launcher as u32, libc::SIGSTOP);
    server.kill();
    assert!(process::of_run(&first.id).len() >= 5, "nobody was there to end them");
    let server = Server::start_with(folder.path(), &settings);
    // Recovery comes before the service listens.
    let left = process::of_run(&first.id);
    assert!(left.is_empty(), "{}", process::describe(&left));
    let row = first.show(&server);
    assert_eq!((&row["status"], &row["failure_code"]), (&json!("failed"), &json!("interrupted")));
    assert_eq!(second.ended(&server)["status"], "succeeded");
    // A further life finds nothing more to do.
    let events = Log::read(folder.path(), &row).lines.len();
    server.kill();
    let server = Server::start_with(folder.path(), &settings);
    assert_eq!(Log::read(folder.path(), &first.show(&server)).lines.len(), events);
    server.stop();
    assert_verified(folder.path());
}

#[test]
fn a_killed_build_leaves_no_process_and_no_venv_and_the_next_run_rebuilds() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let place = Place::make(&server);
    let run = place.run(&server, "print never");
    run.await_event(&server, "a step of the build", |event| event["payload"]["phase"] == "install_engine");
    let builds = || server.get(&place.builds_path());
    let build = eventually("the build is listed", || builds()["items"].get(0).cloned());
    let build_id = build["id"].as_str().unwrap();
    server.kill();
    let server = Server::start(folder.path());
    assert!(process::of_build(build_id).is_empty());
    let build = server.get(&format!("/api/v1/builds/{build_id}"));
    let log = Log::read(folder.path(), &build);
    assert_eq!(log.assert_ended()["payload"]["error"]["code"], "interrupted");
    assert_eq!(build["status"], "failed");
    assert_eq!(run.ended(&server)["failure_code"], "interrupted");
    let venvs = walk(&folder.path().join("venvs"));
    assert!(!venvs.iter().any(|path| path.contains(build_id)), "{venvs:?}");
    place.warm_up(&server);
    server.stop();
    assert_verified(folder.path());
}

fn walk(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            let below = if entry.path().is_dir() { walk(&entry.path()) } else { Vec::new() };
            below.into_iter().chain([entry.path().display().to_string()])
        })
        .collect()
}
