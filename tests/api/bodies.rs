//! What is sent is kept as it is, or refused with its place; nothing of it is passed over.

use crate::support::{Project, Request, TestApp, Value, json};

const DOCUMENTS: &str = "/api/v1/documents";

/// The place of the one fault.
#[track_caller]
fn fault(app: &TestApp, request: &Request) -> (String, String) {
    let problem = app.send(request).problem(422, "invalid_request");
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{problem}");
    let text = |key: &str| errors[0][key].as_str().unwrap().to_owned();
    (text("path"), text("code"))
}

fn raw(target: &str, body: &str) -> Request {
    Request::post(target).body("application/json", body)
}

fn document(content: &str) -> String {
    format!(r#"{{"scope_type": "s", "scope_id": "1", "document_type": "d", "content": {content}}}"#)
}

#[test]
fn a_document_keeps_every_digit_or_is_rejected() {
    let app = TestApp::start();
    for (content, path, code) in [
        (r#"{"n": 12345678901234567890123}"#, "content.n", "number_inexact"),
        (r#"{"rows": [1, {"p": 0.100000000000000000000000000001}]}"#, "content.rows[1].p", "number_inexact"),
        (r#"{"n": 1e-400}"#, "content.n", "number_inexact"),
        (r#"{"a": 1, "a": 2}"#, "content.a", "duplicate_key"),
        (r#"["\u0000"]"#, "content[0]", "nul_character"),
        (r#"["\udc00"]"#, "content[0]", "invalid_json"),
    ] {
        assert_eq!(fault(&app, &raw(DOCUMENTS, &document(content))), (path.to_owned(), code.to_owned()), "{content}");
    }
    app.send(&raw(DOCUMENTS, &document("1e400"))).problem(422, "invalid_request");
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    app.send(&raw(DOCUMENTS, &document(&deep))).problem(422, "invalid_request");
    let kept = r#"{"a":[18446744073709551615,-9223372036854775808,0.30000000000000004,1e+23,5e-324,"\ud83d\ude00"]}"#;
    let created = app.send(&raw(DOCUMENTS, &document(kept))).expect(201).json();
    let shown = app.get(&format!("{DOCUMENTS}/{}", created["document_id"].as_str().unwrap())).expect(200);
    assert_eq!(shown.json()["content"], serde_json::from_str::<Value>(kept).unwrap());
    assert!(shown.text().contains("18446744073709551615,-9223372036854775808,0.30000000000000004"), "{shown}");
    let change = r#"{"content": {"n": [123456789012345678901]}}"#;
    let target = format!("{DOCUMENTS}/{}", created["document_id"].as_str().unwrap());
    let put = Request::new("PUT", target).header("If-Match", "1").body("application/json", change);
    assert_eq!(fault(&app, &put), ("content.n[0]".into(), "number_inexact".into()));
}

#[test]
fn stored_documents_keep_their_numbers() {
    let app = TestApp::start();
    let big = "12345678901234567890123";
    let execution =
        format!(r#"{{"workflow_id": "w", "scope_type": "s", "scope_id": "1", "input": {{"b": {{"n": {big}}}}}}}"#);
    assert_eq!(fault(&app, &raw("/api/v1/executions", &execution)).0, "input.b.n");
    let workflow = format!(r#"{{"workflow_id": "w", "metadata": {{"estimated_cost_usd": {big}}}}}"#);
    assert_eq!(fault(&app, &raw("/api/v1/workflows", &workflow)).0, "metadata.estimated_cost_usd");
    let project = app.project();
    let upload = |metadata: &str| {
        Request::post(project.documents()).form(&[("metadata", None, metadata.as_bytes()), ("file", Some("a"), b"1")])
    };
    assert_eq!(fault(&app, &upload(&format!(r#"{{"n": [{big}]}}"#))).0, "metadata.n[0]");
    assert_eq!(fault(&app, &upload(r#"{"n": 1, "n": 2}"#)), ("metadata.n".into(), "duplicate_key".into()));
    app.send(&upload("[1]")).problem(422, "invalid_request");
}

#[test]
fn a_body_error_names_the_nested_field() {
    let app = TestApp::start();
    let project = app.project();
    for (body, path, code) in [
        (json!({"options": {"document_ids": [1]}}), "options.document_ids[0]", "invalid_value"),
        (json!({"options": {"metadata": {"k": 1}}}), "options.metadata.k", "invalid_value"),
        (json!({"options": {"colour": 1}}), "options.colour", "unknown_field"),
        (json!({"colour": 1}), "colour", "unknown_field"),
        (json!({"options": {"log_level": "loud"}}), "options.log_level", "invalid_value"),
    ] {
        let found = fault(&app, &Request::post(project.runs()).json(&body));
        assert_eq!(found, (path.to_owned(), code.to_owned()), "{body}");
    }
    let found = fault(&app, &Request::post("/api/v1/workspaces").json(&json!({})));
    assert_eq!(found, ("name".into(), "missing_field".into()));
    let ids = json!(["doc_01J00000000000000000000000", "x"]);
    let problem = app.post(&project.runs(), &json!({"options": {"document_ids": ids}})).problem(422, "invalid_id");
    assert_eq!(problem["errors"][0]["path"], "options.document_ids[1]");
    let here = app.upload(&project, "x.json", b"[]");
    let ids = json!([here, "doc_01J00000000000000000000000"]);
    let problem = app.post(&project.runs(), &json!({"options": {"document_ids": ids}})).problem(422, "input_not_found");
    assert_eq!(problem["errors"][0]["path"], "options.document_ids[1]");
}

fn uploads(app: &TestApp, project: &Project) -> Value {
    app.get(&project.documents()).expect(200).json()["total"].clone()
}

#[test]
fn a_form_has_one_file_and_no_unknown_field() {
    let app = TestApp::start();
    let project = app.project();
    let file = ("file", Some("a.csv"), &b"1"[..]);
    let long = "x".repeat(256);
    for (parts, path, code) in [
        (vec![file, ("file", Some("b.csv"), b"2")], "file", "duplicate_part"),
        (vec![file, ("colour", None, b"red")], "colour", "unknown_part"),
        (vec![("metadata", None, b"{}"), ("metadata", None, b"{}"), file], "metadata", "duplicate_part"),
        (vec![("metadata", None, b"\xff"), file], "metadata", "invalid_value"),
        (vec![("file", Some(long.as_str()), b"1")], "file", "invalid_name"),
    ] {
        let found = fault(&app, &Request::post(project.documents()).form(&parts));
        assert_eq!(found, (path.to_owned(), code.to_owned()), "{parts:?}");
    }
    assert_eq!(uploads(&app, &project), 0, "nothing is kept of what is refused");
    let import = format!("/api/v1/workspaces/{}/configurations/import", project.workspace);
    let twice = [("display_name", None, &b"x"[..]), file, ("file", Some("b"), b"2")];
    assert_eq!(fault(&app, &Request::post(import).form(&twice)), ("file".into(), "duplicate_part".into()));
}

#[test]
fn an_idempotency_key_is_rejected_where_it_would_be_ignored() {
    let app = TestApp::start();
    let project = app.project();
    let keyed = |request: Request| request.header("Idempotency-Key", "k");
    let workspace = format!("/api/v1/workspaces/{}", project.workspace);
    let template = json!({"display_name": "x", "source": {"type": "template", "template_id": "default"}});
    for request in [
        Request::post(project.documents()).form(&[("file", Some("a.csv"), b"1")]),
        Request::post(project.builds()).json(&json!({})),
        Request::post(format!("{workspace}/configurations")).json(&template),
        Request::post(format!("{workspace}/configurations/import")).form(&[("file", Some("a.zip"), b"1")]),
        Request::post("/api/v1/workspaces").json(&json!({"name": "another"})),
        Request::post("/api/v1/workflows").json(&json!({})),
        raw(DOCUMENTS, &document("1")),
    ] {
        let found = fault(&app, &keyed(request));
        assert_eq!(found, ("Idempotency-Key".into(), "unsupported".into()));
    }
    assert_eq!(uploads(&app, &project), 0);
}

#[test]
fn user_input_is_bounded() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.held_run(&project);
    let cancel = format!("/api/v1/runs/{run}/cancel");
    for reason in ["x".repeat(1001), "a\u{1b}b".to_owned()] {
        let request = Request::post(cancel.as_str()).json(&json!({"reason": reason}));
        assert_eq!(fault(&app, &request).0, "reason");
    }
    app.post(&cancel, &json!({"reason": "enough\nof it"})).expect(202);
    for (name, path) in [("a\nb", "name"), ("", "name"), (&*"x".repeat(256), "name")] {
        assert_eq!(fault(&app, &Request::post("/api/v1/workspaces").json(&json!({"name": name}))).0, path);
    }
    let configurations = format!("/api/v1/workspaces/{}/configurations", project.workspace);
    let named = json!({"display_name": "a\u{7}b", "source": {"type": "template", "template_id": "default"}});
    assert_eq!(fault(&app, &Request::post(configurations).json(&named)).0, "display_name");
}

#[test]
fn a_query_error_has_one_code_and_names_the_parameter() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.run(&project, &json!([["say", "hello"]]))["id"].as_str().unwrap().to_owned();
    for (target, path) in [
        (format!("/api/v1/runs/{run}/logs?limit=0"), "limit"),
        (format!("/api/v1/runs/{run}/logs?limit=x"), "limit"),
        (format!("/api/v1/runs/{run}/logs?after_id=-1"), "after_id"),
        (format!("/api/v1/runs/{run}/logs?colour=1"), "colour"),
        (format!("/api/v1/runs/{run}/events?colour=1"), "colour"),
        ("/api/v1/workflows?colour=1".to_owned(), "colour"),
        ("/api/v1/telemetry/summary?colour=1".to_owned(), "colour"),
    ] {
        let problem = app.get(&target).problem(400, "invalid_query");
        assert_eq!(problem["errors"][0]["path"], path, "{target}");
    }
    let problem = app.post(&format!("{}?stream=maybe", project.runs()), &json!({})).problem(400, "invalid_query");
    assert_eq!(problem["errors"][0]["path"], "stream");
}
