//! Workflows: what is accepted, revisions, and what keeps one from being deleted.

use crate::support::{Request, Response, TestApp, Value, json};

const WORKFLOWS: &str = "/api/v1/workflows";

/// A brief in, a plan and its review out.
fn definition(workflow_id: &str) -> Value {
    let step = |id: &str, inputs: Value, is_final: bool| {
        json!({
            "step_id": id, "name": id, "role": "writer", "task_prompt": "write", "inputs": inputs, "output": id,
            "output_schema": id, "model": "small", "is_final": is_final,
        })
    };
    let schema = |title: &str| json!({"type": "object", "title": title, "required": ["text"]});
    json!({
        "schema_version": "workflow.v1", "workflow_id": workflow_id, "name": "Plan", "description": "From a brief",
        "prompts": {"roles": {"writer": "You write."}, "tasks": {"write": "Write it."}},
        "schemas": {"plan": schema("A plan"), "review": schema("A review")},
        "steps": [step("plan", json!([]), false), step("review", json!(["plan"]), true)],
    })
}

fn with(mut definition: Value, key: &str, value: Value) -> Value {
    definition[key] = value;
    definition
}

fn create(app: &TestApp, definition: &Value) -> Value {
    app.post(WORKFLOWS, definition).expect(201).json()
}

fn put(app: &TestApp, workflow_id: &str, if_match: &str, definition: &Value) -> Response {
    let request = Request::new("PUT", format!("{WORKFLOWS}/{workflow_id}")).header("If-Match", if_match);
    app.send(&request.json(definition))
}

fn delete(app: &TestApp, target: &str) -> Response {
    app.send(&Request::new("DELETE", target))
}

