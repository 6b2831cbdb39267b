//! Old logs: compressed they read as before, deleted they are gone, and the rest of the run stays.

use std::fs;
use std::path::PathBuf;

use ade::store::Store;

use super::support::{Project, Request, Response, TestApp, Value, json, wait_until};

/// Everything that has ended is old.
const COMPRESS: [(&str, &str); 1] = [("ADE_LOG_COMPRESS_AFTER", "0s")];
const DELETE: [(&str, &str); 1] = [("ADE_LOG_RETENTION", "0s")];

/// A service on which one run has ended.
pub struct Ended {
    pub app: TestApp,
    pub project: Project,
    pub run: String,
    /// The log as it was written.
    pub log: String,
    pub last: u64,
}

impl Ended {
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let app = TestApp::with(settings);
        let project = app.project();
        let steps = (0..60).map(|number| json!(["say", format!("line {number}")])).collect();
        let row = app.run(&project, &Value::Array(steps));
        assert_eq!(row["status"], "succeeded", "{row}");
        let run = row["id"].as_str().unwrap().to_owned();
        let log = app.run_log(&project, &run);
        let last = log.lines().count() as u64;
        Self { app, project, run, log, last }
    }

    pub fn folder(&self) -> PathBuf {
        self.app.data_dir().join(format!("workspaces/{}/runs/{}/logs", self.project.workspace, self.run))
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    pub fn target(&self, rest: &str) -> String {
        format!("/api/v1/runs/{}/events{rest}", self.run)
    }

    #[track_caller]
    pub fn get(&self, rest: &str) -> Response {
        self.app.get(&self.target(rest))
    }

    #[track_caller]
    pub fn with_header(&self, rest: &str, name: &str, value: &str) -> Response {
        self.app.send(&Request::get(self.target(rest)).header(name, value))
    }

    /// What every way to read events answers: status and body, and the headers that are about the content.
    pub fn answers(&self) -> Vec<(String, u16, String, Vec<Option<String>>)> {
        let tails = ["?tail=3", "?after_sequence=40&limit=5", "?types=console.line&limit=7", "?level=warn", ""];
        let ndjson = ["/download", "/download?after_sequence=9", "?format=ndjson&tail=2", "/download?types=run.*"];
        let mut answers: Vec<_> =
            tails.iter().chain(&ndjson).map(|rest| ((*rest).to_owned(), self.get(rest))).collect();
        for sse in ["/stream", "/stream?tail=4", "/stream?scope=run", "/stream?event_names=typed"] {
            answers.push((sse.to_owned(), self.get(sse)));
        }
        let last = self.last.to_string();
        answers.push(("all of it seen".into(), self.with_header("/stream", "Last-Event-ID", &last)));
        answers.push(("resumed".into(), self.with_header("/stream", "Last-Event-ID", "30")));
        answers.push(("a range".into(), self.with_header("/download", "Range", "bytes=100-999")));
        answers.push(("its end".into(), self.with_header("/download", "Range", "bytes=-50")));
        let beyond = format!("bytes={}-", self.log.len());
        answers.push(("beyond".into(), self.with_header("/download", "Range", &beyond)));
        answers.push(("ahead".into(), self.get(&format!("?after_sequence={}", self.last + 1))));
        let logs = self.app.get(&format!("/api/v1/runs/{}/logs?after_id=3&limit=4", self.run));
        answers.push(("logs".into(), logs));
        answers.into_iter().map(|(name, answer)| (name, answer.status(), body(&answer), headers(&answer))).collect()
    }
}

/// Without what is new in each answer.
fn body(answer: &Response) -> String {
    let text = answer.text();
    match answer.header("content-type") {
        Some("application/problem+json") => answer.json()["code"].to_string(),
        Some("text/event-stream") => text.split_once("\n\n").unwrap_or_default().1.to_owned(),
        _ => text.to_owned(),
    }
}

fn headers(answer: &Response) -> Vec<Option<String>> {
    let names = ["content-type", "content-length", "content-range", "etag", "accept-ranges", "content-disposition"];
    let is_problem = answer.header("content-type") == Some("application/problem+json");
    names
        .iter()
        .filter(|name| !is_problem || **name != "content-length")
        .map(|name| answer.header(name).map(str::to_owned))
        .collect()
}

pub fn maintain(app: &TestApp) -> Value {
    app.post("/api/v1/system/maintenance", &json!({})).expect(200).json()
}

/// What a task of a round has counted.
#[track_caller]
pub fn task<'a>(report: &'a Value, name: &str) -> &'a Value {
    let tasks = report["tasks"].as_array().unwrap();
    tasks.iter().find(|task| task["name"] == name).unwrap_or_else(|| panic!("no {name}: {report}"))
}

