//! What spans say, and what they do not: ids, parents and attributes.

use std::path::Path;

use serde_json::{Value, json};

use crate::collector::{Collector, Manner, Span, named, one};
use crate::settings;
use crate::support::definitions::{by_server, step, workflow};
use crate::support::http::Request;
use crate::support::model::{INPUT_TOKENS, ModelServer, OUTPUT_TOKENS, Turn};
use crate::support::server::{Server, Settings, log_path};
use crate::support::work::{Place, Run, id};
use crate::support::{eventually, process};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
/// Nothing that stands in a document, an answer or a request may be in a span.
const SECRET: &str = "xyzzy-secret";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

fn service(collector: &Collector, more: &[(&'static str, &str)]) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings: Settings = settings(collector);
    settings.extend(more.iter().map(|&(name, value)| (name, value.to_owned())));
    let server = Server::start_with(folder.path(), &settings);
    (folder, server)
}

/// A run that a caller asks for in a trace of its own.
fn traced_run(server: &Server, place: &Place, script: &str) -> Run {
    let path = format!("/api/v1/workspaces/{}/documents", place.workspace);
    let document = server.upload(&path, &[], "script.txt", script.as_bytes());
    let body = json!({"options": {"document_ids": [id(&document)]}});
    let path = format!("/api/v1/configurations/{}/runs", place.configuration);
    let request = Request::post(path).json(&body).header("traceparent", traceparent("01"));
    Run { id: id(&server.send(&request).unwrap().expect(201).json()) }
}

#[test]
fn a_run_is_in_the_trace_of_its_request_with_its_build_and_its_engine() {
    let collector = Collector::start(vec![Manner::Takes]);
    let named_service = [
        ("ADE_OTEL_HEADERS", "api-key=key%20of%20ours"),
        ("ADE_OTEL_SERVICE_NAME", "ade-test"),
        ("ADE_OTEL_SERVICE_INSTANCE", "one"),
    ];
    let (_folder, server) = service(&collector, &named_service);
    let place = Place::make(&server);
    let run = traced_run(&server, &place, &format!("print {SECRET}\nemit 2000"));
    let ended = run.ended(&server);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    server.stop();

    let spans = collector.spans();
    let request = one(&spans, "POST /api/v1/configurations/{configuration}/runs");
    assert_eq!((&*request.trace, &*request.parent, request.kind), (TRACE, CALLER, "SPAN_KIND_SERVER"));
    request.assert_has(json!({
        "http.request.method": "POST", "http.response.status_code": 201,
        "http.route": "/api/v1/configurations/{configuration}/runs",
    }));
    assert!(request.attributes["ade.request.id"].as_str().unwrap().starts_with("req_"));

    let work = one(&spans, "run");
    work.assert_child_of(&request);
    work.assert_has(json!({
        "ade.work.kind": "run", "ade.work.id": run.id, "ade.workspace.id": place.workspace,
        "ade.work.outcome": "succeeded",
    }));
    assert!(!work.is_error && work.end > request.end, "the run goes on after its request: {work:?}");

    let build = one(&spans, "build");
    build.assert_child_of(&work);
    build.assert_has(json!({"ade.work.id": ended["build_id"], "ade.work.outcome": "active"}));
    let phases: Vec<_> = spans.iter().filter(|span| span.attributes.contains_key("ade.build.phase")).collect();
    assert!(phases.len() >= 4, "{phases:?}");
    phases.iter().for_each(|phase| phase.assert_child_of(&build));

    let engine = one(&spans, "engine");
    engine.assert_child_of(&work);
    engine.assert_has(json!({"process.exit.code": 0}));
    assert!(build.end <= engine.begin && engine.end <= work.end && !engine.is_error);

    assert_eq!(
        json!(work.resource),
        json!({
            "service.name": "ade-test", "service.version": env!("CARGO_PKG_VERSION"), "service.instance.id": "one",
        })
    );
    collector.look(|batches| {
        for batch in batches {
            assert_eq!((&*batch.request.method, &*batch.request.target), ("POST", "/v1/traces"));
            assert_eq!(batch.request.header("content-type"), Some("application/x-protobuf"));
            assert_eq!(batch.request.header("api-key"), Some("key of ours"));
        }
    });
    assert_silent(&collector, &[SECRET, "script.txt", "faults"]);
}

/// None of these words is anywhere in what the collector has got.
fn assert_silent(collector: &Collector, words: &[&str]) {
    collector.look(|batches| {
        for batch in batches {
            let body = String::from_utf8_lossy(&batch.request.body);
            words.iter().for_each(|word| assert!(!body.contains(word), "{word} in {body}"));
        }
    });
}

#[test]
fn a_run_that_fails_says_with_which_code() {
    let collector = Collector::start(vec![Manner::Takes]);
    let (_folder, server) = service(&collector, &[]);
    let place = Place::make(&server);
    let run = place.run(&server, "exit 3");
    assert_eq!(run.ended(&server)["status"], "failed");
    let waiting = place.run(&server, "print ready\nsleep 1000");
    waiting.await_line(&server, "ready");
    assert_eq!(waiting.cancel(&server), 202);
    waiting.ended(&server);
    server.stop();
    let spans = collector.spans();
    let work = |run: &Run| {
        let is_its = |span: &&Span| span.name == "run" && span.attributes["ade.work.id"] == json!(run.id);
        spans.iter().find(is_its).cloned().unwrap()
    };
    let failed = work(&run);
    failed.assert_has(json!({"ade.work.outcome": "failed", "error.type": "engine_error"}));
    assert!(failed.is_error);
    let engine = named(&spans, "engine").into_iter().find(|engine| engine.parent == failed.id).unwrap();
    engine.assert_has(json!({"process.exit.code": 3, "error.type": "3"}));
    assert!(engine.is_error);
    let cancelled = work(&waiting);
    cancelled.assert_has(json!({"ade.work.outcome": "cancelled"}));
    assert!(!cancelled.is_error, "who cancels wants no more: {cancelled:?}");
}

#[test]
fn an_execution_has_its_calls_without_their_texts() {
    let document = json!({"title": SECRET, "text": SECRET}).to_string();
    let model = ModelServer::scripted(vec![Turn::Refuses("503 Service Unavailable", ""), Turn::Says(document)]);
    let collector = Collector::start(vec![Manner::Takes]);
    let (_folder, server) =
        service(&collector, &[("ADE_OPENAI_BASE_URL", &model.url()), ("ADE_LLM_RETRY_DELAY", "1ms")]);
    let definition = workflow("traced", &[by_server(step("note", &[], &format!("Write about {SECRET}.")))]);
    assert_eq!(server.post("/api/v1/workflows", &definition).0, 201);
    let body = json!({"workflow_id": "traced", "scope_type": "project", "scope_id": "bridge", "input": {}});
    let (status, made) = server.post("/api/v1/executions", &body);
    assert_eq!(status, 201, "{made}");
    let execution = made["execution_id"].as_str().unwrap();
    eventually("the end of the execution", || {
        (server.get(&format!("/api/v1/executions/{execution}"))["status"] == "completed").then_some(())
    });
    server.stop();

    let spans = collector.spans();
    let work = one(&spans, "execution");
    work.assert_child_of(&one(&spans, "POST /api/v1/executions"));
    work.assert_has(json!({
        "ade.work.kind": "execution", "ade.work.id": execution, "ade.work.outcome": "completed",
    }));
    let calls = named(&spans, "chat gpt-4.1-mini");
    let [refused, answered] = &calls[..] else { panic!("two calls: {calls:?}") };
    for call in [refused, answered] {
        call.assert_child_of(&work);
        assert_eq!(call.kind, "SPAN_KIND_CLIENT");
        call.assert_has(json!({
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4.1-mini",
            "ade.step.id": "note",
        }));
    }
    assert!(refused.is_error && !answered.is_error && refused.end <= answered.begin);
    refused.assert_has(json!({"error.type": "server"}));
    answered
        .assert_has(json!({"gen_ai.usage.input_tokens": INPUT_TOKENS, "gen_ai.usage.output_tokens": OUTPUT_TOKENS}));
    assert_silent(&collector, &[SECRET, "bridge", "You write what you are asked for"]);
}

#[test]
fn an_execution_that_a_start_takes_up_again_has_a_span_of_its_own() {
    let model = ModelServer::scripted(vec![Turn::Hangs]);
    let collector = Collector::start(vec![Manner::Takes]);
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&collector);
    settings.insert("ADE_OPENAI_BASE_URL", model.url());
    settings.insert("ADE_DRAIN_TIMEOUT", "0".into());
    let server = Server::start_with(folder.path(), &settings);
    let definition = workflow("long", &[by_server(step("note", &[], "Write a note."))]);
    assert_eq!(server.post("/api/v1/workflows", &definition).0, 201);
    let body = json!({"workflow_id": "long", "scope_type": "project", "scope_id": "bridge", "input": {}});
    let execution = server.post("/api/v1/executions", &body).1["execution_id"].clone();
    model.await_calls(1);
    server.stop();
    let suspended = one(&collector.spans(), "execution");
    suspended.assert_has(json!({"ade.work.id": execution, "ade.work.outcome": "suspended"}));

    let server = Server::start_with(folder.path(), &settings);
    model.await_calls(2);
    let path = format!("/api/v1/executions/{}/cancel", execution.as_str().unwrap());
    assert_eq!(server.post(&path, &json!({"reason": "a test"})).0, 202);
    let ended = eventually("the second span", || named(&collector.spans(), "execution").into_iter().nth(1));
    ended.assert_has(json!({"ade.work.id": execution, "ade.work.outcome": "cancelled"}));
    assert_eq!(ended.parent, "");
    assert_ne!(ended.trace, suspended.trace);
}

#[test]
fn a_request_tells_its_route_and_nothing_that_was_sent() {
    let collector = Collector::start(vec![Manner::Takes]);
    let (folder, server) = service(&collector, &[("ADE_LOG_LEVEL", "debug"), ("ADE_LOG_FORMAT", "json")]);
    let requests = [
        Request::get(format!("/api/v1/runs/{SECRET}?ticket={SECRET}"))
            .header("authorization", format!("Bearer {SECRET}")),
        Request::get("/api/v1/workspaces/"),
        Request::get(format!("/{SECRET}/{SECRET}")),
        Request::new("BREW", "/api/v1/workspaces"),
        Request::get("/health/live").header("traceparent", format!("00-{SECRET}")).header("x-request-id", "mine"),
    ];
    let statuses: Vec<_> = requests.iter().map(|request| server.send(request).unwrap().status()).collect();
    server.stop();
    let spans = collector.spans();
    assert_eq!(spans.len(), requests.len(), "{spans:?}");
    let expected =
        ["GET /api/v1/runs/{id}", "GET /api/v1/workspaces", "GET", "HTTP /api/v1/workspaces", "GET /health/live"];
    let mut in_turn = spans.clone();
    in_turn.sort_by_key(|span| span.begin);
    for ((span, name), status) in in_turn.iter().zip(expected).zip(statuses) {
        assert_eq!((&*span.name, &*span.parent), (name, ""), "{span:?}");
        span.assert_has(json!({"http.response.status_code": status}));
        assert!(!span.is_error, "what a caller does wrong is no error of the service: {span:?}");
    }
    in_turn[3].assert_has(json!({"http.request.method": "_OTHER"}));
    in_turn[4].assert_has(json!({"ade.request.id": "mine"}));
    assert_silent(&collector, &[SECRET, "BREW"]);
    assert_log_is_as_ever(folder.path(), requests.len());
}

/// Lines have the one span that they have without traces, with its path.
fn assert_log_is_as_ever(data_dir: &Path, requests: usize) {
    let log = std::fs::read_to_string(log_path(data_dir)).unwrap();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let answered: Vec<_> = lines.filter(|line| line["message"] == "request answered").collect();
    assert_eq!(answered.len(), requests, "{log}");
    for line in answered {
        let fields: Vec<_> = line["span"].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["method", "name", "path", "request_id"], "{line}");
        assert_eq!(line["spans"].as_array().map(Vec::len), Some(1), "{line}");
    }
}

