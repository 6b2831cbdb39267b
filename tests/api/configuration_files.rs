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
    assert_eq!(etag, format!("\"{}\"", before.json()["content_digest"].as_str().unwrap()));
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
    assert_eq!(zip.header("etag"), shown.header("etag"));
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
