//! What every resource has in common for a client that speaks HTTP as its books say.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::{Project, Request, Response, TIMEOUT, TestApp, Value, in_turn, json};

struct World {
    app: TestApp,
    project: Project,
    run: String,
}

impl World {
    fn new() -> Self {
        let app = TestApp::start();
        let project = app.project();
        let steps = json!([["emit", 20], ["say", "fine"], ["complain", "odd"], ["output", "normalized.xlsx", "cells"]]);
        let run = app.run(&project, &steps)["id"].as_str().unwrap().to_owned();
        Self { app, project, run }
    }

    fn of_run(&self, rest: &str) -> String {
        format!("/api/v1/runs/{}{rest}", self.run)
    }

    fn get(&self, target: &str, headers: &[(&str, &str)]) -> Response {
        let request = headers.iter().fold(Request::get(target), |request, (name, value)| request.header(name, value));
        self.app.send(&request)
    }
}

/// What the service says on one connection until it closes it.
fn said(app: &TestApp, sent: &str) -> String {
    let mut socket = TcpStream::connect(app.address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket.write_all(sent.as_bytes()).unwrap();
    let mut said = String::new();
    // A reset after the answer is as good as an end: not everything that was sent may have been read.
    let outcome = socket.read_to_string(&mut said);
    assert!(outcome.is_ok() || !said.is_empty(), "{outcome:?}");
    said
}

#[test]
fn head_is_get_without_the_body() {
    let it = World::new();
    let held = it.app.held_run(&it.project);
    let (ws, cfg) = (&it.project.workspace, &it.project.configuration);
    let document = it.app.upload(&it.project, "names.csv", b"a,b\n");
    let build = it.app.list_builds(&it.project)[0]["id"].as_str().unwrap().to_owned();
    let mut targets = [
        "/summary",
        "/events",
        "/events?wait=20&after_sequence=0",
        "/events?format=ndjson",
        "/events/stream",
        "/events/download",
        "/events?format=ndjson&types=run.*",
        "/logs",
        "/logfile",
        "/outputs",
        "/outputs/normalized.xlsx",
        "/diagnostics",
        "",
    ]
    .map(|rest| it.of_run(rest))
    .to_vec();
    targets
        .extend(["/", "/health/live", "/health/ready", "/api/v1/workspaces", "/api/v1/workflows"].map(str::to_owned));
    targets.extend(["/api/v1/system/safe-mode", "/api/v1/telemetry/summary", "/api/v1/documents"].map(str::to_owned));
    targets.extend([
        format!("/api/v1/workspaces/{ws}"),
        format!("/api/v1/workspaces/{ws}/runs"),
        it.project.documents(),
        format!("/api/v1/workspaces/{ws}/configurations"),
        format!("/api/v1/workspaces/{ws}/configurations/{cfg}"),
        format!("/api/v1/workspaces/{ws}/configurations/{cfg}/export"),
        it.project.builds(),
        it.project.runs(),
        format!("{}/{document}", it.project.documents()),
        format!("{}/{document}/download", it.project.documents()),
        format!("/api/v1/builds/{build}"),
        format!("/api/v1/builds/{build}/logs"),
        format!("/api/v1/events/stream?stream={build}"),
        format!("/api/v1/runs/{}", "run_01J00000000000000000000000"),
        "/nowhere".to_owned(),
    ]);
    for target in targets {
        let answers = in_turn(&[Request::new("HEAD", &target), Request::get(&target)], it.app.address).unwrap();
        let [head, get] = &answers[..] else { unreachable!() };
        assert_eq!(head.status(), get.status(), "{target}: {head}");
        for name in
            ["content-type", "content-length", "etag", "content-disposition", "cache-control", "transfer-encoding"]
        {
            // A problem has an id of its own and names the method; readiness has the time in it.
            if name != "content-length" || (get.status() == 200 && target != "/health/ready") {
                assert_eq!(head.header(name), get.header(name), "{target}: {name}");
            }
        }
    }
    // Of what goes on for long there is a head at once.
    let events = format!("/api/v1/runs/{held}/events");
    let waiting = format!("{events}?wait=30&after_sequence={}", it.app.show_run(&held)["last_sequence"]);
    let live = [format!("{events}/stream"), format!("{events}?format=ndjson&follow=true"), waiting, it.project.feed()];
    let heads: Vec<_> = live.iter().map(|target| Request::new("HEAD", target)).collect();
    for (head, target) in in_turn(&heads, it.app.address).unwrap().iter().zip(live) {
        assert_eq!(head.status(), 200, "{target}");
    }
    let old = said(&it.app, &format!("HEAD {events}/stream HTTP/1.0\r\nHost: localhost\r\n\r\n"));
    assert!(old.starts_with("HTTP/1.0 200") && old.ends_with("\r\n\r\n") && !old.contains("chunked"), "{old}");
    it.app.touch("go");
    it.app.finish_run(&held);
}

#[test]
fn the_most_preferred_format_is_sent() {
    let it = World::new();
    let (events, logs) = (it.of_run("/events"), it.of_run("/logs"));
    let (page, lines, stream) = ("application/json", "application/x-ndjson", "text/event-stream");
    for (target, accept, form) in [
        (&events, "application/json;q=0.5, text/event-stream;q=0.9", stream),
        (&events, "text/event-stream;q=0.5, application/x-ndjson", lines),
        (&events, "Text/Event-Stream; charset=utf-8", stream),
        (&events, "text/event-stream;q=0, */*", page),
        (&events, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", page),
        (&events, "image/png", page),
        (&logs, "*/*", page),
        (&logs, "application/x-ndjson", lines),
        (&logs, "application/json;q=0.1, Application/X-NDJSON;q=0.2", lines),
        (&logs, "text/event-stream", page),
    ] {
        let answer = it.get(target, &[("Accept", accept)]).expect(200);
        assert_eq!(answer.header("content-type"), Some(form), "{accept}");
        assert_eq!(answer.header("vary"), Some("accept"), "{accept}");
    }
    for (accept, form) in [
        ("application/json", stream),
        ("application/x-ndjson;q=0.5, text/event-stream;q=0.1", lines),
        ("text/event-stream, application/x-ndjson", stream),
    ] {
        let create =
            it.app.run_request(&it.project, &json!([]), json!({})).with_query("stream=true").header("Accept", accept);
        assert_eq!(it.app.send(&create).expect(200).header("content-type"), Some(form), "{accept}");
    }
}

#[test]
fn console_lines_are_available_as_lines() {
    let it = World::new();
    let page = it.app.get(&it.of_run("/logs")).expect(200).json();
    let lines = |rest: &str| -> Vec<Value> {
        let answer = it.get(&it.of_run(&format!("/logs{rest}")), &[("Accept", "application/x-ndjson")]).expect(200);
        answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(json!(lines("")), page["entries"]);
    assert!(lines("").len() > 2);
    assert_eq!(lines("?limit=2"), lines("")[..2]);
    let second = lines("")[1]["id"].as_u64().unwrap();
    assert_eq!(lines(&format!("?after_id={second}")), lines("")[2..]);
}

#[test]
fn no_line_of_the_engine_is_missing_from_the_logs() {
    let app = TestApp::start();
    let project = app.project();
    let odd = json!({"type": "console.line", "payload": {"level": "notice", "message": "odd"}});
    let bare = json!({"type": "console.line", "payload": {"text": 1}});
    let run = app.run(&project, &json!([["event", odd], ["event", bare]]));
    let logs = app.get(&format!("/api/v1/runs/{}/logs", run["id"].as_str().unwrap())).expect(200).json();
    let entries = logs["entries"].as_array().unwrap();
    let odd = entries.iter().find(|entry| entry["message"] == "odd").unwrap();
    assert_eq!((&odd["level"], &odd["scope"]), (&json!("notice"), &Value::Null));
    assert!(entries.iter().any(|entry| entry["message"].is_null()), "{logs}");
}

#[test]
fn a_client_with_the_current_version_gets_304() {
    let it = World::new();
    let (ws, cfg) = (&it.project.workspace, &it.project.configuration);
    for target in [
        it.of_run("/outputs/normalized.xlsx"),
        it.of_run("/events/download"),
        format!("/api/v1/workspaces/{ws}/configurations/{cfg}"),
        format!("/api/v1/workspaces/{ws}/configurations/{cfg}/export"),
        "/api/v1/workflows/brief-to-plan".to_owned(),
    ] {
        let whole = it.app.get(&target).expect(200);
        let etag = whole.header("etag").unwrap_or_else(|| panic!("{target} has no ETag")).to_owned();
        for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", W/{etag},\"y\""), "*".to_owned()] {
            let answer = it.get(&target, &[("If-None-Match", &known)]).expect(304);
            assert!(answer.body.is_empty() && answer.header("etag") == Some(&etag), "{target} {known}");
            let ranged = it.get(&target, &[("If-None-Match", &known), ("Range", "bytes=0-1")]);
            assert_eq!(ranged.status(), 304, "{target}");
        }
        for other in ["\"x\"", "W/\"x\", \"y\"", "nonsense"] {
            it.get(&target, &[("If-None-Match", other)]).expect(200);
        }
        it.get(&target, &[("If-Match", &etag)]).expect(200);
        for other in [format!("W/{etag}"), "\"x\"".to_owned()] {
            it.get(&target, &[("If-Match", &other)]).problem(412, "precondition_failed");
        }
    }
}

#[test]
fn if_range_sends_a_part_only_of_the_same_file() {
    let it = World::new();
    let target = it.of_run("/outputs/normalized.xlsx");
    let etag = it.app.get(&target).header("etag").unwrap().to_owned();
    let ranged = |if_range: &str| it.get(&target, &[("Range", "bytes=1-2"), ("If-Range", if_range)]).status();
    assert_eq!(ranged(&etag), 206);
    for other in [&format!("W/{etag}"), "\"x\"", "*", "Sat, 21 Nov 2026 10:00:00 GMT", &format!("{etag}, {etag}")] {
        assert_eq!(ranged(other), 200, "{other}");
    }
    let head = Request::new("HEAD", &target).header("Range", "bytes=1-2");
    assert_eq!(it.app.send(&head).expect(200).header("content-length"), Some("5"));
}

#[test]
fn a_file_keeps_its_name_whatever_is_in_it() {
    let it = World::new();
    let upload = |disposition: &str| -> String {
        let body =
            format!("--x\r\nContent-Disposition: form-data; name=\"file\"; {disposition}\r\n\r\na,b\r\n--x--\r\n");
        let request = Request::post(it.project.documents()).body("multipart/form-data; boundary=x", body);
        it.app.send(&request).expect(201).json()["id"].as_str().unwrap().to_owned()
    };
    for (disposition, name, header) in [
        (
            "filename=\"Größe €.csv\"",
            "Größe €.csv",
            "attachment; filename=\"Gr__e _.csv\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%E2%82%AC.csv",
        ),
        (
            "filename=\"x.csv\"; filename*=UTF-8''%E6%9D%B1%E4%BA%AC.csv",
            "東京.csv",
            "attachment; filename=\"__.csv\"; filename*=UTF-8''%E6%9D%B1%E4%BA%AC.csv",
        ),
        (
            "filename*=iso-8859-1'de'Gr%F6%DFe.csv; filename=\"x.csv\"",
            "Größe.csv",
            "attachment; filename=\"Gr__e.csv\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.csv",
        ),
        ("filename=\"a\\\"b.csv\"", "a\"b.csv", "attachment; filename=\"a_b.csv\"; filename*=UTF-8''a%22b.csv"),
    ] {
        let target = format!("{}/{}", it.project.documents(), upload(disposition));
        assert_eq!(it.app.get(&target).expect(200).json()["name"], name, "{disposition}");
        let download = it.app.get(&format!("{target}/download")).expect(200);
        assert_eq!(download.header("content-disposition"), Some(header));
    }
}

#[test]
fn a_request_to_upgrade_the_protocol_is_ignored() {
    let it = World::new();
    let body = "{\"name\": \"Upgraded\"}";
    let post = |upgrade: &str, length: &str| {
        format!(
            "POST /api/v1/workspaces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{upgrade}{length}\r\n{body}"
        )
    };
    let length = format!("Content-Length: {}\r\n", body.len());
    for (number, upgrade) in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n",
        "Connection: close\r\nUpgrade: WebSocket\r\n",
        "Connection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
        "Connection: close\r\nUpgrade: TLS/1.0, websocket\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let answer = said(&it.app, &post(upgrade, &length).replace("Upgraded", &format!("Upgrade{number}")));
        assert!(answer.starts_with("HTTP/1.1 201"), "{upgrade}: {answer}");
    }
    // Without a length there is no body.
    let none = said(&it.app, &post("Connection: Upgrade\r\nUpgrade: websocket\r\n", ""));
    assert!(none.starts_with("HTTP/1.1 422"), "{none}");
    let get = format!(
        "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        it.of_run("")
    );
    assert!(said(&it.app, &get).starts_with("HTTP/1.1 200"));
    let stream = get.replace(&it.run, &format!("{}/events/stream", it.run));
    let streamed = said(&it.app, &stream);
    assert!(streamed.starts_with("HTTP/1.1 200") && streamed.contains("run.completed"), "{streamed}");
}

