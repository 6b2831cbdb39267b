//! The files of a configuration: exchanged as a whole, exported, and one of a workspace active.

use crate::support::tools::{Files, files_of, with_file, zip_of};
use crate::support::{Project, Request, Response, TestApp, Value, json, wait_until};

fn target(project: &Project, rest: &str) -> String {
    format!("/api/v1/workspaces/{}/configurations/{}{rest}", project.workspace, project.configuration)
}

fn replace(app: &TestApp, project: &Project, if_match: Option<&str>, zip: &[u8]) -> Response {
    let form = [("file", Some("package.zip"), zip)];
    let mut request = Request::new("PUT", target(project, "/import")).form(&form);
    if let Some(tag) = if_match {
        request = request.header("If-Match", tag);
    }
    app.send(&request)
}

fn changed(content: &str) -> Files {
    with_file(files_of("configuration"), "src/ade_config/more.py", content)
}

#[test]
fn replacing_a_package_requires_its_current_etag() {
    let app = TestApp::start();
    let project = app.project();
    let before = app.get(&target(&project, "")).expect(200);
    let etag = before.header("etag").unwrap().to_owned();
    let digest = before.json()["content_digest"].as_str().unwrap().to_owned();
    assert!(etag.starts_with(&format!("\"{digest}.")), "{etag}");
    let zip = zip_of(&changed("x = 1\n"));
    replace(&app, &project, None, &zip).problem(428, "precondition_required");
    replace(&app, &project, Some("\"sha256:00\""), &zip).problem(412, "precondition_failed");
    assert_eq!(app.get(&target(&project, "")).json(), before.json());

    let replaced = replace(&app, &project, Some(&etag), &zip).expect(200);
    let now = replaced.json();
    assert_ne!(now["content_digest"], before.json()["content_digest"]);
    assert_eq!(now["id"], before.json()["id"]);
    assert_eq!(app.get(&target(&project, "")).json(), now);
    replace(&app, &project, Some(&etag), &zip).problem(412, "precondition_failed");
    // What is sent back is the digest, one of several, or whatever is there.
    let digest = now["content_digest"].as_str().unwrap().to_owned();
    let zip = zip_of(&files_of("configuration"));
    replace(&app, &project, Some(&format!("\"sha256:00\", \"{digest}\"")), &zip).expect(200);
    let last = replace(&app, &project, Some("*"), &zip_of(&changed("y = 2\n"))).expect(200).json();
    let build = app.build(&project, &json!({}));
    assert_eq!((&build["status"], &build["content_digest"]), (&json!("active"), &last["content_digest"]));
}

#[test]
fn an_invalid_package_replaces_nothing() {
    let app = TestApp::start();
    let project = app.project();
    let before = app.show_configuration(&project);
    replace(&app, &project, Some("*"), b"not a zip").problem(422, "invalid_archive");
    let mut files = files_of("configuration");
    files.retain(|(name, _)| !name.ends_with("manifest.json"));
    replace(&app, &project, Some("*"), &zip_of(&files)).problem(422, "invalid_package");
    assert_eq!(app.show_configuration(&project), before);
    assert_eq!(app.build(&project, &json!({}))["status"], "active");
    let unknown = Project { configuration: "cfg_01ARZ3NDEKTSV4RRFFQ69G5FAV".into(), ..project.clone() };
    replace(&app, &unknown, Some("*"), &zip_of(&files_of("configuration"))).problem(404, "not_found");
    let elsewhere = Project { workspace: app.create_workspace("Other"), ..project };
    replace(&app, &elsewhere, Some("*"), &zip_of(&files_of("configuration"))).problem(404, "not_found");
}

#[test]
fn files_changed_by_hand_are_not_silently_replaced() {
    let app = TestApp::start();
    let project = app.project();
    let etag = app.get(&target(&project, "")).header("etag").unwrap().to_owned();
    let folder = app.data_dir().join("workspaces").join(&project.workspace).join("configurations");
    std::fs::write(folder.join(&project.configuration).join("src/ade_config/by_hand.py"), "z = 3\n").unwrap();
    replace(&app, &project, Some(&etag), &zip_of(&changed("x = 1\n"))).problem(412, "precondition_failed");
    let seen = app.get(&target(&project, ""));
    assert_ne!(seen.header("etag"), Some(etag.as_str()));
    replace(&app, &project, seen.header("etag"), &zip_of(&changed("x = 1\n"))).expect(200);
}