#[test]
fn a_workflow_is_created_and_returned() {
    let app = TestApp::start();
    let created = app.post("/api/v1/workflows/", &definition("plan")).expect(201);
    let workflow = created.json();
    let target = format!("{WORKFLOWS}/plan?workspace_id={}", workflow["workspace_id"].as_str().unwrap());
    assert_eq!(created.header("location"), Some(target.as_str()));
    let etag = created.header("etag").unwrap();
    assert!(etag.starts_with("\"1."), "{etag}");
    let mut expected = definition("plan");
    expected.as_object_mut().unwrap().extend(
        json!({
            "object": "ade.workflow", "workspace_id": workflow["workspace_id"], "revision": 1,
            "created_at": workflow["created_at"], "updated_at": workflow["created_at"], "links": {"self": target},
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    assert_eq!(workflow, expected);
    for target in [target.as_str(), "/api/v1/workflows/plan", "/api/v1/workflows/plan/"] {
        let shown = app.get(target).expect(200);
        assert_eq!((shown.json(), shown.header("etag")), (expected.clone(), Some(etag)), "{target}");
    }
    let listed = app.get(WORKFLOWS).expect(200).json();
    let ids: Vec<_> = listed["workflows"].as_array().unwrap().iter().map(|item| &item["workflow_id"]).collect();
    assert_eq!((json!(ids), &listed["total"]), (json!(["brief-to-plan", "plan"]), &json!(2)));
    let item = json!({
        "workflow_id": "plan", "name": "Plan", "description": "From a brief", "revision": 1, "step_count": 2,
    });
    assert_eq!(listed["workflows"][1], item);
    let schema = app.get("/api/v1/workflows/plan/schema/review").expect(200);
    assert_eq!(schema.header("content-type"), Some("application/schema+json"));
    assert_eq!(schema.json(), definition("plan")["schemas"]["review"]);
}

#[test]
fn a_change_creates_the_next_revision() {
    let app = TestApp::start();
    let shown = create(&app, &definition("plan"));
    // What was shown can be sent back.
    let second = put(&app, "plan", "\"1\"", &with(shown.clone(), "name", json!("Better"))).expect(200);
    assert_eq!(second.json()["revision"], 2);
    assert!(second.header("etag").unwrap().starts_with("\"2."));
    assert_eq!(second.json()["name"], "Better");
    assert_eq!(app.get("/api/v1/workflows/plan").expect(200).json(), second.json());
    let problem = put(&app, "plan", "\"1\"", &shown).problem(412, "precondition_failed");
    assert_eq!(problem["current_revision"], 2);
    let bare = Request::new("PUT", "/api/v1/workflows/plan").json(&shown);
    app.send(&bare).problem(428, "precondition_required");
    let other = put(&app, "plan", "2", &definition("other")).problem(422, "invalid_request");
    assert_eq!(other["errors"][0]["path"], "workflow_id");
    let mut nameless = definition("plan");
    nameless.as_object_mut().unwrap().remove("workflow_id");
    assert_eq!(put(&app, "plan", "*", &nameless).expect(200).json()["revision"], 3);
    put(&app, "other", "*", &definition("other")).problem(404, "not_found");
}

#[test]
fn every_error_of_a_definition_is_reported_at_once() {
    let app = TestApp::start();
    let mut faulty = definition("plan");
    faulty["steps"][0]["role"] = json!("nobody");
    faulty["steps"][1]["output_schema"] = json!("nothing");
    faulty["steps"][1]["inputs"] = json!(["plan"]);
    let problem = app.post(WORKFLOWS, &faulty).problem(422, "invalid_workflow");
    let errors = problem["errors"].as_array().unwrap();
    assert!(errors.len() >= 2, "{problem}");
    for step in ["steps[0]", "steps[1]"] {
        assert!(errors.iter().any(|error| error["path"].as_str().unwrap().contains(step)), "{step}: {problem}");
    }
    app.post(WORKFLOWS, &json!({})).problem(422, "invalid_workflow");
    create(&app, &definition("plan"));
    put(&app, "plan", "1", &faulty).problem(422, "invalid_workflow");
    assert_eq!(app.get("/api/v1/workflows/plan").json()["revision"], 1);
    assert_eq!(app.get(WORKFLOWS).json()["total"], 2, "what was refused is not kept");
}

#[test]
fn a_workspace_has_one_workflow_of_an_id() {
    let app = TestApp::start();
    let mine = create(&app, &definition("plan"));
    app.post(WORKFLOWS, &definition("plan")).problem(409, "workflow_exists");
    let other = app.create_workspace("other");
    let theirs = create(&app, &with(with(definition("plan"), "workspace_id", json!(other)), "name", json!("Theirs")));
    assert_eq!((&theirs["workspace_id"], &theirs["revision"]), (&json!(other), &json!(1)));
    let of_other = format!("{WORKFLOWS}/plan?workspace_id={other}");
    assert_eq!(app.get(&of_other).expect(200).json(), theirs);
    assert_eq!(app.get("/api/v1/workflows/plan").expect(200).json(), mine);
    let listed = app.get(&format!("{WORKFLOWS}?workspace_id={other}")).expect(200).json();
    assert_eq!((&listed["workflows"][0]["name"], &listed["total"]), (&json!("Theirs"), &json!(1)));
    assert_eq!(delete(&app, &of_other).expect(204).body.len(), 0);
    app.get(&of_other).problem(404, "not_found");
    assert_eq!(app.get("/api/v1/workflows/plan").expect(200).json(), mine);
    app.get(&format!("{WORKFLOWS}?workspace_id=x")).problem(422, "invalid_id");
    app.get(&format!("{WORKFLOWS}?workspace_id=ws_01J00000000000000000000000")).problem(404, "not_found");
    let wrong = with(definition("plan"), "workspace_id", json!(7));
    app.post(WORKFLOWS, &wrong).problem(422, "invalid_request");
}

#[test]
fn a_recreated_workflow_continues_its_revisions() {
    let app = TestApp::start();
    create(&app, &definition("plan"));
    delete(&app, "/api/v1/workflows/plan").expect(204);
    delete(&app, "/api/v1/workflows/plan").problem(404, "not_found");
    assert_eq!(create(&app, &definition("plan"))["revision"], 2);
}

#[test]
fn missing_resources_are_404() {
    let app = TestApp::start();
    for below in ["", "/schema/plan"] {
        app.get(&format!("{WORKFLOWS}/plan{below}")).problem(404, "not_found");
    }
    put(&app, "plan", "1", &definition("plan")).problem(404, "not_found");
    assert_eq!(app.get("/api/v1/workspaces").json()["total"], 1, "none of that makes a workspace");
    create(&app, &definition("plan"));
    app.get("/api/v1/workflows/plan/schema/draft").problem(404, "not_found");
    app.get("/api/v1/workflows/plan%00").problem(404, "not_found");
    app.get(&format!("{WORKFLOWS}?colour=red")).problem(400, "invalid_query");
    app.send(&Request::post(WORKFLOWS).body("text/plain", "{}")).problem(415, "unsupported_media_type");
}

#[test]
fn a_workflow_with_a_running_execution_cannot_be_deleted() {
    let app = TestApp::start();
    let workflow = create(&app, &definition("plan"));
    let workspace = workflow["workspace_id"].as_str().unwrap();
    // What an execution at work looks like to whoever deletes.
    app.change_database(&format!(
        "INSERT INTO executions (id, workspace_id, workflow_id, revision, scope_type, scope_id, created_by, node_id, \
         created_at, log_degraded, log_state, last_sequence, status, is_active, current_steps, pending, totals, \
         clarification_count) VALUES ('exec_01M7Z2XGRD82ME7A46JRDYGFF4', '{workspace}', 'plan', 1, 'project', '1', \
         'somebody', 'node_01M7Z2XGRD82ME7A46JRDYGFF4', '2026-01-01T00:00:00+00:00', false, 'plain', 1, 'running', \
         true, '[]', '[]', '{{}}', 0)"
    ));
    delete(&app, &format!("{WORKFLOWS}/plan")).problem(409, "workflow_in_use");
    app.get(&format!("{WORKFLOWS}/plan")).expect(200);
    app.change_database("UPDATE executions SET status = 'completed', is_active = false");
    delete(&app, &format!("{WORKFLOWS}/plan")).expect(204);
}