#[test]
fn what_is_sent_is_a_part_and_a_caller_decides_of_its_own_traces() {
    let collector = Collector::start(vec![Manner::Takes]);
    let (_folder, server) = service(&collector, &[("ADE_OTEL_SAMPLE_RATIO", "0")]);
    let ask = |flags: Option<&str>| {
        let request = Request::get("/health/live");
        let request = match flags {
            Some(flags) => request.header("traceparent", traceparent(flags)),
            None => request,
        };
        assert_eq!(server.send(&request).unwrap().status(), 200);
    };
    (0..20).for_each(|_| ask(None));
    ask(Some("00"));
    ask(Some("01"));
    server.stop();
    let spans = collector.spans();
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!((&*spans[0].trace, &*spans[0].parent), (TRACE, CALLER));
}

#[test]
fn without_a_collector_nothing_is_sent_and_variables_of_others_change_nothing() {
    let collector = Collector::start(vec![Manner::Takes]);
    let folder = tempfile::tempdir().unwrap();
    let mut settings = crate::support::server::settings();
    settings.insert("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let server = Server::start_with(folder.path(), &settings);
    assert_eq!(server.status("/health/live"), 200);
    let threads = threads(server.pid());
    assert!(!threads.iter().any(|name| name.starts_with("OpenTel")), "{threads:?}");
    server.stop();
    assert_eq!(collector.look(<[_]>::len), 0);

    settings.insert("ADE_OTEL_ENDPOINT", collector.url());
    settings.insert("OTEL_TRACES_SAMPLER", "always_off".into());
    settings.insert("OTEL_EXPORTER_OTLP_HEADERS", format!("x-other={SECRET}"));
    settings.insert("OTEL_RESOURCE_ATTRIBUTES", format!("other={SECRET}"));
    settings.insert("OTEL_SERVICE_NAME", SECRET.into());
    let server = Server::start_with(folder.path(), &settings);
    assert!(threads_begin(server.pid(), "OpenTel"), "the test above looks for a thread that there is");
    assert_eq!(server.status("/health/live"), 200);
    server.stop();
    assert_eq!(one(&collector.spans(), "GET /health/live").resource["service.name"], Value::from("ade"));
    assert_silent(&collector, &[SECRET]);
    collector.look(|batches| assert!(batches.iter().all(|batch| batch.request.header("x-other").is_none())));
}

fn threads(pid: u32) -> Vec<String> {
    assert!(process::is_alive(i32::try_from(pid).unwrap()));
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok()).collect()
}

fn threads_begin(pid: u32, name: &str) -> bool {
    threads(pid).iter().any(|thread| thread.starts_with(name))
}
