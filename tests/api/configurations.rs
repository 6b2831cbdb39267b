//! Configurations: from a template, as a clone, from an archive.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::support::tools::{files_of, with_file, zip_of};
use crate::support::{Project, Response, TestApp, Value, json};

fn create(app: &TestApp, workspace: &str, source: Value) -> Response {
    let target = format!("/api/v1/workspaces/{workspace}/configurations");
    app.post(&target, &json!({"display_name": "Mine", "source": source}))
}

fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap().to_owned()
}

/// An archive with one more entry than a good package has.
fn zip_with(add: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut writer = ZipWriter::new_append(Cursor::new(zip_of(&files_of("configuration")))).unwrap();
    add(&mut writer);
    writer.finish().unwrap().into_inner()
}

fn zip_with_file(name: &str) -> Vec<u8> {
    zip_with(|zip| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(b"x").unwrap();
    })
}

fn folder_of(app: &TestApp, project: &Project) -> std::path::PathBuf {
    app.data_dir().join("workspaces").join(&project.workspace).join("configurations").join(&project.configuration)
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

#[test]
fn the_default_template_creates_a_configuration() {
    let app = TestApp::start();
    let workspace = app.create_workspace("W");
    let created = create(&app, &workspace, json!({"type": "template", "template_id": "default"})).expect(201);
    let configuration = created.json();
    let path = format!("/api/v1/workspaces/{workspace}/configurations/{}", id(&configuration));
    assert_eq!(created.header("location"), Some(path.as_str()));
    assert_eq!(configuration["display_name"], "Mine");
    assert_eq!(configuration["active_build_id"], Value::Null);
    assert!(configuration["content_digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(app.get(&path).expect(200).json(), configuration);
    let list = app.get(&format!("/api/v1/workspaces/{workspace}/configurations")).expect(200).json();
    assert_eq!(list["items"], json!([configuration]));
}

#[test]
fn the_same_files_have_the_same_digest_however_they_were_imported() {
    let app = TestApp::start();
    let first = app.project();
    let original = app.show_configuration(&first);
    let again = app.import(&first.workspace, &zip_of(&files_of("configuration"))).expect(201).json();
    let clone = json!({"type": "clone", "configuration_id": first.configuration});
    let clone = create(&app, &first.workspace, clone).expect(201).json();
    for same in [&again, &clone] {
        assert_eq!(same["content_digest"], original["content_digest"]);
        assert_ne!(same["id"], original["id"]);
    }
    let changed = with_file(files_of("configuration"), "src/ade_config/more.py", "x = 1\n");
    let changed = app.import(&first.workspace, &zip_of(&changed)).expect(201).json();
    assert_ne!(changed["content_digest"], original["content_digest"]);
}

#[test]
fn files_outside_the_package_are_left_out() {
    let app = TestApp::start();
    let plain = app.project();
    let mut files = files_of("configuration");
    for junk in [".git/HEAD", ".venv/pyvenv.cfg", "src/ade_config/__pycache__/x.pyc", "build/lib/x.py"] {
        files = with_file(files, junk, "junk");
    }
    let littered = app.import(&plain.workspace, &zip_of(&files)).expect(201).json();
    assert_eq!(littered["content_digest"], app.show_configuration(&plain)["content_digest"]);
}

#[test]
fn an_archive_with_paths_outside_is_rejected() {
    let app = TestApp::start();
    let workspace = app.create_workspace("W");
    let link = zip_with(|zip| zip.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).unwrap());
    for zip in
        [zip_with_file("../escaped.py"), zip_with_file("a/../../escaped.py"), zip_with_file("/etc/escaped"), link]
    {
        app.import(&workspace, &zip).problem(400, "path_not_allowed");
    }
    let folder = app.data_dir().join("workspaces").join(&workspace).join("configurations");
    assert!(is_empty(&folder), "something stayed in {folder:?}");
    assert!(!app.folder().join("escaped.py").exists() && !app.data_dir().join("escaped.py").exists());
    assert_eq!(app.get(&format!("/api/v1/workspaces/{workspace}/configurations")).json()["total"], 0);
}

#[test]
fn an_invalid_archive_or_one_without_a_package_is_rejected() {
    let app = TestApp::start();
    let workspace = app.create_workspace("W");
    app.import(&workspace, b"not a zip").problem(422, "invalid_archive");
    app.import(&workspace, &zip_of(&Vec::new())).problem(422, "archive_empty");
    app.import(&workspace, &zip_of(&vec![(".git/HEAD".into(), b"x".to_vec())])).problem(422, "archive_empty");
    let mut files = files_of("configuration");
    files.retain(|(name, _)| !name.ends_with("manifest.json"));
    let problem = app.import(&workspace, &zip_of(&files)).problem(422, "invalid_package");
    assert!(problem["detail"].as_str().unwrap().contains("manifest.json"), "{problem}");
    let broken = with_file(files_of("configuration"), "src/ade_config/manifest.json", "{");
    app.import(&workspace, &zip_of(&broken)).problem(422, "invalid_package");
}

#[test]
fn an_archive_that_unpacks_too_large_is_rejected() {
    let app = TestApp::start();
    let workspace = app.create_workspace("W");
    let bomb = zip_with(|zip| {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        zip.start_file("bomb.txt", options).unwrap();
        for _ in 0..201 {
            zip.write_all(&vec![0; 1 << 20]).unwrap();
        }
    });
    assert!(bomb.len() < 1 << 20);
    app.import(&workspace, &bomb).problem(413, "archive_too_large");
    let crowd = zip_with(|zip| {
        (0..5001).for_each(|number| zip.start_file(format!("f{number}"), SimpleFileOptions::default()).unwrap());
    });
    app.import(&workspace, &crowd).problem(413, "archive_too_large");
    assert!(is_empty(&app.data_dir().join("incoming")));
}

#[test]
fn a_clone_changes_independently() {
    let app = TestApp::start();
    let original = app.project();
    let source = json!({"type": "clone", "configuration_id": original.configuration});
    let clone = id(&create(&app, &original.workspace, source).expect(201).json());
    let clone = Project { configuration: clone, ..original.clone() };
    fs::write(folder_of(&app, &clone).join("src/ade_config/more.py"), "x = 1\n").unwrap();
    assert!(!folder_of(&app, &original).join("src/ade_config/more.py").exists());
    assert_eq!(app.build(&clone, &json!({}))["status"], "active");
    let digests = [&clone, &original].map(|project| app.show_configuration(project)["content_digest"].clone());
    assert_ne!(digests[0], digests[1]);
}

#[test]
fn an_invalid_source_is_rejected() {
    let app = TestApp::start();
    let project = app.project();
    let workspace = &project.workspace;
    create(&app, workspace, json!({"type": "template", "template_id": "nope"})).problem(422, "template_unknown");
    create(&app, workspace, json!({"type": "template", "template_id": "../../etc"})).problem(422, "template_unknown");
    create(&app, workspace, json!({"type": "clone", "configuration_id": "cfg_x"})).problem(422, "invalid_id");
    let unknown = json!({"type": "clone", "configuration_id": "cfg_01J00000000000000000000000"});
    create(&app, workspace, unknown).problem(404, "not_found");
    create(&app, workspace, json!({"type": "magic"})).problem(422, "invalid_request");
    create(&app, workspace, json!({"type": "template", "template_id": "default", "x": 1}))
        .problem(422, "invalid_request");
    let target = format!("/api/v1/workspaces/{workspace}/configurations");
    let nameless = json!({"display_name": " ", "source": {"type": "template", "template_id": "default"}});
    app.post(&target, &nameless).problem(422, "invalid_request");
}

#[test]
fn a_configuration_belongs_to_its_workspace() {
    let app = TestApp::start();
    let mine = app.project();
    let other = app.post("/api/v1/workspaces", &json!({"name": "Other"})).expect(201).json();
    let other = other["id"].as_str().unwrap();
    app.get(&format!("/api/v1/workspaces/{other}/configurations/{}", mine.configuration)).problem(404, "not_found");
    let source = json!({"type": "clone", "configuration_id": mine.configuration});
    create(&app, other, source).problem(404, "not_found");
}
