//! Who is let in, and to what: keys, roles and workspaces.

use crate::support::{Project, Request, Response, TestApp, Value, json};

/// A service that asks for keys; requests show the first admin's unless they show something else.
pub fn app() -> TestApp {
    TestApp::with(&[("ADE_AUTH", "on")])
}

/// Makes a key; answers its id and its secret.
#[track_caller]
pub fn make_key(app: &TestApp, body: &Value) -> (String, String) {
    let made = app.post("/api/v1/api-keys", body).expect(201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = made.json();
    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

/// The secret of a key of this role, bound to a project's workspace.
#[track_caller]
pub fn key_of(app: &TestApp, role: &str, project: &Project) -> String {
    make_key(app, &json!({"name": format!("the {role}"), "role": role, "workspaces": [project.workspace]})).1
}

pub fn with_key(request: Request, key: &str) -> Request {
    request.header("Authorization", format!("Bearer {key}"))
}

#[track_caller]
fn get(app: &TestApp, path: &str, key: &str) -> Response {
    app.send(&with_key(Request::get(path), key))
}

#[test]
fn nobody_gets_in_without_a_key() {
    let app = app();
    let refused = Request::get("/api/v1/workspaces").send(app.address).unwrap();
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"ade\""));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    refused.problem(401, "sign_in_required");
    let key = app.key();
    let other = format!("{}{}", &key[..key.len() - 1], if key.ends_with('A') { 'E' } else { 'A' });
    for wrong in ["", "x", "ade_", &key[4..], &key[..key.len() - 1], &other, &"x".repeat(5000)] {
        let refused = get(&app, "/api/v1/workspaces", wrong);
        assert!(refused.header("www-authenticate").is_some());
        let problem = refused.problem(401, "credentials_refused");
        assert!(!problem.to_string().contains(&key[10..]), "{problem}");
    }
    for (name, value) in [("X-API-Key", key.to_owned()), ("authorization", format!("BEARER {key}"))] {
        Request::get("/api/v1/workspaces").header(name, value).send(app.address).unwrap().expect(200);
    }
    let both = with_key(Request::get("/api/v1/workspaces"), key).header("X-API-Key", "ade_other");
    app.send(&both).problem(401, "credentials_refused");
}

#[test]
fn health_is_told_to_everybody_and_its_details_are_not() {
    let app = app();
    Request::get("/health/live").send(app.address).unwrap().expect(200);
    let ready = |request: Request| request.send(app.address).unwrap().expect(200).json();
    let details = |answer: &Value| {
        let components = answer["components"].as_array().unwrap().clone();
        components.iter().filter(|component| !component["detail"].is_null()).count()
    };
    app.send(&Request::new("PUT", "/api/v1/system/safe-mode").json(&json!({"enabled": true, "detail": "secret"})))
        .expect(200);
    let (stranger, known) =
        (ready(Request::get("/health/ready")), ready(with_key(Request::get("/health/ready"), app.key())));
    assert_eq!((stranger["status"].as_str(), details(&stranger), details(&known)), (Some("degraded"), 0, 1));
}

#[test]
fn with_sign_in_the_host_is_not_asked_for() {
    let app = app();
    let request = with_key(Request::get("/api/v1/workspaces"), app.key());
    app.send(&request.header("Host", "ade.example.org")).expect(200);
}

#[test]
fn a_key_is_shown_once_and_listed_without_its_secret() {
    let app = app();
    let workspace = app.create_workspace("Acme");
    let body = json!({"name": "ci", "role": "viewer", "workspaces": [workspace], "expires_at": "2999-01-01T00:00:00Z"});
    let (id, secret) = make_key(&app, &body);
    assert!(secret.starts_with(&format!("ade_{}_", &id[4..])) && secret.len() == 74, "{secret}");
    let shown = app.get(&format!("/api/v1/api-keys/{id}")).expect(200);
    let listed = app.get("/api/v1/api-keys").expect(200);
    for text in [shown.text(), listed.text()] {
        assert!(!text.contains(&secret[31..]), "{text}");
    }
    let shown = shown.json();
    for (member, expected) in [
        ("name", json!("ci")),
        ("role", json!("viewer")),
        ("workspaces", json!([workspace])),
        ("created_by", json!("first")),
        ("expires_at", json!("2999-01-01T00:00:00.000000Z")),
        ("last_used_at", Value::Null),
        ("revoked_at", Value::Null),
    ] {
        assert_eq!(shown[member], expected, "{member}");
    }
    assert_eq!(listed.json()["items"][0], shown);
    assert_eq!(listed.json()["total"], 2);
    app.get("/api/v1/api-keys?page=2").problem(400, "invalid_query");
}