#[test]
fn expect_100_continue_is_answered() {
    let it = World::new();
    let mut socket = TcpStream::connect(it.app.address).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let body = "{\"name\": \"Expected\"}";
    let head = "POST /api/v1/workspaces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n";
    write!(socket, "{head}Content-Length: {}\r\nExpect: 100-continue\r\n\r\n", body.len()).unwrap();
    let mut leave = [0; 25];
    socket.read_exact(&mut leave).unwrap();
    assert_eq!(&leave, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

#[test]
fn a_query_error_has_one_code_on_every_route() {
    let it = World::new();
    let ws = &it.project.workspace;
    let (events, feed, logs) = (it.of_run("/events"), it.project.feed(), it.of_run("/logs"));
    let many = format!("/api/v1/events/stream?stream={}&", it.run);
    let lists = [
        "/api/v1/workspaces".to_owned(),
        it.project.runs(),
        it.project.builds(),
        format!("/api/v1/workspaces/{ws}/runs"),
    ];
    let others = ["/api/v1/documents", "/api/v1/executions", "/api/v1/workflows", "/api/v1/telemetry/summary"]
        .map(str::to_owned);
    let with = |target: &str, query: &str| {
        let separator = if target.ends_with('&') { "" } else { "?" };
        it.app.get(&format!("{target}{separator}{query}")).problem(400, "invalid_query")
    };
    let check = |target: &str, query: &str, name: &str| {
        let problem = with(target, query);
        assert_eq!(problem["errors"][0]["path"], name, "{target}: {problem}");
    };
    for target in lists.iter().chain(&others).chain([&events, &feed, &logs, &many]) {
        check(target, "colour=red", "colour");
    }
    for list in &lists {
        check(list, "page=x", "page");
        check(list, "perPage=201", "perPage");
        check(list, "page=1&page=2", "page");
    }
    for target in [&events, &feed] {
        check(target, "tail=x", "tail");
        check(target, "limit=1&limit=2", "limit");
        check(target, "after_sequence=-1", "after_sequence");
    }
    check(&logs, "limit=0", "limit");
    check(&logs, "after_id=x", "after_id");
    check(&logs, "after_id=1&after_id=2", "after_id");
    check(&many, "tail=1&tail=1", "tail");
    check("/api/v1/telemetry/summary", "start=yesterday", "start");
    let create = it.app.run_request(&it.project, &json!([]), json!({}));
    for (query, name) in [("stream=loud", "stream"), ("colour=red", "colour"), ("stream=true&stream=true", "stream")] {
        let problem = it.app.send(&create.with_query(query)).problem(400, "invalid_query");
        assert_eq!(problem["errors"][0]["path"], name, "{problem}");
    }
}

#[test]
fn errors_are_json_for_clients_that_know_no_problems() {
    let app = TestApp::start();
    for (accept, expected) in [
        ("application/json", "application/json"),
        ("application/json;q=0.5, text/html", "application/json"),
        ("application/json, application/problem+json", "application/problem+json"),
        ("application/json, */*;q=0.1", "application/problem+json"),
        ("application/*", "application/problem+json"),
        ("text/event-stream", "application/problem+json"),
        ("text/html", "application/problem+json"),
    ] {
        for path in ["/api/v1/runs/run_01J00000000000000000000000", "/api/v1/nowhere"] {
            let answer = app.send(&Request::get(path).header("Accept", accept)).expect(404);
            assert_eq!(answer.header("content-type"), Some(expected), "{accept}");
            assert_eq!(answer.json()["code"], "not_found");
        }
    }
}
