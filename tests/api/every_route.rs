//! Every path and method of the contract: without a key, with too low a role, and from another workspace.

use std::collections::BTreeMap;

use crate::sign_in::{app, key_of, make_key, with_key};
use crate::support::executions::id_of;
use crate::support::{Project, Request, Response, TestApp, Value, definitions, json};

/// What is no secret.
const PUBLIC: [&str; 8] = [
    "/",
    "/api/docs",
    "/api/docs/style.css",
    "/api/v1/health",
    "/api/v1/openapi.json",
    "/api/v1/session/providers",
    "/health/live",
    "/health/ready",
];
/// It takes its key from the body too, so that it asks for one by itself.
const SIGN_IN: (&str, &str) = ("POST", "/api/v1/session");
/// What nobody has a key for yet, and a browser alone goes to. There is no provider in these tests.
const ON_THE_WAY_IN: [&str; 2] = ["/api/v1/session/oidc", "/api/v1/session/oidc/callback"];
/// What no role is needed for: who has a key may trade it.
const OF_EVERY_ROLE: [&str; 2] = ["/api/v1/session", "/api/v1/stream-tickets"];
/// What is each caller's own, so that it has nothing of another's workspace in it.
const OF_THE_CALLER: [&str; 1] = ["/api/v1/session"];

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// An operation of the contract.
pub struct Operation {
    pub method: String,
    pub path: String,
    /// None when the contract asks for nobody.
    role: Option<String>,
}

impl Operation {
    fn is_write(&self) -> bool {
        self.method != "GET"
    }

    fn is(&self, (method, path): (&str, &str)) -> bool {
        self.method == method && self.path == path
    }

    fn needs(&self, role: &str) -> bool {
        self.role.as_deref() == Some(role)
    }
}