#[test]
fn of_two_concurrent_replacements_one_wins() {
    let app = TestApp::start();
    let project = app.project();
    let etag = app.get(&target(&project, "")).header("etag").unwrap().to_owned();
    let zips: Vec<Vec<u8>> = (0..6).map(|n| zip_of(&changed(&format!("x = {n}\n")))).collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let (app, project, etag) = (&app, &project, &etag);
        let replacing: Vec<_> =
            zips.iter().map(|zip| scope.spawn(move || replace(app, project, Some(etag), zip).status())).collect();
        replacing.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 412].contains(status)), "{statuses:?}");
}

#[test]
fn a_build_uses_the_requested_inputs_or_reports_that_they_changed() {
    let app = TestApp::start();
    let project = app.project();
    let zips = [zip_of(&changed("x = 1\n")), zip_of(&changed("x = 2\n"))];
    let digests: Vec<Value> = zips
        .iter()
        .map(|zip| replace(&app, &project, Some("*"), zip).expect(200).json()["content_digest"].clone())
        .collect();
    let builds: Vec<Value> = std::thread::scope(|scope| {
        let replacing = scope.spawn(|| {
            for round in 0..20 {
                replace(&app, &project, Some("*"), &zips[round % 2]).expect(200);
            }
        });
        let builds = (0..4).map(|_| app.build(&project, &json!({"force": true}))).collect();
        replacing.join().unwrap();
        builds
    });
    for build in builds {
        assert!(digests.contains(&build["content_digest"]), "{build}");
        if build["status"] != "active" {
            assert_eq!(build["error"]["code"], "config_install_failed", "{build}");
            assert!(build["error"]["message"].as_str().unwrap().contains("has changed"), "{build}");
        }
    }
    assert_eq!(app.build(&project, &json!({}))["status"], "active");
}

#[test]
fn an_exported_package_can_be_imported_unchanged() {
    let app = TestApp::start();
    let project = app.project_of(&changed("x = 1\n"));
    let shown = app.get(&target(&project, ""));
    let zip = app.get(&target(&project, "/export")).expect(200);
    assert_eq!(zip.header("content-type"), Some("application/zip"));
    let name = format!("attachment; filename=\"{}.zip\"", project.configuration);
    assert_eq!(zip.header("content-disposition"), Some(name.as_str()));
    let digest = format!("\"{}\"", shown.json()["content_digest"].as_str().unwrap());
    assert_eq!(zip.header("etag"), Some(digest.as_str()));
    let again = app.import(&project.workspace, &zip.body).expect(201).json();
    assert_eq!(again["content_digest"], shown.json()["content_digest"]);
    assert_eq!(app.get(&target(&project, "/export")).body, zip.body, "the same files give the same bytes");

    let etag = zip.header("etag").unwrap();
    app.send(&Request::get(target(&project, "/export")).header("If-None-Match", etag)).expect(304);
    let rest = Request::get(target(&project, "/export")).header("Range", "bytes=10-").header("If-Range", etag);
    assert_eq!(app.send(&rest).expect(206).body, zip.body[10..]);
    let head = app.send(&Request::new("HEAD", target(&project, "/export"))).expect(200);
    assert_eq!((head.header("content-length"), head.body.len()), (zip.header("content-length"), 0));
    let incoming = app.data_dir().join("incoming");
    wait_until("nothing is left", || std::fs::read_dir(&incoming).unwrap().next().is_none());
    let unknown = Project { configuration: "cfg_01ARZ3NDEKTSV4RRFFQ69G5FAV".into(), ..project };
    app.get(&target(&unknown, "/export")).problem(404, "not_found");
}

