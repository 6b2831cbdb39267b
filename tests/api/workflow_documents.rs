//! Documents of workflows: versions, who may add one, and lists.

use crate::support::{Request, Response, TestApp, Value, json};

const DOCUMENTS: &str = "/api/v1/documents";

fn new(document_type: &str, more: Value) -> Value {
    let mut body = json!({
        "scope_type": "project", "scope_id": "42", "document_type": document_type, "content": {"text": "first"},
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn create(app: &TestApp, document_type: &str, more: Value) -> Value {
    app.post(DOCUMENTS, &new(document_type, more)).expect(201).json()
}

fn path(document: &Value) -> String {
    format!("{DOCUMENTS}/{}", document["document_id"].as_str().unwrap())
}

fn put(document: &Value, if_match: &str, body: &Value) -> Request {
    Request::new("PUT", path(document)).header("If-Match", if_match).json(body)
}

fn change(app: &TestApp, document: &Value, if_match: &str, body: Value) -> Response {
    app.send(&put(document, if_match, &body))
}

/// Type and version of each, in the order of the answer.
fn items(app: &TestApp, query: &str) -> Vec<(String, u64)> {
    let list = app.get(&format!("{DOCUMENTS}?{query}")).expect(200).json();
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| (item["document_type"].as_str().unwrap().into(), item["version"].as_u64().unwrap()))
        .collect()
}

#[test]
fn a_document_is_created_and_returned() {
    let app = TestApp::start();
    let more = json!({"title": "The plan", "status": "active", "summary": "short", "content": [1, {"a": null}]});
    // A trailing slash is nothing of its own.
    let created = app.post("/api/v1/documents/", &new("plan", more)).expect(201);
    let document = created.json();
    let target = path(&document);
    assert_eq!(created.header("location"), Some(target.as_str()));
    let etag = created.header("etag").unwrap();
    assert!(etag.starts_with("\"1."), "{etag}");
    let expected = json!({
        "document_id": document["document_id"], "object": "ade.workflow_document",
        "workspace_id": document["workspace_id"], "scope_type": "project", "scope_id": "42", "document_type": "plan",
        "version": 1, "is_latest": true, "title": "The plan", "status": "active", "summary": "short",
        "content": [1, {"a": null}], "content_digest": document["content_digest"], "created_by": "local",
        "created_at": document["created_at"], "execution_id": null, "step_id": null, "item": null, "attempt": null,
        "links": {
            "self": format!("{target}?version=1"), "latest": target, "versions": format!("{target}/versions"),
        },
    });
    assert_eq!(document, expected);
    assert!(document["document_id"].as_str().unwrap().starts_with("doc_"));
    assert!(document["content_digest"].as_str().unwrap().starts_with("sha256:"));
    for target in [target.clone(), format!("{target}/"), format!("{target}?version=1")] {
        let shown = app.get(&target).expect(200);
        assert_eq!((shown.json(), shown.header("etag")), (expected.clone(), Some(etag)), "{target}");
    }
    let mut item = expected;
    item.as_object_mut().unwrap().remove("content");
    let page = json!({"items": [item], "page": 1, "perPage": 50, "pageCount": 1, "total": 1});
    for target in [DOCUMENTS.to_owned(), format!("{DOCUMENTS}/"), format!("{target}/versions")] {
        assert_eq!(app.get(&target).expect(200).json(), page, "{target}");
    }
}

#[test]
fn omitted_fields_have_defaults() {
    let app = TestApp::start();
    let plan = create(&app, "plan", json!({}));
    assert_eq!((&plan["title"], &plan["status"], &plan["summary"]), (&json!("plan"), &json!("draft"), &Value::Null));
    let workspace = app.get(&format!("/api/v1/workspaces/{}", plan["workspace_id"].as_str().unwrap())).expect(200);
    assert_eq!(workspace.json()["slug"], "local", "the default workspace");
    assert_eq!(create(&app, "risks", json!({}))["workspace_id"], plan["workspace_id"]);
}

#[test]
fn reading_creates_no_workspace() {
    let app = TestApp::start();
    assert_eq!(app.get(DOCUMENTS).expect(200).json()["total"], 0);
    assert_eq!(app.get("/api/v1/workspaces").expect(200).json()["total"], 1, "the default one alone");
}

#[test]
fn a_change_creates_the_next_version_and_keeps_the_old_ones() {
    let app = TestApp::start();
    let first = create(&app, "plan", json!({"title": "T", "summary": "s"}));
    let second = change(&app, &first, "\"1\"", json!({"content": {"text": "second"}, "summary": null})).expect(200);
    assert!(second.header("etag").unwrap().starts_with("\"2."));
    let second = second.json();
    let told = (&second["version"], &second["title"], &second["summary"], &second["content"]);
    assert_eq!(told, (&json!(2), &json!("T"), &Value::Null, &json!({"text": "second"})));
    let third = change(&app, &first, "\"1\", \"2\"", json!({"status": "archived"})).expect(200).json();
    assert_eq!((&third["version"], &third["status"]), (&json!(3), &json!("archived")));
    assert_eq!((&third["content"], &third["content_digest"]), (&second["content"], &second["content_digest"]));

    assert_eq!(app.get(&path(&first)).expect(200).json(), third);
    let mut kept = first.clone();
    kept["is_latest"] = json!(false);
    assert_eq!(app.get(&format!("{}?version=1", path(&first))).expect(200).json(), kept);
    let versions = app.get(&format!("{}/versions", path(&first))).expect(200).json();
    let told: Vec<_> = versions["items"].as_array().unwrap().iter().map(|item| &item["version"]).collect();
    assert_eq!((told, &versions["total"]), (vec![&json!(3), &json!(2), &json!(1)], &json!(3)));
    let rest = app.get(&format!("{}/versions/?perPage=2&page=2", path(&first))).expect(200).json();
    assert_eq!((&rest["items"][0]["version"], &rest["pageCount"]), (&json!(1), &json!(2)));
}

#[test]
fn a_write_without_the_current_version_changes_nothing() {
    let app = TestApp::start();
    let document = create(&app, "plan", json!({}));
    let body = json!({"content": 2});
    change(&app, &document, "\"1\"", body.clone()).expect(200);
    for stale in ["\"1\"", "1", "\"3\"", "W/\"2\"", "\"two\"", ""] {
        let problem = change(&app, &document, stale, body.clone()).problem(412, "precondition_failed");
        assert_eq!(problem["current_version"], 2, "{stale}");
    }
    let bare = Request::new("PUT", path(&document)).json(&body);
    app.send(&bare).problem(428, "precondition_required");
    assert_eq!(app.get(&path(&document)).json()["version"], 2);
    change(&app, &document, "*", json!({"content": 3})).expect(200);
    change(&app, &document, "3", json!({"content": 4})).expect(200);
}

#[test]
fn twenty_concurrent_writers_each_get_a_version_or_a_412() {
    let app = TestApp::start();
    let document = create(&app, "plan", json!({}));
    let mut current = 1;
    let mut written = vec![json!({"text": "first"})];
    for round in 0..3 {
        let writers: Vec<_> = (0..20)
            .map(|writer| {
                let body = json!({"content": {"round": round, "writer": writer}});
                let (request, address) = (put(&document, &format!("\"{current}\""), &body), app.address);
                std::thread::spawn(move || (body, request.send(address).unwrap()))
            })
            .collect();
        let answers: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        for (body, answer) in answers {
            if answer.status() == 200 {
                current += 1;
                assert_eq!(answer.json()["version"], current, "one of them only");
                written.push(body["content"].clone());
            } else {
                assert_eq!(answer.problem(412, "precondition_failed")["current_version"], round + 2);
            }
        }
        assert_eq!(current, round + 2, "one of twenty");
    }
    assert_versions(&app, &document, &written);
}

#[test]
fn twenty_writers_that_retry_all_succeed() {
    let app = TestApp::start();
    let document = create(&app, "plan", json!({}));
    let writers: Vec<_> = (0..20)
        .map(|writer| {
            let (document, address) = (document.clone(), app.address);
            std::thread::spawn(move || {
                let body = json!({"content": {"writer": writer}});
                let mut known = 1;
                loop {
                    let request = put(&document, &format!("\"{known}\""), &body);
                    let answer = request.send(address).unwrap();
                    if answer.status() == 200 {
                        return (answer.json()["version"].as_u64().unwrap(), body["content"].clone());
                    }
                    known = answer.problem(412, "precondition_failed")["current_version"].as_u64().unwrap();
                }
            })
        })
        .collect();
    let mut written: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    written.push((1, json!({"text": "first"})));
    written.sort_by_key(|(version, _)| *version);
    let (numbers, contents): (Vec<_>, Vec<_>) = written.into_iter().unzip();
    assert_eq!(numbers, (1..=21).collect::<Vec<_>>());
    assert_versions(&app, &document, &contents);
}

/// The document has these contents, as versions from 1 without holes.
fn assert_versions(app: &TestApp, document: &Value, contents: &[Value]) {
    let versions = app.get(&format!("{}/versions?perPage=200", path(document))).expect(200).json();
    assert_eq!(versions["total"], contents.len());
    for (index, content) in contents.iter().enumerate() {
        let shown = app.get(&format!("{}?version={}", path(document), index + 1)).expect(200).json();
        assert_eq!((&shown["content"], &shown["is_latest"]), (content, &json!(index + 1 == contents.len())));
    }
}

#[test]
fn a_scope_has_one_document_of_a_type() {
    let app = TestApp::start();
    let first = create(&app, "plan", json!({}));
    let problem = app.post(DOCUMENTS, &new("plan", json!({}))).problem(409, "document_exists");
    assert_eq!(problem["document_id"], first["document_id"]);
    for more in [json!({"scope_id": "43"}), json!({"scope_type": "team"}), json!({"document_type": "risks"})] {
        assert_ne!(create(&app, "plan", more)["document_id"], first["document_id"]);
    }
    let other = app.create_workspace("other");
    assert_ne!(create(&app, "plan", json!({"workspace_id": other}))["document_id"], first["document_id"]);
}

#[test]
fn a_list_has_only_its_workspaces_matching_items() {
    let app = TestApp::start();
    let other = app.create_workspace("other");
    let plan = create(&app, "plan", json!({}));
    change(&app, &plan, "1", json!({"status": "active"})).expect(200);
    create(&app, "risks", json!({"scope_id": "43", "title": "What may go wrong"}));
    create(&app, "elsewhere", json!({"workspace_id": other}));
    let of = |kind: &str, version| (kind.to_owned(), version);
    let everything = [of("risks", 1), of("plan", 2), of("plan", 1)];
    for (query, expected) in [
        ("", &everything[..]),
        ("latest=true", &everything[..2]),
        ("latest=false", &everything[2..]),
        ("document_type=plan", &everything[1..]),
        ("document_type=plan&document_type=risks&latest=true", &everything[..2]),
        ("scope_type=project&scope_id=43", &everything[..1]),
        ("scope_type=team", &[]),
        ("status=active", &everything[1..2]),
        ("status=active&status=draft&scope_id=42", &everything[1..]),
        ("q=go+wrong", &everything[..1]),
        ("sort=status,-created_at&latest=true", &[of("plan", 2), of("risks", 1)]),
        (&format!("workspace_id={}", plan["workspace_id"].as_str().unwrap()), &everything[..]),
        (&format!("workspace_id={other}&latest=true"), &[of("elsewhere", 1)]),
        ("execution_id=exec_01J00000000000000000000000", &[]),
    ] {
        assert_eq!(items(&app, query), expected, "{query}");
    }
    let first = app.get(&format!("{DOCUMENTS}?cursor=&perPage=2")).expect(200).json();
    let next = first["next_cursor"].as_str().unwrap();
    assert_eq!(items(&app, &format!("perPage=2&cursor={next}")), everything[2..]);
}

#[test]
fn list_parameter_errors_are_named() {
    let app = TestApp::start();
    for (query, place) in [
        ("latest=maybe", "latest"),
        ("status=lost", "status"),
        ("colour=red", "colour"),
        ("scope_id=", "scope_id"),
        ("sort=title", "sort"),
        ("workspace_id=ws_01J00000000000000000000000&workspace_id=x", "workspace_id"),
    ] {
        let problem = app.get(&format!("{DOCUMENTS}?{query}")).problem(400, "invalid_query");
        assert_eq!(problem["errors"][0]["path"], place, "{problem}");
    }
    app.get(&format!("{DOCUMENTS}?workspace_id=x")).problem(422, "invalid_id");
    app.get(&format!("{DOCUMENTS}?workspace_id=ws_01J00000000000000000000000")).problem(404, "not_found");
}

#[test]
fn document_errors_are_named() {
    let app = TestApp::start();
    let document = create(&app, "plan", json!({}));
    for (more, place) in [
        (json!({"scope_type": ""}), "scope_type"),
        (json!({"scope_id": "a\u{0}b"}), "scope_id"),
        (json!({"scope_id": "x".repeat(256)}), "scope_id"),
        (json!({"document_type": "a\nb"}), "document_type"),
        (json!({"title": ""}), "title"),
        (json!({"summary": "x".repeat(10_001)}), "summary"),
        (json!({"content": null}), "content"),
        (json!({"status": "lost"}), "status"),
        (json!({"colour": "red"}), "colour"),
    ] {
        let problem = app.post(DOCUMENTS, &new("risks", more)).problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["path"], place, "{problem}");
    }
    for missing in ["scope_type", "scope_id", "document_type", "content"] {
        let mut body = new("risks", json!({}));
        body.as_object_mut().unwrap().remove(missing);
        let problem = app.post(DOCUMENTS, &body).problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["path"], missing, "{problem}");
    }
    app.post(DOCUMENTS, &new("risks", json!({"workspace_id": "x"}))).problem(422, "invalid_id");
    let nobody = json!({"workspace_id": "ws_01J00000000000000000000000"});
    app.post(DOCUMENTS, &new("risks", nobody)).problem(404, "not_found");
    for (body, place) in [
        (json!({}), "content"),
        (json!({"content": null}), "content"),
        (json!({"title": ""}), "title"),
        (json!({"status": null, "summary": "x".repeat(10_001)}), "summary"),
        (json!({"document_type": "x", "content": 1}), "document_type"),
    ] {
        let problem = change(&app, &document, "1", body).problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["path"], place, "{problem}");
    }
    let form = Request::post(DOCUMENTS).body("text/plain", "{}");
    app.send(&form).problem(415, "unsupported_media_type");
    let versions = app.get(&format!("{}/versions", path(&document))).expect(200).json();
    assert_eq!(versions["total"], 1, "nothing of that has changed anything");
}

