//! Input documents: what the client calls them is data, never a path.

use std::fs;
use std::path::{Path, PathBuf};

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