#[test]
fn one_configuration_of_a_workspace_is_active() {
    let app = TestApp::start();
    let first = app.project();
    let clone = json!({"display_name": "Second", "source": {"type": "clone", "configuration_id": first.configuration}});
    let second = app.post(&format!("/api/v1/workspaces/{}/configurations", first.workspace), &clone).expect(201).json();
    let second = Project { configuration: second["id"].as_str().unwrap().into(), ..first.clone() };
    let statuses = || [&first, &second].map(|project| app.show_configuration(project)["status"].clone());
    assert_eq!(statuses(), ["draft", "draft"]);
    let activate = |project: &Project| app.send(&Request::post(target(project, "/activate")));
    let active = activate(&first).expect(200).json();
    assert_eq!((&active["status"], active["activated_at"].is_string()), (&json!("active"), true));
    assert_eq!(app.show_configuration(&first), active);
    activate(&second).expect(200);
    assert_eq!(statuses(), ["inactive", "active"]);
    activate(&second).expect(200);
    activate(&first).expect(200);
    assert_eq!(statuses(), ["active", "inactive"]);
    let unknown = Project { configuration: "cfg_01ARZ3NDEKTSV4RRFFQ69G5FAV".into(), ..first.clone() };
    activate(&unknown).problem(404, "not_found");
    app.send(&Request::post(format!("/api/v1/workspaces/{}/configurations/x/activate", first.workspace)))
        .problem(422, "invalid_id");
}

fn file(project: &Project, path: &str) -> String {
    target(project, &format!("/files/{path}"))
}

fn put(app: &TestApp, target: &str, condition: Option<(&str, &str)>, content: &str) -> Response {
    let request = Request::new("PUT", target).body("application/octet-stream", content);
    app.send(&condition.into_iter().fold(request, |request, (name, tag)| request.header(name, tag)))
}

fn delete(app: &TestApp, target: &str, if_match: Option<&str>) -> Response {
    let request = Request::new("DELETE", target);
    app.send(&if_match.into_iter().fold(request, |request, tag| request.header("If-Match", tag)))
}

fn patch(app: &TestApp, target: &str, body: &Value) -> Response {
    app.send(&Request::new("PATCH", target).json(body))
}

fn folder(app: &TestApp, project: &Project) -> std::path::PathBuf {
    let configurations = app.data_dir().join("workspaces").join(&project.workspace).join("configurations");
    configurations.join(&project.configuration)
}

fn paths(listing: &Value) -> Vec<&str> {
    listing["entries"].as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap()).collect()
}

const ABSENT: Option<(&str, &str)> = Some(("If-None-Match", "*"));
const CODE: &str = "src/ade_config/more.py";

#[test]
fn a_file_is_written_read_and_deleted_by_its_etag() {
    let app = TestApp::start();
    let project = app.project();
    let before = app.show_configuration(&project);
    let path = file(&project, CODE);
    app.get(&path).problem(404, "not_found");
    let created = put(&app, &path, ABSENT, "x = 1\n").expect(201);
    assert_eq!(created.header("location"), Some(path.as_str()));
    let (etag, body) = (created.header("etag").unwrap().to_owned(), created.json());
    assert_eq!((&body["created"], &body["size"], &body["path"]), (&json!(true), &json!(6), &json!(CODE)));
    assert_eq!(etag, format!("\"{}\"", body["etag"].as_str().unwrap()));
    let configuration = app.get(&target(&project, ""));
    assert_eq!(configuration.json()["content_digest"], body["content_digest"]);
    assert_ne!(configuration.json()["content_digest"], before["content_digest"]);

    let read = app.get(&path).expect(200);
    assert_eq!((read.text(), read.header("etag")), ("x = 1\n", Some(etag.as_str())));
    assert_eq!(read.header("content-type"), Some("text/x-python"));
    app.send(&Request::get(&path).header("If-None-Match", &etag)).expect(304);
    let part = app.send(&Request::get(&path).header("Range", "bytes=4-")).expect(206);
    assert_eq!(part.text(), "1\n");
    let head = app.send(&Request::new("HEAD", &path)).expect(200);
    assert_eq!((head.header("content-length"), head.header("etag")), (Some("6"), Some(etag.as_str())));
    let shown = app.send(&Request::get(&path).header("Accept", "application/json")).expect(200).json();
    assert_eq!(
        (&shown["content"], &shown["encoding"], &shown["etag"]),
        (&json!("x = 1\n"), &json!("utf-8"), &body["etag"])
    );
    // A client encodes the path as one part, and the configuration has another name.
    let encoded = path.replace(CODE, &CODE.replace('/', "%2F")).replace("/configurations/", "/configs/");
    assert_eq!(app.get(&format!("{encoded}?format=json")).expect(200).json(), shown);
    let manifest = file(&project, "src/ade_config/manifest.json");
    let manifest = app.send(&Request::get(manifest).header("Accept", "application/json")).expect(200).json();
    assert_eq!(manifest["encoding"], "utf-8");

    put(&app, &path, ABSENT, "y").problem(412, "precondition_failed");
    put(&app, &path, None, "y").problem(428, "precondition_required");
    let stale = put(&app, &path, Some(("If-Match", "\"sha256:00\"")), "y").problem(412, "precondition_failed");
    assert_eq!(stale["current_etag"], json!(etag));
    put(&app, &path, Some(("If-Match", &format!("W/{etag}"))), "y").problem(412, "precondition_failed");
    let changed = put(&app, &path, Some(("If-Match", &etag)), "x = 2\n").expect(200);
    assert_eq!((changed.json()["created"].clone(), app.get(&path).text()), (json!(false), "x = 2\n"));
    put(&app, &file(&project, "absent.py"), Some(("If-Match", "*")), "y").problem(412, "precondition_failed");

    delete(&app, &path, None).problem(428, "precondition_required");
    delete(&app, &path, Some(&etag)).problem(412, "precondition_failed");
    delete(&app, &path, changed.header("etag")).expect(204);
    delete(&app, &path, Some("*")).problem(404, "not_found");
    assert_eq!(app.show_configuration(&project)["content_digest"], before["content_digest"], "as it was before");
    assert!(std::fs::read_dir(app.data_dir().join("incoming")).unwrap().next().is_none());
}

