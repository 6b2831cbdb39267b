//! Metrics agree with the truth: with the lines of the logs, the rows, the ledger and the answers.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::definitions::{step, workflow};
use crate::support::eventually;
use crate::support::http::Request;
use crate::support::metrics::Metrics;
use crate::support::server::{Server, settings};
use crate::support::work::Place;

fn metrics(server: &Server) -> Metrics {
    let response = server.send(&Request::get("/metrics")).expect("a response").expect(200);
    assert!(response.head.header("content-type").unwrap().starts_with("application/openmetrics-text; version=1.0.0"));
    Metrics::parse(&String::from_utf8(response.body).unwrap())
}

/// The lines of the logs of a kind: of runs, builds, executions, or feeds.
fn lines(data_dir: &Path, kind: &str) -> u64 {
    fn visit(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => visit(&entry.path(), found),
                _ => found.push(entry.path()),
            }
        }
    }
    let mut files = Vec::new();
    visit(&data_dir.join("workspaces"), &mut files);
    let kind_of = |path: &Path| {
        let text = path.to_string_lossy();
        ["runs", "builds", "executions"].into_iter().find(|kind| text.contains(&format!("/{kind}/"))).unwrap_or("feed")
    };
    let is_log = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("events"));
    let logs = files.iter().filter(|path| is_log(path) && kind_of(path) == kind);
    logs.map(|path| std::fs::read(path).unwrap().iter().filter(|byte| **byte == b'\n').count() as u64).sum()
}

const KINDS: [(&str, &str); 4] = [("run", "runs"), ("build", "builds"), ("execution", "executions"), ("feed", "feed")];

/// Every kind's events, once nothing is at work any more.
fn assert_events_are_lines(server: &Server, before: [u64; 4]) {
    let found = metrics(server);
    assert_eq!(found.sum("ade_work_active", &[]), 0.0);
    for ((kind, folder), before) in KINDS.into_iter().zip(before) {
        let counted = found.sum("ade_events_appended_total", &[("kind", kind)]);
        assert_eq!(counted as u64 + before, lines(&server.data_dir, folder), "events of {kind}");
    }
    let batches = found.sum("ade_batch_events_count", &[]);
    assert_eq!(batches, found.sum("ade_log_batches_total", &[]), "a batch of a stream is a batch of the log");
    assert_eq!(batches, found.sum("ade_append_duration_seconds_count", &[]));
    assert_eq!(found.sum("ade_batch_events_sum", &[]), found.sum("ade_events_appended_total", &[]));
}

fn idle(server: &Server) {
    eventually("end of all work", || (server.get("/api/v1/system/actors")["actors"] == json!([])).then_some(()));
}

#[test]
fn after_load_the_metrics_say_what_logs_rows_and_answers_say() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &settings());
    let place = Place::make(&server);
    place.warm_up(&server);
    let scripts = ["print a\n".repeat(3_000), "print b\nexit 3".to_owned(), "print c\n".repeat(20)];
    let runs: Vec<_> = (0..12).map(|n| place.run(&server, &scripts[n % scripts.len()])).collect();
    let readers: Vec<_> = runs.iter().map(|run| run.subscribe(&server, None)).collect();
    let definition = workflow("note", &[step("note", &[], "Write it.")]);
    assert_eq!(server.post("/api/v1/workflows", &definition).0, 201);
    let execution = json!({"workflow_id": "note", "scope_type": "project", "scope_id": "1", "input": {}});
    let (status, execution) = server.post("/api/v1/executions", &execution);
    assert_eq!(status, 201, "{execution}");
    let ended: Vec<Value> = runs.iter().map(|run| run.ended(&server)).collect();
    idle(&server);
    // 13 runs of three entries each, one build and one execution of two.
    eventually("the feeds have it", || (lines(&server.data_dir, "feed") == 13 * 3 + 2 + 2).then_some(()));
    assert_events_are_lines(&server, [0; 4]);

    let found = metrics(&server);
    let of_status = |status: &str| ended.iter().filter(|run| run["status"] == status).count() as f64;
    let counted = |status: &str| found.sum("ade_work_ended_total", &[("kind", "run"), ("status", status)]);
    assert_eq!((counted("succeeded"), counted("failed")), (of_status("succeeded") + 1.0, of_status("failed")));
    assert_eq!(counted("failed"), 4.0);
    assert_eq!(found.sum("ade_work_duration_seconds_count", &[("kind", "run")]), 13.0);
    assert_eq!(found.sum("ade_run_queue_wait_seconds_count", &[]), 13.0);
    assert_eq!(found.sum("ade_child_processes", &[]), 0.0);
    assert!(found.sum("ade_child_processes_started_total", &[]) >= 13.0);
    assert!(found.sum("ade_delivery_latency_seconds_count", &[("kind", "run")]) > 0.0);
    drop(readers);
    eventually("readers are gone", || (metrics(&server).sum("ade_stream_readers", &[]) == 0.0).then_some(()));

    let id = execution["execution_id"].as_str().unwrap();
    let costs = server.get(&format!("/api/v1/telemetry/executions/{id}/costs"));
    assert_eq!(Some(found.sum("ade_llm_calls_total", &[])), costs["calls"].as_f64(), "{costs}");

    let refused = |path: &str| assert_eq!(server.status(path), 404);
    (0..3).for_each(|n| refused(&format!("/api/v1/runs/run_0000000000000000000000000{n}")));
    (0..2).for_each(|n| refused(&format!("/made/up/{n}")));
    let found = metrics(&server);
    let requests = |route: &str, status: &str| {
        found.sum("ade_http_requests_total", &[("method", "GET"), ("route", route), ("status", status)])
    };
    assert_eq!((requests("/api/v1/runs/{id}", "404"), requests("", "404")), (3.0, 2.0));
    assert!(found.values_of("route").iter().all(|route| !route.contains("run_0") && !route.contains("made")));
    eventually("no other connection", || (metrics(&server).sum("ade_http_connections", &[]) == 1.0).then_some(()));

    // A start counts from nothing.
    let before = KINDS.map(|(_, folder)| lines(&server.data_dir, folder));
    server.stop();
    let server = Server::start_with(folder.path(), &settings());
    place.run(&server, "print again").ended(&server);
    idle(&server);
    eventually("the feed has it", || (lines(&server.data_dir, "feed") == before[3] + 3).then_some(()));
    assert_events_are_lines(&server, before);
}
