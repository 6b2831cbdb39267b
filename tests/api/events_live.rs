//! The events of a stream that goes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::time::{Duration, Instant};

use crate::support::{Request, TIMEOUT, TestApp, Value, json};

fn events_of(run: &str) -> String {
    format!("/api/v1/runs/{run}/events")
}

#[test]
fn a_reader_sees_past_and_new_events_exactly_once() {
    let app = TestApp::start();
    let project = app.project();
    app.build(&project, &json!({}));
    let steps = json!([["emit", 500], ["say", "here"], ["await", app.path("go")], ["emit", 500]]);
    let run = app.create_run(&project, &steps);
    let mut early = app.run_stream(&run);
    let seen = early.until(|event| event["payload"]["message"] == "here").len() as u64;
    let mut late = app.run_stream(&run);
    let resumed = Request::get(format!("{}/stream", events_of(&run))).header("Last-Event-ID", seen);
    let mut resumed = app.stream(&resumed);
    app.touch("go");
    let rest: Vec<u64> = early.rest().iter().map(|frame| frame.id.unwrap()).collect();
    let last = rest[rest.len() - 1];
    assert!(last > seen + 500);
    assert!(rest.iter().copied().eq(seen + 1..=last));
    assert!(late.rest().iter().map(|frame| frame.id.unwrap()).eq(1..=last));
    assert!(resumed.rest().iter().map(|frame| frame.id.unwrap()).eq(seen + 1..=last));
}

#[test]
fn a_position_ahead_of_a_live_log_is_409_at_once() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.held_run(&project);
    let last = app.show_run(&run)["last_sequence"].as_u64().unwrap();
    let ahead = format!("{}/stream?after_sequence={}", events_of(&run), last + 1);
    assert_eq!(app.get(&ahead).problem(409, "sequence_ahead")["last_sequence"], last);
    // At its end is no error: the reader waits for what comes.
    let mut stream = app.stream(&Request::get(format!("{}/stream?after_sequence={last}", events_of(&run))));
    app.touch("go");
    assert_eq!(stream.event().unwrap().id, Some(last + 1));
}

#[test]
fn a_long_poll_wakes_for_an_event_and_for_the_end() {
    let app = TestApp::start();
    let project = app.project();
    let steps = json!([["say", "here"], ["await", app.path("one")], ["say", "more"], ["await", app.path("two")]]);
    let run = app.create_run(&project, &steps);
    app.run_stream(&run).until(|event| event["payload"]["message"] == "here");
    let last = app.show_run(&run)["last_sequence"].as_u64().unwrap();
    let poll = |after: u64, rest: &str| {
        app.get(&format!("{}?after_sequence={after}&wait=30{rest}", events_of(&run))).expect(200).json()
    };

    // With something there already, nobody waits.
    let at_once = |after: u64| {
        let began = Instant::now();
        let page = poll(after, "");
        assert!(began.elapsed() < Duration::from_secs(30), "it has waited in vain");
        page
    };
    assert_eq!(at_once(0)["items"].as_array().unwrap().len() as u64, last);
    let page = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| poll(last, ""));
        let none = app.get(&format!("{}?after_sequence={last}", events_of(&run))).expect(200).json();
        assert_eq!((&none["items"], &none["closed"]), (&json!([]), &json!(false)));
        app.touch("one");
        waiting.join().unwrap()
    });
    assert_eq!(page["items"][0]["payload"]["message"], "more");
    assert_eq!((&page["closed"], &page["next_after_sequence"]), (&json!(false), &json!(last + 1)));

    let page = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| poll(last + 1, "&types=nothing"));
        app.touch("two");
        waiting.join().unwrap()
    });
    assert_eq!(page["items"][0]["type"], "run.completed", "{page}");
    assert_eq!(page["closed"], true);
    // At the end of all, there is nothing to wait for.
    assert_eq!(at_once(page["last_sequence"].as_u64().unwrap())["items"], json!([]));
}

#[test]
fn a_long_poll_without_events_times_out_and_advances_the_cursor() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.held_run(&project);
    let last = app.show_run(&run)["last_sequence"].as_u64().unwrap();
    let began = Instant::now();
    let page = app.get(&format!("{}?types=nothing&wait=1", events_of(&run))).expect(200).json();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!((&page["items"], &page["next_after_sequence"]), (&json!([]), &json!(last)));
    app.touch("go");
    app.finish_run(&run);
}

#[test]
fn lines_can_be_followed_or_read_once() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.held_run(&project);
    let last = app.show_run(&run)["last_sequence"].as_u64().unwrap();
    let now = app.get(&format!("{}/download", events_of(&run))).expect(200);
    assert_eq!(now.text().lines().count() as u64, last);

    let request = Request::get(format!("{}?format=ndjson&follow=true", events_of(&run)));
    let mut followed = BufReader::new(request.open(app.address).unwrap()).lines().map(Result::unwrap);
    let mut text = String::new();
    for line in followed.by_ref().take(last as usize) {
        text += &(line + "\n");
    }
    assert_eq!(text, now.text());
    app.touch("go");
    // A blank line is a heartbeat.
    for line in followed.filter(|line| !line.is_empty()) {
        text += &(line + "\n");
    }
    app.finish_run(&run);
    assert_eq!(text, app.run_log(&project, &run));
}

