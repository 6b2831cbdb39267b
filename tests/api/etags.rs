//! What an `ETag` stands for: of what is read, all that is shown; of what is changed, what a change must know.

use crate::support::{Project, Request, Response, TestApp, Value, json};

fn of(project: &Project, rest: &str) -> String {
    format!("/api/v1/workspaces/{}/configurations/{}{rest}", project.workspace, project.configuration)
}

fn tag(answer: &Response) -> String {
    answer.header("etag").expect("it has an ETag").to_owned()
}

/// What a client that has seen `target` before learns of it now.
fn again(app: &TestApp, target: &str, known: &str) -> Response {
    app.send(&Request::get(target).header("If-None-Match", known))
}

/// `target` is read before and after something has changed what it shows, and nobody is told that it has not.
#[track_caller]
fn changes(app: &TestApp, target: &str, change: impl FnOnce()) -> Value {
    let before = app.get(target).expect(200);
    again(app, target, &tag(&before)).expect(304);
    change();
    let after = again(app, target, &tag(&before)).expect(200);
    assert_ne!(before.json(), after.json(), "{target}");
    assert_ne!(tag(&before), tag(&after), "{target}");
    again(app, target, &tag(&after)).expect(304);
    after.json()
}

#[test]
fn a_configuration_that_is_published_renamed_or_activated_is_sent_again() {
    let app = TestApp::start();
    let project = app.project();
    let (shown, files) = (of(&project, ""), of(&project, "/files"));
    let post = |rest: &str| drop(app.send(&Request::post(of(&project, rest))).expect(200));
    let name = || {
        let name = json!({"display_name": "Another"});
        app.send(&Request::new("PATCH", &shown).json(&name)).expect(200);
    };
    assert_eq!(changes(&app, &shown, name)["display_name"], "Another");
    assert_eq!(changes(&app, &files, || post("/publish"))["capabilities"]["editable"], false);
    assert_eq!(changes(&app, &shown, || post("/activate"))["status"], "active");
    assert_eq!(changes(&app, &shown, || post("/deactivate"))["status"], "inactive");
    assert_eq!(changes(&app, &files, || post("/activate"))["status"], "active");
}

#[test]
fn what_a_change_answers_has_the_etag_that_a_read_has_afterwards() {
    let app = TestApp::start();
    let project = app.project();
    let published = app.send(&Request::post(of(&project, "/publish"))).expect(200);
    assert_eq!(tag(&app.get(&of(&project, ""))), tag(&published));
}

#[test]
fn a_file_that_was_written_again_is_sent_again_as_json_and_not_as_bytes() {
    let app = TestApp::start();
    let project = app.project();
    let path = of(&project, "/files/notes.md");
    let put = |known: (&str, &str)| {
        app.send(&Request::new("PUT", &path).header(known.0, known.1).body("application/octet-stream", b"same"))
    };
    let created = put(("If-None-Match", "*")).expect(201);
    let content = tag(&created);
    assert_eq!(content, format!("\"{}\"", created.json()["etag"].as_str().unwrap()));
    let json = format!("{path}?format=json");
    let write = || drop(put(("If-Match", &content)).expect(200));
    assert_eq!(changes(&app, &json, write)["content"], "same");
    again(&app, &path, &content).expect(304);
    changes(&app, &of(&project, "/files"), || drop(put(("If-Match", &content)).expect(200)));

    // Either says which content a change expects.
    let shown = tag(&app.get(&json));
    assert_ne!(shown, content, "the bytes of one are not those of the other");
    put(("If-Match", &shown)).expect(200);
    put(("If-Match", &tag(&app.get(&path)))).expect(200);
    let other = Request::new("PUT", &path).header("If-Match", &shown).body("application/octet-stream", b"other");
    app.send(&other).expect(200);
    put(("If-Match", &shown)).problem(412, "precondition_failed");
}

#[test]
fn a_package_is_replaced_by_who_knows_its_content_whatever_else_has_changed() {
    let app = TestApp::start();
    let project = app.project();
    let zip = app.get(&of(&project, "/export")).expect(200);
    let known = tag(&app.get(&of(&project, "")));
    app.send(&Request::new("PATCH", of(&project, "")).json(&json!({"display_name": "Another"}))).expect(200);
    let import = |tag: &str| {
        let form = [("file", Some("package.zip"), &zip.body[..])];
        app.send(&Request::new("PUT", of(&project, "/import")).header("If-Match", tag).form(&form))
    };
    import(&known).expect(200);
    import(&tag(&zip)).expect(200);
    import("\"sha256:00.0123456789abcdef\"").problem(412, "precondition_failed");
}

#[test]
fn a_version_that_is_the_latest_no_more_is_sent_again() {
    let app = TestApp::start();
    let new = json!({"scope_type": "project", "scope_id": "42", "document_type": "plan", "content": 1});
    let first = app.post("/api/v1/documents", &new).expect(201);
    let path = first.header("location").unwrap().to_owned();
    let change = |known: &str, content: u64| {
        app.send(&Request::new("PUT", &path).header("If-Match", known).json(&json!({"content": content})))
    };
    let version = format!("{path}?version=1");
    let shown = changes(&app, &version, || drop(change(&tag(&first), 2).expect(200)));
    assert_eq!(shown["is_latest"], false);
    // It is the version that a change must know.
    change(&tag(&app.get(&version)), 3).problem(412, "precondition_failed");
    change(&tag(&app.get(&path)), 3).expect(200);
    change("\"3\"", 4).expect(200);
}

#[test]
fn the_workflow_of_another_workspace_is_sent_although_its_revision_is_the_same() {
    let app = TestApp::start();
    let mut workflow = app.get("/api/v1/workflows/brief-to-plan").expect(200).json();
    workflow["workflow_id"] = json!("plan");
    app.post("/api/v1/workflows", &workflow).expect(201);
    let other = app.create_workspace("Other");
    (workflow["name"], workflow["workspace_id"]) = (json!("Another"), json!(other));
    app.post("/api/v1/workflows", &workflow).expect(201);
    let target = "/api/v1/workflows/plan";
    let choose = || drop(app.send(&Request::new("PUT", format!("/api/v1/workspaces/{other}/default"))).expect(200));
    let shown = changes(&app, target, choose);
    assert_eq!((&shown["revision"], &shown["name"]), (&json!(1), &json!("Another")));
    let put = |known: &str| app.send(&Request::new("PUT", target).header("If-Match", known).json(&workflow));
    put(&tag(&app.get(target))).expect(200);
    put("\"1\"").problem(412, "precondition_failed");
}