#[test]
fn what_is_made_is_located_in_one_way_however_its_path_was_sent() {
    let app = TestApp::start();
    let project = app.project();
    for (sent, canonical) in [
        ("/files/src%2Fade_config%2F%61.py", "/files/src/ade_config/a.py"),
        ("/files/%C3%A4%20b%25c%2B~.py", "/files/%C3%A4%20b%25c%2B~.py"),
        ("/files/a(1)+b.py", "/files/a%281%29%2Bb.py"),
        ("/directories/src%2Fade_config/%6dore", "/directories/src/ade_config/more"),
    ] {
        let path = target(&project, sent).replace("/configurations/", "/configs/");
        let made = put(&app, &path, None, "").expect(201);
        assert_eq!(made.header("location"), Some(target(&project, canonical).as_str()), "{sent}");
        if sent.starts_with("/files") {
            assert_eq!(app.get(&target(&project, canonical)).expect(200).text(), "", "{canonical}");
        }
    }
}

#[test]
fn an_edited_configuration_is_exported_and_built_as_edited() {
    let app = TestApp::start();
    let project = app.project();
    let first = app.build(&project, &json!({}));
    let written = put(&app, &file(&project, CODE), ABSENT, "x = 1\n").expect(201).json();
    let second = app.build(&project, &json!({}));
    assert_eq!((&second["status"], &second["content_digest"]), (&json!("active"), &written["content_digest"]));
    assert_ne!(second["fingerprint"], first["fingerprint"]);
    let zip = app.get(&target(&project, "/export")).expect(200);
    let again = app.import(&project.workspace, &zip.body).expect(201).json();
    assert_eq!(again["content_digest"], written["content_digest"]);
    let changed = format!("\"{}\"", written["content_digest"].as_str().unwrap());
    assert_eq!(zip.header("etag"), Some(changed.as_str()));
}

#[test]
fn of_writers_who_know_the_same_content_one_wins() {
    let app = TestApp::start();
    let project = app.project();
    let path = file(&project, CODE);
    let etag = put(&app, &path, ABSENT, "x = 0\n").expect(201).header("etag").unwrap().to_owned();
    for condition in [("If-Match", etag.as_str()), ("If-None-Match", "*")] {
        let path = if condition.0 == "If-Match" { path.clone() } else { file(&project, "new.py") };
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let (app, path) = (&app, &path);
            let write = |n: usize| scope.spawn(move || put(app, path, Some(condition), &format!("x = {n}\n")).status());
            let writing: Vec<_> = (1..=8).map(write).collect();
            writing.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let won = statuses.iter().filter(|status| [200, 201].contains(*status)).count();
        assert!(won == 1 && statuses.iter().all(|status| [200, 201, 412].contains(status)), "{statuses:?}");
    }
}

