//! A run that has ended is tried again as a new run.

use crate::support::{Project, Request, Response, TestApp, Value, json};

fn retry(app: &TestApp, run: &str) -> Response {
    app.send(&Request::post(format!("/api/v1/runs/{run}/retry")))
}

fn id(run: &Value) -> String {
    run["id"].as_str().unwrap().to_owned()
}

fn failed_run(app: &TestApp, project: &Project) -> Value {
    let steps = json!([["say", "here"], ["exit", 3]]);
    let options = json!({"input_sheet_names": ["One"], "metadata": {"k": "v"}});
    let run = app.send(&app.run_request(project, &steps, options)).expect(201).json();
    app.finish_run(&id(&run))
}

#[test]
fn a_retry_is_a_new_run_with_the_same_options() {
    let app = TestApp::start();
    let project = app.project();
    let first = failed_run(&app, &project);
    assert_eq!(
        (&first["status"], &first["attempt"], &first["retry_of_run_id"]),
        (&json!("failed"), &json!(1), &Value::Null)
    );
    let answer = retry(&app, &id(&first)).expect(201);
    let second = answer.json();
    assert_eq!(answer.header("location"), Some(format!("/api/v1/runs/{}", id(&second)).as_str()));
    assert_eq!(
        (&second["status"], &second["attempt"], &second["retry_of_run_id"]),
        (&json!("queued"), &json!(2), &first["id"])
    );
    let same = |key: &str| assert_eq!(first[key], second[key], "{key}");
    ["workspace_id", "configuration_id", "mode"].into_iter().for_each(same);
    assert_eq!(first["input"]["document_ids"], second["input"]["document_ids"]);
    let second = app.finish_run(&id(&second));
    assert_eq!((&second["status"], &second["exit_code"]), (&json!("failed"), &json!(3)));
    let options = |run: &Value| app.run_events(&id(run))[0]["payload"]["options"].clone();
    assert_eq!(options(&first), options(&second));
    assert_eq!(app.show_run(&id(&first)), first, "what is retried stays as it was");
    let third = retry(&app, &id(&second)).expect(201).json();
    assert_eq!((&third["attempt"], &third["retry_of_run_id"]), (&json!(3), &second["id"]));
    app.finish_run(&id(&third));
}

#[test]
fn a_retry_can_be_watched_and_repeated_under_a_key() {
    let app = TestApp::start();
    let project = app.project();
    let first = failed_run(&app, &project);
    let target = format!("/api/v1/runs/{}/retry", id(&first));
    let request = Request::post(&target).json(&json!({"stream": true})).header("Idempotency-Key", "again");
    let events = app.stream(&request).until_type("run.completed");
    let second = app.show_run(events[0]["run_id"].as_str().unwrap());
    assert_eq!(second["retry_of_run_id"], first["id"]);
    let replayed = app.send(&Request::post(&target).header("Idempotency-Key", "again")).expect(201);
    assert_eq!((replayed.header("idempotency-replayed"), id(&replayed.json())), (Some("true"), id(&second)));
    let events = app.stream(&Request::post(format!("{target}?stream=true"))).until_type("run.completed");
    assert_ne!(events[0]["run_id"], second["id"]);
    assert_eq!(app.get(&project.runs()).json()["total"], 3);
}

#[test]
fn work_that_cannot_be_retried_is_rejected_with_the_reason() {
    let app = TestApp::start();
    let project = app.project();
    let held = app.held_run(&project);
    retry(&app, &held).problem(409, "run_not_ended");
    retry(&app, "run_01J00000000000000000000000").problem(404, "not_found");
    retry(&app, "run_x").problem(422, "invalid_id");
    let target = format!("/api/v1/runs/{held}/retry");
    app.post(&target, &json!({"options": {}})).problem(422, "invalid_request");
    app.get(&target).problem(405, "method_not_allowed");
    assert_eq!(app.get(&project.runs()).json()["total"], 1);
    app.cancel_run(&held).expect(202);
    app.finish_run(&held);
    app.touch("go");
    let again = retry(&app, &held).expect(201).json();
    assert_eq!(app.finish_run(&id(&again))["status"], "succeeded", "what was cancelled can be tried again");
    let succeeded = retry(&app, &id(&again)).expect(201).json();
    assert_eq!(app.finish_run(&id(&succeeded))["status"], "succeeded");
}
