use super::*;
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

const FAILED: Exit = Exit { code: Some(1), signal: None };

fn parser() -> EngineParser {
    let documents = [("doc_1.csv".to_owned(), "people.csv".to_owned())].into();
    EngineParser::new(Names::new(["/data/run".into()], documents))
}

fn line(text: &str) -> Line {
    Line { text: text.into(), ..Line::default() }
}

fn feed(parser: &mut EngineParser, way: Way, texts: &[&str]) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    for text in texts {
        parser.line(way, line(text), now(), &mut out);
    }
    shapes(out)
}

fn shapes(out: Vec<Draft>) -> Vec<(String, Value)> {
    out.into_iter().map(|draft| (draft.kind.to_string(), serde_json::from_str(draft.payload.get()).unwrap())).collect()
}

fn console_line(stream: &str, level: &str, message: &str) -> (String, Value) {
    ("console.line".into(), json!({"scope": "run", "stream": stream, "level": level, "message": message}))
}

/// A console line of level `warn` with the reason why it is no event.
fn refused(stream: &str, message: &str, reason: &str) -> (String, Value) {
    let (kind, mut payload) = console_line(stream, "warn", message);
    payload["details"] = json!({ "reason": reason });
    (kind, payload)
}

#[test]
fn a_line_is_an_event_only_with_a_string_type() {
    for text in [
        "plain",
        "",
        "{",
        "{}",
        "[1]",
        "{\"type\":1}",
        "{\"type\":null}",
        "{'type': 'x'}",
        "{\"type\":\"x\"",
        "\"type\"",
    ] {
        let out = feed(&mut parser(), Way::Stderr, &[text]);
        assert_eq!(out, [console_line("stderr", "warn", text)]);
    }
    for text in ["{\"type\":\"\"}", "{\"type\":\"a\\nb\"}"] {
        let reason = "`type` is empty, has control characters, or is longer than 200 bytes";
        assert_eq!(feed(&mut parser(), Way::Stdout, &[text]), [refused("stdout", text, reason)]);
    }
    let out = feed(&mut parser(), Way::File, &["{\"type\":\"x\",\"payload\":{\"n\":NaN}}"]);
    assert!(out[0].1["details"]["reason"].as_str().unwrap().starts_with("it cannot be read as JSON: expected value"));
    let out = feed(&mut parser(), Way::Stdout, &["  {\"type\":\"custom\",\"payload\":{\"a\":1}}", "hello"]);
    assert_eq!(out, [("custom".into(), json!({"a": 1})), console_line("stdout", "info", "hello")]);
}

#[test]
fn a_payload_is_kept_byte_for_byte() {
    let payload = r#"{ "z": 1.10, "a": 18446744073709551617, "u": "\u00e9", "run_id": "x" }"#;
    let text = format!(
        r#"{{"type":"custom.thing","event_id":null,"sequence":99,"created_at":"2025-12-03T10:00:00.5Z","run_id":"r","payload":{payload}}}"#
    );
    let mut out = Vec::new();
    parser().line(Way::File, line(&text), now(), &mut out);
    assert_eq!(out[0].payload.get(), payload);
    assert_eq!(out[0].engine_timestamp.as_deref(), Some("2025-12-03T10:00:00.5Z"));
    assert_eq!(out[0].source, Source::Engine);
}

#[test]
fn an_event_without_payload_loses_nothing() {
    let texts = [
        r#"{"type":"log","message":"hi","sequence":3,"level":2}"#,
        r#"{"type":"log","payload":null,"message":"hi"}"#,
        r#"{"type":"log","payload":[1,2],"created_at":17}"#,
    ];
    let expected = [json!({"message": "hi", "level": 2}), json!({"message": "hi"}), json!({"payload": [1, 2]})];
    let out = feed(&mut parser(), Way::Stdout, &texts);
    assert_eq!(out.into_iter().map(|(_, payload)| payload).collect::<Vec<_>>(), expected);
}

