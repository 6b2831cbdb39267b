//! Workspaces.

use crate::support::{Request, Response, TestApp, Value, json};

#[test]
fn a_workspace_is_created_shown_and_listed() {
    let app = TestApp::start();
    let created = app.post("/api/v1/workspaces", &json!({"name": " North & South "})).expect(201);
    let workspace = created.json();
    assert_eq!(workspace["name"], "North & South");
    assert_eq!(workspace["slug"], "north-south");
    let path = format!("/api/v1/workspaces/{}", workspace["id"].as_str().unwrap());
    assert_eq!(created.header("location"), Some(path.as_str()));
    assert_eq!(app.get(&path).expect(200).json(), workspace);

    let second = app.post("/api/v1/workspaces", &json!({"name": "x", "slug": "other"})).expect(201).json();
    let list = app.get("/api/v1/workspaces").expect(200).json();
    assert_eq!(list["total"], 3, "and the default one");
    assert_eq!((&list["page"], &list["pageCount"]), (&json!(1), &json!(1)));
    let items = list["items"].as_array().unwrap();
    assert!(items.contains(&workspace) && items.contains(&second), "{list}");
}

#[test]
fn a_slug_belongs_to_one_workspace() {
    let app = TestApp::start();
    let named = json!({"name": "One", "slug": "mine"});
    app.post("/api/v1/workspaces", &named).expect(201);
    app.post("/api/v1/workspaces", &named).problem(409, "slug_taken");
    assert_eq!(app.get("/api/v1/workspaces?q=mine").json()["total"], 1);
}

#[test]
fn names_in_any_script_are_accepted() {
    let app = TestApp::start();
    let create = |name: &str| app.post("/api/v1/workspaces", &json!({"name": name})).expect(201).json();
    let tokyo = create("東京");
    assert_eq!((&tokyo["name"], &tokyo["slug"]), (&json!("東京"), &json!("dong-jing")));
    // Other characters, written alike.
    let other = create("冬京");
    assert_ne!(other["slug"], tokyo["slug"]);
    assert!(other["slug"].as_str().unwrap().starts_with("dong-jing-"), "{other}");
    let signs = create("!?");
    assert_eq!(signs["slug"], signs["id"].as_str().unwrap().to_lowercase().replace('_', "-"));
    // Nothing is said of its own name when a text without letters is asked for as the slug.
    app.post("/api/v1/workspaces", &json!({"name": "x", "slug": "!?"})).problem(422, "invalid_request");
    app.post("/api/v1/workspaces", &json!({"name": "x", "slug": "dong-jing"})).problem(409, "slug_taken");
}

#[test]
fn an_invalid_workspace_is_rejected() {
    let app = TestApp::start();
    for body in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "   "}),
        json!({"name": "x".repeat(256)}),
        json!({"name": 1}),
        json!({"name": "x", "slug": "---"}),
        json!({"name": "x", "colour": "red"}),
        json!([]),
    ] {
        app.post("/api/v1/workspaces", &body).problem(422, "invalid_request");
    }
    app.get("/api/v1/workspaces/ws_nothing").problem(422, "invalid_id");
    app.get("/api/v1/workspaces/run_01J00000000000000000000000").problem(422, "invalid_id");
    app.get("/api/v1/workspaces/ws_01J00000000000000000000000").problem(404, "not_found");
}

fn own(id: &str) -> String {
    format!("/api/v1/workspaces/{id}")
}

fn send(app: &TestApp, method: &str, target: &str, body: &Value) -> Response {
    app.send(&Request::new(method, target).json(body))
}

fn delete(app: &TestApp, target: &str) -> Response {
    app.send(&Request::new("DELETE", target))
}

fn local(app: &TestApp) -> Value {
    app.get("/api/v1/workspaces?q=local").expect(200).json()["items"][0].clone()
}

