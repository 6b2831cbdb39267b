//! Work for the service: a configuration, documents that are scripts, and runs of them.

use std::io::Cursor;
use std::path::Path;

use ade::package::export_zip;
use serde_json::{Value, json};

use super::eventually;
use super::server::Server;
use super::sse::Subscriber;
use super::tools;

/// A workspace with the scripted engine's configuration.
#[derive(Clone, Debug)]
pub struct Place {
    pub workspace: String,
    pub configuration: String,
}

impl Place {
    pub fn make(server: &Server) -> Self {
        Self::named(server, "faults")
    }

    /// As [`Place::make`], beside others.
    pub fn named(server: &Server, name: &str) -> Self {
        let (status, workspace) = server.post("/api/v1/workspaces", &json!({"name": name}));
        assert_eq!(status, 201, "{workspace}");
        let workspace = id(&workspace);
        let configuration = import(server, &workspace, &tools::package("configuration"));
        Self { workspace, configuration }
    }

    /// Another configuration of the same workspace, whose builds wait at their check of the imports until there is such
    /// a file. Then they print more than the last block of their log has room for, however full the disk is.
    pub fn building_until(&self, server: &Server, gate: &Path) -> Self {
        let copy = tempfile::tempdir().unwrap();
        let files = export_zip(tools::package("configuration"), Cursor::new(Vec::new()))
            .expect("a configuration can be packed");
        zip::ZipArchive::new(files).unwrap().extract(copy.path()).unwrap();
        let wait = format!("import os, time\nwhile not os.path.exists({gate:?}): time.sleep(0.02)\n");
        let code = format!("{wait}print('x' * 8192)\n");
        std::fs::write(copy.path().join("src/ade_config/__init__.py"), code).unwrap();
        self.importing(server, copy.path())
    }

    /// The configuration of a folder, in the same workspace.
    pub fn importing(&self, server: &Server, folder: &Path) -> Self {
        Self { workspace: self.workspace.clone(), configuration: import(server, &self.workspace, folder) }
    }

    pub fn builds_path(&self) -> String {
        format!("/api/v1/workspaces/{}/configurations/{}/builds", self.workspace, self.configuration)
    }

    /// Creates a run of a script.
    pub fn run(&self, server: &Server, script: &str) -> Run {
        self.run_with(server, script, json!({}))
    }

    pub fn run_with(&self, server: &Server, script: &str, mut options: Value) -> Run {
        let path = format!("/api/v1/workspaces/{}/documents", self.workspace);
        let document = server.upload(&path, &[], "script.txt", script.as_bytes());
        options["document_ids"] = json!([id(&document)]);
        let path = format!("/api/v1/configurations/{}/runs", self.configuration);
        let (status, run) = server.post(&path, &json!({"options": options}));
        assert_eq!(status, 201, "{run}");
        Run { id: id(&run) }
    }

    /// Makes the venv, so that what follows is not about builds.
    pub fn warm_up(&self, server: &Server) {
        let ended = self.run(server, "print warm").ended(server);
        assert_eq!(ended["status"], "succeeded", "{ended}");
    }
}

fn import(server: &Server, workspace: &str, folder: &Path) -> String {
    let path = format!("/api/v1/workspaces/{workspace}/configurations/import");
    let zip = export_zip(folder, Cursor::new(Vec::new())).expect("a configuration can be packed").into_inner();
    id(&server.upload(&path, &[("display_name", "scripted")], "configuration.zip", &zip))
}

/// A run, or a build.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: String,
}

impl Run {
    pub fn path(&self) -> String {
        let kind = if self.id.starts_with("build_") { "builds" } else { "runs" };
        format!("/api/v1/{kind}/{}", self.id)
    }

    pub fn events_path(&self) -> String {
        format!("{}/events/stream", self.path())
    }

    pub fn show(&self, server: &Server) -> Value {
        server.get(&self.path())
    }

    pub fn subscribe(&self, server: &Server, last_id: Option<u64>) -> Subscriber {
        Subscriber::start(server.address, &self.events_path(), last_id)
    }

    /// Waits for the end and gives the resource.
    pub fn ended(&self, server: &Server) -> Value {
        eventually("end of a run", || {
            let run = self.show(server);
            matches!(run["status"].as_str(), Some("succeeded" | "failed" | "cancelled")).then_some(run)
        })
    }

    /// Waits until the stream shows an event.
    pub fn await_event(&self, server: &Server, what: &str, wanted: impl Fn(&Value) -> bool) {
        let subscriber = self.subscribe(server, None);
        eventually(what, || subscriber.take().iter().any(|(_, line)| wanted(&parse(line))).then_some(()));
    }

    /// Waits until the engine prints this line.
    pub fn await_line(&self, server: &Server, line: &str) {
        self.await_event(server, line, |event| event["payload"]["message"] == line);
    }

    pub fn cancel(&self, server: &Server) -> u16 {
        server.post(&format!("{}/cancel", self.path()), &json!({"reason": "a test"})).0
    }
}

pub fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap_or_else(|| panic!("a resource has an id: {resource}")).to_owned()
}

pub fn parse(line: &str) -> Value {
    serde_json::from_str(line).expect("a line is json")
}
