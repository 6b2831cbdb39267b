//! The actors of the service, as an operator sees them.

use crate::support::definitions::{step, workflow};
use crate::support::{Request, TestApp, Value, json, wait_until};

fn system(app: &TestApp) -> Value {
    app.get("/api/v1/system/actors").expect(200).json()
}

fn actor(system: &Value, id: &str) -> Value {
    let actors = system["actors"].as_array().unwrap();
    actors.iter().find(|actor| actor["id"] == id).unwrap_or_else(|| panic!("no actor of {id}: {system}")).clone()
}

fn counts(system: &Value) -> [u64; 3] {
    ["runs", "builds", "executions"].map(|kind| system[kind].as_u64().unwrap())
}

#[test]
fn each_kind_of_work_is_listed_with_its_actors_state_until_it_ends() {
    let app = TestApp::start();
    let idle = system(&app);
    assert_eq!((counts(&idle), &idle["actors"]), ([0, 0, 0], &json!([])));
    assert_eq!(idle["maintenance"]["generation"], 1, "{idle}");

    let project = app.project();
    let run = app.create_run(&project, &json!([["say", "here"], ["await", app.path("go")]]));
    let mut stream = app.run_stream(&run);
    stream.until(|event| event["payload"]["message"] == "here");
    let mut execution = app.execute_new(&workflow("ask", &[step("note", &[], "Write it.\nbuiltin: ask What?")]));
    execution.until_type("clarification_needed");
    wait_until("the execution waits for its answer", || {
        actor(&system(&app), &execution.id)["work"]["stage"] == "waiting_clarification"
    });
    let busy = system(&app);
    assert_eq!(counts(&busy), [1, 0, 1], "{busy}");
    let of_run = actor(&busy, &run);
    assert_eq!((&of_run["kind"], &of_run["work"]["stage"]), (&json!("run"), &json!("running the engine")));
    assert_eq!((&of_run["work"]["generation"], &of_run["work"]["stopping"]), (&json!(1), &json!(null)));
    assert_eq!((&of_run["stream"]["is_closed"], &of_run["stream"]["subscribers"]), (&json!(false), &json!(3)));
    let last = app.run_events(&run).last().unwrap()["sequence"].as_u64();
    assert_eq!(of_run["stream"]["sequence"].as_u64(), last);

    app.send(&Request::post(format!("/api/v1/runs/{run}/cancel")).json(&json!({}))).expect(202);
    stream.until_type("run.completed");
    execution.answer("note", &json!({"answers": {"Q_1": "this"}})).expect(200);
    execution.ends("completed");
    wait_until("nothing is left", || system(&app)["actors"] == json!([]));
    assert_eq!(counts(&system(&app)), [0, 0, 0]);
}

#[test]
fn a_node_without_a_cluster_is_the_only_one() {
    let app = TestApp::start();
    let list = app.get("/api/v1/system/nodes").expect(200).json();
    let node = &list["items"][0];
    assert_eq!((&list["total"], &node["object"]), (&json!(1), &json!("ade.node")), "{list}");
    assert_eq!((&node["is_self"], &node["alive"], &node["state"]), (&json!(true), &json!(true), &json!("serving")));
    assert_eq!((&node["address"], &node["name"]), (&json!(null), &node["node_id"]), "{list}");
    assert!(node["node_id"].as_str().unwrap().starts_with("node_"));
}
