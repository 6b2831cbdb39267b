//! Keys on the command line, and what commands show to a service that asks for them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::done;
use crate::support::http::{Request, Response};
use crate::support::server::{Server, Settings, ade, log_path, settings};
use ade_test_support::{eventually, wait_until};

fn signing_in() -> Settings {
    let mut settings = settings();
    settings.insert("ADE_AUTH", "on".into());
    settings
}

/// The output of `ade keys ...` on the directory.
#[track_caller]
fn keys(data_dir: &Path, arguments: &[&str]) -> String {
    let (code, out, err) = done(ade(data_dir, &Settings::new()).arg("keys").args(arguments));
    assert_eq!(code, Some(0), "{out}\n{err}");
    out.trim().to_owned()
}

fn with_key(server: &Server, request: Request, key: &str) -> Response {
    server.send(&request.header("Authorization", format!("Bearer {key}"))).unwrap()
}

fn get(server: &Server, path: &str, key: &str) -> Response {
    with_key(server, Request::get(path), key)
}

#[test]
fn the_first_start_makes_a_key_and_shows_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("admin.key");
    let printed = || {
        let mut service = ade(folder.path(), &settings());
        let mut service = service.arg("serve").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(service.stdout.take().unwrap()).lines().map(Result::unwrap);
        let listening = lines.next().unwrap();
        assert!(listening.starts_with("listening on http://127.0.0.1:"), "{listening}");
        crate::support::process::signal(service.id(), libc::SIGTERM);
        assert!(service.wait().unwrap().success());
        lines.collect::<Vec<_>>()
    };
    let lines = printed();
    let key = fs::read_to_string(&file).unwrap();
    assert_eq!(lines, [format!("admin key {}", key.trim())]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(printed(), [""; 0]);
    assert_eq!(fs::read_to_string(&file).unwrap(), key);
}

#[test]
fn keys_are_made_listed_and_revoked_beside_a_running_service() {
    let folder = tempfile::tempdir().unwrap();
    let admin = keys(folder.path(), &["create", "me", "--role", "admin"]);
    assert!(admin.starts_with("ade_") && !admin.contains('\n'), "{admin}");
    let server = Server::start_with(folder.path(), &signing_in());
    assert!(!folder.path().join("admin.key").exists(), "there was a key already");
    let workspace = Request::post("/api/v1/workspaces").json(&json!({"name": "Acme"}));
    let workspace = with_key(&server, workspace, &admin).expect(201).json();

    let create = ["create", "reader", "--role", "viewer", "--workspace", "acme", "--expires-in", "1h"];
    let reader = keys(folder.path(), &create);
    wait_until("the service knows the key", || get(&server, "/api/v1/workspaces", &reader).status() == 200);
    let listed: Value = serde_json::from_str(&keys(folder.path(), &["list", "--json"])).unwrap();
    let item = &listed["items"][0];
    assert_eq!((&item["name"], &item["role"]), (&json!("reader"), &json!("viewer")));
    assert_eq!(item["workspaces"], json!([workspace["id"]]));
    assert!(item["expires_at"].is_string());
    for text in [keys(folder.path(), &["list"]), listed.to_string()] {
        assert!(text.contains("reader") && !text.contains(&reader[31..]), "{text}");
    }
    let id = item["id"].as_str().unwrap();
    keys(folder.path(), &["revoke", id]);
    wait_until("the service does not know the key any more", || {
        get(&server, "/api/v1/workspaces", &reader).status() == 401
    });
    get(&server, "/api/v1/workspaces", &admin).expect(200);
    server.stop();
}

#[test]
fn what_cannot_be_made_or_revoked_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, code, words) in [
        (&["create", "x", "--role", "root"][..], 2, "viewer, operator or admin"),
        (&["create", "admin", "--role", "viewer"], 1, "`name` must be no name of a role"),
        (&["create", "x", "--role", "viewer", "--workspace", "nowhere"], 1, "there is no workspace nowhere"),
        (&["create", "x", "--role", "viewer", "--expires-in", "soon"], 2, "duration"),
        (&["revoke", "key_x"], 2, "key_"),
        (&["revoke", "key_01J00000000000000000000000"], 1, "there is no key"),
    ] {
        let (found, out, err) = done(ade(folder.path(), &Settings::new()).arg("keys").args(arguments));
        assert_eq!((found, out.as_str()), (Some(code), ""), "{err}");
        assert!(err.contains(words), "{err}");
    }
}

