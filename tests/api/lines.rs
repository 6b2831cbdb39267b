//! What a reader of lines gets: no character that it could take for the end of one, and none that is too long for it.

use crate::support::{Request, TestApp, Value, json, kind};

/// Where Python's `str.splitlines` and others end a line.
const LINE_ENDS: &str = "\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}";
/// What asyncio's and other readers of lines take.
const LONGEST: usize = 64 << 10;

/// The lines of the body in every form, which must be the same.
fn lines_everywhere(app: &TestApp, run: &str) -> Vec<String> {
    let events = format!("/api/v1/runs/{run}/events");
    let stream = app.get(&format!("{events}/stream")).expect(200);
    let data = stream.text().split('\n').filter_map(|line| line.strip_prefix("data: "));
    let data: Vec<String> = data.map(str::to_owned).collect();
    let lines = app.get(&format!("{events}?format=ndjson")).expect(200);
    assert!(lines.text().split_terminator('\n').eq(data.iter().map(String::as_str)));
    let followed = app.get(&format!("{events}?format=ndjson&follow=true&after_sequence=1")).expect(200);
    assert!(followed.text().split_terminator('\n').eq(data[1..].iter().map(String::as_str)));
    let many = app.get(&format!("/api/v1/events/stream?stream={run}")).expect(200);
    assert!(data.iter().all(|line| many.text().contains(line.as_str())));
    let mut page = app.get(&events).expect(200).text().to_owned();
    for line in &data {
        let at = page.find(line.as_str()).expect("a page has the bytes of the line");
        page.replace_range(..at + line.len(), "");
    }
    data
}

#[test]
fn no_line_has_a_character_that_ends_a_line() {
    let app = TestApp::start();
    let project = app.project();
    let told = format!("a{LINE_ENDS}b");
    let raw = |ends: &str| {
        format!("{{\"type\":\"run.note\",\"payload\":{{\"text\":\"a{ends}b\",\"k{ends}\":[\"{ends}\"]}}}}")
    };
    let raw_ends = "\u{85}\u{2028}\u{2029}";
    let steps =
        json!([["say", told], ["event", {"type": "run.note", "payload": {"text": told}}], ["write", raw(raw_ends)]]);
    let run = app.run(&project, &steps);
    let lines = lines_everywhere(&app, run["id"].as_str().unwrap());
    for line in &lines {
        assert!(!line.contains(|c| LINE_ENDS.contains(c)), "{line}");
    }
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().any(|event| event["payload"]["message"] == told.as_str()));
    let notes: Vec<_> = events.iter().filter(|event| kind(event) == "run.note").collect();
    assert_eq!(notes[0]["payload"]["text"], told.as_str());
    let raw = &notes[1]["payload"];
    assert_eq!((&raw["text"], &raw[format!("k{raw_ends}")]), (&json!(format!("a{raw_ends}b")), &json!([raw_ends])));
}

#[test]
fn a_line_of_the_console_is_below_64_kib_with_all_that_is_around_it() {
    let app = TestApp::start();
    let project = app.project();
    let (size, mut steps, mut said) = (LONGEST as u64, Vec::new(), String::new());
    for (unit, times) in
        [("x", size), ("x", size - 700), ("\"", size), ("\u{1b}", size), ("\u{2028}", size), ("\u{e9}", size), ("x", 1)]
    {
        steps.push(json!(["say", unit, times]));
        said += &unit.repeat(times as usize);
    }
    // Bytes that are no UTF-8: each becomes a character of three.
    steps.push(json!(["say", "\u{fffd}", 50_000]));
    said += &"\u{fffd}".repeat(50_000);
    let message = "\u{85}\\".repeat(60_000);
    let event = json!({"type": "console.line", "payload": {"level": "error", "message": message, "logger": "big"}});
    steps.push(json!(["write", event.to_string()]));
    let run = app.run(&project, &json!(steps));
    assert_eq!(run["status"], "succeeded", "{run}");
    let lines = lines_everywhere(&app, run["id"].as_str().unwrap());
    let longest = lines.iter().map(|line| "data: ".len() + line.len() + 1).max().unwrap();
    assert!(longest < LONGEST && longest > LONGEST - 2048, "{longest}");
    let of_console = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_console: Vec<Value> = of_console
        .filter(|event| kind(event) == "console.line" && event["source"] == "engine")
        .map(|mut event| event["payload"].take())
        .collect();
    let text = |logger: Option<&str>| -> String {
        let own = of_console.iter().filter(|console| console.get("logger").and_then(Value::as_str) == logger);
        own.map(|console| console["message"].as_str().unwrap()).collect()
    };
    assert!(text(None) == said, "nothing is lost");
    assert!(text(Some("big")) == message, "nothing is lost");
    let ends = of_console.iter().filter(|console| console.get("continued").is_none()).count();
    assert_eq!(ends, steps.len(), "each goes on up to its end");
}