#[test]
fn reserved_types_become_console_lines() {
    for kind in ["run.queued", "run.waiting", "run.cancelling", "build.completed", "build.x", "stream.degraded"] {
        let text = format!(r#"{{"type":"{kind}","payload":{{}}}}"#);
        let out = feed(&mut parser(), Way::File, &[&text]);
        assert_eq!(out, [refused("stdout", &text, &format!("only the service emits `{kind}`"))]);
    }
}

#[test]
fn the_engines_own_frame_is_absorbed() {
    let mut parser = parser();
    let out = feed(
        &mut parser,
        Way::File,
        &[
            r#"{"type":"run.started","payload":{"status":"in_progress","engine_version":"0.2.0"}}"#,
            r#"{"type":"run.completed","payload":{"status":"succeeded","output_paths":["/data/run/output/normalized.xlsx"],"processed_files":["doc_1.csv"]}}"#,
            r#"{"type":"run.completed","payload":{"status":"failed","error":{"code":"hook_error","stage":"hooks","message":"in /data/run/input/doc_1.csv"}}}"#,
        ],
    );
    assert_eq!(out, []);
    parser.finish(FAILED, now(), &mut Vec::new());
    let report = parser.report();
    assert_eq!(report.engine_version.as_deref(), Some("0.2.0"));
    assert_eq!(report.status.as_deref(), Some("failed"));
    assert_eq!(report.output_paths.paths, ["output/normalized.xlsx"]);
    assert_eq!(report.processed_files.paths, ["people.csv"]);
    let error = report.error.clone().unwrap();
    assert_eq!((error.code.as_deref(), error.message.as_deref()), (Some("hook_error"), Some("in people.csv")));
}

#[test]
fn the_last_line_may_be_the_result() {
    let mut engine = parser();
    let first = r#"{"status":"succeeded","output_paths":["a"]}"#;
    let result = r#"{"status":"failed","run_id":"x","output_paths":[],"processed_files":["doc_1.csv"],"error":{"code":"config_error","stage":"load_config","message":"no manifest"}}"#;
    assert_eq!(feed(&mut engine, Way::Stdout, &[first]), []);
    assert_eq!(feed(&mut engine, Way::Stderr, &["meanwhile"]), [console_line("stderr", "warn", "meanwhile")]);
    assert_eq!(feed(&mut engine, Way::Stdout, &[result]), [console_line("stdout", "info", first)]);
    let mut out = Vec::new();
    engine.finish(FAILED, now(), &mut out);
    assert!(out.is_empty());
    assert_eq!(engine.report().status.as_deref(), Some("failed"));
    assert_eq!(engine.report().processed_files.paths, ["people.csv"]);
    let elsewhere = feed(&mut parser(), Way::Stderr, &[result]);
    assert_eq!(elsewhere, [console_line("stderr", "warn", result)], "only stdout has a result");
}

#[test]
fn levels_are_spelled_one_way() {
    let texts = [
        r#"{"type":"console.line","payload":{"scope":"run","level":"warning","message":"m","details":{"level":"warning"}}}"#,
        r#"{"type":"console.line","payload":{"level":"info","message":"a \"warning\""}}"#,
        r#"{"type":"run.validation.issue","payload":{"severity":"warning","level":"warning"}}"#,
    ];
    let out = feed(&mut parser(), Way::File, &texts);
    assert_eq!(out[0].1, json!({"scope": "run", "level": "warn", "message": "m", "details": {"level": "warning"}}));
    assert_eq!(out[1].1["message"], "a \"warning\"");
    assert_eq!(out[2].1["level"], "warning");
}

/// As engine 0.2.0 writes it, old mapping keys included.
const OLD_TABLE: &str = r#"{"type":"run.table.summary","event_id":null,"created_at":"2025-12-03T10:00:01.000001Z","sequence":7,"source":"engine","workspace_id":null,"configuration_id":null,"run_id":"0190","build_id":null,"payload":{"table_id":"tbl_0","source_file":"/data/run/input/doc_1.csv","source_sheet":null,"table_index":0,"row_count":3,"column_count":2,"mapped_fields":[{"field":"email","header":"E","score":1.0,"source_column_index":0}],"mapped_column_count":1,"unmapped_column_count":1,"unmapped_columns":[{"header":"x","source_column_index":1,"output_header":"raw_2"}],"validation":{"total":0,"issues_total":0},"mapping":{"mapped_columns":[],"unmapped_columns":[]},"details":{"header_row":1,"first_data_row":2,"last_data_row":4}}}"#;

#[test]
fn a_table_of_the_public_engine_passes() {
    let out = feed(&mut parser(), Way::File, &[OLD_TABLE]);
    let (kind, payload) = &out[0];
    assert_eq!(kind, "run.table.summary");
    assert_eq!(payload["source_file"], "people.csv");
    assert_eq!(payload["table_id"], "tbl_0_0_0");
    assert_eq!((&payload["file_index"], &payload["sheet_index"]), (&json!(0), &json!(0)));
    assert_eq!(payload["metadata"], json!({"header_row": 1, "first_data_row": 2, "last_data_row": 4}));
    assert!(payload.get("details").is_none());
    assert_eq!(payload["mapped_fields"][0]["score"], json!(1.0));
}

#[test]
fn announced_phases_are_closed() {
    let mut parser = parser();
    let start = |phase: &str, second: u32| {
        format!(
            r#"{{"type":"run.phase.started","created_at":"2026-01-02T03:04:0{second}Z","payload":{{"phase":"{phase}"}}}}"#
        )
    };
    let out = feed(&mut parser, Way::File, &[&start("extracting", 1), &start("mapping", 3)]);
    let kinds: Vec<_> = out.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["run.phase.started", "run.phase.completed", "run.phase.started"]);
    assert_eq!(out[1].1["duration_ms"], 2000);
    let mut rest = Vec::new();
    parser.finish(FAILED, now(), &mut rest);
    assert_eq!(rest[0].source, Source::Api);
    assert_eq!(shapes(rest)[0].1["status"], "failed");
}