#[test]
fn a_key_that_cannot_be_meant_is_refused() {
    let app = app();
    let workspace = app.create_workspace("Acme");
    let absent = "ws_01J00000000000000000000000";
    for (body, path) in [
        (json!({"name": "", "role": "viewer"}), "name"),
        (json!({"name": "admin", "role": "viewer"}), "name"),
        (json!({"name": "x", "role": "root"}), "role"),
        (json!({"name": "x", "role": "viewer", "workspaces": []}), "workspaces"),
        (json!({"name": "x", "role": "admin", "workspaces": [workspace]}), "workspaces"),
        (json!({"name": "x", "role": "viewer", "workspaces": [workspace, absent]}), "workspaces[1]"),
        (json!({"name": "x", "role": "viewer", "workspaces": ["x"]}), "workspaces[0]"),
        (json!({"name": "x", "role": "viewer", "expires_at": "2001-01-01T00:00:00Z"}), "expires_at"),
        (json!({"name": "x", "role": "viewer", "expires_at": "soon"}), "expires_at"),
        (json!({"role": "viewer"}), "name"),
    ] {
        let refused = app.post("/api/v1/api-keys", &body).expect(422).json();
        assert_eq!(refused["errors"][0]["path"], path, "{refused}");
    }
}

#[test]
fn a_role_may_do_what_it_is_for_and_no_more() {
    let app = app();
    let project = app.project();
    let run = app.held_run(&project);
    let [viewer, operator] = ["viewer", "operator"].map(|role| key_of(&app, role, &project));
    get(&app, &format!("/api/v1/runs/{run}"), &viewer).expect(200);

    let cancel = |key: &str| app.send(&with_key(Request::post(format!("/api/v1/runs/{run}/cancel")), key));
    let refused = cancel(&viewer).problem(403, "role_required");
    assert_eq!(refused["required_role"], "operator");
    for path in ["/api/v1/api-keys", "/api/v1/system/actors", "/api/v1/system/nodes"] {
        assert_eq!(get(&app, path, &operator).problem(403, "role_required")["required_role"], "admin");
    }
    cancel(&operator).expect(202);
    app.run_stream(&run).until_type("run.completed");
    let events = app.run_events(&run);
    let cancelling = events.iter().find(|event| event["type"] == "run.cancelling").expect("the run had begun");
    assert_eq!(cancelling["payload"]["requested_by"]["name"], "the operator");
    assert!(cancelling["payload"]["requested_by"]["key_id"].as_str().unwrap().starts_with("key_"));
}

#[test]
fn what_is_in_another_workspace_is_not_there() {
    let app = app();
    let (own, foreign) = (app.project(), app.project());
    let key = key_of(&app, "operator", &own);
    let run = app.create_run(&foreign, &json!([["exit", 0]]));
    app.finish_run(&run);
    for path in [
        format!("/api/v1/runs/{run}"),
        format!("/api/v1/runs/{run}/events/stream"),
        format!("/api/v1/runs/{run}/events/download"),
        format!("/api/v1/events/stream?stream={run}"),
        format!("/api/v1/workspaces/{}", foreign.workspace),
        foreign.feed(),
        foreign.runs(),
        foreign.builds(),
    ] {
        get(&app, &path, &key).problem(404, "not_found");
    }
    app.send(&with_key(Request::post(format!("/api/v1/runs/{run}/cancel")), &key)).problem(404, "not_found");
    app.send(&with_key(Request::post(foreign.runs()).json(&json!({})), &key)).problem(404, "not_found");
    let listed = get(&app, "/api/v1/workspaces", &key).expect(200).json();
    assert_eq!((listed["total"].as_u64(), listed["items"][0]["id"].as_str()), (Some(1), Some(&*own.workspace)));
    let made = Request::post("/api/v1/workspaces").json(&json!({"name": "More"}));
    app.send(&with_key(made, &key)).problem(403, "all_workspaces_required");
    let change = |body: Value| {
        let request = Request::new("PATCH", format!("/api/v1/workspaces/{}", own.workspace)).json(&body);
        app.send(&with_key(request, &key))
    };
    change(json!({"slug": "local"})).problem(403, "all_workspaces_required");
    assert_eq!(change(json!({"name": "Ours"})).expect(200).json()["name"], "Ours");
    get(&app, &own.runs(), &key).expect(200);
}

