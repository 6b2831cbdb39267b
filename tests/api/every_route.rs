//! Every path and method: without a key, with too low a role, and from another workspace.

use std::collections::BTreeMap;

use crate::sign_in::{app, key_of, make_key, with_key};
use crate::support::executions::id_of;
use crate::support::{Project, Request, Response, TestApp, Value, definitions, json};

/// Every method and path.
const OPERATIONS: &str = "\
GET /
GET /api/v1/api-keys
POST /api/v1/api-keys
DELETE /api/v1/api-keys/{key}
GET /api/v1/api-keys/{key}
GET /api/v1/audit
GET /api/v1/builds/{id}
POST /api/v1/builds/{id}/cancel
GET /api/v1/builds/{id}/events
GET /api/v1/builds/{id}/events/download
GET /api/v1/builds/{id}/events/stream
GET /api/v1/builds/{id}/logfile
GET /api/v1/builds/{id}/logs
GET /api/v1/configurations/{configuration}/runs
POST /api/v1/configurations/{configuration}/runs
GET /api/v1/documents
POST /api/v1/documents
GET /api/v1/documents/{document}
PUT /api/v1/documents/{document}
GET /api/v1/documents/{document}/versions
GET /api/v1/events/stream
GET /api/v1/executions
POST /api/v1/executions
GET /api/v1/executions/{execution}/steps
POST /api/v1/executions/{execution}/steps/{step}/acceptance
POST /api/v1/executions/{execution}/steps/{step}/clarification
GET /api/v1/executions/{id}
POST /api/v1/executions/{id}/cancel
GET /api/v1/executions/{id}/events
GET /api/v1/executions/{id}/events/download
GET /api/v1/executions/{id}/events/stream
POST /api/v1/executions/{id}/retry
GET /api/v1/executions/{id}/stream
GET /api/v1/runs/{id}
POST /api/v1/runs/{id}/cancel
GET /api/v1/runs/{id}/events
GET /api/v1/runs/{id}/events/download
GET /api/v1/runs/{id}/events/stream
GET /api/v1/runs/{id}/logfile
GET /api/v1/runs/{id}/logs
POST /api/v1/runs/{id}/retry
GET /api/v1/runs/{run}/diagnostics
GET /api/v1/runs/{run}/outputs
GET /api/v1/runs/{run}/outputs/{path}
GET /api/v1/runs/{run}/summary
DELETE /api/v1/session
GET /api/v1/session
POST /api/v1/session
POST /api/v1/stream-tickets
GET /api/v1/system/actors
POST /api/v1/system/maintenance
GET /api/v1/system/safe-mode
PUT /api/v1/system/safe-mode
GET /api/v1/telemetry/executions/{execution}/costs
GET /api/v1/telemetry/summary
GET /api/v1/telemetry/workflows/{workflow}/stats
GET /api/v1/workflows
POST /api/v1/workflows
DELETE /api/v1/workflows/{workflow}
GET /api/v1/workflows/{workflow}
PUT /api/v1/workflows/{workflow}
GET /api/v1/workflows/{workflow}/schema/{step}
GET /api/v1/workspaces
POST /api/v1/workspaces
GET /api/v1/workspaces/{id}/events
GET /api/v1/workspaces/{id}/events/download
GET /api/v1/workspaces/{id}/events/stream
GET /api/v1/workspaces/{workspace}
GET /api/v1/workspaces/{workspace}/configs
POST /api/v1/workspaces/{workspace}/configs
POST /api/v1/workspaces/{workspace}/configs/import
GET /api/v1/workspaces/{workspace}/configs/{configuration}
POST /api/v1/workspaces/{workspace}/configs/{configuration}/activate
GET /api/v1/workspaces/{workspace}/configs/{configuration}/builds
POST /api/v1/workspaces/{workspace}/configs/{configuration}/builds
GET /api/v1/workspaces/{workspace}/configs/{configuration}/export
PUT /api/v1/workspaces/{workspace}/configs/{configuration}/import
GET /api/v1/workspaces/{workspace}/configs/{configuration}/runs
POST /api/v1/workspaces/{workspace}/configs/{configuration}/runs
GET /api/v1/workspaces/{workspace}/configurations
POST /api/v1/workspaces/{workspace}/configurations
POST /api/v1/workspaces/{workspace}/configurations/import
GET /api/v1/workspaces/{workspace}/configurations/{configuration}
POST /api/v1/workspaces/{workspace}/configurations/{configuration}/activate
GET /api/v1/workspaces/{workspace}/configurations/{configuration}/builds
POST /api/v1/workspaces/{workspace}/configurations/{configuration}/builds
GET /api/v1/workspaces/{workspace}/configurations/{configuration}/export
PUT /api/v1/workspaces/{workspace}/configurations/{configuration}/import
GET /api/v1/workspaces/{workspace}/configurations/{configuration}/runs
POST /api/v1/workspaces/{workspace}/configurations/{configuration}/runs
GET /api/v1/workspaces/{workspace}/documents
POST /api/v1/workspaces/{workspace}/documents
GET /api/v1/workspaces/{workspace}/documents/{document}
GET /api/v1/workspaces/{workspace}/documents/{document}/download
GET /api/v1/workspaces/{workspace}/runs
GET /health/live
GET /health/ready
GET /metrics
";

