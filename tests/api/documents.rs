//! Input documents: what the client calls them is data, never a path.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::tools::zip_of;
use crate::support::{Project, Request, TestApp, Value, json, wait_until};

fn send(app: &TestApp, project: &Project, parts: &[(&str, Option<&str>, &[u8])]) -> crate::support::Response {
    app.send(&Request::post(project.documents()).form(parts))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

#[test]
fn an_upload_whose_client_hangs_up_leaves_no_file_without_a_row() {
    let app = TestApp::start();
    let project = app.project();
    let parts = [("file", Some("people.csv"), &b"a,b\n1,2\n"[..])];
    for _ in 0..100 {
        Request::post(project.documents()).form(&parts).abandon(app.address).unwrap();
    }
    send(&app, &project, &parts).expect(201);
    let list = format!("{}?perPage=200", project.documents());
    let stored = app.data_dir().join("workspaces").join(&project.workspace).join("documents");
    wait_until("none is on its way", || files_below(&app.data_dir().join("incoming")).is_empty());
    wait_until("each file has a row", || {
        let rows = app.get(&list).expect(200).json()["items"].as_array().unwrap().len();
        files_below(&stored).len() == rows
    });
}

#[test]
fn a_document_is_stored_and_returned() {
    let app = TestApp::start();
    let project = app.project();
    let parts = [("metadata", None, &br#"{"from": "mail"}"#[..]), ("file", Some("people.csv"), b"a,b\n1,2\n")];
    let created = send(&app, &project, &parts).expect(201);
    let document = created.json();
    assert_eq!((&document["name"], &document["byte_size"]), (&json!("people.csv"), &json!(8)));
    assert_eq!(document["metadata"], json!({"from": "mail"}));
    assert_eq!(document["content_type"], "text/csv");
    let path = format!("{}/{}", project.documents(), document["id"].as_str().unwrap());
    assert_eq!(created.header("location"), Some(path.as_str()));
    assert_eq!(app.get(&path).expect(200).json(), document);
    assert_eq!(app.get(&project.documents()).expect(200).json()["items"], json!([document]));

    let download = app.get(&format!("{path}/download")).expect(200);
    assert_eq!(download.text(), "a,b\n1,2\n");
    assert!(download.header("content-disposition").unwrap().starts_with("attachment"));
}

#[test]
fn names_that_escape_the_directory_are_404() {
    let app = TestApp::start();
    let project = app.project();
    let steps = json!([["describe", "told.json"]]).to_string();
    let document = app.upload(&project, "../../../x.csv", steps.as_bytes());
    let shown = app.get(&format!("{}/{document}", project.documents())).expect(200).json();
    assert_eq!(shown["name"], "../../../x.csv");

    let body = json!({"options": {"document_ids": [document]}});
    let run = app.post(&project.runs(), &body).expect(201).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(app.finish_run(&run)["status"], "succeeded");
    let told: Value = app.get(&format!("/api/v1/runs/{run}/outputs/told.json")).expect(200).json();
    let workspace = app.data_dir().join("workspaces").join(&project.workspace);
    let input = workspace.join("runs").join(&run).join("input");
    let staged = PathBuf::from(told["inputs"][0].as_str().unwrap());
    let name = staged.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with(&document) && name.ends_with("x.csv"), "{staged:?}");
    assert_eq!((staged.parent(), told["inputs"].as_array().unwrap().len()), (Some(&*input), 1));

    let strangers: Vec<_> =
        files_below(app.folder()).into_iter().filter(|path| path.file_name().unwrap() == "x.csv").collect();
    assert_eq!(strangers, Vec::<PathBuf>::new());
    let stored: Vec<_> = files_below(&workspace.join("documents"));
    assert_eq!(stored.len(), 1);
    assert!(stored[0].file_name().unwrap().to_str().unwrap().starts_with(&document), "{stored:?}");
}

#[test]
fn a_file_name_cannot_break_out_of_its_header() {
    let app = TestApp::start();
    let project = app.project();
    let document = app.upload(&project, "a;b é%22.csv", b"x");
    let answer = app.get(&format!("{}/{document}/download", project.documents())).expect(200);
    assert_eq!(answer.text(), "x");
}

#[test]
fn a_document_is_served_whole_by_range_or_by_head() {
    let app = TestApp::start();
    let project = app.project();
    let document = app.upload(&project, "steps.csv", b"0123456789");
    let target = format!("{}/{document}/download", project.documents());
    let whole = app.get(&target).expect(200);
    assert_eq!(
        (whole.text(), whole.header("content-disposition")),
        ("0123456789", Some("attachment; filename=\"steps.csv\""))
    );
    let etag = whole.header("etag").unwrap();
    app.send(&Request::get(&target).header("If-None-Match", etag)).expect(304);
    let part = Request::get(&target).header("Range", "bytes=2-4").header("If-Range", etag);
    assert_eq!(app.send(&part).expect(206).text(), "234");
    app.send(&Request::get(&target).header("Range", "bytes=10-")).problem(416, "range_not_satisfiable");
    let head = app.send(&Request::new("HEAD", &target)).expect(200);
    assert_eq!((head.header("content-length"), head.header("etag"), head.body.len()), (Some("10"), Some(etag), 0));
}

#[test]
fn a_document_over_the_limit_is_rejected_and_leaves_nothing() {
    let app = TestApp::with(&[("ADE_UPLOAD_MAX_BYTES", "1000")]);
    let project = app.project();
    send(&app, &project, &[("file", Some("x.csv"), &[b'x'; 1000])]).expect(201);
    let stored = || files_below(&app.data_dir().join("workspaces"));
    let before = stored();
    let problem = send(&app, &project, &[("file", Some("x.csv"), &[b'x'; 1001])]).problem(413, "payload_too_large");
    assert!(problem["detail"].as_str().unwrap().contains("1000"), "{problem}");
    assert_eq!(stored(), before);
    assert_eq!(app.get(&project.documents()).json()["total"], 1);
}

#[test]
fn a_malformed_form_is_rejected() {
    let app = TestApp::start();
    let project = app.project();
    send(&app, &project, &[("metadata", None, b"{}")]).problem(422, "invalid_request");
    let parts = [("file", Some("x.csv"), &b"x"[..]), ("metadata", None, b"[1]")];
    send(&app, &project, &parts).problem(422, "invalid_request");
    app.post(&project.documents(), &json!({})).problem(415, "unsupported_media_type");
    let torn = Request::post(project.documents()).body("multipart/form-data; boundary=x", "--x\r\nhalf");
    app.send(&torn).problem(400, "bad_request");
}

#[test]
fn a_document_belongs_to_its_workspace() {
    let app = TestApp::start();
    let (mine, other) = (app.project(), app.post("/api/v1/workspaces", &json!({"name": "Other"})).expect(201).json());
    let document = app.upload(&mine, "x.csv", b"x");
    let other = other["id"].as_str().unwrap();
    for path in ["", "/download"] {
        let target = format!("/api/v1/workspaces/{other}/documents/{document}{path}");
        app.get(&target).problem(404, "not_found");
    }
    app.get(&format!("{}/doc_01J00000000000000000000000", mine.documents())).problem(404, "not_found");
    app.get(&format!("{}/doc_x", mine.documents())).problem(422, "invalid_id");
}

fn target(project: &Project, document: &str, rest: &str) -> String {
    format!("{}/{document}{rest}", project.documents())
}

fn delete(app: &TestApp, target: &str) -> crate::support::Response {
    app.send(&Request::new("DELETE", target))
}

fn patch(app: &TestApp, target: &str, body: &Value) -> crate::support::Response {
    app.send(&Request::new("PATCH", target).json(body))
}

#[test]
fn a_document_that_a_run_works_on_is_kept_and_afterwards_its_run_outlives_it() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.held_run(&project);
    let input = app.show_run(&run)["input"]["document_ids"][0].as_str().unwrap().to_owned();
    let own = target(&project, &input, "");
    assert_eq!(app.get(&own).json()["status"], "processing");
    assert_eq!(delete(&app, &own).problem(409, "document_in_use")["live"], 1);
    app.touch("go");
    let ended = app.finish_run(&run);
    let shown = app.get(&own).expect(200).json();
    assert_eq!((&shown["status"], &shown["last_run"]["run_id"]), (&json!("processed"), &json!(run)));
    assert_eq!((&shown["last_run"]["status"], &shown["last_run_at"]), (&json!("succeeded"), &ended["completed_at"]));

    // Nothing waits between the end of a run, as its reader sees it, and the deletion.
    delete(&app, &own).expect(204);
    for rest in ["", "/download", "/sheets"] {
        app.get(&target(&project, &input, rest)).problem(404, "not_found");
    }
    delete(&app, &own).problem(404, "not_found");
    patch(&app, &own, &json!({"tags": []})).problem(404, "not_found");
    assert_eq!(app.get(&project.documents()).json()["total"], 0);
    assert_eq!(app.show_run(&run), ended);
    assert_eq!(app.get(&format!("{}?input_document_id={input}", project.runs())).json()["total"], 1);
    let again = app.send(&Request::post(format!("/api/v1/runs/{run}/retry")));
    again.problem(422, "input_not_found");
    let body = json!({"options": {"document_ids": [input]}});
    app.post(&project.runs(), &body).problem(422, "input_not_found");
}

#[test]
fn files_of_deleted_documents_stay_for_a_while_and_expired_documents_are_deleted() {
    let app = TestApp::with(&[("ADE_DELETED_RETENTION", "0s")]);
    let project = app.project();
    let tidy = || app.post("/api/v1/system/maintenance", &json!({})).expect(200).json();
    let stored = || files_below(&app.data_dir().join("workspaces").join(&project.workspace).join("documents")).len();
    let [gone, kept] = ["gone.csv", "kept.csv"].map(|name| app.upload(&project, name, b"a,b\n"));
    delete(&app, &target(&project, &gone, "")).expect(204);
    assert_eq!(stored(), 2);
    tidy();
    assert_eq!(stored(), 1);

    let parts = [("expires_at", None, &b"2001-01-01T00:00:00Z"[..]), ("file", Some("x.csv"), b"x")];
    let problem = send(&app, &project, &parts).problem(422, "invalid_request");
    assert_eq!(problem["errors"][0]["path"], "expires_at");
    let parts = [("expires_at", None, &b"2999-01-01T00:00:00Z"[..]), ("file", Some("x.csv"), b"x")];
    let expiring = send(&app, &project, &parts).expect(201).json();
    assert_eq!(expiring["expires_at"], "2999-01-01T00:00:00.000000Z");
    let id = expiring["id"].as_str().unwrap();
    app.change_database(&format!("UPDATE documents SET expires_at = created_at WHERE id = '{id}'"));
    tidy();
    app.get(&target(&project, id, "")).problem(404, "not_found");
    app.get(&target(&project, &kept, "")).expect(200);
    let later = TestApp::start();
    let project = later.project();
    let document = later.upload(&project, "x.csv", b"x");
    delete(&later, &target(&project, &document, "")).expect(204);
    later.post("/api/v1/system/maintenance", &json!({})).expect(200);
    let folder = later.data_dir().join("workspaces").join(&project.workspace).join("documents");
    assert_eq!(files_below(&folder).len(), 1, "for a week");
}

#[test]
fn a_documents_tags_and_expiry_are_changed_and_lists_are_asked_for_them() {
    let app = TestApp::start();
    let project = app.project();
    let [one, other] = ["one.csv", "other.csv"].map(|name| app.upload(&project, name, b"a"));
    let hostile = "'; DROP TABLE documents; -- ../%_\\";
    let change =
        json!({"tags": [" b ", "a", "a", hostile], "metadata": {"k": [1]}, "expires_at": "2999-01-01T02:00:00+02:00"});
    let changed = patch(&app, &target(&project, &one, ""), &change).expect(200).json();
    assert_eq!(changed["tags"], json!([hostile, "a", "b"]));
    assert_eq!(
        (&changed["metadata"], &changed["expires_at"]),
        (&json!({"k": [1]}), &json!("2999-01-01T00:00:00.000000Z"))
    );
    assert!(changed["updated_at"].as_str() > changed["created_at"].as_str());
    let kept = patch(&app, &target(&project, &one, ""), &json!({"expires_at": null})).expect(200).json();
    assert_eq!((&kept["expires_at"], &kept["tags"]), (&Value::Null, &changed["tags"]));
    patch(&app, &target(&project, &other, ""), &json!({"tags": ["a"]})).expect(200);

    let ids = |query: &str| {
        let list = app.get(&format!("{}?{query}", project.documents())).expect(200).json();
        list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids("tags=b"), [one.as_str()]);
    assert_eq!(ids("tags=a"), [one.clone(), other.clone()]);
    assert_eq!(ids("tags=b&tags=a&status=uploaded"), [one.clone(), other]);
    assert_eq!(ids("q=drop"), [one.as_str()]);
    assert_eq!(ids("status=failed"), [""; 0]);
    let filters = "%5B%7B%22id%22%3A%22tags%22%2C%22operator%22%3A%22notIn%22%2C%22value%22%3A%5B%22a%22%5D%7D%5D";
    assert_eq!(ids(&format!("filters={filters}")), [""; 0]);
    app.get(&format!("{}?status=running", project.documents())).problem(400, "invalid_query");

    for (body, path) in [
        (json!({"tags": ["a\nb"]}), "tags[0]"),
        (json!({"tags": ["x".repeat(101)]}), "tags[0]"),
        (json!({"tags": [""]}), "tags[0]"),
        (json!({"tags": (0..51).map(|n| n.to_string()).collect::<Vec<_>>()}), "tags"),
        (json!({"metadata": []}), "metadata"),
        (json!({"expires_at": "tomorrow"}), "expires_at"),
        (json!({"name": "x"}), "name"),
    ] {
        let problem = patch(&app, &target(&project, &one, ""), &body).problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["path"], path, "{problem}");
    }
}