#[test]
fn commands_show_the_key_that_they_are_given_or_the_one_that_lies_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &signing_in());
    let key = fs::read_to_string(folder.path().join("admin.key")).unwrap().trim().to_owned();
    let url = format!("http://{}", server.address);
    let list = |given: Settings, more: &[&str]| done(ade(folder.path(), &given).args(["workflows", "list"]).args(more));
    let with = |key: &str| Settings::from([("ADE_API_KEY", key.to_owned())]);
    assert_eq!(list(Settings::new(), &[]).0, Some(0), "it owns the directory");
    let (code, _, err) = list(Settings::new(), &["--server", &url]);
    assert!(code == Some(1) && err.contains("sign_in_required"), "{err}");
    assert_eq!(list(with(&key), &["--server", &url]).0, Some(0));
    assert_eq!(list(Settings::new(), &["--server", &url, "--key", &key]).0, Some(0));
    let (code, _, err) = list(with("ade_wrong"), &[]);
    assert!(code == Some(1) && err.contains("credentials_refused") && !err.contains("ade_wrong"), "{err}");

    let by_service = |arguments: &[&str]| {
        let (code, out, err) = done(ade(folder.path(), &with(&key)).args(["keys", "--server", &url]).args(arguments));
        assert_eq!(code, Some(0), "{err}");
        out.trim().to_owned()
    };
    let made = by_service(&["create", "ci", "--role", "operator"]);
    get(&server, "/api/v1/workspaces", &made).expect(200);
    let listed: Value = serde_json::from_str(&by_service(&["list", "--json"])).unwrap();
    by_service(&["revoke", listed["items"][0]["id"].as_str().unwrap()]);
    get(&server, "/api/v1/workspaces", &made).problem(401, "credentials_refused");
    server.stop();
}

#[test]
fn a_service_that_a_command_brings_along_serves_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &signing_in());
    let key = fs::read_to_string(folder.path().join("admin.key")).unwrap().trim().to_owned();
    let made = with_key(&server, Request::post("/api/v1/workspaces").json(&json!({"name": "Acme"})), &key);
    let workspace = made.expect(201).json()["id"].as_str().unwrap().to_owned();
    server.stop();
    let mut tail = ade(folder.path(), &settings()).args(["tail", &workspace]).stdout(Stdio::null()).spawn().unwrap();
    let address = eventually("the address of the service", || {
        let owner: Value = serde_json::from_str(&fs::read_to_string(folder.path().join(".lock")).ok()?).ok()?;
        let is_its = owner["pid"].as_u64() == Some(tail.id().into());
        owner["address"].as_str().filter(|_| is_its)?.parse().ok()
    });
    Request::get("/api/v1/workspaces").send(address).unwrap().problem(401, "sign_in_required");
    let local = folder.path().join("local.key");
    assert_eq!(fs::metadata(&local).unwrap().permissions().mode() & 0o777, 0o600, "for commands of the same user");
    let (code, _, err) = done(ade(folder.path(), &Settings::new()).args(["workflows", "list"]));
    assert_eq!(code, Some(0), "{err}");
    let known = Request::get("/api/v1/workspaces").header("X-API-Key", &key);
    known.send(address).unwrap().expect(200);
    crate::support::process::signal(tail.id(), libc::SIGINT);
    assert_eq!(tail.wait().unwrap().code(), Some(130));
    assert!(!local.exists());
}

#[test]
fn no_secret_is_in_the_log_whatever_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = signing_in();
    settings.insert("ADE_LOG_LEVEL", "trace".into());
    let server = Server::start_with(folder.path(), &settings);
    let admin = fs::read_to_string(folder.path().join("admin.key")).unwrap().trim().to_owned();
    let made = |path: &str, body: Value| with_key(&server, Request::post(path).json(&body), &admin).expect(201);
    let text = |answer: &Response, member: &str| answer.json()[member].as_str().unwrap().to_owned();
    let workspace = text(&made("/api/v1/workspaces", json!({"name": "Acme"})), "id");
    let key = text(&made("/api/v1/api-keys", json!({"name": "k", "role": "viewer"})), "key");
    let ticket = text(&made("/api/v1/stream-tickets", json!({"stream": workspace})), "ticket");
    let session = server.send(&Request::post("/api/v1/session").json(&json!({"key": admin}))).unwrap().expect(201);
    let cookie = session.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let csrf = text(&session, "csrf_token");
    let events = format!("/api/v1/workspaces/{workspace}/events?ticket=");
    let wrong = "adet_wrongwrongwrongwrong";
    let requests = [
        Request::get("/api/v1/workspaces").header("Authorization", format!("Bearer {key}")),
        Request::get("/api/v1/workspaces").header("X-API-Key", format!("{key}x")),
        Request::get(format!("{events}{ticket}")),
        Request::get(format!("{events}{wrong}")),
        Request::get(format!("/nowhere?ticket={ticket}")),
        Request::get("/api/v1/session").header("Cookie", &cookie),
        Request::new("DELETE", "/api/v1/session").header("Cookie", &cookie).header("X-CSRF-Token", &csrf),
    ];
    let statuses: Vec<_> = requests.iter().map(|request| server.send(request).unwrap().status()).collect();
    assert_eq!(statuses, [200, 401, 200, 401, 404, 200, 204]);
    server.stop();
    let log = fs::read_to_string(log_path(folder.path())).unwrap();
    assert!(log.contains("request answered") && log.contains("TRACE"), "it is a log of everything");
    let session = cookie.split_once('=').unwrap().1;
    for secret in [&admin[31..], &key[31..], &ticket, session, &csrf, wrong] {
        assert!(!log.contains(secret), "{secret}");
    }
}