/// What anybody may read.
const PUBLIC: [&str; 3] = ["/", "/health/live", "/health/ready"];
/// What no role is needed for: who has a key may trade it.
const OF_EVERY_ROLE: [&str; 2] = ["/api/v1/session", "/api/v1/stream-tickets"];
/// What is each caller's own, so that it has nothing of another's workspace in it.
const OF_THE_CALLER: [&str; 1] = ["/api/v1/session"];

pub fn operations() -> Vec<(String, String)> {
    let split = |line: &str| line.split_once(' ').map(|(method, path)| (method.to_owned(), path.to_owned()));
    OPERATIONS.lines().filter_map(split).collect()
}

/// The routes as they are mounted, by the text of the files that mount them: each has its line above.
#[test]
fn the_walk_knows_every_route() {
    let known = operations();
    let mut count = 0;
    for file in std::fs::read_dir("src/http/route").unwrap().flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap();
        for (at, _) in text.match_indices("web::resource(\"") {
            let path = text[at + 15..].split('"').next().unwrap();
            let plain = path.replace(":.*}", "}");
            let is_known =
                known.iter().any(|(_, known)| known.trim_start_matches("/api/v1") == plain || *known == plain);
            assert!(is_known, "{path} of {} is not walked", file.path().display());
            count += 1;
        }
    }
    assert!(count > 25, "{count}");
}

fn is_write(method: &str) -> bool {
    method != "GET"
}

/// One of everything, in one workspace.
struct World {
    project: Project,
    ids: BTreeMap<&'static str, String>,
}

impl World {
    fn make(app: &TestApp) -> Self {
        let project = app.project();
        let document = app.upload(&project, "a.csv", b"a\n1\n");
        let run = app.create_run(&project, &json!([["say", "x"]]));
        app.finish_run(&run);
        let build = app.list_builds(&project)[0]["id"].as_str().unwrap().to_owned();
        let workspace = project.workspace.clone();
        let definition = definitions::workflow("walk", &[definitions::step("only", &[], "Write it.")]);
        let created = Request::post(format!("/api/v1/workflows?workspace_id={workspace}")).json(&definition);
        app.send(&created).expect(201);
        let body = json!({"workspace_id": workspace, "workflow_id": "walk", "scope_type": "s", "scope_id": "1"});
        let execution = id_of(&app.post("/api/v1/executions", &body).expect(201).json());
        let stream = Request::get(format!("/api/v1/executions/{execution}/events/stream"));
        app.stream(&stream).until_type("complete");
        let body = json!({"workspace_id": workspace, "scope_type": "s", "scope_id": "2", "document_type": "d",
                          "content": {}});
        let written = app.post("/api/v1/documents", &body).expect(201).json()["document_id"].clone();
        let ids = BTreeMap::from([
            ("workspace", workspace),
            ("configuration", project.configuration.clone()),
            ("input", document),
            ("document", written.as_str().unwrap().to_owned()),
            ("run", run),
            ("build", build),
            ("execution", execution),
            ("workflow", "walk".to_owned()),
            ("step", "only".to_owned()),
            ("path", "normalized.xlsx".to_owned()),
            ("key", make_key(app, &json!({"name": "walked", "role": "viewer"})).0),
        ]);
        Self { project, ids }
    }

    /// The path with the ids of this world.
    fn path(&self, template: &str) -> String {
        let mut path = template.to_owned();
        while let Some((before, rest)) = path.clone().split_once('{') {
            let (name, behind) = rest.split_once('}').expect("a parameter has an end");
            // What stands before an id of every kind says which kind it is.
            let name = match (name, before.rsplit('/').nth(1).unwrap_or_default()) {
                ("id", collection) => collection.trim_end_matches('s'),
                ("document", "documents") if before.contains("/workspaces/") => "input",
                (name, _) => name,
            };
            let id = self.ids.get(name).unwrap_or_else(|| panic!("{template}: the walk does not know `{name}`"));
            path = format!("{before}{id}{behind}");
        }
        // These name a workspace in their query.
        let names_no_workspace = !path.contains(&self.project.workspace);
        let is_named = |part: &str| path.starts_with(&format!("/api/v1/{part}"));
        match names_no_workspace {
            true if is_named("workflows") || is_named("telemetry/workflows") || is_named("telemetry/summary") => {
                format!("{path}?workspace_id={}", self.project.workspace)
            }
            true if path == "/api/v1/executions" || path == "/api/v1/documents" => {
                format!("{path}?workspace_id={}", self.project.workspace)
            }
            true if path == "/api/v1/events/stream" => format!("{path}?stream={}", self.ids["run"]),
            _ => path,
        }
    }

