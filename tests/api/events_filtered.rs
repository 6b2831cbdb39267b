//! Filters: they change what is sent, never where the reader stands.

use crate::support::{Frame, Request, TestApp, Value, json, kind, types};

fn with_notes(notes: u64) -> (TestApp, String, u64) {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([["emit", notes], ["complain", "odd"], ["say", "fine"]]));
    let (id, last) = (run["id"].as_str().unwrap().to_owned(), run["last_sequence"].as_u64().unwrap());
    (app, format!("/api/v1/runs/{id}/events"), last)
}

/// What each transport lets through.
fn on_every_transport(app: &TestApp, target: &str, filter: &str) -> Vec<Value> {
    let page = app.get(&format!("{target}?{filter}")).expect(200).json()["items"].as_array().unwrap().clone();
    let lines = app.get(&format!("{target}?format=ndjson&{filter}")).expect(200);
    let lines: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let frames = app.stream(&Request::get(format!("{target}/stream?{filter}"))).rest();
    let frames: Vec<Value> = frames.iter().map(crate::support::Frame::json).collect();
    assert_eq!(page, lines, "{filter}");
    assert_eq!(page, frames, "{filter}");
    page
}

#[test]
fn filters_work_on_every_transport_and_keep_the_terminal_event() {
    let (app, target, last) = with_notes(5);
    let all = on_every_transport(&app, &target, "");
    assert_eq!(all.len() as u64, last);
    for (filter, wanted) in [
        ("types=run.note", Box::new(|event: &Value| kind(event) == "run.note") as Box<dyn Fn(&Value) -> bool>),
        ("types=run.*", Box::new(|event| kind(event).starts_with("run."))),
        ("types=build.created,run.not*", Box::new(|event| matches!(kind(event), "build.created" | "run.note"))),
        (
            "types=console.line&scope=run",
            Box::new(|event| event["payload"]["scope"] == "run" && kind(event) == "console.line"),
        ),
        (
            "types=console.line&scope=build",
            Box::new(|event| event["payload"]["scope"] == "build" && kind(event) == "console.line"),
        ),
        (
            "types=console.line&level=warn",
            Box::new(|event| {
                kind(event) == "console.line" && matches!(event["payload"]["level"].as_str(), Some("warn" | "error"))
            }),
        ),
        ("types=nothing", Box::new(|_| false)),
        (
            "types=console.line&level=error",
            Box::new(|event| event["payload"]["level"] == "error" && kind(event) == "console.line"),
        ),
    ] {
        let expected: Vec<Value> =
            all.iter().filter(|event| wanted(event) || kind(event) == "run.completed").cloned().collect();
        assert_eq!(types(&on_every_transport(&app, &target, filter)), types(&expected), "{filter}");
        assert_eq!(on_every_transport(&app, &target, filter), expected, "{filter}");
    }
}

#[test]
fn a_filtered_page_moves_its_reader_on() {
    let (app, target, last) = with_notes(50);
    let (mut after, mut found, mut pages) = (0, 0, 0);
    while after < last {
        let page = app.get(&format!("{target}?types=run.note&limit=20&after_sequence={after}")).expect(200).json();
        let next = page["next_after_sequence"].as_u64().unwrap();
        assert!(next > after, "{page}");
        after = next;
        found += page["items"].as_array().unwrap().iter().filter(|event| kind(event) == "run.note").count();
        pages += 1;
    }
    assert_eq!((found, pages), (50, 3));
}

#[test]
fn filtered_out_events_still_advance_the_last_event_id() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.create_run(&project, &json!([["emit", 5_000], ["await", app.path("go")]]));
    app.run_stream(&run).until(|event| event["payload"]["number"] == 4_999);
    let target = format!("/api/v1/runs/{run}/events/stream?types=run.queued");
    let mut stream = app.stream(&Request::get(&target));
    assert_eq!(stream.frame().unwrap().id, Some(1));
    // It has everything now, and nothing that would carry the position, which may lag by less than a thousand events. A
    // machine that is too busy to read on for a heartbeat sends that, or the position on the way.
    let (mut position, mut heartbeats) = (1, 0);
    while position <= 4_000 {
        let bare = stream.frame().unwrap();
        if bare.is_comment {
            heartbeats += 1;
            assert!(heartbeats < 20, "the position never comes");
            continue;
        }
        assert!(bare.data.is_none() && bare.retry.is_none(), "{bare:?}");
        assert!(bare.id.unwrap() > position, "{bare:?}");
        position = bare.id.unwrap();
    }
    app.touch("go");
    let last = app.finish_run(&run)["last_sequence"].as_u64().unwrap();
    let shown = |frames: Vec<Frame>| -> Vec<_> {
        let ids: Vec<_> = frames.iter().filter_map(|frame| frame.id).collect();
        assert!(ids.is_sorted() && ids.iter().all(|&id| id > position && id <= last), "{ids:?}");
        frames.iter().filter(|frame| frame.data.is_some()).map(|frame| frame.id.unwrap()).collect()
    };
    assert_eq!(shown(stream.frames()), [last]);
    let resumed = Request::get(&target).header("Last-Event-ID", position);
    assert_eq!(shown(app.stream(&resumed).rest()), [last]);
}