/// Rounds until the task has done something: work that has just ended may be in use for a moment.
#[track_caller]
pub fn maintain_until(app: &TestApp, name: &str, done: u64) -> Value {
    let (mut counted, mut last) = (0, Value::Null);
    wait_until("the round has done its work", || {
        last = maintain(app);
        assert_eq!(task(&last, name)["failed"], 0, "{last}");
        counted += task(&last, name)["done"].as_u64().unwrap();
        counted >= done
    });
    assert_eq!(counted, done, "{last}");
    last
}

#[test]
fn a_compressed_log_answers_every_request_as_before() {
    let it = Ended::with(&COMPRESS);
    let before = it.answers();
    assert_eq!(it.get("/download").text(), it.log);
    // The log of the run, and that of its build.
    maintain_until(&it.app, "compress_logs", 2);
    assert_eq!(it.names(), ["events.ndjson.zst"]);
    for (now, before) in it.answers().into_iter().zip(before) {
        assert_eq!(now, before);
    }
    assert_eq!(it.get("/download").text(), it.log);
    assert_eq!(task(&maintain(&it.app), "compress_logs")["done"], 0, "there is nothing left to do");
}

#[test]
fn an_interrupted_download_resumes_in_the_compressed_log() {
    let it = Ended::with(&COMPRESS);
    let part = it.with_header("/download", "Range", "bytes=0-499").expect(206);
    let etag = part.header("etag").unwrap().to_owned();
    maintain_until(&it.app, "compress_logs", 2);
    let rest = Request::get(it.target("/download")).header("Range", "bytes=500-").header("If-Range", &etag);
    let rest = it.app.send(&rest).expect(206);
    assert_eq!(format!("{}{}", part.text(), rest.text()), it.log);
    it.with_header("/download", "If-None-Match", &etag).expect(304);
}

#[test]
fn a_restart_finds_compressed_logs() {
    let it = Ended::with(&COMPRESS);
    maintain_until(&it.app, "compress_logs", 2);
    let Ended { app, project, run, log, last } = it;
    let it = Ended { app: app.restart(), project, run, log, last };
    assert_eq!(it.names(), ["events.ndjson.zst"]);
    assert_eq!(it.get("/download").text(), it.log);
    assert_eq!(it.get(&format!("?after_sequence={}", it.last - 2)).json()["items"].as_array().unwrap().len(), 2);
    assert_eq!(it.app.show_run(&it.run)["status"], "succeeded");
}

#[test]
fn a_deleted_log_is_gone_on_every_transport_and_the_run_stays() {
    let it = Ended::with(&DELETE);
    let row = it.app.show_run(&it.run);
    let summary = it.app.get(&format!("/api/v1/runs/{}/summary", it.run)).expect(200).text().to_owned();
    maintain_until(&it.app, "delete_logs", 2);
    assert_eq!(it.names(), [""; 0]);
    for rest in ["", "?format=json", "?format=ndjson", "?format=sse", "/stream", "/download", "/download?follow=true"] {
        it.get(rest).problem(410, "gone");
    }
    it.get(&format!("?after_sequence={}", it.last + 5)).problem(410, "gone");
    it.with_header("/stream", "Last-Event-ID", "3").problem(410, "gone");
    it.with_header("/download", "Range", "bytes=0-10").problem(410, "gone");
    for rest in ["logs", "logfile"] {
        it.app.get(&format!("/api/v1/runs/{}/{rest}", it.run)).problem(410, "gone");
    }
    let build = row["build_id"].as_str().unwrap();
    it.app.get(&format!("/api/v1/builds/{build}/events")).problem(410, "gone");
    assert_eq!(it.app.show_run(&it.run), row);
    assert_eq!(it.app.get(&format!("/api/v1/runs/{}/summary", it.run)).expect(200).text(), summary);
    assert_eq!(it.app.show_build(build)["status"], "active");
    let report = maintain(&it.app);
    assert_eq!(
        (&task(&report, "delete_logs")["done"], &task(&report, "delete_logs")["failed"]),
        (&json!(0), &json!(0))
    );
    // What is built is used on, whatever has become of the log of its build.
    let next = it.app.run(&it.project, &json!([["say", "again"]]));
    assert_eq!((&next["status"], &next["build_id"]), (&json!("succeeded"), &row["build_id"]));
    let Ended { app, run, .. } = it;
    let app = app.restart();
    app.get(&format!("/api/v1/runs/{run}/events")).problem(410, "gone");
}

#[test]
fn a_log_in_use_is_left_alone() {
    let app = TestApp::with(&[("ADE_LOG_COMPRESS_AFTER", "0s"), ("ADE_LOG_RETENTION", "0s")]);
    let project = app.project();
    let run = app.held_run(&project);
    let log = app.run_log(&project, &run);
    // The build has ended, and is all there is to do.
    maintain_until(&app, "delete_logs", 1);
    assert!(app.run_log(&project, &run).starts_with(&log));
    app.touch("go");
    assert_eq!(app.finish_run(&run)["status"], "succeeded");
}

