//! Members of workspaces: what a membership lets a key or a person do, there and nowhere else.

use ade_test_support::http::Incoming;
use ade_test_support::provider::Provider;

use crate::oidc::{Browser, app as app_with, signed_in};
use crate::sign_in::{app, make_key, with_key};
use crate::support::{Project, Request, Response, TestApp, Value, json, wait_until};

fn members_of(project: &Project) -> String {
    format!("/api/v1/workspaces/{}/members", project.workspace)
}

/// A viewer's key for a workspace of its own; its id, its secret, and that workspace.
fn stranger(app: &TestApp) -> (String, String, Project) {
    let own = app.project();
    let (id, key) = make_key(app, &json!({"name": "stranger", "role": "viewer", "workspaces": [own.workspace]}));
    (id, key, own)
}

#[track_caller]
fn add(app: &TestApp, project: &Project, member: &str, role: &str) -> Value {
    app.post(&members_of(project), &json!({"member": member, "role": role})).expect(201).json()
}

#[test]
fn a_member_does_in_its_workspace_what_its_role_allows_and_nothing_elsewhere() {
    let app = app();
    let (project, other) = (app.project(), app.project());
    let (id, key, own) = stranger(&app);
    let send = |request: Request| app.send(&with_key(request, &key));
    let show = |project: &Project| send(Request::get(format!("/api/v1/workspaces/{}", project.workspace)));
    let upload = |project: &Project, name: &str| {
        let path = format!("/api/v1/workspaces/{}/documents", project.workspace);
        send(Request::post(path).form(&[("file", Some(name), b"a\n1\n")]))
    };
    let seen = || {
        let listed = send(Request::get("/api/v1/workspaces")).expect(200).json();
        let mut ids: Vec<_> =
            listed["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
        ids.sort_unstable();
        ids
    };
    let sorted = |projects: &[&Project]| {
        let mut ids: Vec<_> = projects.iter().map(|project| project.workspace.clone()).collect();
        ids.sort_unstable();
        ids
    };
    show(&project).problem(404, "not_found");
    assert_eq!(seen(), sorted(&[&own]));

    let added = add(&app, &project, &id, "viewer");
    assert_eq!(
        (&added["id"], &added["kind"], &added["name"], &added["role"]),
        (&json!(id), &json!("key"), &json!("stranger"), &json!("viewer"))
    );
    show(&project).expect(200);
    show(&other).problem(404, "not_found");
    assert_eq!(seen(), sorted(&[&own, &project]));
    // It sees the workspace, so that it is told what it lacks there.
    assert_eq!(upload(&project, "a.csv").problem(403, "role_required")["required_role"], "operator");

    let member = format!("{}/{id}", members_of(&project));
    let changed = app.send(&Request::new("PUT", &member).json(&json!({"role": "operator"}))).expect(200).json();
    assert_eq!(changed["role"], "operator");
    upload(&project, "a.csv").expect(201);
    upload(&own, "a.csv").problem(403, "role_required");
    upload(&other, "a.csv").problem(404, "not_found");
    // What is in the workspace is changed by its own id too; what is elsewhere is not there to be changed.
    let held = app.held_run(&project);
    let elsewhere = app.held_run(&own);
    send(Request::get(format!("/api/v1/runs/{elsewhere}"))).expect(200);
    send(Request::post(format!("/api/v1/runs/{elsewhere}/cancel"))).problem(404, "not_found");
    assert!(matches!(send(Request::post(format!("/api/v1/runs/{held}/cancel"))).status(), 200 | 202));
    app.finish_run(&held);
    app.post(&format!("/api/v1/runs/{elsewhere}/cancel"), &json!({})).expect(202);
    app.finish_run(&elsewhere);
    // It is nobody in the service itself.
    send(Request::get("/api/v1/api-keys")).problem(403, "role_required");
    send(Request::get("/metrics")).problem(403, "all_workspaces_required");
    send(Request::post("/api/v1/workspaces").json(&json!({"name": "x"}))).problem(403, "all_workspaces_required");
    let shown = send(Request::get("/api/v1/session")).expect(200).json();
    assert_eq!((&shown["role"], &shown["workspaces"]), (&json!("viewer"), &json!([own.workspace])));
    assert_eq!(shown["memberships"], json!([{"workspace_id": project.workspace, "role": "operator"}]));

    app.send(&Request::new("PATCH", &member).json(&json!({"role": "viewer"}))).expect(200);
    upload(&project, "b.csv").problem(403, "role_required");
    app.send(&Request::new("DELETE", &member)).expect(204);
    show(&project).problem(404, "not_found");
    assert_eq!(seen(), sorted(&[&own]));
}

#[test]
fn members_are_seen_by_who_reads_there_and_changed_by_admins() {
    let app = app();
    let (project, other) = (app.project(), app.project());
    let (id, key, _) = stranger(&app);
    let operator = make_key(&app, &json!({"name": "worker", "role": "operator", "workspaces": [project.workspace]}));
    let path = members_of(&project);
    add(&app, &project, &id, "viewer");
    let listed = app.send(&with_key(Request::get(&path), &key)).expect(200).json();
    assert_eq!(
        (&listed["total"], &listed["items"][0]["id"], &listed["items"][0]["added_by"]),
        (&json!(1), &json!(id), &json!("first"))
    );
    app.send(&with_key(Request::get(members_of(&other)), &key)).problem(404, "not_found");
    app.send(&with_key(Request::get(format!("{}/{id}", members_of(&other))), &key)).problem(404, "not_found");
    app.send(&with_key(Request::get(format!("{path}/{id}")), &key)).expect(200);

    let body = json!({"member": operator.0, "role": "operator"});
    for (request, key) in [
        (Request::post(&path).json(&body), &key),
        (Request::post(&path).json(&body), &operator.1),
        (Request::new("PUT", format!("{path}/{id}")).json(&json!({"role": "operator"})), &key),
        (Request::new("DELETE", format!("{path}/{id}")), &key),
    ] {
        let told = app.send(&with_key(request, key)).problem(403, "role_required");
        assert_eq!(told["required_role"], "admin");
    }
    app.post(&path, &json!({"member": id, "role": "operator"})).problem(409, "already_member");
    let nobody = "key_01J00000000000000000000001";
    for (body, code) in [
        (json!({"member": nobody, "role": "viewer"}), "invalid_request"),
        (json!({"member": "key_x", "role": "viewer"}), "invalid_id"),
        (json!({"member": project.workspace, "role": "viewer"}), "invalid_id"),
        (json!({"member": operator.0, "role": "admin"}), "invalid_request"),
        (json!({"member": operator.0}), "invalid_request"),
        (json!({"role": "viewer"}), "invalid_request"),
        (json!({"member": operator.0, "subject": "s", "role": "viewer"}), "invalid_request"),
        (json!({"subject": "s", "role": "viewer"}), "invalid_request"),
    ] {
        let answer = app.post(&path, &body);
        assert_eq!(answer.json()["code"], code, "{body}: {answer}");
    }
    for request in [
        Request::new("PUT", format!("{path}/{nobody}")).json(&json!({"role": "viewer"})),
        Request::new("DELETE", format!("{path}/{nobody}")),
        Request::get(format!("{path}/{nobody}")),
        Request::post("/api/v1/workspaces/ws_01J00000000000000000000001/members").json(&body),
    ] {
        app.send(&request).problem(404, "not_found");
    }
}

#[test]
fn a_caller_is_a_member_of_a_bounded_number_of_workspaces() {
    let app = app();
    let (id, ..) = stranger(&app);
    let project = app.project();
    let rows = |value: &dyn Fn(usize) -> String| (0..100).map(value).collect::<Vec<_>>().join(", ");
    let workspace = |number: usize| format!("ws_01J000000000000000000{number:05}");
    let made = rows(&|number| format!("('{}', 'w', 'w{number}', '2026-01-01 00:00:00+00:00')", workspace(number)));
    app.change_database(&format!("insert into workspaces (id, name, slug, created_at) values {made}"));
    let made = rows(&|number| format!("('{}', '{id}', 'viewer', 'x', '2026-01-01 00:00:00+00:00')", workspace(number)));
    app.change_database(&format!("insert into members (workspace_id, holder, role, added_by, added_at) values {made}"));
    app.post(&members_of(&project), &json!({"member": id, "role": "viewer"})).problem(409, "too_many_members");
}

/// Opens the stream of a workspace's feed; what is left of it can be read.
fn open(app: &TestApp, project: &Project, key: &str) -> Incoming {
    let stream = with_key(Request::get(format!("{}/stream", project.feed())), key).open(app.address).unwrap();
    assert_eq!(stream.head.status, 200);
    stream
}

#[test]
fn what_goes_on_for_a_member_is_cut_off_when_it_may_less() {
    let app = app();
    let project = app.project();
    let (id, key, own) = stranger(&app);
    add(&app, &project, &id, "viewer");
    let member = format!("{}/{id}", members_of(&project));
    let (mut there, mut here) = (open(&app, &project, &key), open(&app, &own, &key));
    app.send(&Request::new("DELETE", &member)).expect(204);
    for stream in [&mut there, &mut here] {
        let ended = std::io::Read::read_to_end(stream, &mut Vec::new());
        assert!(ended.is_err(), "cut off: {ended:?}");
    }
    open(&app, &own, &key);
    let gone = with_key(Request::get(format!("{}/stream", project.feed())), &key).send(app.address).unwrap();
    gone.problem(404, "not_found");
}

#[test]
fn another_process_changes_members_and_a_session_and_a_ticket_follow_their_key() {
    let app = app();
    let project = app.project();
    let (id, key, _) = stranger(&app);
    let shown = |request: Request| request.send(app.address).unwrap().status();
    let workspace = format!("/api/v1/workspaces/{}", project.workspace);
    let session = Request::post("/api/v1/session").json(&json!({"key": key})).send(app.address).unwrap().expect(201);
    let cookie = session.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let token = session.json()["csrf_token"].as_str().unwrap().to_owned();
    let by_session = || Request::get(&workspace).header("Cookie", &cookie);
    assert_eq!(shown(by_session()), 404);
    let columns = "insert into members (workspace_id, holder, role, added_by, added_at) values ";
    let row = format!("('{}', '{id}', 'viewer', 'x', '2026-01-01 00:00:00+00:00')", project.workspace);
    app.change_database(&format!("{columns}{row}"));
    wait_until("it is a member", || shown(by_session()) == 200);

    let ask = Request::post("/api/v1/stream-tickets").json(&json!({"stream": project.workspace}));
    let ask = ask.header("Cookie", &cookie).header("X-CSRF-Token", token);
    let ticket = ask.send(app.address).unwrap().expect(201).json()["ticket"].as_str().unwrap().to_owned();
    let events = || Request::get(format!("{workspace}/events?ticket={ticket}"));
    assert_eq!(shown(events()), 200);
    let app = app.restart();
    let shown = |request: Request| request.send(app.address).unwrap().status();
    assert_eq!((shown(by_session()), shown(events())), (200, 200), "it outlives a restart");
    app.change_database("delete from members");
    wait_until("it is none any more", || shown(by_session()) == 404);
    assert_eq!(shown(events()), 404);
}

#[test]
fn a_key_that_is_revoked_is_no_member_any_more() {
    let app = app();
    let project = app.project();
    let (id, key, _) = stranger(&app);
    add(&app, &project, &id, "operator");
    app.send(&Request::new("DELETE", format!("/api/v1/api-keys/{id}"))).expect(204);
    app.send(&with_key(Request::get("/api/v1/session"), &key)).problem(401, "credentials_refused");
    assert_eq!(app.get(&members_of(&project)).expect(200).json()["items"], json!([]));
}

#[test]
fn a_person_in_no_group_is_let_in_as_a_member() {
    let provider = Provider::start();
    let app = app_with(&provider, "staff=viewer", &[]);
    let (project, other) = (app.project(), app.project());
    provider.script(|script| script.claims = json!({"sub": "s-9", "name": "Grace"}));
    Browser::default().sign_in(&app, &provider).problem(403, "no_group");
    let people = app.get("/api/v1/people").expect(200).json();
    let person = &people["items"][0];
    assert_eq!((&person["subject"], &person["name"]), (&json!("s-9"), &json!("Grace")));
    assert!(!person["denied_at"].is_null(), "{person}");

    let path = members_of(&project);
    let added = app.post(&path, &json!({"subject": "s-9", "role": "operator"})).expect(201).json();
    assert_eq!((&added["id"], &added["kind"], &added["name"]), (&person["id"], &json!("person"), &json!("Grace")));
    let browser = signed_in(&app, &provider);
    let shown = browser.shown(&app);
    assert_eq!((&shown["role"], &shown["workspaces"]), (&json!("viewer"), &json!([])));
    assert_eq!(shown["memberships"], json!([{"workspace_id": project.workspace, "role": "operator"}]));
    let get = |path: String| browser.send(&app, Request::get(path));
    get(format!("/api/v1/workspaces/{}", project.workspace)).expect(200);
    get(format!("/api/v1/workspaces/{}", other.workspace)).problem(404, "not_found");
    get("/metrics".to_owned()).problem(403, "all_workspaces_required");
    let csrf = shown["csrf_token"].as_str().unwrap().to_owned();
    let upload = |project: &Project| -> Response {
        let path = format!("/api/v1/workspaces/{}/documents", project.workspace);
        let form = Request::post(path).form(&[("file", Some("a.csv"), b"a\n1\n")]);
        browser.send(&app, form.header("X-CSRF-Token", &csrf))
    };
    upload(&project).expect(201);
    upload(&other).problem(404, "not_found");

    app.send(&Request::new("DELETE", format!("{path}/{}", added["id"].as_str().unwrap()))).expect(204);
    get(format!("/api/v1/workspaces/{}", project.workspace)).problem(404, "not_found");
    Browser::default().sign_in(&app, &provider).problem(403, "no_group");
}