    /// A body that gets as far as to what the path names.
    fn body(&self, template: &str) -> Value {
        let workspace = &self.project.workspace;
        match template.rsplit('/').next().unwrap_or_default() {
            "acceptance" => json!({"accepted": true}),
            "clarification" => json!({"answers": {}}),
            "stream-tickets" => json!({"stream": self.ids["run"]}),
            "workflows" | "{workflow}" => definitions::workflow("walk", &[definitions::step("only", &[], "Write it.")]),
            "executions" => {
                json!({"workspace_id": workspace, "workflow_id": "walk", "scope_type": "s", "scope_id": "1"})
            }
            "documents" if template == "/api/v1/documents" => {
                json!({"workspace_id": workspace, "scope_type": "s", "scope_id": "3", "document_type": "d", "content": {}})
            }
            "{document}" => json!({"content": {}}),
            _ => json!({}),
        }
    }

    fn request(&self, method: &str, template: &str) -> Request {
        let mut path = self.path(template);
        if is_write(method) {
            let query = path.split_once('?').filter(|_| !template.contains("workflows") || method == "POST");
            path = query.map_or(path.clone(), |(path, _)| path.to_owned());
            if template == "/api/v1/workflows" {
                path = format!("{path}?workspace_id={}", self.project.workspace);
            }
            return Request::new(method, path).header("If-Match", "*").json(&self.body(template));
        }
        Request::new(method, path)
    }
}

fn named(method: &str, path: &str, answer: &Response) -> String {
    format!("{method} {path}: {answer}")
}

#[test]
fn nothing_but_what_is_public_is_answered_without_a_key() {
    let app = app();
    let world = World::make(&app);
    for (method, path) in operations() {
        let answer = world.request(&method, &path).send(app.address).unwrap();
        let is_public = PUBLIC.contains(&path.as_str());
        // Whoever asks for something is asked for a key first, whatever else is wrong with the request.
        let expected = if is_public { 200 } else { 401 };
        assert_eq!(answer.status(), expected, "{}", named(&method, &path, &answer));
        if !is_public && method == "GET" {
            let head = world.request("HEAD", &path);
            assert_eq!(head.send(app.address).unwrap().status(), 401, "HEAD {path}");
        }
    }
}

#[test]
fn a_viewer_changes_nothing_and_an_operator_nothing_of_the_service() {
    let app = app();
    let world = World::make(&app);
    let [viewer, operator] = ["viewer", "operator"].map(|role| key_of(&app, role, &world.project));
    for (method, path) in operations().into_iter().filter(|(method, _)| is_write(method)) {
        if OF_EVERY_ROLE.contains(&path.as_str()) {
            continue;
        }
        let answer = with_key(world.request(&method, &path), &viewer).send(app.address).unwrap();
        assert_eq!(answer.status(), 403, "{}", named(&method, &path, &answer));
        answer.problem(403, "role_required");
    }
    for (method, path) in operations() {
        if path.starts_with("/api/v1/api-keys") || path.starts_with("/api/v1/system/") && is_write(&method) {
            let answer = with_key(world.request(&method, &path), &operator).send(app.address).unwrap();
            assert_eq!(answer.problem(403, "role_required")["required_role"], "admin", "{method} {path}");
        }
    }
}

#[test]
fn what_another_workspace_has_is_nowhere_to_be_found() {
    let app = app();
    let (world, other) = (World::make(&app), app.project());
    let foreign = key_of(&app, "operator", &other);
    for (method, path) in operations() {
        let names_something = world.path(&path).chars().any(|it| it == '?') || path.contains('{');
        if PUBLIC.contains(&path.as_str()) || path.contains("/api-keys") || path.contains("/system/") {
            continue;
        }
        let answer = with_key(world.request(&method, &path), &foreign).send(app.address).unwrap();
        let text = String::from_utf8_lossy(&answer.body);
        let told = world.ids.values().filter(|id| id.len() > 20 && !world.path(&path).contains(id.as_str()));
        let told: Vec<_> = told
            .filter(|id| text.contains(id.as_str()) && !world.body(&path).to_string().contains(id.as_str()))
            .collect();
        assert!(told.is_empty(), "{told:?}: {}", named(&method, &path, &answer));
        if names_something && !OF_THE_CALLER.contains(&path.as_str()) {
            assert_eq!(answer.status(), 404, "{}", named(&method, &path, &answer));
        }
    }
    // A key of the right workspace finds it all, so that the walk has asked for what there is.
    let own = key_of(&app, "viewer", &world.project);
    for (method, path) in operations().into_iter().filter(|(method, path)| !is_write(method) && path.contains('{')) {
        // The run of the walk has no such output, and keys are for admins.
        if path.contains("/api-keys") || path.contains("/outputs/{path}") {
            continue;
        }
        let answer = with_key(world.request(&method, &path), &own).open(app.address).unwrap();
        assert!(matches!(answer.head.status, 200 | 204), "{method} {path}: {}", answer.head.status);
    }
}