#[test]
fn files_are_listed_by_part_and_page() {
    let app = TestApp::start();
    let project = app.project();
    put(&app, &target(&project, "/directories/src/ade_config/columns"), None, "").expect(201);
    put(&app, &file(&project, CODE), ABSENT, "x = 1\n").expect(201);
    std::fs::create_dir_all(folder(&app, &project).join("build/lib")).unwrap();
    std::fs::write(folder(&app, &project).join("build/lib/junk.py"), "").unwrap();
    let listed = app.get(&target(&project, "/files")).expect(200);
    let listing = listed.json();
    let all = ["backend.py", "pyproject.toml", "src", "src/ade_config", "src/ade_config/__init__.py"];
    assert_eq!(paths(&listing)[..5], all, "{listing}");
    assert!(paths(&listing).contains(&CODE) && !paths(&listing).iter().any(|path| path.starts_with("build")));
    assert_eq!((&listing["status"], &listing["capabilities"]["editable"]), (&json!("draft"), &json!(true)));
    let entry = |path: &str| listing["entries"].as_array().unwrap().iter().find(|entry| entry["path"] == path).unwrap();
    let (directory, code) = (entry("src"), entry(CODE));
    assert_eq!(
        (&directory["kind"], &directory["has_children"], &directory["size"]),
        (&json!("dir"), &json!(true), &Value::Null)
    );
    assert_eq!(entry("src/ade_config/columns")["has_children"], false);
    assert_eq!(
        (&code["name"], &code["parent"], &code["depth"]),
        (&json!("more.py"), &json!("src/ade_config"), &json!(2))
    );
    assert_eq!((&code["size"], &code["content_type"]), (&json!(6), &json!("text/x-python")));
    let etag = app.get(&file(&project, CODE)).header("etag").unwrap().to_owned();
    assert_eq!(etag, format!("\"{}\"", code["etag"].as_str().unwrap()));
    let weak = listed.header("etag").unwrap();
    app.send(&Request::get(target(&project, "/files")).header("If-None-Match", weak)).expect(304);

    let top = app.get(&target(&project, "/files?depth=1&sort=name&order=desc")).json();
    assert_eq!(paths(&top), ["src", "pyproject.toml", "backend.py"]);
    let first = app.get(&target(&project, "/files?limit=2")).json();
    let token = first["next_token"].as_str().unwrap().to_owned();
    let rest = app.get(&target(&project, &format!("/files?page_token={token}"))).expect(200).json();
    assert_eq!([paths(&first), paths(&rest)].concat(), paths(&listing));
    put(&app, &file(&project, "late.py"), None, "").expect(201);
    app.get(&target(&project, &format!("/files?page_token={token}"))).problem(422, "invalid_cursor");
    app.get(&target(&project, "/files?depth=2")).problem(400, "invalid_query");
    app.get(&target(&project, "/files?include=x")).problem(400, "invalid_query");
}

