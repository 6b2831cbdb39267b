//! Workspaces.

use crate::support::{TestApp, json};

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
