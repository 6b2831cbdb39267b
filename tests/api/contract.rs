//! The contract as a whole: each of its operations is there and lets in whom it says, and nothing else is.

use std::collections::BTreeMap;

use crate::sign_in::{app, key_of, with_key};
use crate::support::executions::{EXECUTIONS, id_of};
use crate::support::{Project, Request, TestApp, Value, json};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// An operation with its path, and the path with ids in it.
struct Walked {
    method: String,
    template: String,
    path: String,
    operation: Value,
}

impl Walked {
    fn id(&self) -> &str {
        self.operation["operationId"].as_str().unwrap()
    }

    fn role(&self) -> Option<&str> {
        self.operation["x-ade-role"].as_str()
    }

    /// With a body that is read wherever one is expected.
    fn request(&self) -> Request {
        let body = match self.id() {
            "answer_questions" => json!({"answers": {}}),
            "decide_on_document" => json!({"accepted": true}),
            "change_workflow_document" => json!({"title": "x"}),
            _ => json!({}),
        };
        let request = Request::new(&self.method, self.path.as_str()).header("If-Match", "*");
        if self.method == "GET" { request } else { request.json(&body) }
    }
}

/// Things with ids.
struct Things {
    project: Project,
    /// By the place where the id stands.
    ids: BTreeMap<&'static str, String>,
}

impl Things {
    fn make(app: &TestApp) -> Self {
        let project = app.project();
        let run = app.create_run(&project, &json!([]));
        app.finish_run(&run);
        let build = app.build(&project, &json!({}))["id"].as_str().unwrap().to_owned();
        let written = json!({"workspace_id": project.workspace, "scope_type": "project", "scope_id": "1",
            "document_type": "note", "content": {}});
        let written = app.post("/api/v1/documents", &written).expect(201).json();
        let brief = json!({"title": "Members register online", "goal": "No more forms on paper."});
        let execution = json!({"workflow_id": "brief-to-plan", "scope_type": "project", "scope_id": "2",
            "workspace_id": project.workspace, "input": {"brief": brief}});
        let mut workflow = app.get("/api/v1/workflows/brief-to-plan").expect(200).json();
        workflow["workspace_id"] = json!(project.workspace);
        app.post("/api/v1/workflows", &workflow).expect(201);
        let execution = id_of(&app.post(EXECUTIONS, &execution).expect(201).json());
        let ids = BTreeMap::from([
            ("/runs/{id}", run),
            ("/builds/{id}", build),
            ("/executions/{id}", execution),
            ("/api/v1/documents/{document}", written["document_id"].as_str().unwrap().to_owned()),
            ("/documents/{document}", app.upload(&project, "roster.csv", b"id\n1\n")),
        ]);
        Self { project, ids }
    }

    fn fill(&self, template: &str) -> String {
        let mut path = template.to_owned();
        for (place, id) in &self.ids {
            let stem = place.split('{').next().unwrap();
            path = path.replace(place, &format!("{stem}{id}"));
        }
        let workspace = format!("/workspaces/{}", self.project.workspace);
        let rest = [
            ("{workspace}", self.project.workspace.as_str()),
            ("/workspaces/{id}", workspace.as_str()),
            ("{configuration}", self.project.configuration.as_str()),
            ("{run}", self.ids["/runs/{id}"].as_str()),
            ("{execution}", self.ids["/executions/{id}"].as_str()),
            ("{workflow}", "brief-to-plan"),
            ("{step}", "requirements"),
            ("{key}", "key_01J00000000000000000000000"),
            ("{path}", "x"),
        ];
        rest.iter().fold(path, |path, (place, id)| path.replace(place, id))
    }
}

fn walk(app: &TestApp, things: &Things) -> Vec<Walked> {
    let document = app.get("/api/v1/openapi.json").expect(200).json();
    let items = document["paths"].as_object().unwrap().clone();
    let operations = items.into_iter().flat_map(|(template, item)| {
        let path = things.fill(&template);
        let of = move |method: &str| {
            let operation = item.get(method)?.clone();
            Some(Walked { method: method.to_uppercase(), template: template.clone(), path: path.clone(), operation })
        };
        METHODS.iter().filter_map(|method| of(method)).collect::<Vec<_>>()
    });
    operations.collect()
}