#[test]
fn a_file_is_moved_and_replaces_only_what_its_mover_knows() {
    let app = TestApp::start();
    let project = app.project();
    let [one, other] = ["src/ade_config/one.py", "src/ade_config/other.py"];
    let etag = put(&app, &file(&project, one), ABSENT, "one").expect(201).header("etag").unwrap().to_owned();
    let moved = patch(&app, &file(&project, one), &json!({"op": "move", "to": "src/ade_config/two.py"})).expect(200);
    assert_eq!(moved.header("etag"), Some(etag.as_str()));
    assert_eq!((&moved.json()["from"], &moved.json()["to"]), (&json!(one), &json!("src/ade_config/two.py")));
    app.get(&file(&project, one)).problem(404, "not_found");
    let two = file(&project, "src/ade_config/two.py");
    assert_eq!(app.get(&two).text(), "one");

    let known = put(&app, &file(&project, other), ABSENT, "other").expect(201).header("etag").unwrap().to_owned();
    patch(&app, &two, &json!({"to": other})).problem(409, "file_exists");
    patch(&app, &two, &json!({"to": other, "overwrite": true})).problem(428, "precondition_required");
    let stale = json!({"to": other, "overwrite": true, "dest_if_match": etag});
    patch(&app, &two, &stale).problem(412, "precondition_failed");
    let body = json!({"to": other, "overwrite": true, "dest_if_match": known});
    let request = Request::new("PATCH", &two).json(&body);
    app.send(&request.clone().header("If-Match", "\"sha256:00\"")).problem(412, "precondition_failed");
    app.send(&request.header("If-Match", &etag)).expect(200);
    assert_eq!(app.get(&file(&project, other)).text(), "one");
    patch(&app, &two, &json!({"to": other})).problem(404, "not_found");
    patch(&app, &file(&project, other), &json!({"to": "nowhere/x.py"})).problem(404, "not_found");
    patch(&app, &file(&project, other), &json!({"to": "src"})).problem(409, "file_exists");
    patch(&app, &file(&project, other), &json!({"op": "copy", "to": "x"})).problem(422, "invalid_request");
    patch(&app, &file(&project, other), &json!({"to": "../x"})).problem(400, "path_not_allowed");
}

#[test]
fn directories_are_made_and_deleted() {
    let app = TestApp::start();
    let project = app.project();
    let directory = |path: &str| target(&project, &format!("/directories/{path}"));
    let digest = app.show_configuration(&project)["content_digest"].clone();
    let made = put(&app, &directory("src/a/b"), None, "").expect(201);
    assert_eq!(made.json(), json!({"path": "src/a/b", "created": true}));
    assert_eq!(put(&app, &directory("src/a/b"), None, "").expect(200).json()["created"], false);
    assert_eq!(app.show_configuration(&project)["content_digest"], digest, "a package is its files");
    put(&app, &directory("pyproject.toml"), None, "").problem(409, "file_exists");
    put(&app, &directory("pyproject.toml/x"), None, "").problem(409, "file_exists");

    put(&app, &file(&project, "src/new/x.py"), ABSENT, "x").problem(404, "not_found");
    put(&app, &file(&project, "src/new/x.py?parents=1"), ABSENT, "x").expect(201);
    put(&app, &file(&project, "src/new"), ABSENT, "x").problem(409, "file_exists");
    put(&app, &file(&project, "pyproject.toml/x"), ABSENT, "x").problem(409, "file_exists");
    delete(&app, &directory("src/new"), None).problem(409, "directory_not_empty");
    delete(&app, &directory("src/new?recursive=true"), None).expect(204);
    app.get(&file(&project, "src/new/x.py")).problem(404, "not_found");
    delete(&app, &directory("src/new"), None).problem(404, "not_found");
    delete(&app, &directory("pyproject.toml"), None).problem(409, "file_exists");
    delete(&app, &directory("src/a/b"), None).expect(204);
    assert_eq!(app.show_configuration(&project)["content_digest"], digest);
}

#[test]
fn no_path_leads_out_of_a_configuration() {
    let app = TestApp::start();
    let project = app.project();
    let outside = app.folder().join("secret");
    std::fs::write(&outside, "secret").unwrap();
    for path in [
        "%2E%2E/x",
        "..%2Fx",
        "a/%2E%2E/%2E%2E/x",
        "%2Fetc%2Fpasswd",
        "a%5Cb",
        "a%00b",
        "a%0D%0Ab",
        "C:%2Fx",
        ".git/config",
        "build/x.py",
        "a%2F%2E%2Fb",
    ] {
        let answers = [
            app.get(&file(&project, path)),
            put(&app, &file(&project, path), ABSENT, "x"),
            delete(&app, &file(&project, path), Some("*")),
            put(&app, &target(&project, &format!("/directories/{path}/d")), None, ""),
        ];
        for answer in answers {
            assert!([400, 404].contains(&answer.status()), "{path}: {answer}");
        }
    }
    std::os::unix::fs::symlink(app.folder(), folder(&app, &project).join("link")).unwrap();
    std::os::unix::fs::symlink(&outside, folder(&app, &project).join("leak.py")).unwrap();
    for path in ["leak.py", "link/secret", "link"] {
        app.get(&file(&project, path)).problem(404, "not_found");
        let written = put(&app, &file(&project, path), Some(("If-Match", "*")), "x");
        assert!(written.status() >= 400, "{path}: {written}");
        delete(&app, &target(&project, &format!("/directories/{path}?recursive=1")), None);
        delete(&app, &file(&project, path), Some("*"));
    }
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "secret");
    assert!(app.folder().join("data").is_dir());
    assert!(!app.folder().join("x").exists() && !app.data_dir().join("x").exists());
}

