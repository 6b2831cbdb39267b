//! Who has changed what, when, and from where.

use crate::sign_in::{app, key_of, make_key, with_key};
use crate::support::{Request, TestApp, Value, json};

/// Entries behind a position.
fn entries(app: &TestApp, after: u64) -> Vec<Value> {
    let page = app.get(&format!("/api/v1/audit?after_sequence={after}&limit=1000")).expect(200).json();
    page["items"].as_array().unwrap().clone()
}

#[test]
fn every_change_leaves_an_entry_and_reading_leaves_none() {
    let app = app();
    let project = app.project();
    let viewer = key_of(&app, "viewer", &project);
    let (operator_id, operator) =
        make_key(&app, &json!({"name": "pipeline", "role": "operator", "workspaces": [project.workspace]}));
    let before = entries(&app, 0);
    assert!(before.iter().zip(1u64..).all(|(entry, n)| entry["sequence"] == n), "{before:?}");
    let after = before.len() as u64;

    app.get("/api/v1/workspaces").expect(200);
    let path = "/api/v1/workspaces";
    let body = json!({"name": "Not for them"});
    app.send(&with_key(Request::post(path).json(&body), &viewer)).expect(403);
    let path = format!("/api/v1/workspaces/{}/documents", project.workspace);
    let upload = Request::post(format!("{path}?token=secret")).form(&[("file", Some("a.csv"), b"a,b")]);
    let answer = app.send(&with_key(upload.header("X-Request-Id", "req-of-mine"), &operator));
    let status = answer.status();
    Request::post("/api/v1/workspaces").json(&body).send(app.address).unwrap().expect(401);

    let found = entries(&app, after);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((&found[0]["status"], &found[0]["actor"]["role"]), (&json!(403), &json!("viewer")));
    assert_eq!(
        found[1]["actor"],
        json!({"name": "pipeline", "key_id": operator_id, "issuer": null, "subject": null, "role": "operator"})
    );
    assert_eq!((&found[1]["method"], &found[1]["path"]), (&json!("POST"), &json!(path)));
    assert_eq!((&found[1]["status"], &found[1]["address"]), (&json!(status), &json!("127.0.0.1")));
    assert_eq!(found[1]["request_id"], "req-of-mine");
    assert!(found[0]["at"].as_str().unwrap() <= found[1]["at"].as_str().unwrap());
    assert!(!format!("{found:?}").contains("secret"), "no query, no key");

    app.send(&with_key(Request::get("/api/v1/audit"), &operator)).problem(403, "role_required");
    for wrong in ["limit=0", "limit=1001", "after_sequence=x", "before=3"] {
        app.get(&format!("/api/v1/audit?{wrong}")).problem(400, "invalid_query");
    }
    assert!([1 << 40, u64::MAX].iter().all(|position| entries(&app, *position).is_empty()), "beyond its end");
    let all = entries(&app, 0);
    let app = app.restart();
    assert_eq!(entries(&app, 0)[..all.len()], all[..], "it outlives the service");
}
