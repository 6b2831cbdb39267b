//! The contract as it is shown, and as it is checked in.

use crate::support::{Request, TestApp};

#[test]
fn the_contract_that_is_checked_in_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let is_the_same = std::fs::read_to_string(path).unwrap_or_default() == ade::app::contract();
    assert!(is_the_same, "docs/openapi.json is stale: cargo run -- openapi > docs/openapi.json");
}

#[test]
fn the_contract_is_shown_to_programs_and_to_people() {
    let app = TestApp::start();
    let shown = app.get("/api/v1/openapi.json").expect(200);
    assert_eq!(shown.json()["openapi"], "3.1.0");
    let etag = shown.header("etag").unwrap();
    app.send(&Request::get("/api/v1/openapi.json").header("If-None-Match", etag)).expect(304);
    let page = app.get("/api/docs").expect(200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("create_workspace") && !page.text().contains("<script"));
    // Nothing from anywhere else, and nothing that the policy of the page forbids.
    assert!(!page.text().contains("https://") && !page.text().contains("style="), "{}", page.text());
    assert_eq!(page.header("content-security-policy"), Some("default-src 'self'; frame-ancestors 'none'"));
    assert_eq!(app.get("/api/docs/style.css").expect(200).header("content-type"), Some("text/css; charset=utf-8"));
}
