//! When a key, a session or a ticket ends, so does what goes on under it.

use std::io::Read;
use std::time::{Duration, Instant};

use ade_test_support::http::Incoming;
use ade_test_support::metrics::Metrics;
use ade_test_support::wait::wait_until;

use crate::sign_in::{app, make_key, with_key};
use crate::support::{Request, TestApp, json};

/// What is promised is five seconds; a busy machine adds to that, and never to the point of the heartbeat.
const SOON: Duration = Duration::from_secs(12);

fn open(app: &TestApp, request: &Request) -> Incoming {
    let incoming = request.open(app.address).unwrap();
    assert_eq!(incoming.head.status, 200);
    incoming
}

/// Reads to the end; answers whether the response was cut off.
fn is_cut_off(mut incoming: Incoming) -> bool {
    let mut all = Vec::new();
    incoming.read_to_end(&mut all).is_err()
}

fn revoke(app: &TestApp, id: &str) {
    app.send(&Request::new("DELETE", format!("/api/v1/api-keys/{id}"))).expect(204);
}

#[test]
fn streams_of_every_form_end_with_their_key_and_others_go_on() {
    let app = app();
    let project = app.project();
    let run = app.held_run(&project);
    let (id, key) = make_key(&app, &json!({"name": "k", "role": "viewer"}));
    let ticket = with_key(Request::post("/api/v1/stream-tickets").json(&json!({"stream": run})), &key);
    let ticket = app.send(&ticket).expect(201).json()["events_stream"].as_str().unwrap().to_owned();
    let session = with_key(Request::post("/api/v1/session"), &key).send(app.address).unwrap().expect(201);
    let cookie = session.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let by_key = |path: String| with_key(Request::get(path), &key);
    let open_ones: Vec<_> = [
        by_key(format!("/api/v1/runs/{run}/events/stream")),
        by_key(format!("/api/v1/runs/{run}/events/download?follow=true")),
        by_key(format!("/api/v1/events/stream?stream={run}&stream={}", project.workspace)),
        by_key(format!("{}/stream", project.feed())),
        Request::get(ticket),
        Request::get(format!("/api/v1/runs/{run}/events/stream")).header("Cookie", cookie),
    ]
    .iter()
    .map(|request| open(&app, request))
    .collect();
    let mut admins = app.run_stream(&run);
    let began = Instant::now();
    revoke(&app, &id);
    for incoming in open_ones {
        assert!(is_cut_off(incoming), "nobody takes it for a whole one");
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    app.touch("go");
    admins.until_type("run.completed");
}

#[test]
fn responses_to_clients_that_have_stopped_reading_end_with_their_key() {
    let app = app();
    let project = app.project();
    let run = app.run(&project, &json!([["emit", 3000, 1000]]));
    let run = run["id"].as_str().unwrap();
    let (id, key) = make_key(&app, &json!({"name": "k", "role": "viewer"}));
    let document = app.upload(&project, "large.csv", &vec![b'x'; 24 << 20]);
    let paths = [
        format!("/api/v1/runs/{run}/events/stream"),
        format!("/api/v1/runs/{run}/events/download?follow=true"),
        format!("{}/{document}/download", project.documents()),
        format!("/api/v1/runs/{run}/events?format=json&limit=1000"),
    ];
    let open_ones: Vec<_> = paths.into_iter().map(|path| open(&app, &with_key(Request::get(path), &key))).collect();
    let connections = || Metrics::parse(app.get("/metrics").expect(200).text()).sum("ade_http_connections", &[]);
    assert_eq!(connections(), 5.0, "these and the one that asks");
    let began = Instant::now();
    revoke(&app, &id);
    wait_until("the connections are closed", || connections() == 1.0);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    for incoming in open_ones {
        assert!(is_cut_off(incoming), "nobody takes it for a whole one");
    }
}

#[test]
fn a_long_poll_ends_with_its_key() {
    let app = app();
    let project = app.project();
    let run = app.held_run(&project);
    let last = app.run_events(&run).last().unwrap()["sequence"].clone();
    let (id, key) = make_key(&app, &json!({"name": "k", "role": "viewer"}));
    let poll = with_key(Request::get(format!("/api/v1/runs/{run}/events?after_sequence={last}&wait=30")), &key);
    let address = app.address;
    let waiting = std::thread::spawn(move || poll.send(address).unwrap());
    // Revoked before or while it waits: it is refused either way.
    let listed = || app.get(&format!("/api/v1/api-keys/{id}")).expect(200).json();
    crate::support::wait_until("use of the key", || !listed()["last_used_at"].is_null());
    revoke(&app, &id);
    waiting.join().unwrap().problem(401, "credentials_refused");
    app.touch("go");
    app.finish_run(&run);
}

#[test]
fn a_download_ends_with_its_key() {
    let app = app();
    let project = app.project();
    let document = app.upload(&project, "large.csv", &vec![b'x'; 24 << 20]);
    let (id, key) = make_key(&app, &json!({"name": "k", "role": "viewer"}));
    let path = format!("{}/{document}/download", project.documents());
    let mut incoming = open(&app, &with_key(Request::get(path), &key));
    incoming.read_exact(&mut [0; 4096]).unwrap();
    revoke(&app, &id);
    assert!(is_cut_off(incoming));
}

#[test]
fn a_stream_ends_with_its_session_and_its_tickets() {
    let app = app();
    let project = app.project();
    let session = with_key(Request::post("/api/v1/session"), app.key()).send(app.address).unwrap().expect(201);
    let cookie = session.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let csrf = session.json()["csrf_token"].as_str().unwrap().to_owned();
    let change = |request: Request| request.header("Cookie", &cookie).header("X-CSRF-Token", &csrf);
    let ticket = change(Request::post("/api/v1/stream-tickets").json(&json!({"stream": project.workspace})));
    let ticket = ticket.send(app.address).unwrap().expect(201).json()["events_stream"].as_str().unwrap().to_owned();
    let by_ticket = open(&app, &Request::get(ticket));
    let by_session = open(&app, &Request::get(format!("{}/stream", project.feed())).header("Cookie", &cookie));
    change(Request::new("DELETE", "/api/v1/session")).send(app.address).unwrap().expect(204);
    assert!(is_cut_off(by_ticket) && is_cut_off(by_session));
}

#[test]
fn a_key_that_another_process_revokes_ends_too_and_one_that_it_makes_is_known() {
    let app = app();
    let project = app.project();
    let (id, key) = make_key(&app, &json!({"name": "k", "role": "viewer"}));
    let stream = open(&app, &with_key(Request::get(format!("{}/stream", project.feed())), &key));
    let began = Instant::now();
    app.change_database(&format!("update api_keys set revoked_at = created_at where id = '{id}'"));
    assert!(is_cut_off(stream));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    app.change_database(&format!("update api_keys set revoked_at = null where id = '{id}'"));
    crate::support::wait_until("the key is known again", || {
        with_key(Request::get("/api/v1/workspaces"), &key).send(app.address).unwrap().status() == 200
    });
}

#[test]
fn a_stream_ends_when_its_key_expires() {
    let app = app();
    let project = app.project();
    let soon = chrono::Utc::now() + chrono::TimeDelta::seconds(3);
    let (_, key) = make_key(&app, &json!({"name": "k", "role": "viewer", "expires_at": soon.to_rfc3339()}));
    let request = with_key(Request::get(format!("{}/stream", project.feed())), &key);
    // A machine that takes three seconds for this refuses it, which is as good.
    let incoming = request.open(app.address).unwrap();
    assert!(incoming.head.status == 401 || is_cut_off(incoming));
    with_key(Request::get("/api/v1/workspaces"), &key).send(app.address).unwrap().problem(401, "credentials_refused");
}

#[test]
fn who_revokes_its_own_key_is_told_so() {
    let app = app();
    let (id, key) = make_key(&app, &json!({"name": "k", "role": "admin"}));
    with_key(Request::new("DELETE", format!("/api/v1/api-keys/{id}")), &key).send(app.address).unwrap().expect(204);
    with_key(Request::get("/api/v1/session"), &key).send(app.address).unwrap().problem(401, "credentials_refused");
}
