//! The events of a stream that has ended: start positions, and the same bytes on every transport.

use crate::support::{Project, Request, Response, TestApp, Value, json};

/// A finished run of the reused venv, with `notes` numbered events in it.
struct Finished {
    app: TestApp,
    project: Project,
    run: String,
    last: u64,
}

impl Finished {
    fn with_notes(notes: u64) -> Self {
        let app = TestApp::start();
        let project = app.project();
        let run = app.run(&project, &json!([["emit", notes], ["say", "done"]]));
        let last = run["last_sequence"].as_u64().unwrap();
        Self { run: run["id"].as_str().unwrap().to_owned(), app, project, last }
    }

    fn target(&self, rest: &str) -> String {
        format!("/api/v1/runs/{}/events{rest}", self.run)
    }

    fn get(&self, rest: &str) -> Response {
        self.app.get(&self.target(rest))
    }

    /// The sequences that an event stream replays.
    fn replayed(&self, request: &Request) -> Vec<u64> {
        self.app.stream(request).rest().iter().map(|frame| frame.id.unwrap()).collect()
    }
}

#[test]
fn an_event_is_the_same_bytes_everywhere() {
    let it = Finished::with_notes(50);
    let file = it.app.run_log(&it.project, &it.run);
    let lines: Vec<&str> = file.lines().collect();
    assert_eq!(it.get("/download").expect(200).text(), file);
    assert_eq!(it.get("?format=ndjson&follow=true").expect(200).text(), file);
    assert_eq!(it.get("?format=ndjson&after_sequence=0").expect(200).text(), file);
    let frames = it.app.stream(&Request::get(it.target("/stream"))).rest();
    assert_eq!(frames.iter().map(|frame| frame.data.as_deref().unwrap()).collect::<Vec<_>>(), lines);
    let page = it.get("").expect(200);
    let items = page.text().strip_prefix(r#"{"items":["#).unwrap();
    assert!(items.starts_with(&lines.join(",")), "{page}");
    for (line, frame) in lines.iter().zip(&frames) {
        assert!(line.starts_with(r#"{"type":""#), "{line}");
        assert_eq!(frame.event.as_deref(), Some("ade.event"));
    }
}

#[test]
fn the_format_is_chosen_by_query_then_accept() {
    let it = Finished::with_notes(0);
    let form = |rest: &str, accept: &str| {
        let answer = it.app.send(&Request::get(it.target(rest)).header("Accept", accept)).expect(200);
        answer.header("content-type").unwrap().to_owned()
    };
    assert_eq!(form("", "*/*"), "application/json");
    assert_eq!(form("", "text/event-stream"), "text/event-stream");
    assert_eq!(form("", "application/x-ndjson"), "application/x-ndjson");
    assert_eq!(form("?stream=true", "application/json"), "text/event-stream");
    assert_eq!(form("?format=sse", "*/*"), "text/event-stream");
    assert_eq!(form("?format=json", "text/event-stream"), "application/json");
    assert_eq!(form("/stream", "application/json"), "text/event-stream");
    assert_eq!(form("/download", "text/event-stream"), "application/x-ndjson");
}

#[test]
fn an_event_stream_has_headers_that_disable_caching_and_buffering() {
    let it = Finished::with_notes(0);
    let mut stream = it.app.stream(&Request::get(it.target("/stream")));
    assert_eq!(stream.head.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(stream.head.header("x-accel-buffering"), Some("no"));
    assert!(matches!(stream.head.header("content-encoding"), None | Some("identity")));
    let frames = stream.frames();
    assert!(frames[0].retry.is_some_and(|retry| (500..30_000).contains(&retry)), "{:?}", frames[0]);
    let retries: std::collections::HashSet<_> =
        (0..5).map(|_| it.app.stream(&Request::get(it.target("/stream"))).frame().unwrap().retry).collect();
    assert!(retries.len() > 1, "clients of one moment come back in one moment: {retries:?}");
}

#[test]
fn event_names_can_be_their_types() {
    let it = Finished::with_notes(0);
    let names = |rest: &str| -> Vec<String> {
        let frames = it.app.stream(&Request::get(it.target(rest))).rest();
        frames.into_iter().map(|frame| frame.event.unwrap()).collect()
    };
    let typed = names("/stream?event_names=typed");
    assert_eq!((typed[0].as_str(), typed[typed.len() - 1].as_str()), ("run.queued", "run.completed"));
    assert!(names("/stream?event_names=constant").iter().all(|name| name == "ade.event"));
    it.get("/stream?event_names=loud").problem(400, "invalid_query");
}

#[test]
fn a_reader_starts_at_the_requested_position() {
    let it = Finished::with_notes(10);
    let last = it.last;
    let from = |first: u64| (first..=last).collect::<Vec<_>>();
    for (query, header, first) in [
        ("", None, 1),
        ("?after_sequence=0", None, 1),
        ("?after_sequence=7", None, 8),
        ("?from_sequence=0", None, 1),
        ("?from_sequence=7", None, 7),
        ("?last_event_id=7", None, 8),
        ("", Some(7), 8),
        ("?tail=3", None, last - 2),
        ("?tail=9999", None, 1),
        // The furthest wins.
        ("?after_sequence=3", Some(9), 10),
        ("?after_sequence=9", Some(3), 10),
        ("?from_sequence=12", Some(3), 12),
        ("?from_sequence=12&after_sequence=12", None, 13),
        ("?last_event_id=5", Some(8), 9),
        ("?last_event_id=8", Some(5), 9),
        // As clients say it that have only the query.
        ("?lastEventId=7", None, 8),
        ("?lastEventId=", None, 1),
        ("?tail=2&lastEventId=", None, last - 1),
        ("?Last-Event-ID=7&lastEventId=9&last_event_id=3", Some(8), 10),
        ("?after_sequence=0&after_sequence=7", None, 8),
        // A cursor makes a tail void.
        ("?tail=2", Some(4), 5),
        ("?tail=2&last_event_id=4", None, 5),
        ("?tail=2", Some(0), 1),
    ] {
        let mut request = Request::get(it.target(&format!("/stream{query}")));
        if let Some(id) = header {
            request = request.header("Last-Event-ID", id);
        }
        assert_eq!(it.replayed(&request), from(first), "{query} {header:?}");
        // The same on the other transports.
        let separator = if query.is_empty() { '?' } else { '&' };
        let mut lines = Request::get(it.target(&format!("{query}{separator}format=ndjson")));
        let mut page = Request::get(it.target(query));
        if let Some(id) = header {
            lines = lines.header("Last-Event-ID", id);
            page = page.header("Last-Event-ID", id);
        }
        let lines = it.app.send(&lines).expect(200);
        let read =
            lines.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["sequence"].as_u64().unwrap());
        assert_eq!(read.collect::<Vec<_>>(), from(first), "lines {query} {header:?}");
        let page = it.app.send(&page).expect(200).json();
        let read = page["items"].as_array().unwrap().iter().map(|event| event["sequence"].as_u64().unwrap());
        assert_eq!(read.collect::<Vec<_>>(), from(first), "page {query} {header:?}");
    }
}

#[test]
fn a_reader_that_has_everything_gets_204_and_one_ahead_409() {
    let it = Finished::with_notes(3);
    let last = it.last;
    for request in [
        Request::get(it.target("/stream")).header("Last-Event-ID", last),
        Request::get(it.target(&format!("/stream?after_sequence={last}"))),
        Request::get(it.target(&format!("/stream?from_sequence={}", last + 1))),
        Request::get(it.target(&format!("/stream?after_sequence=2&last_event_id={last}"))),
    ] {
        assert!(it.app.send(&request).expect(204).body.is_empty());
    }
    let empty = it.get(&format!("?after_sequence={last}")).expect(200).json();
    assert_eq!(empty, json!({"items": [], "next_after_sequence": last, "last_sequence": last, "closed": true}));
    for rest in [
        format!("/stream?after_sequence={}", last + 1),
        format!("/stream?from_sequence={}", last + 2),
        format!("?after_sequence={}", last + 1),
        format!("?format=ndjson&last_event_id={}", last + 1),
        format!("/download?after_sequence={}", u64::MAX),
    ] {
        assert_eq!(it.get(&rest).problem(409, "sequence_ahead")["last_sequence"], last, "{rest}");
    }
    let ahead = Request::get(it.target("/stream")).header("Last-Event-ID", last + 1);
    it.app.send(&ahead).problem(409, "sequence_ahead");
}

#[test]
fn a_non_numeric_position_is_400() {
    let it = Finished::with_notes(0);
    for name in ["after_sequence", "from_sequence", "last_event_id", "tail", "limit", "wait"] {
        // Nothing at all is what a client sends that has seen nothing yet.
        let empty = if name == "last_event_id" { "?" } else { "" };
        for value in ["-1", "x", "1.5", empty, "99999999999999999999999"] {
            let problem = it.get(&format!("?{name}={value}")).problem(400, "invalid_query");
            assert!(problem.to_string().contains(name), "{problem}");
        }
    }
    let empty = Request::get(it.target("/stream")).header("Last-Event-ID", "");
    assert_eq!(it.replayed(&empty).len() as u64, it.last);
    for value in ["-1", "x", "1 2"] {
        let request = Request::get(it.target("/stream")).header("Last-Event-ID", value);
        it.app.send(&request).problem(400, "invalid_query");
    }
    for query in ["?limit=0", "?limit=1001", "?wait=31", "?format=xml", "?colour=red", "?level=loud", "?scope=all"] {
        it.get(query).problem(400, "invalid_query");
    }
}

#[test]
fn pages_lead_through_the_whole_log() {
    let it = Finished::with_notes(40);
    let (mut after, mut sequences) = (0, Vec::new());
    while after < it.last {
        let page = it.get(&format!("?after_sequence={after}&limit=7")).expect(200).json();
        let items = page["items"].as_array().unwrap();
        assert!((1..=7).contains(&items.len()), "{page}");
        assert_eq!((&page["last_sequence"], &page["closed"]), (&json!(it.last), &json!(true)));
        sequences.extend(items.iter().map(|event| event["sequence"].as_u64().unwrap()));
        after = page["next_after_sequence"].as_u64().unwrap();
    }
    assert_eq!(sequences, (1..=it.last).collect::<Vec<_>>());
}

#[test]
fn a_finished_log_is_a_file_with_a_length_and_ranges() {
    let it = Finished::with_notes(30);
    let file = it.app.run_log(&it.project, &it.run);
    let whole = it.get("/download").expect(200);
    assert_eq!(whole.header("content-length"), Some(file.len().to_string().as_str()));
    assert_eq!((whole.text(), whole.header("accept-ranges")), (file.as_str(), Some("bytes")));
    assert!(whole.header("content-disposition").unwrap().starts_with("attachment"));
    let etag = whole.header("etag").unwrap();
    it.app.send(&Request::get(it.target("/download")).header("If-None-Match", etag)).expect(304);
    let part = it.app.send(&Request::get(it.target("/download")).header("Range", "bytes=10-29")).expect(206);
    assert_eq!(part.text(), &file[10..30]);
    assert_eq!(part.header("content-range"), Some(format!("bytes 10-29/{}", file.len()).as_str()));
    let resumed = Request::get(it.target("/download")).header("Range", "bytes=30-").header("If-Range", etag);
    assert_eq!(it.app.send(&resumed).expect(206).text(), &file[30..]);
    let beyond = Request::get(it.target("/download")).header("Range", format!("bytes={}-", file.len()));
    it.app.send(&beyond).problem(416, "range_not_satisfiable");
}