#[test]
fn a_line_of_a_build_is_split_in_the_same_way() {
    let app = TestApp::start();
    let project = app.project_building(&json!({"fail": "\"".repeat(LONGEST)}));
    let build = app.create_build(&project, &json!({}));
    let build = build["id"].as_str().unwrap();
    let frames = app.stream(&Request::get(format!("/api/v1/builds/{build}/events/stream?types=console.line"))).rest();
    let of_console = frames.iter().filter(|frame| kind(&frame.json()) == "console.line");
    let longest = of_console.clone().map(|frame| frame.data.as_ref().unwrap().len()).max().unwrap();
    assert!(longest > LONGEST - 2048 && "data: ".len() + longest + 1 < LONGEST, "{longest}");
    let said = of_console.map(|frame| frame.json()["payload"]["message"].as_str().unwrap().matches('"').count());
    assert!(said.sum::<usize>() >= LONGEST, "nothing is lost");
}

/// Events of an engine that some JSON parser cannot read, and what the reason names.
fn unreadable_events() -> Vec<(String, &'static str)> {
    let event = |payload: &str| format!(r#"{{"type":"run.note","payload":{payload}}}"#);
    let deep = |open: &str, close: &str| event(&format!("{{\"a\":{}{}}}", open.repeat(100_000), close.repeat(100_000)));
    vec![
        (event(r#"{"rows":[1,{"name":"a\ud800b"}]}"#), "payload.rows[1].name"),
        (event(r#"{"name":"\udc00\ud800"}"#), "payload.name"),
        (event(r#"{"\uDBFF":1}"#), "surrogate"),
        (r#"{"type":"run.note","text":"\ud800"}"#.into(), "text"),
        (r#"{"type":"run.note\ud800","payload":{}}"#.into(), "hex escape"),
        (r#"{"type":"console.line","payload":{"message":"\ud800"}}"#.into(), "payload.message"),
        (r#"{"type":"run.error","payload":{"code":"x","message":"m","details":{"a":"\ud800"}}}"#.into(), "details.a"),
        (r#"{"type":"run.completed","payload":{"processed_files":["a.csv"],"note":"\ud800"}}"#.into(), "payload.note"),
        (event(r#"{"n":[-1e400]}"#), "payload.n[0]"),
        (event(&format!("{{\"n\":{}}}", "9".repeat(400))), "payload.n"),
        (event(r#"{"n":NaN}"#), "expected value"),
        (deep("[", "]"), "nested deeper"),
        (deep("{\"k\":", "}").replace(":}", ":0}"), "nested deeper"),
    ]
}

#[test]
fn every_line_of_a_log_is_json_for_every_parser() {
    let app = TestApp::start();
    let project = app.project();
    let sent = unreadable_events();
    let kept = r#"{"n":18446744073709551617,"s":"\ud83d\ude00\u0000","k":1,"k":2}"#;
    let mut steps: Vec<Value> = sent.iter().map(|(line, _)| json!(["write", line])).collect();
    steps.push(json!(["write", format!(r#"{{"type":"run.note","payload":{kept}}}"#)]));
    let run = app.run(&project, &json!(steps));
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(run["output"]["processed_files"], json!(["a.csv"]), "what can be read of its own frame counts");
    let lines = lines_everywhere(&app, run["id"].as_str().unwrap());
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("a strict parser")).collect();
    let of_engine = events.iter().filter(|event| event["source"] == "engine").map(|event| &event["payload"]);
    let (mut told, mut message) = (Vec::new(), String::new());
    for payload in of_engine.clone().filter(|payload| payload.get("message").is_some()) {
        message += payload["message"].as_str().unwrap();
        if payload.get("continued").is_none() {
            assert_eq!(payload["level"], "warn");
            told.push((std::mem::take(&mut message), payload["details"]["reason"].as_str().unwrap().to_owned()));
        }
    }
    assert_eq!(told.len(), sent.len(), "each is kept once");
    for ((line, reason), (sent, named)) in told.iter().zip(&sent) {
        assert!(line == sent, "as it came: {}", &sent[..sent.len().min(200)]);
        assert!(reason.contains(named) && reason.len() < 500, "{named}: {reason}");
    }
    assert!(lines.iter().any(|line| line.contains(kept)), "whatever every parser reads is not touched");
    let longest = lines.iter().map(|line| "data: ".len() + line.len() + 1).max().unwrap();
    assert!(longest < LONGEST, "{longest}");
    let logs = app.get(&format!("/api/v1/runs/{}/logs", run["id"].as_str().unwrap())).expect(200).json();
    let shown: String =
        logs["entries"].as_array().unwrap().iter().filter_map(|entry| entry["message"].as_str()).collect();
    assert!(sent.iter().all(|(line, _)| shown.contains(line.as_str())));
}

#[test]
fn a_result_that_some_parser_cannot_read_counts_and_is_kept() {
    let app = TestApp::start();
    let project = app.project();
    let result = r#"{"status":"failed","error":{"code":"hook_error","message":"m","details":{"a":"\ud800"}}}"#;
    let run = app.run(&project, &json!([["say", result]]));
    assert_eq!((&run["status"], &run["failure_code"]), (&json!("failed"), &json!("hook_error")), "{run}");
    let events = app.run_events(run["id"].as_str().unwrap());
    let kept = events.iter().find(|event| event["payload"]["message"] == result).expect("the line is in the log");
    assert!(kept["payload"]["details"]["reason"].as_str().unwrap().contains("error.details.a"), "{kept}");
}