/// Every method of every path that the service says it has.
pub fn operations(app: &TestApp) -> Vec<Operation> {
    let document = Request::get("/api/v1/openapi.json").send(app.address).unwrap().expect(200).json();
    let items = document["paths"].as_object().unwrap().clone();
    let described = items.iter().flat_map(|(path, item)| METHODS.map(|method| (path, method, &item[method])));
    let operation = |(path, method, described): (&String, &str, &Value)| Operation {
        method: method.to_uppercase(),
        path: path.clone(),
        role: described["x-ade-role"].as_str().map(str::to_owned),
    };
    let operations: Vec<_> = described.filter(|(_, _, described)| described.is_object()).map(operation).collect();
    assert!(operations.len() > 100, "{}", operations.len());
    operations
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
        let calls = app.get(&format!("/api/v1/executions/{execution}/events?types=llm_call")).expect(200).json();
        let call = calls["items"][0]["payload"]["call_id"].as_str().unwrap().to_owned();
        let body = json!({"workspace_id": workspace, "scope_type": "s", "scope_id": "2", "document_type": "d",
                          "content": {}});
        let written = app.post("/api/v1/documents", &body).expect(201).json()["document_id"].clone();
        let member = make_key(app, &json!({"name": "member", "role": "viewer"})).0;
        let body = json!({"member": member, "role": "viewer"});
        app.post(&format!("/api/v1/workspaces/{workspace}/members"), &body).expect(201);
        let ids = BTreeMap::from([
            ("workspace", workspace),
            ("configuration", project.configuration.clone()),
            ("input", document),
            ("document", written.as_str().unwrap().to_owned()),
            ("run", run),
            ("build", build),
            ("execution", execution),
            ("call", call),
            ("workflow", "walk".to_owned()),
            ("step", "only".to_owned()),
            ("output", "normalized.xlsx".to_owned()),
            ("file", "pyproject.toml".to_owned()),
            ("directory", "src".to_owned()),
            ("member", member),
            ("key", make_key(app, &json!({"name": "walked", "role": "viewer"})).0),
        ]);
        Self { project, ids }
    }

    /// The path with the ids of this world.
    fn path(&self, template: &str) -> String {
        let mut path = template.to_owned();
        while let Some((before, rest)) = path.clone().split_once('{') {
            let (name, behind) = rest.split_once('}').expect("a parameter has an end");
            // What stands before it says of which kind it is.
            let name = match (name, before.rsplit('/').nth(1).unwrap_or_default()) {
                ("id", collection) => collection.trim_end_matches('s'),
                ("document", "documents") if before.contains("/workspaces/") => "input",
                ("path", "files") => "file",
                ("path", "directories") => "directory",
                ("path", "outputs") => "output",
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

    fn request(&self, operation: &Operation) -> Request {
        let Operation { method, path: template, .. } = operation;
        let mut path = self.path(template);
        if operation.is_write() {
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

fn named(operation: &Operation, answer: &Response) -> String {
    format!("{} {}: {answer}", operation.method, operation.path)
}

#[test]
fn nothing_but_what_is_public_is_answered_without_a_key() {
    let app = app();
    let world = World::make(&app);
    for operation in operations(&app) {
        let answer = world.request(&operation).send(app.address).unwrap();
        let is_public = PUBLIC.contains(&operation.path.as_str());
        // Whoever asks for something is asked for a key first, whatever else is wrong with the request.
        let is_on_the_way_in = ON_THE_WAY_IN.contains(&operation.path.as_str());
        let expected = match is_public {
            true => 200,
            false if is_on_the_way_in => 404,
            false => 401,
        };
        assert_eq!(answer.status(), expected, "{}", named(&operation, &answer));
        // Callers are told so beforehand.
        let asks_nobody = is_public || is_on_the_way_in || operation.is(SIGN_IN);
        assert_eq!(operation.role.is_none(), asks_nobody, "{}", named(&operation, &answer));
        if !is_public && !is_on_the_way_in && !operation.is_write() {
            let head = Operation { method: "HEAD".to_owned(), ..operation };
            assert_eq!(
                Request::new("HEAD", world.path(&head.path)).send(app.address).unwrap().status(),
                401,
                "{}",
                head.path
            );
        }
    }
}

#[test]
fn a_viewer_changes_nothing_and_an_operator_nothing_of_the_service() {
    let app = app();
    let world = World::make(&app);
    let [viewer, operator] = ["viewer", "operator"].map(|role| key_of(&app, role, &world.project));
    for operation in operations(&app) {
        if operation.is_write() && !OF_EVERY_ROLE.contains(&operation.path.as_str()) {
            let answer = with_key(world.request(&operation), &viewer).send(app.address).unwrap();
            assert_eq!(answer.status(), 403, "{}", named(&operation, &answer));
            let told = answer.problem(403, "role_required")["required_role"].as_str().map(str::to_owned);
            assert_eq!(told, operation.role, "{} {}", operation.method, operation.path);
        }
        let is_of_the_service = operation.path.starts_with("/api/v1/system/") && operation.is_write()
            || operation.path.contains("/members") && operation.is_write()
            || ["/api/v1/api-keys", "/api/v1/audit", "/api/v1/people", "/api/v1/system/actors", "/api/v1/system/nodes"]
                .iter()
                .any(|path| operation.path.starts_with(path))
            || operation.is(("DELETE", "/api/v1/workspaces/{workspace}"));
        assert_eq!(operation.needs("admin"), is_of_the_service, "{} {}", operation.method, operation.path);
        if is_of_the_service {
            let answer = with_key(world.request(&operation), &operator).send(app.address).unwrap();
            assert_eq!(answer.problem(403, "role_required")["required_role"], "admin", "{}", operation.path);
        }
    }
}

#[test]
fn what_another_workspace_has_is_nowhere_to_be_found() {
    let app = app();
    let (world, other) = (World::make(&app), app.project());
    let foreign = key_of(&app, "operator", &other);
    for operation in operations(&app).iter().filter(|operation| operation.role.is_some() && !operation.needs("admin")) {
        let (template, path) = (&operation.path, world.path(&operation.path));
        let answer = with_key(world.request(operation), &foreign).send(app.address).unwrap();
        let text = String::from_utf8_lossy(&answer.body);
        let unsaid =
            |id: &&String| !path.contains(id.as_str()) && !world.body(template).to_string().contains(id.as_str());
        let ids = world.ids.values().filter(|id| id.len() > 20).filter(unsaid);
        let told: Vec<_> = ids.filter(|id| text.contains(id.as_str())).collect();
        assert!(told.is_empty(), "{told:?}: {}", named(operation, &answer));
        let names_something = template.contains('{') || path.contains('?');
        if names_something && !OF_THE_CALLER.contains(&template.as_str()) {
            assert_eq!(answer.status(), 404, "{}", named(operation, &answer));
        }
    }
    // A key of the right workspace finds it all, so that the walk has asked for what there is.
    let own = key_of(&app, "viewer", &world.project);
    for operation in operations(&app).iter().filter(|operation| !operation.is_write() && operation.path.contains('{')) {
        // The run of the walk has no such output, and keys are for admins.
        if operation.needs("admin") || operation.path.contains("/outputs/{path}") {
            continue;
        }
        let answer = with_key(world.request(operation), &own).open(app.address).unwrap();
        assert!(
            matches!(answer.head.status, 200 | 204),
            "{} {}: {}",
            operation.method,
            operation.path,
            answer.head.status
        );
    }
}

#[test]
fn a_method_that_is_not_in_the_contract_is_not_there() {
    let app = app();
    let world = World::make(&app);
    let operations = operations(&app);
    let is_known = |method: &str, path: &str| operations.iter().any(|operation| operation.is((method, path)));
    for Operation { path, .. } in &operations {
        for method in METHODS.map(str::to_uppercase).iter().filter(|method| !is_known(method, path)) {
            app.send(&Request::new(method, world.path(path))).problem(405, "method_not_allowed");
        }
        let head = app.send(&Request::new("HEAD", world.path(path)).header("Accept", "application/json"));
        let is_read = is_known("GET", path) && !ON_THE_WAY_IN.contains(&path.as_str());
        assert_eq!(head.status() != 405, is_read, "HEAD {path}: {head}");
    }
}