#[test]
fn a_stalled_reader_delays_no_one_else() {
    let app = TestApp::start();
    let project = app.project();
    app.build(&project, &json!({}));
    let steps = json!([["say", "here"], ["await", app.path("go")], ["emit", 2000, 4000]]);
    let run = app.create_run(&project, &steps);
    app.run_stream(&run).until(|event| event["payload"]["message"] == "here");
    let mut stalled = app.run_stream(&run);
    app.touch("go");
    let began = Instant::now();
    let finished = app.finish_run(&run);
    assert!(began.elapsed() < TIMEOUT);
    let last = finished["last_sequence"].as_u64().unwrap();
    let ids: Vec<u64> = stalled.rest().iter().map(|frame| frame.id.unwrap()).collect();
    assert!(ids.iter().copied().eq(1..=last), "{} of {last}", ids.len());
}

#[test]
fn many_readers_see_the_same_events() {
    let app = TestApp::start();
    let project = app.project();
    app.build(&project, &json!({}));
    let run = app.create_run(&project, &json!([["emit", 300], ["emit", 300], ["emit", 300]]));
    let read = || -> Vec<Value> { app.run_stream(&run).rest().iter().map(crate::support::Frame::json).collect() };
    let seen: Vec<Vec<Value>> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..20).map(|_| scope.spawn(read)).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    assert!(seen[0].len() > 900);
    assert!(seen.iter().all(|events| *events == seen[0]));
}

#[test]
fn a_stream_rejects_readers_over_its_limit() {
    let app = TestApp::with(&[("ADE_MAX_SUBSCRIBERS", "2")]);
    let project = app.project();
    let run = app.held_run(&project);
    let target = format!("{}/stream", events_of(&run));
    let open = || Request::get(&target).open(app.address).unwrap();
    let mut readers = Vec::new();
    // The reader that waited for the run to begin may not have left yet.
    crate::support::wait_until("two readers are in", || {
        let answer = open();
        if answer.head.status == 200 {
            readers.push(answer);
        }
        readers.len() == 2
    });
    let third = open().read_all().unwrap();
    assert!(third.header("retry-after").is_some());
    third.problem(429, "too_many_subscribers");
    readers.pop();
    crate::support::wait_until("there is room again", || open().head.status == 200);
    app.touch("go");
    crate::support::wait_until("it has ended", || app.show_run(&run)["status"] == "succeeded");
}

/// Everything that comes back on one connection, until the service closes it.
fn said_on_one_connection(app: &TestApp, requests: &str) -> String {
    let mut connection = std::net::TcpStream::connect(app.address).unwrap();
    connection.set_read_timeout(Some(TIMEOUT)).unwrap();
    connection.write_all(requests.as_bytes()).unwrap();
    let mut said = String::new();
    connection.read_to_string(&mut said).expect("the service closes the connection");
    said
}

#[test]
fn a_stream_may_follow_other_requests_on_its_connection() {
    let app = TestApp::start();
    let project = app.project();
    app.build(&project, &json!({}));
    let run = app.create_run(&project, &json!([["emit", 50]]));
    let last = app.finish_run(&run)["last_sequence"].as_u64().unwrap();
    let show = format!("GET /api/v1/runs/{run} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let stream = format!("GET {}/stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", events_of(&run));
    let said = said_on_one_connection(&app, &format!("{show}{show}{stream}"));
    assert_eq!(said.matches("HTTP/1.1 200 OK\r\n").count(), 3);
    assert_eq!(said.matches("\nid: ").count() as u64, last);
    assert!(said.ends_with("\r\n0\r\n\r\n"), "the last chunk says that this is all");
}

#[test]
fn a_client_that_does_not_support_chunked_encoding_gets_none() {
    let app = TestApp::start();
    let project = app.project();
    app.build(&project, &json!({}));
    let run = app.create_run(&project, &json!([["emit", 5]]));
    app.finish_run(&run);
    let said = said_on_one_connection(&app, &format!("GET {} HTTP/1.0\r\nHost: localhost\r\n\r\n", events_of(&run)));
    let said_as_stream =
        said_on_one_connection(&app, &format!("GET {}/stream HTTP/1.0\r\nHost: localhost\r\n\r\n", events_of(&run)));
    assert!(!said.to_ascii_lowercase().contains("chunked") && !said_as_stream.to_ascii_lowercase().contains("chunked"));
    let last = said_as_stream.rsplit("\n\n").nth(1).unwrap_or_default();
    assert!(
        last.contains("\ndata: {\"type\":\"run.completed\"") && said_as_stream.ends_with("\n\n"),
        "it ends with its last event: {last}"
    );
}
