//! Browsers: sessions with their token against forged changes, tickets for streams, pages of other origins.

use std::io::Read as _;

use crate::sign_in::{app, key_of, make_key, with_key};
use crate::support::{EventStream, Request, Response, TestApp, json};

/// A session as a browser has it.
struct Session {
    cookie: String,
    csrf_token: String,
}

impl Session {
    #[track_caller]
    fn begin(app: &TestApp, key: &str) -> Self {
        let answer = Request::post("/api/v1/session").json(&json!({"key": key})).send(app.address).unwrap().expect(201);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let cookie = answer.header("set-cookie").unwrap();
        for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=604800"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Secure"), "this is http");
        let (cookie, _) = cookie.split_once(';').unwrap();
        let csrf_token = answer.json()["csrf_token"].as_str().unwrap().to_owned();
        Self { cookie: cookie.to_owned(), csrf_token }
    }

    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, path).header("Cookie", &self.cookie)
    }

    fn change(&self, method: &str, path: &str) -> Request {
        self.request(method, path).header("X-CSRF-Token", &self.csrf_token)
    }
}

#[test]
fn a_session_reads_and_changes_only_with_its_token() {
    let app = app();
    let session = Session::begin(&app, app.key());
    let send = |request: Request| request.send(app.address).unwrap();
    send(session.request("GET", "/api/v1/workspaces")).expect(200);
    let body = json!({"name": "Acme"});
    send(session.request("POST", "/api/v1/workspaces").json(&body)).problem(403, "csrf_token_required");
    let wrong = session.request("POST", "/api/v1/workspaces").header("X-CSRF-Token", "x").json(&body);
    send(wrong).problem(403, "csrf_token_required");
    let other = Session::begin(&app, app.key());
    let foreign = session.request("POST", "/api/v1/workspaces").header("X-CSRF-Token", &other.csrf_token);
    send(foreign.json(&body)).problem(403, "csrf_token_required");
    send(session.change("POST", "/api/v1/workspaces").json(&body)).expect(201);
}

#[test]
fn a_session_says_who_it_is_until_it_ends() {
    let app = app();
    let project = app.project();
    let session = Session::begin(&app, &key_of(&app, "operator", &project));
    let send = |request: Request| request.send(app.address).unwrap();
    let shown = send(session.request("GET", "/api/v1/session")).expect(200).json();
    assert_eq!((shown["via"].as_str(), shown["role"].as_str()), (Some("session"), Some("operator")));
    assert_eq!((&shown["workspaces"], &shown["csrf_token"]), (&json!([project.workspace]), &json!(session.csrf_token)));
    let by_key = app.get("/api/v1/session").expect(200).json();
    assert_eq!((by_key["via"].as_str(), by_key["csrf_token"].is_null()), (Some("key"), true));
    Request::get("/api/v1/session").send(app.address).unwrap().problem(401, "sign_in_required");

    send(session.request("DELETE", "/api/v1/session")).problem(403, "csrf_token_required");
    let ended = send(session.change("DELETE", "/api/v1/session")).expect(204);
    assert!(ended.header("set-cookie").unwrap().contains("Max-Age=0"), "{ended}");
    send(session.request("GET", "/api/v1/session")).problem(401, "credentials_refused");
    app.send(&Request::new("DELETE", "/api/v1/session")).problem(404, "not_found");
}

#[test]
fn a_cookie_is_for_https_where_the_browser_sees_https() {
    for (proxies, is_secure) in [("127.0.0.1", true), ("10.0.0.0/8", false)] {
        let app = TestApp::with(&[("ADE_AUTH", "on"), ("ADE_TRUSTED_PROXIES", proxies)]);
        let request = Request::post("/api/v1/session").json(&json!({"key": app.key()}));
        let answer = request.header("X-Forwarded-Proto", "https").send(app.address).unwrap().expect(201);
        assert_eq!(answer.header("set-cookie").unwrap().ends_with("; Secure"), is_secure, "{proxies}: {answer}");
    }
}

