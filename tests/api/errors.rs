//! Errors have one form, and what a page in a browser could send is refused.

use crate::support::{Request, TestApp, json};

#[test]
fn every_error_is_a_problem_with_the_id_of_its_request() {
    let app = TestApp::start();
    let path = "/api/v1/runs/run_01J00000000000000000000000";
    let answer = app.send(&Request::get(path).header("X-Request-ID", "mine-1"));
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    let problem = answer.problem(404, "not_found");
    let expected = ["code", "detail", "errors", "instance", "request_id", "status", "title", "type"];
    assert_eq!(problem.as_object().unwrap().keys().collect::<Vec<_>>(), expected);
    assert_eq!(problem["type"], "/problems/not_found");
    assert_eq!(problem["instance"], path);
    assert_eq!(problem["request_id"], "mine-1");
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["errors"], json!([]));
}

#[test]
fn a_request_without_an_id_gets_one() {
    let app = TestApp::start();
    let ids: Vec<String> =
        ["/health/live", "/nowhere"].map(|path| app.get(path).header("x-request-id").unwrap().to_owned()).into();
    assert!(ids.iter().all(|id| !id.is_empty()) && ids[0] != ids[1], "{ids:?}");
    let insane = app.send(&Request::get("/nowhere").header("X-Request-ID", "a b\"c"));
    assert_ne!(insane.header("x-request-id"), Some("a b\"c"));
}

#[test]
fn unknown_routes_are_404_and_wrong_methods_405() {
    let app = TestApp::start();
    for path in ["/nowhere", "/api/v1", "/api/v2/runs", "/api/v1/runs"] {
        app.get(path).problem(404, "not_found");
    }
    let run = "/api/v1/runs/run_01J00000000000000000000000";
    for (method, path) in [
        ("DELETE", run.to_owned()),
        ("GET", format!("{run}/cancel")),
        ("POST", format!("{run}/events")),
        ("PATCH", "/api/v1/workspaces".into()),
        ("POST", "/health/live".into()),
    ] {
        let answer = app.send(&Request::new(method, path.clone()));
        assert!(answer.header("allow").is_some(), "{method} {path}: {answer}");
        answer.problem(405, "method_not_allowed");
    }
}

#[test]
fn a_body_of_another_type_is_415() {
    let app = TestApp::start();
    let body = r#"{"name": "x"}"#;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        app.send(&Request::post("/api/v1/workspaces").body(content_type, body)).problem(415, "unsupported_media_type");
    }
    let charset = Request::post("/api/v1/workspaces").body("application/json; charset=utf-8", body);
    app.send(&charset).expect(201);
}

#[test]
fn a_body_that_is_too_large_is_413_and_one_that_is_no_json_422() {
    let app = TestApp::start();
    let large = json!({"name": "x".repeat(2 << 20)});
    app.post("/api/v1/workspaces", &large).problem(413, "payload_too_large");
    let problem =
        app.send(&Request::post("/api/v1/workspaces").body("application/json", "{")).problem(422, "invalid_request");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{problem}");
    app.post("/api/v1/workspaces", &json!({"name": "still here"})).expect(201);
}

#[test]
fn a_foreign_host_is_rejected() {
    let app = TestApp::start();
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1:8000", ""] {
        app.send(&Request::get("/api/v1/workspaces").header("Host", host)).problem(403, "host_not_allowed");
    }
    let port = app.address.port();
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        app.send(&Request::get("/api/v1/workspaces").header("Host", host)).expect(200);
    }
}

#[test]
fn a_foreign_origin_is_rejected_and_changes_nothing() {
    let app = TestApp::start();
    let create = || Request::post("/api/v1/workspaces").json(&json!({"name": "x"}));
    let port = app.address.port();
    let near = [format!("http://127.0.0.1:{}", port ^ 1), format!("https://127.0.0.1:{port}")];
    for origin in ["http://evil.example", "null", "", &near[0], &near[1]] {
        app.send(&create().header("Origin", origin)).problem(403, "origin_not_allowed");
    }
    assert_eq!(app.get("/api/v1/workspaces").json()["total"], 1, "only the default one");
    app.send(&create().header("Origin", format!("http://127.0.0.1:{port}"))).expect(201);
}