#[test]
fn the_sheets_of_a_workbook_are_listed_without_an_engine() {
    let app = TestApp::start();
    let project = app.project();
    let sheets = |document: &str| app.get(&target(&project, document, "/sheets"));
    let workbook = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/two_sheets.xlsx")).unwrap();
    let document = app.upload(&project, "Two.XLSX", &workbook);
    let listed = sheets(&document).expect(200).json();
    let told =
        |member: &str| -> Vec<Value> { listed.as_array().unwrap().iter().map(|sheet| sheet[member].clone()).collect() };
    assert_eq!(told("name"), ["North", "South", "Archive"]);
    assert_eq!(
        (told("state"), told("index")),
        (vec!["visible".into(), "visible".into(), "hidden".into()], vec![0.into(), 1.into(), 2.into()])
    );
    assert_eq!(
        (&listed[0]["kind"], told("is_active")),
        (&json!("worksheet"), vec![true.into(), false.into(), false.into()])
    );
    let csv = app.upload(&project, "people.csv", b"a,b\n");
    let one = json!([{"name": "people.csv", "index": 0, "kind": "file", "is_active": true, "state": "visible"}]);
    assert_eq!(sheets(&csv).expect(200).json(), one);
    sheets(&app.upload(&project, "x.pdf", b"%PDF")).problem(415, "unsupported_media_type");
    sheets(&app.upload(&project, "x.xlsx", b"no zip")).problem(422, "document_unreadable");
    let corrupt = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/corrupt.xlsx")).unwrap();
    sheets(&app.upload(&project, "x.xlsx", &corrupt)).problem(422, "document_unreadable");
    let bomb = zip_of(&vec![("xl/workbook.xml".into(), vec![b' '; 64 << 20])]);
    sheets(&app.upload(&project, "bomb.xlsx", &bomb)).problem(422, "document_unreadable");
    app.get(&target(&project, &csv, "/sheets?page=1")).problem(400, "invalid_query");
}