#[test]
fn only_a_key_makes_a_session() {
    let app = app();
    let send = |request: Request| request.send(app.address).unwrap();
    for (body, status, code) in
        [(json!({"key": "ade_x"}), 401, "credentials_refused"), (json!({}), 401, "sign_in_required")]
    {
        send(Request::post("/api/v1/session").json(&body)).problem(status, code);
    }
    let session = Session::begin(&app, app.key());
    send(session.change("POST", "/api/v1/session").json(&json!({}))).problem(401, "sign_in_required");
    send(with_key(Request::post("/api/v1/session"), app.key())).expect(201);
}

#[test]
fn a_session_ends_when_it_is_idle_or_over_and_its_streams_with_it() {
    for limit in ["ADE_SESSION_IDLE_TIMEOUT", "ADE_SESSION_TIMEOUT"] {
        let app = TestApp::with(&[("ADE_AUTH", "on"), (limit, "3s")]);
        let project = app.project();
        let signed_in = with_key(Request::post("/api/v1/session"), app.key()).send(app.address).unwrap().expect(201);
        let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let stream = Request::get(format!("{}/stream", project.feed())).header("Cookie", &cookie);
        let mut stream = stream.open(app.address).unwrap();
        assert!(stream.head.status == 401 || stream.read_to_end(&mut Vec::new()).is_err(), "cut off");
        let again = Request::get("/api/v1/session").header("Cookie", &cookie).send(app.address).unwrap();
        again.problem(401, "credentials_refused");
    }
}

#[test]
fn sessions_and_tickets_outlive_a_restart() {
    let app = app();
    let project = app.project();
    let session = Session::begin(&app, app.key());
    let ticket = ticket(&app, &project.workspace);
    let app = app.restart();
    session.request("GET", "/api/v1/workspaces").send(app.address).unwrap().expect(200);
    let feed = format!("{}?ticket={ticket}", project.feed());
    Request::get(feed).send(app.address).unwrap().expect(200);
}

#[track_caller]
fn ticket(app: &TestApp, stream: &str) -> String {
    let answer = app.post("/api/v1/stream-tickets", &json!({"stream": stream})).expect(201);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()["ticket"].as_str().unwrap().to_owned()
}

#[test]
fn a_ticket_opens_one_stream_again_and_again_and_nothing_else() {
    let app = app();
    let project = app.project();
    let [run, other] = [(); 2].map(|()| app.create_run(&project, &json!([["say", "x"]])));
    app.finish_run(&run);
    app.finish_run(&other);
    let made = app.post("/api/v1/stream-tickets", &json!({"stream": run})).expect(201).json();
    let url = made["events_stream"].as_str().unwrap();
    assert!(url.starts_with(&format!("/api/v1/runs/{run}/events/stream?ticket=adet_")), "{made}");
    for _ in 0..2 {
        let events = EventStream::open(app.address, &Request::get(url)).until_type("run.completed");
        assert!(!events.is_empty());
    }
    let ticket = made["ticket"].as_str().unwrap();
    let send = |path: String| Request::get(format!("{path}?ticket={ticket}")).send(app.address).unwrap();
    send(format!("/api/v1/runs/{run}/events")).expect(200);
    send(format!("/api/v1/runs/{run}/events/download")).expect(200);
    for elsewhere in [
        format!("/api/v1/runs/{other}/events/stream"),
        format!("/api/v1/runs/{run}"),
        project.feed(),
        "/api/v1/workspaces".into(),
        "/api/v1/session".into(),
    ] {
        send(elsewhere).problem(403, "ticket_elsewhere");
    }
    let cancel = Request::post(format!("/api/v1/runs/{run}/cancel?ticket={ticket}"));
    cancel.send(app.address).unwrap().problem(403, "ticket_elsewhere");
    let wrong = Request::get(format!("/api/v1/runs/{run}/events/stream?ticket=adet_x")).send(app.address).unwrap();
    wrong.problem(401, "credentials_refused");
}

#[test]
fn a_ticket_is_for_what_its_caller_may_see() {
    let app = app();
    let (own, foreign) = (app.project(), app.project());
    let key = key_of(&app, "viewer", &own);
    let ask = |stream: &str| {
        let request = Request::post("/api/v1/stream-tickets").json(&json!({"stream": stream}));
        with_key(request, &key).send(app.address).unwrap()
    };
    ask(&own.workspace).expect(201);
    ask(&foreign.workspace).problem(404, "not_found");
    ask("run_01J00000000000000000000000").problem(404, "not_found");
    ask("x").problem(422, "invalid_request");
}

