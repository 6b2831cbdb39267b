//! What must hold when a service has stopped: of its processes and of its logs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ade::log::LogReader;
use serde_json::Value;

use super::PATIENCE;

pub fn check(folder: &Path, allows_open_logs: bool) {
    let deadline = Instant::now() + PATIENCE;
    while !processes_with(&folder.display().to_string()).is_empty() {
        assert!(Instant::now() < deadline, "left alive: {:?}", processes_with(&folder.display().to_string()));
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut logs = Vec::new();
    find_logs(&folder.join("data/workspaces"), &mut logs);
    for log in logs {
        check_log(&log, allows_open_logs);
    }
    for workspace in fs::read_dir(folder.join("data/workspaces")).into_iter().flatten().flatten() {
        check_feed(&workspace.path().join("feed"));
    }
}

/// The segments of a feed go on from one another, and tell no event twice.
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
    assert_eq!(origins.len(), events.len(), "{folder:?} tells an event twice");
}

/// Processes, zombies aside, whose environment holds this text.
pub fn processes_with(text: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let marked = |pid: &u32| {
        // The environment of a zombie is empty.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(text.len()).any(|window| window == text.as_bytes())
    };
    pids.filter(|&pid| pid != std::process::id()).filter(marked).collect()
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
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{name} has half a line");
    let is_run = text.starts_with(r#"{"type":"run.queued""#);
    let is_execution = text.starts_with(r#"{"type":"execution_started""#);
    let terminal = match (is_run, is_execution) {
        (true, _) => "run.completed",
        (_, true) => "complete",
        _ => "build.completed",
    };
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sequences: Vec<_> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.iter().copied().eq(1..=events.len() as u64), "{name} has holes: {sequences:?}");
    let ends: Vec<_> = events.iter().filter(|event| event["type"] == terminal).collect();
    // A run that a stop finds before it has begun stays queued for the next start.
    let before = ["run.queued", "run.waiting", "build.created", "build.completed"];
    let is_queued = is_run && events.iter().all(|event| before.iter().any(|kind| event["type"] == *kind));
    // An execution goes on at the next start.
    let may_be_open = may_be_open || is_queued || is_execution;
    assert!(ends.len() == 1 || (may_be_open && ends.is_empty()), "{name} has {} ends", ends.len());
    assert!(ends.is_empty() || events[events.len() - 1]["type"] == terminal, "{name} goes on after its end");
}
