//! Request targets and hosts: which service a request is for is said in one way only.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::sign_in::app as with_sign_in;
use crate::support::{Request, Response, TestApp, json};

/// What is answered to exactly these bytes, to the end of the connection.
fn raw(app: &TestApp, bytes: &str) -> String {
    let mut socket = TcpStream::connect(app.address).unwrap();
    socket.set_read_timeout(Some(crate::support::TIMEOUT)).unwrap();
    socket.write_all(bytes.as_bytes()).unwrap();
    // A server that refuses early may close before it has read everything, and with a reset then.
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(app: &TestApp, target: &str, host: &str) -> Response {
    app.send(&Request::get(target).header("Host", host))
}

#[test]
fn an_absolute_target_names_the_host_that_the_header_names() {
    let app = with_sign_in();
    let path = "/api/v1/workspaces";
    for (origin, host) in [
        ("http://ade.example", "ade.example"),
        ("http://ade.example:80", "ade.example"),
        ("http://ade.example", "ade.example:80"),
        ("HTTP://ADE.example:8000", "ade.EXAMPLE:8000"),
        ("https://ade.example:443", "ade.example"),
        ("http://[::1]:8000", "[::1]:8000"),
    ] {
        get(&app, &format!("{origin}{path}?page=1"), host).expect(200);
    }
    for (origin, host) in [
        ("http://evil.example", "ade.example"),
        ("http://ade.example", "evil.example"),
        ("http://ade.example:81", "ade.example"),
        ("http://ade.example:443", "ade.example"),
        ("https://ade.example:80", "ade.example"),
        ("http://ade.example", ""),
        ("http://evil.example@ade.example", "ade.example"),
        ("http://ade.example:80@evil.example", "ade.example"),
        ("http://ade.example.evil.example", "ade.example"),
        ("ftp://ade.example", "ade.example"),
    ] {
        get(&app, &format!("{origin}{path}"), host).problem(400, "bad_request");
    }
}

#[test]
fn without_sign_in_neither_target_nor_header_may_be_foreign() {
    let app = TestApp::start();
    let own = app.address.to_string();
    get(&app, &format!("http://{own}/api/v1/workspaces"), &own).expect(200);
    get(&app, "http://evil.example/api/v1/workspaces", "evil.example").problem(403, "host_not_allowed");
    get(&app, "http://evil.example/api/v1/workspaces", &own).problem(400, "bad_request");
    get(&app, &format!("http://{own}/api/v1/workspaces"), "evil.example").problem(403, "host_not_allowed");
    let target = "http://evil.example/api/v1/workspaces";
    let page = Request::post(target).header("Origin", "http://evil.example").json(&json!({"name": "never made"}));
    app.send(&page).problem(403, "origin_not_allowed");
    assert!(!app.get("/api/v1/workspaces").expect(200).text().contains("never made"));
}

#[test]
fn a_request_has_one_host_that_is_one() {
    let app = with_sign_in();
    for head in [
        "",
        "Host: a.example\r\nHost: a.example\r\n",
        "Host: a.example\r\nHost: b.example\r\n",
        "Host: a b\r\n",
        "Host: a@b\r\n",
        "Host: a/b\r\n",
        "Host: a#b\r\n",
        "Host: a:b:c\r\n",
        "Host: a.example:http\r\n",
        "Host: http://a.example\r\n",
        "Host: a.example, b.example\r\n",
        "Host: \"a\"\r\n",
        "Host: \u{e4}\r\n",
        "Host: [::1\r\n",
    ] {
        let answer = raw(&app, &format!("GET /health/live HTTP/1.1\r\n{head}Connection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
    }
    for head in ["Host: a.example", "Host: a_b.example:8", "Host: [::1]:8000", "Host: 10.0.0.1", "Host:"] {
        let answer = raw(&app, &format!("GET /health/live HTTP/1.1\r\n{head}\r\nConnection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{head:?}: {answer}");
    }
    let old = raw(&app, "GET /health/live HTTP/1.0\r\n\r\n");
    assert!(old.contains(" 200 "), "{old}");
}

#[test]
fn no_answer_leads_to_where_a_request_says_it_is() {
    let app = with_sign_in();
    let forwarded = |request: Request| {
        let foreign = "evil.example";
        let request = request.header("Host", foreign).header("X-Forwarded-Host", foreign).header("Referer", foreign);
        request.header("Forwarded", "host=evil.example;proto=https").header("X-Original-URL", "http://evil.example/")
    };
    for (status, request) in [
        (201, Request::post("/api/v1/session").json(&json!({"key": app.key()}))),
        (201, Request::post("http://evil.example/api/v1/workspaces").json(&json!({"name": "x"}))),
        (200, Request::get("http://evil.example/api/v1/workspaces")),
        (404, Request::get("http://evil.example//evil.example/..")),
        (200, Request::get("http://evil.example/api/v1/workspaces/")),
        (404, Request::get("//evil.example/%2e%2e")),
        (404, Request::get("/\\evil.example")),
        (404, Request::get("/http://evil.example/")),
    ] {
        let answer = app.send(&forwarded(request.clone())).expect(status);
        let head = format!("{:?}", answer.head.headers);
        assert!(!head.contains("evil"), "{request:?}: {answer}");
        let body: serde_json::Value = answer.json();
        // The path of a problem is the one that was asked for.
        let links = format!("{}{}", body["links"], body["items"]);
        assert!(!links.contains("evil"), "{request:?}: {answer}");
        assert!(answer.header("location").is_none_or(|location| location.starts_with("/api/v1/")), "{answer}");
    }
}

#[test]
fn targets_of_other_forms_are_no_routes() {
    let app = with_sign_in();
    for line in [
        "OPTIONS * HTTP/1.1",
        "CONNECT evil.example:443 HTTP/1.1",
        "GET * HTTP/1.1",
        "GET evil.example:80 HTTP/1.1",
        "GET http:///api/v1/workspaces HTTP/1.1",
        "GET http:/health/live HTTP/1.1",
        "GET ../health/live HTTP/1.1",
        "GET  HTTP/1.1",
        "GET /\u{0} HTTP/1.1",
        "GET /%zz HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /health/live HTTP/9.9",
        "G\u{e4}T / HTTP/1.1",
    ] {
        let answer = raw(&app, &format!("{line}\r\nHost: a.example\r\nConnection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 4"), "{line:?}: {answer}");
        assert!(!answer.contains("location:") && !answer.contains("panicked"), "{answer}");
    }
}