#[test]
fn missing_items_are_404_and_invalid_ids_422() {
    let app = TestApp::start();
    let document = create(&app, "plan", json!({}));
    for version in ["2", "18446744073709551615"] {
        app.get(&format!("{}?version={version}", path(&document))).problem(404, "not_found");
    }
    for version in ["0", "-1", "one", ""] {
        let problem = app.get(&format!("{}?version={version}", path(&document))).problem(400, "invalid_query");
        assert_eq!(problem["errors"][0]["path"], "version");
    }
    app.get(&format!("{}?colour=red", path(&document))).problem(400, "invalid_query");
    for below in ["", "/versions"] {
        app.get(&format!("{DOCUMENTS}/doc_01J00000000000000000000000{below}")).problem(404, "not_found");
        app.get(&format!("{DOCUMENTS}/doc_x{below}")).problem(422, "invalid_id");
    }
    let nobody = json!({"document_id": "doc_01J00000000000000000000000"});
    change(&app, &nobody, "1", json!({"content": 1})).problem(404, "not_found");
    for (method, target) in [("DELETE", path(&document)), ("PUT", DOCUMENTS.into())] {
        app.send(&Request::new(method, target)).problem(405, "method_not_allowed");
    }
    // An uploaded input file is another kind of document.
    let project = app.project();
    let upload = app.upload(&project, "x.csv", b"x");
    app.get(&format!("{DOCUMENTS}/{upload}")).problem(404, "not_found");
}

#[test]
fn a_large_document_is_stored_and_a_larger_one_rejected() {
    let app = TestApp::start();
    let content = json!({"text": "x".repeat(5 << 20)});
    let document = create(&app, "plan", json!({"content": content}));
    let shown = app.get(&path(&document)).expect(200).json();
    assert_eq!(shown["content"], content);
    change(&app, &document, "1", json!({"content": content, "title": "Again"})).expect(200);
    let larger = json!({"content": "x".repeat(9 << 20)});
    change(&app, &document, "2", larger).problem(413, "payload_too_large");
}