#[test]
fn a_workspaces_name_and_slug_are_changed() {
    let app = TestApp::start();
    let [one, other] = ["One", "Other"].map(|name| app.create_workspace(name));
    let taken = app.get(&own(&other)).json()["slug"].clone();
    let hostile = "<b>'; DROP TABLE workspaces; -- ../..</b>";
    let changed = send(&app, "PATCH", &own(&one), &json!({"name": hostile, "slug": "New One"})).expect(200).json();
    assert_eq!((&changed["name"], &changed["slug"]), (&json!(hostile), &json!("new-one")));
    assert_eq!(app.get(&own(&one)).json(), changed);
    assert_eq!(send(&app, "PATCH", &own(&one), &json!({})).expect(200).json(), changed);
    send(&app, "PATCH", &own(&one), &json!({"slug": taken})).problem(409, "slug_taken");
    for body in [json!({"name": ""}), json!({"name": "a\r\nb"}), json!({"slug": "!"}), json!({"colour": 1})] {
        send(&app, "PATCH", &own(&one), &body).problem(422, "invalid_request");
    }
    let local = own(local(&app)["id"].as_str().unwrap());
    send(&app, "PATCH", &local, &json!({"slug": "mine"})).problem(409, "workspace_is_default");
    assert_eq!(
        send(&app, "PATCH", &local, &json!({"name": "Mine", "slug": "local"})).expect(200).json()["name"],
        "Mine"
    );
}

#[test]
fn a_workspace_is_deleted_with_everything_in_it_but_not_under_its_work() {
    let app = TestApp::start();
    let project = app.project();
    let run = app.held_run(&project);
    let slug = app.get(&own(&project.workspace)).json()["slug"].clone();
    assert_eq!(delete(&app, &own(&project.workspace)).problem(409, "workspace_in_use")["live"], 1);
    app.touch("go");
    app.finish_run(&run);
    let log = app.run_log(&project, &run);
    let mut feed = app.stream(&Request::get(format!("{}/stream", project.feed())));
    feed.until_type("run.completed");
    delete(&app, &own(&project.workspace)).expect(204);
    assert_eq!(feed.frames().pop().unwrap().event.as_deref(), Some("stream.draining"), "its reader is sent away");

    let configuration = format!("{}/configurations/{}", own(&project.workspace), project.configuration);
    let run_path = format!("/api/v1/runs/{run}");
    for gone in [
        own(&project.workspace),
        configuration,
        project.documents(),
        project.runs(),
        project.builds(),
        project.feed(),
        run_path.clone(),
        format!("{run_path}/events"),
        format!("{run_path}/events/stream"),
        format!("{run_path}/outputs/normalized.xlsx"),
    ] {
        app.get(&gone).problem(404, "not_found");
    }
    app.send(&Request::post(format!("{run_path}/retry"))).problem(404, "not_found");
    app.post(&project.runs(), &json!({"options": {"validate_only": true}})).problem(404, "not_found");
    assert_eq!(app.get("/api/v1/workspaces").json()["total"], 1);
    assert_eq!(app.run_log(&project, &run), log, "no log goes without retention");
    app.post("/api/v1/workspaces", &json!({"name": "Again", "slug": slug})).expect(201);
    delete(&app, &own(local(&app)["id"].as_str().unwrap())).problem(409, "workspace_is_default");
    delete(&app, &own("ws_01J00000000000000000000000")).problem(404, "not_found");
}

#[test]
fn a_caller_chooses_the_workspace_that_it_means_when_it_names_none() {
    let app = TestApp::start();
    let chosen = app.create_workspace("Chosen");
    let is_default = |id: &str| app.get(&own(id)).expect(200).json()["is_default"].clone();
    let local = local(&app);
    assert_eq!((&local["is_default"], is_default(&chosen)), (&json!(true), json!(false)));
    let answer = send(&app, "PUT", &format!("{}/default", own(&chosen)), &json!({})).expect(200).json();
    assert_eq!(answer, json!({"workspace_id": chosen, "is_default": true}));
    assert_eq!((is_default(local["id"].as_str().unwrap()), is_default(&chosen)), (json!(false), json!(true)));
    let list = app.get("/api/v1/workspaces").json();
    let marked: Vec<_> = list["items"].as_array().unwrap().iter().filter(|item| item["is_default"] == true).collect();
    assert_eq!(marked.len(), 1);
    let document = json!({"scope_type": "project", "scope_id": "1", "document_type": "brief", "content": {}});
    let made = app.post("/api/v1/documents", &document).expect(201).json();
    assert_eq!(made["workspace_id"], json!(chosen));
    let unknown = "/api/v1/workspaces/ws_01J00000000000000000000000/default";
    send(&app, "PUT", unknown, &json!({})).problem(404, "not_found");
    // What is deleted is nobody's default any more.
    delete(&app, &own(&chosen)).expect(204);
    assert_eq!(is_default(local["id"].as_str().unwrap()), json!(true));
}