#[test]
fn the_same_idempotency_key_of_two_callers_is_two() {
    let app = app();
    let project = app.project();
    let keys = [key_of(&app, "operator", &project), key_of(&app, "operator", &project)];
    let create = |key: &String| {
        let request = Request::post(project.runs()).json(&json!({"options": {"validate_only": true}}));
        let answer = app.send(&with_key(request.header("Idempotency-Key", "one"), key)).expect(201);
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let [first, second] = [create(&keys[0]), create(&keys[1])];
    assert_ne!(first, second);
    assert_eq!(create(&keys[0]), first);
    [first, second].iter().for_each(|run| drop(app.finish_run(run)));
}

#[test]
fn keys_outlive_a_restart_and_revoked_ones_stay_revoked() {
    let app = app();
    let [(_, kept), (id, revoked)] =
        ["kept", "revoked"].map(|name| make_key(&app, &json!({"name": name, "role": "viewer"})));
    app.send(&Request::new("DELETE", format!("/api/v1/api-keys/{id}"))).expect(204);
    app.send(&Request::new("DELETE", format!("/api/v1/api-keys/{id}"))).expect(204);
    app.send(&Request::new("DELETE", "/api/v1/api-keys/key_01J00000000000000000000000")).problem(404, "not_found");
    let app = app.restart();
    get(&app, "/api/v1/workspaces", &kept).expect(200);
    get(&app, "/api/v1/workspaces", &revoked).problem(401, "credentials_refused");
    let listed = app.get("/api/v1/api-keys").expect(200).json();
    let revoked_at =
        listed["items"].as_array().unwrap().iter().find(|key| key["id"] == *id).unwrap()["revoked_at"].clone();
    assert!(revoked_at.is_string(), "{listed}");
}

#[test]
fn an_answer_to_a_caller_is_kept_from_others() {
    let app = app();
    let answer = app.get("/api/v1/workspaces").expect(200);
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    assert_eq!(answer.header("vary"), Some("authorization, cookie, x-api-key"));
}

#[test]
fn metrics_are_for_who_may_see_every_workspace() {
    let app = app();
    let project = app.project();
    Request::get("/metrics").send(app.address).unwrap().problem(401, "sign_in_required");
    get(&app, "/metrics", &key_of(&app, "operator", &project)).problem(403, "all_workspaces_required");
    let (_, key) = make_key(&app, &json!({"name": "prometheus", "role": "viewer"}));
    assert!(get(&app, "/metrics", &key).expect(200).text().contains("ade_build_info"));
}

#[test]
fn too_many_keys_are_refused() {
    let app = app();
    let row = "insert into api_keys (id, name, role, secret_digest, created_by, created_at) values ";
    let values = (0..1000).map(|number| {
        format!(
            "('key_01J0000000000000000000{number:04}', 'k', 'viewer', '{}', 'x', '2026-01-01 00:00:00+00:00')",
            "0".repeat(64)
        )
    });
    app.change_database(&format!("{row}{}", values.collect::<Vec<_>>().join(",")));
    let app = app.restart();
    app.post("/api/v1/api-keys", &json!({"name": "x", "role": "viewer"})).problem(409, "too_many_keys");
}

#[test]
fn a_node_without_a_cluster_takes_no_word_of_another_node() {
    let app = app();
    let forwarded = |request: Request| request.header("ADE-Forwarded", "e30").header("ADE-Signature", "e30");
    forwarded(Request::get("/api/v1/workspaces")).send(app.address).unwrap().problem(401, "sign_in_required");
    app.send(&forwarded(Request::get("/api/v1/workspaces"))).expect(200);
}