#[test]
fn what_a_package_may_come_to_is_bounded() {
    let app = TestApp::start();
    let project = app.project();
    let largest = "x".repeat(5 << 20);
    put(&app, &file(&project, "data.csv"), ABSENT, &largest).expect(201);
    put(&app, &file(&project, "more.csv"), ABSENT, &format!("{largest}x")).problem(413, "payload_too_large");
    let deep = vec!["d"; 33].join("/");
    put(&app, &target(&project, &format!("/directories/{deep}")), None, "").problem(400, "path_not_allowed");
    let hostile = "src/ade_config/'; DROP TABLE configurations; -- %_ ä.py";
    let encoded = hostile.replace('%', "%25").replace(' ', "%20").replace('\'', "%27").replace('ä', "%C3%A4");
    put(&app, &file(&project, &encoded), ABSENT, "x").expect(201);
    assert!(paths(&app.get(&target(&project, "/files")).json()).contains(&hostile));
    let disposition = app.get(&file(&project, &encoded)).expect(200);
    assert!(!disposition.header("content-disposition").unwrap().contains('\n'));
}

#[test]
fn a_writer_that_is_cut_off_leaves_the_old_content_and_no_litter() {
    let app = TestApp::start();
    let project = app.project();
    let path = file(&project, CODE);
    let etag = put(&app, &path, ABSENT, "old").expect(201).header("etag").unwrap().to_owned();
    let before = paths(&app.get(&target(&project, "/files")).json()).len();
    // As a crash between writing and renaming leaves it: the next start sweeps it.
    std::fs::write(app.data_dir().join("incoming").join("01J00000000000000000000000"), "half").unwrap();
    for _ in 0..20 {
        let content = "new".repeat(100_000);
        let request = Request::new("PUT", &path).header("If-Match", &etag).body("application/octet-stream", content);
        request.abandon(app.address).unwrap();
    }
    let app = app.restart();
    let content = app.get(&path).expect(200).text().to_owned();
    assert!(content == "old" || content == "new".repeat(100_000), "{} bytes", content.len());
    assert!(std::fs::read_dir(app.data_dir().join("incoming")).unwrap().next().is_none());
    assert_eq!(paths(&app.get(&target(&project, "/files")).json()).len(), before);
}

#[test]
fn only_drafts_are_edited() {
    let app = TestApp::start();
    let project = app.project();
    let path = file(&project, CODE);
    put(&app, &path, ABSENT, "x = 1\n").expect(201);
    let post = |action: &str| app.send(&Request::post(target(&project, action)));
    let refused_everywhere = || {
        put(&app, &path, Some(("If-Match", "*")), "x").problem(409, "configuration_not_editable");
        patch(&app, &path, &json!({"to": "x.py"})).problem(409, "configuration_not_editable");
        delete(&app, &path, Some("*")).problem(409, "configuration_not_editable");
        let directory = target(&project, "/directories/src/d");
        put(&app, &directory, None, "").problem(409, "configuration_not_editable");
        delete(&app, &directory, None).problem(409, "configuration_not_editable");
        replace(&app, &project, Some("*"), &zip_of(&changed("y"))).problem(409, "configuration_not_editable");
        assert_eq!(app.get(&path).expect(200).text(), "x = 1\n");
        assert_eq!(app.get(&target(&project, "/files")).json()["capabilities"]["editable"], false);
    };
    post("/deactivate").problem(409, "configuration_status_conflict");
    let published = post("/publish").expect(200).json();
    assert_eq!((&published["status"], published["published_at"].is_string()), (&json!("published"), true));
    assert_eq!(post("/publish").expect(200).json(), published, "once is enough");
    refused_everywhere();
    let activated = post("/activate").expect(200).json();
    assert_eq!(activated["status"], "active");
    assert_eq!(post("/activate").expect(200).json(), activated);
    refused_everywhere();
    post("/publish").problem(409, "configuration_status_conflict");
    delete(&app, &target(&project, ""), None).problem(409, "configuration_active");
    assert_eq!(post("/deactivate").expect(200).json()["status"], "inactive");
    assert_eq!(post("/deactivate").expect(200).json()["status"], "inactive");
    refused_everywhere();
    let clone = json!({"display_name": "Next", "source": {"type": "clone", "configuration_id": project.configuration}});
    let clone =
        app.post(&format!("/api/v1/workspaces/{}/configurations", project.workspace), &clone).expect(201).json();
    let clone = Project { configuration: clone["id"].as_str().unwrap().into(), ..project.clone() };
    put(&app, &file(&clone, CODE), Some(("If-Match", "*")), "x = 2\n").expect(200);
}

