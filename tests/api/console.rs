//! The web console: its files, what browsers may keep of them, and what it must not hide.

use crate::sign_in::app;
use crate::support::{Request, Response, TestApp};

const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn page(app: &TestApp, path: &str) -> Response {
    Request::get(path).header("Accept", HTML).send(app.address).unwrap()
}

fn script_of(page: &Response) -> String {
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let source = text.split('"').find(|part| part.starts_with("/assets/") && part.ends_with(".js"));
    source.expect("the page has a script").to_owned()
}

#[test]
fn a_browser_gets_the_console_and_a_program_what_it_got_before() {
    let app = app();
    for path in ["/", "/runs", "/runs/run_01M8EDV97WZ2N61ZME17NQHWGN", "/workspaces/x/runs", "/sign-in", "/system/"] {
        let answer = page(&app, path);
        assert_eq!((answer.status(), answer.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
    }
    let index = Request::get("/").send(app.address).unwrap();
    assert_eq!(index.json()["service"], "ade");
    Request::get("/runs").header("Accept", "*/*").send(app.address).unwrap().problem(404, "not_found");
    Request::get("/").header("Accept", "application/json").send(app.address).unwrap().expect(200).json();
}

#[test]
fn the_console_hides_no_route_of_the_service() {
    let app = app();
    for path in ["/api/v1/nothing", "/api", "/api/v1", "/nothing", "/assets/nothing.js", "/runs-of-others"] {
        page(&app, path).problem(404, "not_found");
    }
    assert_eq!(page(&app, "/health/live").expect(200).json()["status"], "ok");
    page(&app, "/metrics").problem(401, "sign_in_required");
    page(&app, "/api/v1/workspaces").problem(401, "sign_in_required");
    let posted = Request::new("POST", "/runs").header("Accept", HTML).send(app.address).unwrap();
    assert_eq!(posted.status(), 404, "a page is read, and nothing else");
}

#[test]
fn what_has_a_digest_in_its_name_is_kept_and_the_page_is_asked_for_again() {
    let app = app();
    let first = page(&app, "/");
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    let known = first.header("etag").expect("the page has an ETag").to_owned();
    let again = Request::get("/").header("Accept", HTML).header("If-None-Match", &known).send(app.address).unwrap();
    assert_eq!(again.status(), 304);
    let script = Request::get(script_of(&first)).send(app.address).unwrap();
    assert_eq!(script.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
}

#[test]
fn scripts_are_compressed_for_who_takes_that() {
    let app = app();
    let path = script_of(&page(&app, "/"));
    let plain = Request::get(&path).send(app.address).unwrap();
    let packed = Request::get(&path).header("Accept-Encoding", "gzip, deflate, br").send(app.address).unwrap();
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), (None, Some("gzip")));
    assert!(packed.body.len() * 2 < plain.body.len());
    assert_ne!(plain.header("etag"), packed.header("etag"));
    let refused = Request::get(&path).header("Accept-Encoding", "gzip;q=0").send(app.address).unwrap();
    assert_eq!(refused.header("content-encoding"), None);
}

#[test]
fn the_page_runs_only_what_the_service_itself_serves() {
    let app = app();
    let answer = page(&app, "/");
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
}
