//! What must hold when a service has stopped: about its processes and its logs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ade::log::LogReader;
use ade_test_support::log::Log;
use serde_json::Value;

use super::{TIMEOUT, kind, process};

pub fn check(directory: &Path, allows_open_logs: bool) {
    let marker = directory.display().to_string();
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let alive = process::mentioning(&marker);
        if alive.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "still alive: {}", process::describe(&alive));
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut logs = Vec::new();
    find_logs(&directory.join("data/workspaces"), &mut logs);
    for log in logs {
        check_log(&log, allows_open_logs);
    }
    for workspace in fs::read_dir(directory.join("data/workspaces")).into_iter().flatten().flatten() {
        check_feed(&workspace.path().join("feed"));
    }
}

/// The segments of a feed follow one another without a gap, and no event is in it twice.
fn check_feed(folder: &Path) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "ndjson")).collect();
    // `events-<first>` before `events`, which is the newest.
    files.sort_by_key(|path| (!path.display().to_string().contains("events-"), path.clone()));
    let text: String = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sequences: Vec<_> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    let first = sequences.first().copied().unwrap_or(1);
    assert!(sequences.iter().copied().eq(first..first + sequences.len() as u64), "{folder:?} has holes: {sequences:?}");
    let origins: std::collections::HashSet<_> =
        events.iter().map(|event| event["payload"]["origin"].to_string()).collect();
    assert_eq!(origins.len(), events.len(), "{folder:?} has an event twice");
}

fn find_logs(folder: &Path, logs: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.ends_with("logs/events.ndjson") || path.ends_with("logs/events.ndjson.zst") {
            logs.push(path);
        } else if path.is_dir() && !path.is_symlink() {
            find_logs(&path, logs);
        }
    }
}

fn check_log(path: &Path, may_be_open: bool) {
    let name = path.display();
    let reader = LogReader::open(path).unwrap();
    let mut bytes = vec![0; reader.size().unwrap() as usize];
    reader.read_exact_at(&mut bytes, 0).unwrap();
    let log = Log::parse(std::str::from_utf8(&bytes).unwrap());
    log.assert_consistent();
    let first = log.events.first().map_or("", kind);
    // A run that a stop finds before it has started stays queued for the next start.
    let before = ["run.queued", "run.waiting", "build.created", "build.completed"];
    let is_queued = first == "run.queued" && log.events.iter().all(|event| before.contains(&kind(event)));
    // An execution goes on at the next start.
    let may_be_open = may_be_open || is_queued || first == "execution_started";
    assert!(log.terminal_event().is_some() || may_be_open, "{name} has no terminal event");
}