#[test]
fn a_validation_lists_every_issue_and_a_broken_package_is_not_published() {
    let app = TestApp::start();
    let project = app.project();
    let validate = || app.send(&Request::post(target(&project, "/validate"))).expect(200).json();
    let whole = validate();
    assert_eq!((&whole["issues"], &whole["status"]), (&json!([]), &json!("draft")));
    assert_eq!(whole["content_digest"], app.show_configuration(&project)["content_digest"]);
    let any = Some(("If-Match", "*"));
    put(&app, &file(&project, "src/ade_config/manifest.json"), any, "{").expect(200);
    put(&app, &file(&project, "pyproject.toml"), any, "= 1").expect(200);
    put(&app, &file(&project, "data.json"), ABSENT, "[").expect(201);
    let issues = validate()["issues"].clone();
    let paths: Vec<_> = issues.as_array().unwrap().iter().map(|issue| issue["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["data.json", "pyproject.toml", "src/ade_config/manifest.json"], "{issues}");
    for action in ["/publish", "/activate"] {
        let problem = app.send(&Request::post(target(&project, action))).problem(422, "invalid_package");
        assert_eq!(problem["errors"][0]["path"], "pyproject.toml");
    }
    assert_eq!(app.show_configuration(&project)["status"], "draft");
}

#[test]
fn a_deleted_configuration_leaves_its_runs_and_no_files() {
    let app = TestApp::with(&[("ADE_DELETED_RETENTION", "0s")]);
    let project = app.project();
    let run = app.held_run(&project);
    let own = target(&project, "");
    assert_eq!(delete(&app, &own, None).problem(409, "configuration_in_use")["live"], 1);
    app.touch("go");
    let ended = app.finish_run(&run);
    let renamed = patch(&app, &own, &json!({"display_name": " Old one "})).expect(200).json();
    assert_eq!(renamed["display_name"], "Old one");
    patch(&app, &own, &json!({"display_name": ""})).problem(422, "invalid_request");
    delete(&app, &own, None).expect(204);
    for rest in ["", "/files", "/export", "/builds"] {
        app.get(&target(&project, rest)).problem(404, "not_found");
    }
    app.get(&project.runs()).problem(404, "not_found");
    delete(&app, &own, None).problem(404, "not_found");
    app.post(&project.runs(), &json!({"options": {"validate_only": true}})).problem(404, "not_found");
    app.send(&Request::post(format!("/api/v1/runs/{run}/retry"))).problem(404, "not_found");
    assert_eq!(app.show_run(&run), ended);
    assert!(!app.run_events(&run).is_empty());
    let listed = app.get(&format!("/api/v1/workspaces/{}/configurations", project.workspace)).json();
    assert_eq!(listed["total"], 0);
    let runs = app.get(&format!("/api/v1/workspaces/{}/runs", project.workspace)).json();
    assert_eq!(runs["total"], 1);
    assert!(folder(&app, &project).is_dir());
    app.post("/api/v1/system/maintenance", &json!({})).expect(200);
    assert!(!folder(&app, &project).exists());
    let build = app.show_build(ended["build_id"].as_str().unwrap());
    assert_eq!((&build["status"], &build["venv_present"]), (&json!("active"), &json!(false)));
}
