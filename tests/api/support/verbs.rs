//! What the interface can be asked, in the words of the interface.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use super::tools::{self, Files};
use super::{EventStream, Request, Response, TestApp, Value, json, kind};

/// A workspace with one configuration.
#[derive(Debug, Clone)]
pub struct Project {
    pub workspace: String,
    pub configuration: String,
}

impl Project {
    pub fn runs(&self) -> String {
        format!("/api/v1/configurations/{}/runs", self.configuration)
    }

    pub fn builds(&self) -> String {
        format!("/api/v1/workspaces/{}/configurations/{}/builds", self.workspace, self.configuration)
    }

    /// The feed of the workspace.
    pub fn feed(&self) -> String {
        format!("/api/v1/workspaces/{}/events", self.workspace)
    }

    pub fn documents(&self) -> String {
        format!("/api/v1/workspaces/{}/documents", self.workspace)
    }
}

/// The types of events, in their order.
pub fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(kind).collect()
}

fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap_or_else(|| panic!("no id: {resource}")).to_owned()
}

impl TestApp {
    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        self.signed(request).send(self.address).unwrap()
    }

    /// As the first admin's, where there is sign-in and the request shows nothing itself.
    fn signed(&self, request: &Request) -> Request {
        let shows = |name: &str| request.has_header(name);
        match &self.key {
            Some(key) if !["authorization", "x-api-key", "cookie"].into_iter().any(shows) => {
                request.clone().header("Authorization", format!("Bearer {key}"))
            }
            _ => request.clone(),
        }
    }

    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.send(&Request::get(target))
    }

    #[track_caller]
    pub fn post(&self, target: &str, body: &Value) -> Response {
        self.send(&Request::post(target).json(body))
    }

    #[track_caller]
    pub fn stream(&self, request: &Request) -> EventStream {
        EventStream::open(self.address, &self.signed(request))
    }

    #[track_caller]
    pub fn create_workspace(&self, name: &str) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let slug = format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        id(&self.post("/api/v1/workspaces", &json!({"name": name, "slug": slug})).expect(201).json())
    }

    /// A workspace and a configuration for the scripted engine.
    #[track_caller]
    pub fn project(&self) -> Project {
        self.project_of(&tools::files_of("configuration"))
    }

    /// As [`TestApp::project`], with a script for its builds.
    #[track_caller]
    pub fn project_building(&self, script: &Value) -> Project {
        let files = tools::files_of("configuration");
        self.project_of(&tools::with_file(files, "src/ade_config/build.json", script.to_string()))
    }

    #[track_caller]
    pub fn project_of(&self, files: &Files) -> Project {
        let workspace = self.create_workspace("Tests");
        let configuration = id(&self.import(&workspace, &tools::zip_of(files)).expect(201).json());
        Project { workspace, configuration }
    }

    #[track_caller]
    pub fn import(&self, workspace: &str, zip: &[u8]) -> Response {
        let target = format!("/api/v1/workspaces/{workspace}/configurations/import");
        let form = [("display_name", None, &b"Imported"[..]), ("file", Some("package.zip"), zip)];
        self.send(&Request::post(target).form(&form))
    }

    #[track_caller]
    pub fn upload(&self, project: &Project, name: &str, content: &[u8]) -> String {
        let request = Request::post(project.documents()).form(&[("file", Some(name), content)]);
        id(&self.send(&request).expect(201).json())
    }

    /// The request for a run of these steps.
    #[track_caller]
    pub fn run_request(&self, project: &Project, steps: &Value, options: Value) -> Request {
        let document = self.upload(project, "steps.json", steps.to_string().as_bytes());
        let mut options = options;
        options["document_ids"] = json!([document]);
        Request::post(project.runs()).json(&json!({"options": options}))
    }

    /// Creates a run of these steps; answers its id.
    #[track_caller]
    pub fn create_run(&self, project: &Project, steps: &Value) -> String {
        id(&self.send(&self.run_request(project, steps, json!({}))).expect(201).json())
    }

    /// Creates a run and waits for its end.
    #[track_caller]
    pub fn run(&self, project: &Project, steps: &Value) -> Value {
        let run = self.create_run(project, steps);
        self.finish_run(&run)
    }

    /// A run that has said `here` and then waits until `go` exists.
    #[track_caller]
    pub fn held_run(&self, project: &Project) -> String {
        let run = self.create_run(project, &json!([["say", "here"], ["await", self.path("go")]]));
        self.run_stream(&run).until(|event| event["payload"]["message"] == "here");
        run
    }

    #[track_caller]
    pub fn run_stream(&self, run: &str) -> EventStream {
        self.stream(&Request::get(format!("/api/v1/runs/{run}/events/stream")))
    }

    /// The resource of a run, once its end has been seen.
    #[track_caller]
    pub fn finish_run(&self, run: &str) -> Value {
        self.run_stream(run).until_type("run.completed");
        self.show_run(run)
    }

    #[track_caller]
    pub fn show_run(&self, run: &str) -> Value {
        self.get(&format!("/api/v1/runs/{run}")).expect(200).json()
    }

    #[track_caller]
    pub fn show_build(&self, build: &str) -> Value {
        self.get(&format!("/api/v1/builds/{build}")).expect(200).json()
    }

    #[track_caller]
    pub fn show_configuration(&self, project: &Project) -> Value {
        let Project { workspace, configuration } = project;
        self.get(&format!("/api/v1/workspaces/{workspace}/configurations/{configuration}")).expect(200).json()
    }

    #[track_caller]
    pub fn create_build(&self, project: &Project, options: &Value) -> Value {
        self.post(&project.builds(), &json!({"options": options})).expect(201).json()
    }

    /// Creates a build and waits for its end.
    #[track_caller]
    pub fn build(&self, project: &Project, options: &Value) -> Value {
        let build = id(&self.create_build(project, options));
        self.finish_build(&build)
    }

    #[track_caller]
    pub fn finish_build(&self, build: &str) -> Value {
        let answer = self.get(&format!("/api/v1/builds/{build}/events/download?follow=true")).expect(200);
        assert!(answer.text().contains("build.completed"), "{answer}");
        self.show_build(build)
    }

    #[track_caller]
    pub fn list_builds(&self, project: &Project) -> Vec<Value> {
        self.get(&project.builds()).expect(200).json()["items"].as_array().unwrap().clone()
    }

    /// Every event that a run has now.
    #[track_caller]
    pub fn run_events(&self, run: &str) -> Vec<Value> {
        self.get(&format!("/api/v1/runs/{run}/events")).expect(200).json()["items"].as_array().unwrap().clone()
    }

    #[track_caller]
    pub fn build_events(&self, build: &str) -> Vec<Value> {
        self.get(&format!("/api/v1/builds/{build}/events")).expect(200).json()["items"].as_array().unwrap().clone()
    }

    pub fn cancel_run(&self, run: &str) -> Response {
        self.send(&Request::post(format!("/api/v1/runs/{run}/cancel")))
    }

    pub fn cancel_build(&self, build: &str) -> Response {
        self.send(&Request::post(format!("/api/v1/builds/{build}/cancel")))
    }

    /// The text of a run's log file.
    pub fn run_log(&self, project: &Project, run: &str) -> String {
        let folder = self.data_dir().join("workspaces").join(&project.workspace).join("runs").join(run);
        fs::read_to_string(folder.join("logs/events.ndjson")).unwrap()
    }
}
