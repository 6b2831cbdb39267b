//! What models were asked: kept beside the reply of each call, and shown on demand.

use crate::sign_in::{app, key_of, with_key};
use crate::support::definitions::{by_server, step, workflow};
use crate::support::executions::{Watched, id_of};
use crate::support::model::{ModelServer, Turn};
use crate::support::{Request, Response, TestApp, Value, json, laws};

fn path(execution: &str, call: &str) -> String {
    format!("/api/v1/executions/{execution}/calls/{call}/prompt")
}

fn calls(it: &Watched<'_>) -> Vec<String> {
    let calls = laws::of_kind(&it.seen, "llm_call");
    calls.iter().map(|call| call["payload"]["call_id"].as_str().unwrap().to_owned()).collect()
}

/// Who says what, as it was sent to the server.
fn sent(request: &Value) -> Vec<(String, String)> {
    said(request, "content")
}

fn said(of: &Value, text: &str) -> Vec<(String, String)> {
    let text_of = |message: &Value, name: &str| message[name].as_str().unwrap().to_owned();
    of["messages"].as_array().unwrap().iter().map(|it| (text_of(it, "role"), text_of(it, text))).collect()
}

#[test]
fn the_prompt_of_every_call_is_shown_as_it_was_sent_also_of_one_that_failed() {
    let reply = json!({"title": "Done", "text": "Done"}).to_string();
    let busy = Turn::Refuses("503 Service Unavailable", "");
    let server = ModelServer::scripted(vec![busy, Turn::Says("no JSON".to_owned()), Turn::Says(reply)]);
    let app = TestApp::with(&[("ADE_OPENAI_BASE_URL", &server.url()), ("ADE_LLM_RETRY_DELAY", "10ms")]);
    let mut it = app.execute_new(&workflow("told", &[by_server(step("note", &[], "Write a \u{1f980}."))]));
    it.ends("completed");
    let (calls, requests) = (calls(&it), server.requests());
    assert_eq!((calls.len(), requests.len()), (3, 3));
    for (at, (call, request)) in calls.iter().zip(&requests).enumerate() {
        let prompt = app.get(&path(&it.id, call)).expect(200).json();
        assert_eq!(said(&prompt, "text"), sent(request), "call {at}");
        assert_eq!(
            (&prompt["call_id"], &prompt["step_id"], &prompt["item"], &prompt["left_out_bytes"]),
            (&json!(call), &json!("note"), &Value::Null, &json!(0))
        );
        assert_eq!((&prompt["provider"], &prompt["model"]), (&json!("openai"), &request["model"]));
        assert_eq!(prompt["attempt"], if at < 2 { 1 } else { 2 });
    }
    let app = app.restart();
    let prompt = app.get(&path(&id_of(&it_of(&app)), &calls[2])).expect(200).json();
    assert!(said(&prompt, "text").iter().any(|(_, text)| text.contains("json_invalid")), "the finding was sent back");
    app.get(&path(&id_of(&it_of(&app)), "call_01ARZ3NDEKTSV4RRFFQ69G5FAV")).problem(404, "not_found");
}

/// The one execution that there is.
fn it_of(app: &TestApp) -> Value {
    app.get("/api/v1/executions").expect(200).json()["items"][0].clone()
}

#[test]
fn a_service_that_keeps_no_prompts_has_none() {
    let app = TestApp::with(&[("ADE_LLM_KEEP_PROMPTS", "off")]);
    let mut it = app.execute_new(&workflow("told", &[step("note", &[], "Write it.")]));
    it.ends("completed");
    let call = calls(&it).remove(0);
    app.get(&path(&it.id, &call)).problem(404, "not_found");
    let folder = it.log_folder().parent().unwrap().join("calls");
    let names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [format!("{call}.json").as_str()], "and writes none");
}

#[test]
fn a_prompt_is_for_who_sees_the_workspace_of_its_execution() {
    let app = app();
    let (project, elsewhere) = (app.project(), app.project());
    let definition = workflow("told", &[step("note", &[], "Write it.")]);
    let created = Request::post(format!("/api/v1/workflows?workspace_id={}", project.workspace)).json(&definition);
    app.send(&created).expect(201);
    let body = json!({"workspace_id": project.workspace, "workflow_id": "told", "scope_type": "s", "scope_id": "1"});
    let mut it = app.execute_as(&body);
    it.ends("completed");
    let path = path(&it.id, &calls(&it)[0]);
    let as_one = |role: &str, of| -> Response { app.send(&with_key(Request::get(&path), &key_of(&app, role, of))) };
    as_one("viewer", &project).expect(200);
    as_one("operator", &elsewhere).problem(404, "not_found");
}
