//! How a streamed response ends: completely, and then the connection goes on; or cut off, and the client sees that.

use std::io::{ErrorKind, Read};

use crate::support::{Request, TestApp, in_turn, json};

#[test]
fn a_connection_serves_another_request_after_a_stream() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([["emit", 50]]));
    let run = run["id"].as_str().unwrap();
    let events = format!("/api/v1/runs/{run}/events");
    let create = app.run_request(&project, &json!([["say", "fine"]]), json!({}));
    let stream = Request::get(format!("{events}/stream"));
    let followed = Request::get(format!("{events}?format=ndjson&follow=true&after_sequence=1"));
    let many = Request::get(format!("/api/v1/events/stream?stream={run}"));
    let requests = [stream.clone(), create, followed, many, stream];
    let answers = in_turn(&requests, app.address).expect("one connection serves them all");
    for (request, answer) in requests.iter().zip(&answers) {
        assert!(matches!(answer.status(), 200 | 201), "{request:?}: {answer}");
        // It would make a client take the end of the connection for the end of the body.
        assert_eq!(answer.header("connection"), None, "{request:?}");
    }
    assert_eq!(answers[0].header("transfer-encoding"), Some("chunked"));
    assert_eq!(answers[0].text().matches("\nid: ").count(), answers[4].text().matches("\nid: ").count());
    app.finish_run(answers[1].json()["id"].as_str().unwrap());
}

#[test]
fn connection_close_is_honoured() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([]));
    let events = format!("/api/v1/runs/{}/events/stream", run["id"].as_str().unwrap());
    let request = Request::get(events).header("Connection", "close");
    let answers = in_turn(std::slice::from_ref(&request), app.address).unwrap();
    assert_eq!(answers[0].header("connection"), Some("close"));
    in_turn(&[request.clone(), request], app.address).expect_err("the connection has been closed");
}

#[test]
fn lines_that_stop_before_the_end_of_the_stream_are_cut_off() {
    let mut app = TestApp::with(&[("ADE_MAX_CONCURRENCY", "1")]);
    let project = app.project();
    let held = app.held_run(&project);
    let waiting = app.create_run(&project, &json!([]));
    app.run_stream(&waiting).until(|event| event["payload"]["reason"] == "capacity");
    let follow = |run: &str| {
        let request = Request::get(format!("/api/v1/runs/{run}/events?format=ndjson&follow=true"));
        request.open(app.address).unwrap()
    };
    let (mut ends, mut drained) = (follow(&held), follow(&waiting));
    app.begin_stop();
    let mut text = String::new();
    let outcome = drained.read_to_string(&mut text);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::UnexpectedEof, "{text}");
    app.touch("go");
    text.clear();
    ends.read_to_string(&mut text).expect("it has come to its end");
    assert!(text.lines().last().unwrap().contains("run.completed"));
    app.allow_open_logs();
    app.stop_gracefully();
}
