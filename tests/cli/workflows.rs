//! `ade workflows`, and the folder of definitions that a start brings.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::done;
use crate::support::server::{Server, ade, settings};

pub fn example() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/assets/workflows/brief-to-plan.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The example under another id, with a step that names a role and a task that are not there.
fn faulty(workflow_id: &str) -> Value {
    let mut definition = example();
    definition["workflow_id"] = json!(workflow_id);
    definition["steps"][0]["role"] = json!("nobody");
    definition["steps"][2]["task_prompt"] = json!("nothing");
    definition
}

fn write(folder: &Path, name: &str, content: &Value) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content.to_string()).unwrap();
    path
}

#[test]
fn definitions_are_checked_without_a_service_and_every_error_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let good = write(folder.path(), "good.json", &example());
    let bad = write(folder.path(), "bad.json", &faulty("bad"));
    let text = folder.path().join("text.json");
    fs::write(&text, "no json").unwrap();
    let validate = |files: &[&Path]| done(ade(folder.path(), &settings()).args(["workflows", "validate"]).args(files));
    let (code, out, err) = validate(&[&good]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.ends_with("good.json: brief-to-plan, 3 steps\n"), "{out}");
    let nowhere = Path::new("/nowhere.json");
    let (code, out, err) = validate(&[&bad, &good, &text, nowhere]);
    assert_eq!((code, out.lines().count()), (Some(1), 1), "{out}{err}");
    let beginnings = ["bad.json: steps[0].role: ", "bad.json: steps[2].task_prompt: ", "text.json: ", "nowhere.json: "];
    let codes = ["(unknown_role)", "(unknown_task)", "(json_invalid)", "(unreadable)"];
    for ((line, beginning), code) in err.lines().zip(beginnings).zip(codes) {
        assert!(line.contains(beginning) && line.ends_with(code), "{line}");
    }
    assert_eq!(err.lines().count(), 4, "{err}");
    assert!(!folder.path().join("ade.db").exists(), "nothing is started");
}

#[test]
fn definitions_are_stored_listed_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let workflows = |arguments: &[&str]| done(ade(folder.path(), &settings()).arg("workflows").args(arguments));
    let mut mine = example();
    mine["workflow_id"] = json!("mine");
    let path = write(folder.path(), "mine.json", &mine);
    let put = || workflows(&["put", path.to_str().unwrap()]);
    assert_eq!(put(), (Some(0), "mine stored at revision 1\n".to_owned(), String::new()));
    assert_eq!(put().1, "mine is the same already, at revision 1\n");
    mine["name"] = json!("Mine and better");
    fs::write(&path, mine.to_string()).unwrap();
    assert_eq!(put().1, "mine replaced, now at revision 2\n");

    let (code, out, _) = workflows(&["show", "mine"]);
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &shown["name"], &shown["revision"]), (Some(0), &mine["name"], &json!(2)));
    fs::write(&path, &out).unwrap();
    assert_eq!(put().1, "mine is the same already, at revision 2\n", "what was shown can be sent back");
    let (code, out, _) = workflows(&["list"]);
    let row = |id: &str| out.lines().find(|line| line.contains(id)).unwrap_or_default().to_owned();
    assert!(code == Some(0) && row("mine").contains("Mine and better") && !row("brief-to-plan").is_empty(), "{out}");
    let listed: Value = serde_json::from_str(&workflows(&["list", "--json"]).1).unwrap();
    assert_eq!(listed["total"], 2);

    fs::write(&path, faulty("mine").to_string()).unwrap();
    let (code, out, err) = put();
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 2), "{err}");
    let (code, _, err) = workflows(&["show", "nothing"]);
    assert!(code == Some(1) && err.contains("not_found"), "{err}");
    let (code, _, err) = workflows(&["list", "--workspace", "elsewhere"]);
    assert!(code == Some(1) && err.contains("there is no workspace elsewhere"), "{err}");
    assert_eq!(workflows(&["put", "/nowhere.json"]).0, Some(2));
    server.stop();
    let (code, _, err) = workflows(&["list"]);
    assert!(code == Some(1) && err.contains("no service runs on the data directory"), "{err}");
}

#[test]
fn directory_errors_are_logged_and_the_service_starts() {
    let (folder, workflows) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(workflows.path(), "a_bad.json", &faulty("bad"));
    let mut good = example();
    good["workflow_id"] = json!("good");
    write(workflows.path(), "good.json", &good);
    fs::write(workflows.path().join("text.json"), "no json").unwrap();
    let mut with_folder = settings();
    with_folder.insert("ADE_WORKFLOWS_DIR", workflows.path().display().to_string());
    let server = Server::start_with(folder.path(), &with_folder);
    assert_eq!(server.get("/api/v1/workflows/good")["revision"], 1);
    let log = fs::read_to_string(folder.path().join("service.log")).unwrap();
    let told =
        |words: &[&str]| log.lines().any(|line| line.contains("ERROR") && words.iter().all(|w| line.contains(w)));
    assert!(told(&["a_bad.json", "steps[0].role", "unknown_role"]), "{log}");
    assert!(told(&["a_bad.json", "steps[2].task_prompt", "unknown_task"]), "{log}");
    assert!(told(&["text.json", "json_invalid"]), "{log}");
    assert!(!told(&["good.json"]), "{log}");
    server.stop();

    with_folder.insert("ADE_WORKFLOWS_DIR", "/nowhere/at/all".to_owned());
    let (code, _, err) = done(ade(folder.path(), &with_folder).arg("serve"));
    assert!(code == Some(1) && err.contains("ADE_WORKFLOWS_DIR /nowhere/at/all"), "{err}");
}