#[test]
fn every_operation_lets_in_whom_the_contract_says() {
    let app = app();
    let things = Things::make(&app);
    let other = app.project();
    let [viewer, foreigner] = [key_of(&app, "viewer", &things.project), key_of(&app, "operator", &other)];
    let mut faults = Vec::new();
    let operations = walk(&app, &things);
    assert!(operations.len() > 90, "{}", operations.len());
    for operation in operations.iter().filter(|operation| operation.role().is_some()) {
        let mut expect = |who: &str, request: Request, expected: u16| {
            let answer = request.send(app.address).unwrap();
            if answer.status() != expected {
                faults.push(format!("{} as {who}: {} {}", operation.id(), answer.status(), answer.text()));
            }
        };
        expect("nobody", operation.request(), 401);
        if operation.role() != Some("viewer") {
            expect("viewer", with_key(operation.request(), &viewer), 403);
        }
        let ids = ["{workspace}", "{id}", "{document}", "{configuration}", "{run}", "{execution}"];
        if operation.role() != Some("admin") && ids.iter().any(|id| operation.template.contains(id)) {
            expect("foreigner", with_key(operation.request(), &foreigner), 404);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_not_in_the_contract_is_not_there() {
    let app = TestApp::start();
    let things = Things::make(&app);
    let operations = walk(&app, &things);
    let known = |template: &str, method: &str| {
        operations.iter().any(|operation| operation.template == template && operation.method == method)
    };
    for Walked { template, path, .. } in &operations {
        for method in METHODS.map(str::to_uppercase).iter().filter(|method| !known(template, method)) {
            app.send(&Request::new(method, path.as_str())).problem(405, "method_not_allowed");
        }
        let head = app.send(&Request::new("HEAD", path.as_str()).header("Accept", "application/json"));
        assert_eq!(head.status() == 405, !known(template, "GET"), "HEAD {template}: {head}");
    }
}

#[test]
fn the_contract_is_shown_to_programs_and_to_people() {
    let app = TestApp::start();
    let shown = app.get("/api/v1/openapi.json").expect(200);
    assert_eq!(shown.json()["openapi"], "3.1.0");
    let etag = shown.header("etag").unwrap();
    app.send(&Request::get("/api/v1/openapi.json").header("If-None-Match", etag)).expect(304);
    let page = app.get("/api/docs").expect(200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("create_workspace") && !page.text().contains("<script"));
    // Nothing from anywhere else, and nothing that the policy of the page forbids.
    assert!(!page.text().contains("https://") && !page.text().contains("style="), "{}", page.text());
    assert_eq!(page.header("content-security-policy"), Some("default-src 'self'; frame-ancestors 'none'"));
    assert_eq!(app.get("/api/docs/style.css").expect(200).header("content-type"), Some("text/css; charset=utf-8"));
}

#[test]
fn errors_are_json_for_clients_that_know_no_problems() {
    let app = TestApp::start();
    for (accept, expected) in [
        ("application/json", "application/json"),
        ("application/json;q=0.5, text/html", "application/json"),
        ("application/json, application/problem+json", "application/problem+json"),
        ("application/json, */*;q=0.1", "application/problem+json"),
        ("application/*", "application/problem+json"),
        ("text/event-stream", "application/problem+json"),
        ("text/html", "application/problem+json"),
    ] {
        for path in ["/api/v1/runs/run_01J00000000000000000000000", "/api/v1/nowhere"] {
            let answer = app.send(&Request::get(path).header("Accept", accept)).expect(404);
            assert_eq!(answer.header("content-type"), Some(expected), "{accept}");
            assert_eq!(answer.json()["code"], "not_found");
        }
    }
}