#[test]
fn a_key_can_be_traded_only_so_often() {
    let app = app();
    let (id, key) = make_key(&app, &json!({"name": "k", "role": "viewer"}));
    let node = std::fs::read_to_string(app.data_dir().join("node_id")).unwrap();
    let values = (0..2000).map(|number| {
        format!("('{number:064}', '{id}', '{node}', '2999-01-01 00:00:00+00:00', '2999-01-02 00:00:00+00:00')")
    });
    let columns = "insert into access_grants (secret_digest, key_id, node_id, created_at, expires_at) values ";
    app.change_database(&format!("{columns}{}", values.collect::<Vec<_>>().join(",")));
    let app = app.restart();
    let again = with_key(Request::post("/api/v1/session"), &key).send(app.address).unwrap();
    assert_eq!(again.header("retry-after"), Some("1"));
    again.problem(429, "too_many_sessions");
    with_key(Request::post("/api/v1/session"), app.key()).send(app.address).unwrap().expect(201);
}

#[test]
fn where_nobody_signs_in_there_is_nothing_to_trade() {
    let app = TestApp::start();
    let project = app.project();
    let shown = app.get("/api/v1/session").expect(200).json();
    assert_eq!((&shown["sign_in"], &shown["via"], &shown["role"]), (&json!(false), &json!("none"), &json!("admin")));
    let answer = app.post("/api/v1/session", &json!({"key": "x"})).expect(200);
    assert_eq!(answer.header("set-cookie"), None);
    app.post("/api/v1/stream-tickets", &json!({"stream": project.workspace})).problem(409, "nothing_to_trade");
}

const PAGE: &str = "https://app.example.org";

fn preflight(app: &TestApp, origin: &str) -> Response {
    let request = Request::new("OPTIONS", "/api/v1/workspaces").header("Origin", origin);
    let request = request.header("Access-Control-Request-Method", "POST");
    request.header("Access-Control-Request-Headers", "authorization,content-type").send(app.address).unwrap()
}

#[test]
fn pages_of_listed_origins_may_call_and_read_events_with_a_ticket() {
    let app = TestApp::with(&[("ADE_AUTH", "on"), ("ADE_CORS_ORIGINS", PAGE)]);
    let allowed = preflight(&app, PAGE).expect(200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    let project = app.project();
    let run = app.create_run(&project, &json!([["say", "x"]]));
    app.finish_run(&run);
    let url = app.post("/api/v1/stream-tickets", &json!({"stream": run})).expect(201).json()["events_stream"].clone();
    let mut stream = EventStream::open(app.address, &Request::get(url.as_str().unwrap()).header("Origin", PAGE));
    assert_eq!(stream.head.header("access-control-allow-origin"), Some(PAGE));
    stream.until_type("run.completed");
    // A page must be able to read why it was refused.
    let refused = Request::get("/api/v1/workspaces").header("Origin", PAGE).send(app.address).unwrap();
    assert_eq!(refused.header("access-control-allow-origin"), Some(PAGE));
    refused.problem(401, "sign_in_required");
}

#[test]
fn pages_of_other_origins_are_told_nothing() {
    for settings in [&[("ADE_AUTH", "on"), ("ADE_CORS_ORIGINS", PAGE)][..], &[("ADE_AUTH", "on")]] {
        let app = TestApp::with(settings);
        assert_eq!(preflight(&app, "https://evil.example").header("access-control-allow-origin"), None);
        let request = with_key(Request::get("/api/v1/workspaces"), app.key()).header("Origin", "https://evil.example");
        assert_eq!(app.send(&request).header("access-control-allow-origin"), None);
    }
}

#[test]
fn without_sign_in_listed_origins_may_call_and_others_not() {
    let app = TestApp::with(&[("ADE_CORS_ORIGINS", PAGE)]);
    app.send(&Request::get("/api/v1/workspaces").header("Origin", PAGE)).expect(200);
    let foreign = Request::get("/api/v1/workspaces").header("Origin", "https://evil.example");
    app.send(&foreign).problem(403, "origin_not_allowed");
}
