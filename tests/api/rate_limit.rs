//! How often callers may ask.

use crate::sign_in::{key_of, with_key};
use crate::support::{Request, Response, TestApp, wait_until};

fn ask(app: &TestApp, key: &str) -> Response {
    app.send(&with_key(Request::get("/api/v1/workspaces"), key))
}

fn ask_without_key(app: &TestApp) -> Response {
    Request::get("/api/v1/workspaces").send(app.address).unwrap()
}

#[test]
fn who_asks_too_often_waits_and_nobody_else_does() {
    let app = TestApp::with(&[("ADE_AUTH", "on"), ("ADE_RATE_LIMIT", "20")]);
    let project = app.project();
    let [eager, modest] = ["viewer", "operator"].map(|role| key_of(&app, role, &project));
    let mut last = ask(&app, &eager);
    wait_until("a refusal", || {
        last = ask(&app, &eager);
        last.status() == 429
    });
    assert!(last.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    last.problem(429, "rate_limited");
    ask(&app, &modest).expect(200);
    Request::get("/health/live").send(app.address).unwrap().expect(200);
    wait_until("its turn", || ask(&app, &eager).status() == 200);
    // Who shows no key is counted by where it is.
    assert_eq!(ask_without_key(&app).status(), 401);
    wait_until("a refusal", || ask_without_key(&app).status() == 429);
    ask(&app, &modest).expect(200);
}