#[test]
fn a_cut_line_says_so() {
    let mut out = Vec::new();
    let cut = Line { truncated: true, ..line("{\"type\":\"x\",\"payload\":{\"a\":\"zzz") };
    parser().line(Way::Stdout, cut, now(), &mut out);
    assert_eq!(shapes(out)[0].1["truncated"], true);
}

#[test]
fn the_middle_of_a_long_line_is_never_an_event() {
    let mut out = Vec::new();
    let mut parser = parser();
    parser.line(Way::Stdout, Line { continued: true, ..line("xxx") }, now(), &mut out);
    parser.line(Way::Stdout, line(r#"{"type":"forged","payload":{}}"#), now(), &mut out);
    parser.line(Way::Stdout, line(r#"{"type":"real","payload":{}}"#), now(), &mut out);
    let kinds: Vec<_> = shapes(out).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["console.line", "console.line", "real"]);
}

#[test]
fn a_long_object_that_is_no_event_comes_in_pieces() {
    let text = format!("{{\"rows\":\"{}\"}}", "x".repeat(100_000));
    let out = feed(&mut parser(), Way::Stdout, &[&text]);
    assert_eq!(out.len(), 2);
    assert_eq!((&out[0].1["continued"], out[1].1.get("continued")), (&json!(true), None));
}

/// Not a test of behaviour: `cargo test --release --lib parse -- --ignored --nocapture` prints the cost of a line.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_line() {
    let event = r#"{"type": "run.validation.issue", "created_at": "2026-01-02T03:04:05.678901Z", "payload": {"severity": "warning", "code": "missing", "field": "email", "row": 123456, "message": "a value is required here", "table_id": "tbl_0_0_0"}}"#;
    let plain =
        "2026-01-02 03:04:05,678 INFO some.module row 123456 was read and nothing was found to be wrong with it at all";
    for (name, text) in [("event", event), ("console", plain), ("table", OLD_TABLE)] {
        let mut parser = parser();
        let mut out = Vec::with_capacity(1000);
        let lines: Vec<_> = (0..300_000).map(|_| line(text)).collect();
        let (now, begin, count) = (now(), std::time::Instant::now(), if name == "table" { 1000 } else { lines.len() });
        for line in lines.into_iter().take(count) {
            parser.line(Way::File, line, now, &mut out);
            if out.len() > 900 {
                out.clear();
            }
        }
        println!("{name}: {:?} a line", begin.elapsed() / count as u32);
    }
}

#[test]
fn an_event_that_is_nested_too_deep_is_a_line() {
    let nested = |depth: usize| {
        let payload = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"type":"custom","payload":{{"a":{payload}}}}}"#)
    };
    let out = feed(&mut parser(), Way::File, &[&nested(90)]);
    assert_eq!(out[0].0, "custom");
    let deep = nested(5000);
    let (kind, payload) = &feed(&mut parser(), Way::File, &[&deep])[0];
    assert_eq!((kind.as_str(), &payload["level"], &payload["message"]), ("console.line", &json!("warn"), &json!(deep)));
    let reason = payload["details"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("not every JSON parser can read it: payload.a[0]") && reason.len() < 400, "{reason}");
    assert!(reason.ends_with("arrays and objects are nested deeper than 100 levels"), "{reason}");
}