#[test]
fn no_frame_lacks_data_where_an_event_can_carry_the_position() {
    let (app, target, last) = with_notes(5_000);
    let run = target.split('/').nth(4).unwrap();
    for target in [
        format!("{target}/stream"),
        format!("{target}/stream?types=run.queued"),
        format!("{target}/stream?types=nothing"),
        format!("/api/v1/events/stream?stream={run}&types=run.queued"),
    ] {
        let frames = app.stream(&Request::get(&target)).frames();
        assert!(frames.iter().all(|frame| frame.data.is_some()), "{target}: {frames:?}");
        assert!(frames[0].retry.is_some(), "{target}");
        assert!(frames[1..].iter().all(|frame| frame.retry.is_none()), "{target}");
        let end = frames.last().unwrap().raw_id.as_deref().unwrap();
        assert!(end.ends_with(&last.to_string()), "{target}: {end}");
    }
}

#[test]
fn a_text_is_found_on_every_transport_whatever_its_case_and_its_colours() {
    let app = TestApp::start();
    let project = app.project();
    let script = json!([
        ["say", "\u{1b}[1mThe NEE\u{1b}[0mDLE is red"], ["complain", "a needle"], ["say", "nothing"],
        ["event", {"type": "run.note", "payload": {"message": "needle"}}], ["say", "50% needles & \u{c4}\"s"],
    ]);
    let run = app.run(&project, &script);
    let target = format!("/api/v1/runs/{}/events", run["id"].as_str().unwrap());
    let found = |filter: &str| -> Vec<String> {
        let events = on_every_transport(&app, &target, filter);
        let (end, lines) = events.split_last().unwrap();
        assert_eq!(kind(end), "run.completed", "{filter}");
        assert!(lines.iter().all(|event| kind(event) == "console.line"), "{filter}: {lines:?}");
        lines.iter().map(|event| event["payload"]["message"].as_str().unwrap().to_owned()).collect()
    };
    let mut all = found("contains=Needle");
    // Two pipes.
    all.sort();
    assert_eq!(all, ["\u{1b}[1mThe NEE\u{1b}[0mDLE is red", "50% needles & \u{c4}\"s", "a needle"]);
    assert_eq!(found("contains=needle&level=warn"), ["a needle"]);
    assert_eq!(found("contains=needle&scope=build"), [""; 0]);
    assert_eq!(found("contains=50%25%20needles%20%26%20%C3%A4%22"), ["50% needles & \u{c4}\"s"]);
    assert_eq!(found("contains=run.note"), [""; 0], "only texts are looked at");
    for refused in ["contains=", &format!("contains={}", "x".repeat(501)), "contains=a&contains=b"] {
        app.get(&format!("{target}?{refused}")).expect(400);
    }
}

/// A page that looks for what is nowhere ends all the same, and says where the next one begins.
#[test]
fn a_search_through_a_long_log_is_cut_into_pages() {
    let app = TestApp::start();
    let project = app.project();
    let run =
        app.run(&project, &json!([["say", "the first needle"], ["emit", 20_000, 1000], ["say", "the last needle"]]));
    let (id, last) = (run["id"].as_str().unwrap(), run["last_sequence"].as_u64().unwrap());
    let (mut after, mut found, mut pages) = (0, Vec::new(), 0);
    while after < last {
        let target = format!("/api/v1/runs/{id}/events?contains=NEEDLE&after_sequence={after}&wait=30");
        let page = app.get(&target).expect(200).json();
        let next = page["next_after_sequence"].as_u64().unwrap();
        assert!(next > after && page["last_sequence"] == last, "{page}");
        after = next;
        found.extend(page["items"].as_array().unwrap().iter().map(|event| event["payload"]["message"].clone()));
        pages += 1;
    }
    assert_eq!(found, [json!("the first needle"), json!("the last needle"), Value::Null]);
    assert!((3..6).contains(&pages), "{pages} pages of some 24 MB");
}
