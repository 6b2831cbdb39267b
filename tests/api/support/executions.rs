//! Executions of workflows, in the words of the interface.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{EventStream, Request, Response, TestApp, Value, json, laws, wait_until};

pub const EXECUTIONS: &str = "/api/v1/executions";

pub fn id_of(execution: &Value) -> String {
    execution["execution_id"].as_str().unwrap_or_else(|| panic!("no execution: {execution}")).to_owned()
}

/// A scope that no other execution of the tests has.
pub fn fresh_scope() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("scope-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// An execution that a test watches.
pub struct Watched<'a> {
    pub app: &'a TestApp,
    pub id: String,
    pub scope: String,
    stream: EventStream,
    pub seen: Vec<Value>,
}

impl<'a> Watched<'a> {
    pub fn new(app: &'a TestApp, execution: &Value) -> Self {
        let (id, scope) = (id_of(execution), execution["scope_id"].as_str().unwrap().to_owned());
        let stream = app.stream(&Request::get(format!("{EXECUTIONS}/{id}/events/stream")));
        Self { app, id, scope, stream, seen: Vec::new() }
    }

    /// Reads on to the first event that fits; that event.
    #[track_caller]
    pub fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        self.seen.extend(self.stream.until(fits));
        self.seen[self.seen.len() - 1].clone()
    }

    #[track_caller]
    pub fn until_type(&mut self, name: &str) -> Value {
        self.until(|event| event["type"] == name)
    }

    /// The event of this type of a step, or of an item of it.
    #[track_caller]
    pub fn until_step(&mut self, name: &str, step: &str) -> Value {
        self.until(|event| event["type"] == name && event["step_id"] == step)
    }

    /// Reads to the end, checks that the laws hold, and that the end is this; the terminal event.
    #[track_caller]
    pub fn ends(&mut self, status: &str) -> Value {
        if self.seen.last().is_none_or(|last| last["type"] != "complete") {
            self.until_type("complete");
        }
        assert!(self.stream.event().is_none(), "the stream ends behind its terminal event");
        let end = laws::assert_ended(&self.seen);
        assert_eq!(end["payload"]["status"], status, "{end}\n{:?}", laws::told(&self.seen));
        let shown = self.show();
        assert_eq!((&shown["status"], &shown["failure"]), (&json!(status), &end["payload"]["failure"]), "{shown}");
        assert_eq!((&shown["totals"], &shown["pending"]), (&end["payload"]["totals"], &json!([])), "{shown}");
        assert_eq!((&shown["last_sequence"], &shown["current_steps"]), (&end["sequence"], &json!([])), "{shown}");
        end.clone()
    }

    #[track_caller]
    pub fn show(&self) -> Value {
        self.app.get(&format!("{EXECUTIONS}/{}", self.id)).expect(200).json()
    }

    /// Waits until the first thing that it waits for has this: what is shown follows what is streamed.
    #[track_caller]
    pub fn shows_pending(&self, name: &str, value: &Value) {
        wait_until("the execution shows what it waits for", || self.show()["pending"][0][name] == *value);
    }

    /// The list of the steps.
    #[track_caller]
    pub fn steps(&self) -> Vec<Value> {
        let steps = self.app.get(&format!("{EXECUTIONS}/{}/steps", self.id)).expect(200).json();
        steps.as_array().unwrap_or_else(|| panic!("no list: {steps}")).clone()
    }

    #[track_caller]
    pub fn step(&self, step: &str, item: Option<&str>) -> Value {
        let steps = self.steps();
        let found = steps.iter().find(|one| one["step_id"] == step && one["item"].as_str() == item);
        found.unwrap_or_else(|| panic!("no step {step} {item:?}: {steps:?}")).clone()
    }

    pub fn post(&self, rest: &str, body: &Value) -> Response {
        self.app.post(&format!("{EXECUTIONS}/{}/{rest}", self.id), body)
    }

    pub fn answer(&self, step: &str, body: &Value) -> Response {
        self.post(&format!("steps/{step}/clarification"), body)
    }

    pub fn decide(&self, step: &str, body: &Value) -> Response {
        self.post(&format!("steps/{step}/acceptance"), body)
    }

    pub fn cancel(&self) -> Response {
        self.post("cancel", &json!({"reason": "a test"}))
    }

    /// The versions of the document of a type in the scope, or in one below; the newest first.
    #[track_caller]
    pub fn versions(&self, below: &str, document_type: &str) -> Vec<Value> {
        let scope = format!("{}{below}", self.scope);
        let query = format!("scope_type=project&scope_id={scope}&document_type={document_type}&sort=-id");
        self.app.get(&format!("/api/v1/documents?{query}")).expect(200).json()["items"].as_array().unwrap().clone()
    }

    /// The latest content of a type in the scope, or in one below.
    #[track_caller]
    pub fn content(&self, below: &str, document_type: &str) -> Value {
        let scope = format!("{}{below}", self.scope);
        let query = format!("scope_type=project&scope_id={scope}&document_type={document_type}&latest=true");
        let listed = self.app.get(&format!("/api/v1/documents?{query}")).expect(200).json();
        assert_eq!(listed["total"], 1, "{query}: {listed}");
        let id = listed["items"][0]["document_id"].as_str().unwrap();
        self.app.get(&format!("/api/v1/documents/{id}")).expect(200).json()["content"].clone()
    }

    /// What the ledger has of it.
    #[track_caller]
    pub fn costs(&self) -> Value {
        self.app.get(&format!("/api/v1/telemetry/executions/{}/costs", self.id)).expect(200).json()
    }

    /// The ledger has what the log has.
    #[track_caller]
    pub fn assert_costs(&self) {
        let (costs, sums) = (self.costs(), laws::Sums::of(&self.seen));
        for (name, sum) in sums.as_totals() {
            let name = if name == "cost_usd" { "total_cost_usd" } else { &name };
            assert_eq!(costs[name], sum, "{name} of {costs}");
        }
        assert_eq!(costs["errors"], sums.errors, "{costs}");
    }

    pub fn log_folder(&self) -> PathBuf {
        let workspace = self.seen[0]["workspace_id"].as_str().unwrap();
        self.app.data_dir().join("workspaces").join(workspace).join("executions").join(&self.id).join("logs")
    }

    /// The text of the log file.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_folder().join("events.ndjson")).unwrap()
    }
}

impl TestApp {
    /// Makes the workflow, unless it is there.
    #[track_caller]
    pub fn add_workflow(&self, definition: &Value) {
        let answer = self.post("/api/v1/workflows", definition);
        if answer.status() != 409 {
            answer.expect(201);
        }
    }

    /// The body of a request for an execution in a scope of its own.
    pub fn execution_of(&self, workflow_id: &str, input: &Value) -> Value {
        json!({"workflow_id": workflow_id, "scope_type": "project", "scope_id": fresh_scope(), "input": input})
    }

    #[track_caller]
    pub fn execute(&self, workflow_id: &str, input: &Value) -> Watched<'_> {
        self.execute_as(&self.execution_of(workflow_id, input))
    }

    #[track_caller]
    pub fn execute_as(&self, body: &Value) -> Watched<'_> {
        Watched::new(self, &self.post(EXECUTIONS, body).expect(201).json())
    }

    /// Makes a workflow and executes it, without any input.
    #[track_caller]
    pub fn execute_new(&self, definition: &Value) -> Watched<'_> {
        self.add_workflow(definition);
        self.execute(definition["workflow_id"].as_str().unwrap(), &json!({}))
    }
}