#[test]
fn what_some_parser_cannot_read_is_a_line_with_the_reason() {
    for (payload, place) in [
        (r#"{"message":"\ud800"}"#, "payload.message: the text holds half of a surrogate pair"),
        (r#"{"a":[{"\udfff":1}]}"#, "payload.a[0].: the text holds half of a surrogate pair"),
        (r#"{"n":1e400}"#, "payload.n: the number 1e400 cannot be kept exactly; send it as a string"),
    ] {
        let reason = format!("not every JSON parser can read it: {place}");
        for kind in ["custom", "console.line", "run.table.summary", "run.error", "run.phase.started"] {
            let text = format!(r#"{{"type":"{kind}","payload":{payload}}}"#);
            let mut parser = parser();
            assert_eq!(feed(&mut parser, Way::File, &[&text]), [refused("stdout", &text, &reason)]);
            assert_eq!((parser.last_phase(), parser.stderr_tail().last_error()), (None, None));
        }
    }
    let wide = r"\u0001".repeat(60_000);
    let text = format!(r#"{{"type":"custom","payload":{{"{wide}":"{wide}\ud800"}}}}"#);
    let out = feed(&mut parser(), Way::Stdout, &[&text]);
    assert!(out.len() > 10 && out.iter().all(|(_, payload)| payload.to_string().len() < LINE_LIMIT + 200));
    assert_eq!(out.iter().map(|(_, payload)| payload["message"].as_str().unwrap()).collect::<String>(), text);
}

#[test]
fn its_own_end_is_judged_by_what_can_be_read_and_the_line_is_kept() {
    let error = r#"{"code":"hook_error","message":"m","details":{"a":"\ud800"}}"#;
    let completed = format!(r#"{{"type":"run.completed","payload":{{"status":"failed","error":{error}}}}}"#);
    let result = format!(r#"{{"status":"failed","error":{error}}}"#);
    for (way, text, place) in
        [(Way::File, &completed, "payload.error.details.a"), (Way::Stdout, &result, "error.details.a")]
    {
        let mut parser = parser();
        let mut out = feed(&mut parser, way, &[text]);
        let mut rest = Vec::new();
        parser.finish(FAILED, now(), &mut rest);
        out.extend(shapes(rest));
        let reason = format!("not every JSON parser can read it: {place}: the text holds half of a surrogate pair");
        assert_eq!(out, [refused("stdout", text, &reason)]);
        let failure = parser.failure(FAILED).unwrap().failure;
        assert_eq!((failure.code.as_str(), failure.message.as_str()), ("hook_error", "m"));
    }
}

#[test]
fn a_stored_path_in_a_message_is_the_documents_name() {
    let texts = [
        r#"{"type":"run.validation.issue","payload":{"severity":"warning","message":"doc_1.csv: no header","row":1.50}}"#,
        r#"{"type":"console.line","payload":{"level":"warning","message":"see /data/run/input/doc_1.csv"}}"#,
        r#"{"type":"custom","payload":{"message":7,"path":"doc_1.csv"}}"#,
    ];
    let mut out = Vec::new();
    let mut parser = parser();
    texts.iter().for_each(|text| parser.line(Way::File, line(text), now(), &mut out));
    let payloads: Vec<_> = out.iter().map(|draft| draft.payload.get()).collect();
    let expected = [
        r#"{"severity":"warning","message":"people.csv: no header","row":1.50}"#,
        r#"{"level":"warn","message":"see people.csv"}"#,
        r#"{"message":7,"path":"doc_1.csv"}"#,
    ];
    assert_eq!(payloads, expected);
}

#[test]
fn an_error_told_on_the_way_explains_the_end() {
    let mut parser = parser();
    let error = r#"{"type":"run.error","payload":{"code":"hook_error","stage":"extracting","message":"boom"}}"#;
    feed(&mut parser, Way::File, &[error]);
    let found = parser.failure(FAILED).unwrap().failure;
    assert_eq!(
        (found.code.as_str(), found.stage.as_str(), found.message.as_str()),
        ("hook_error", "extracting", "boom")
    );
    assert!(parser.stderr_tail().already_reported(&found));
}
