//! Replies of model servers of every kind, through the whole service.

use crate::support::definitions::{by_server, step, with, workflow};
use crate::support::executions::Watched;
use crate::support::model::{ModelServer, Turn};
use crate::support::{TestApp, Value, json, laws};

/// A stream that says these texts, and then this.
fn stream(texts: &[&str], end: &[Value]) -> Turn {
    let pieces = texts.iter().map(|text| json!({"choices": [{"index": 0, "delta": {"content": text}}]}));
    let mut events: Vec<String> = pieces.chain(end.iter().cloned()).map(|event| event.to_string()).collect();
    events.push("[DONE]".to_owned());
    Turn::Streams(events.iter().map(|event| format!("data: {event}\n\n")).collect())
}

fn stop() -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
}

fn served(server: &ModelServer) -> TestApp {
    TestApp::with(&[("ADE_OPENAI_BASE_URL", &server.url()), ("ADE_LLM_RETRY_DELAY", "10ms")])
}

fn calls(it: &Watched<'_>) -> Vec<Value> {
    laws::of_kind(&it.seen, "llm_call").into_iter().map(|call| call["payload"].clone()).collect()
}

#[test]
fn uncounted_tokens_have_no_price() {
    let document = json!({"title": "T", "text": "x"}).to_string();
    for (name, usage) in [
        ("empty", json!({"choices": [], "usage": {}})),
        (
            "nulls",
            json!({"choices": [], "usage": {"prompt_tokens": null, "completion_tokens": null, "total_tokens": 0}}),
        ),
    ] {
        let server = ModelServer::scripted(vec![stream(&[&document], &[stop(), usage])]);
        let app = served(&server);
        let mut it = app.execute_new(&workflow(name, &[by_server(step("note", &[], "Write it."))]));
        let end = it.ends("completed");
        let calls = calls(&it);
        assert_eq!((calls.len(), &calls[0]["cost_usd"]), (1, &Value::Null), "{calls:?}");
        assert_eq!(end["payload"]["totals"]["unpriced_calls"], 1, "{end}");
        assert_eq!(it.costs()["unpriced_calls"], 1);
        it.assert_costs();
        let summary = app.get("/api/v1/telemetry/summary").expect(200).json();
        assert_eq!(summary["totals"]["unpriced_calls"], 1, "{summary}");
        laws::assert_summary(&summary, &it.seen);
    }
}

#[test]
fn reasoning_is_not_part_of_a_document() {
    let texts =
        ["<think>\nlike ```json\n{}\n``` maybe\n</thi", "nk>\n```json\n{\"title\":\"T\",", "\"text\":\"x\"}\n```"];
    let server = ModelServer::scripted(vec![stream(&texts, &[stop()])]);
    let app = served(&server);
    let mut it = app.execute_new(&workflow("thinks", &[by_server(step("note", &[], "Write it."))]));
    it.ends("completed");
    assert_eq!((it.content("", "note"), calls(&it).len()), (json!({"title": "T", "text": "x"}), 1));
}

#[test]
fn a_document_that_storage_would_change_is_requested_again() {
    let document = |n: &str| format!("{{\"title\":\"T\",\"text\":\"x\",\"n\":{n}}}");
    let turns = ["12345678901234567890123", "{\"a\":1,\"a\":2}", "\"\\u0000\"", "[12345678901234567890,0.1,1e21]"];
    let server = ModelServer::scripted(turns.iter().map(|n| stream(&[&document(n)], &[stop()])).collect());
    let app = served(&server);
    let note = with(by_server(step("note", &[], "Write it.")), json!({"max_attempts": 4}));
    let mut definition = workflow("numbers", &[note]);
    definition["schemas"]["text"]["properties"]["n"] = json!(true);
    let mut it = app.execute_new(&definition);
    it.ends("completed");
    let codes: Vec<_> = laws::of_kind(&it.seen, "step_retrying")
        .iter()
        .map(|event| event["payload"]["findings"][0]["code"].clone())
        .collect();
    assert_eq!(codes, ["number_inexact", "duplicate_key", "nul_character"]);
    assert_eq!(it.content("", "note")["n"].to_string(), "[12345678901234567890,0.1,1e+21]");
    // It is repeated in the next prompt, so that the model knows.
    assert!(crate::support::model::user_text(&server.requests()[1]).contains("12345678901234567890123"));
}

#[test]
fn a_rejected_parameter_is_dropped_without_an_extra_recorded_call() {
    let document = json!({"title": "T", "text": "x"}).to_string();
    let server = ModelServer::scripted(vec![
        Turn::Complains("Unsupported parameter: 'max_tokens' is not supported with this model."),
        stream(&[&document], &[stop()]),
    ]);
    let app = served(&server);
    let mut it = app.execute_new(&workflow("again", &[by_server(step("note", &[], "Write it."))]));
    it.ends("completed");
    let heard = server.requests();
    assert_eq!((calls(&it).len(), heard.len()), (1, 2));
    assert_eq!((&heard[1]["max_completion_tokens"], heard[1].get("max_tokens")), (&heard[0]["max_tokens"], None));
    let fixed = TestApp::with(&[
        ("ADE_OPENAI_BASE_URL", &server.url()),
        ("ADE_OPENAI_STREAM_OPTIONS", "off"),
        ("ADE_OPENAI_TOKEN_LIMIT", "max_completion_tokens"),
    ]);
    fixed.execute_new(&workflow("fixed", &[by_server(step("note", &[], "Write it."))])).ends("completed");
    let last = &server.requests()[2];
    assert_eq!((last.get("stream_options"), last.get("max_tokens")), (None, None));
}