#[test]
fn nothing_recent_is_touched() {
    let it = Ended::with(&[("ADE_LOG_RETENTION", "1h")]);
    let report = maintain(&it.app);
    for name in ["complete_logs", "delete_logs", "compress_logs", "expire_feeds"] {
        let task = task(&report, name);
        assert_eq!((&task["done"], &task["failed"], &task["unfinished"]), (&json!(0), &json!(0), &json!(false)));
    }
    assert!(report["duration_ms"].is_u64() && report["started_at"].as_str().unwrap().ends_with('Z'), "{report}");
    assert_eq!(it.names(), ["events.ndjson"]);
}

#[test]
fn maintenance_runs_periodically() {
    let it = Ended::with(&[("ADE_LOG_COMPRESS_AFTER", "0s"), ("ADE_MAINTENANCE_INTERVAL", "1s")]);
    wait_until("the log is compressed", || it.names() == ["events.ndjson.zst"]);
    assert_eq!(it.get("/download").text(), it.log);
}

#[test]
fn many_concurrent_requests_are_all_answered() {
    let it = Ended::with(&COMPRESS);
    let tasks = || maintain(&it.app)["tasks"].as_array().unwrap().len();
    let done: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..12).map(|_| scope.spawn(tasks)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(done, [tasks(); 12], "each got a whole report");
    assert_eq!(it.get("/download").text(), it.log);
}

/// As the service notes it when a disk has failed.
fn note_degraded(it: &Ended, durable_bytes: usize) {
    let url = it.app.database_url().to_owned();
    let (workspace, run) = (it.project.workspace.parse().unwrap(), it.run.parse().unwrap());
    let marked = actix::System::new().block_on(async {
        let store = Store::connect(&url, 1).await.unwrap();
        let marked =
            store.set_degraded::<ade::domain::run::Run>(workspace, run, Some(durable_bytes as u64)).await.unwrap();
        store.close().await.unwrap();
        marked
    });
    assert!(marked);
}

#[test]
fn a_failed_log_shows_only_durable_events_until_maintenance_completes_it() {
    let it = Ended::with(&[("ADE_LOG_COMPRESS_AFTER", "0s"), ("ADE_LOG_RETENTION", "0s")]);
    let durable: String = it.log.split_inclusive('\n').take(it.last as usize - 1).collect();
    note_degraded(&it, durable.len());
    wait_until("the run has left the registry", || {
        let page = it.get("").expect(200).json();
        (&page["last_sequence"], &page["closed"]) == (&json!(it.last - 1), &json!(false))
    });
    let shown = it.get("/stream").expect(200);
    assert!(shown.text().ends_with("event: stream.degraded\ndata: {\"code\":\"log_unavailable\"}\n\n"), "{shown}");
    assert!(!shown.text().contains("run.completed\""), "{shown}");
    assert_eq!(it.get("/download").text(), durable);
    let seen = (it.last - 1).to_string();
    it.with_header("/stream", "Last-Event-ID", &seen).expect(204);

    // One round gives it its end; only then it is a log like others, and old enough to be deleted.
    let report = maintain(&it.app);
    assert_eq!(task(&report, "complete_logs")["done"], 1, "{report}");
    let row = it.app.show_run(&it.run);
    assert_eq!((&row["status"], &row["log_degraded"]), (&json!("succeeded"), &json!(false)));
    wait_until("the log is deleted", || {
        maintain(&it.app);
        it.names().is_empty()
    });
    it.get("").problem(410, "gone");
    assert_eq!(it.app.show_run(&it.run)["status"], "succeeded");
}

#[test]
fn old_files_of_a_feed_are_deleted_by_their_own_age_and_readers_are_notified() {
    let app = TestApp::with(&[("ADE_FEED_RETENTION", "0s")]);
    let project = app.project();
    let told = |app: &TestApp| app.get(&project.feed()).json()["last_sequence"].as_u64().unwrap();
    app.run(&project, &json!([]));
    wait_until("the feed tells build and run", || told(&app) == 5);
    assert_eq!(task(&maintain(&app), "expire_feeds")["done"], 0, "the newest file stays");
    let mut app = app;
    app.stop_now();
    // As if it had become a day old: what comes now goes into a file of its own.
    let folder = app.data_dir().join("workspaces").join(&project.workspace).join("feed");
    fs::rename(folder.join("events.ndjson"), folder.join(format!("events-{:020}.ndjson", 1))).unwrap();
    let app = app.restart();
    app.run(&project, &json!([]));
    wait_until("the feed tells the second run", || told(&app) == 8);
    let task = task(&maintain(&app), "expire_feeds").clone();
    assert!(task["done"] == 1 && task["bytes_freed"].as_u64().unwrap() > 1000, "{task}");
    assert_eq!(app.get(&project.feed()).json()["items"].as_array().unwrap().len(), 3, "what is still there");
    let gone = app.get(&format!("{}?after_sequence=4", project.feed())).problem(410, "position_expired");
    assert_eq!(gone["first_sequence"], 6);
    let at_once = Request::get(format!("{}/stream", project.feed())).header("Last-Event-ID", 2);
    app.send(&at_once).problem(410, "position_expired");
}
