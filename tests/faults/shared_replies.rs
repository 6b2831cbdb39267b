//! The service dies with a reply that its log has told of, and another data directory goes on with the log: with replies in an object
//! store the model is not asked again.

use std::fs;
use std::path::Path;

use ade_test_support::database::TestDatabase;
use ade_test_support::weed::{self, Weed};
use serde_json::{Value, json};

use crate::support::definitions::{by_server, step, workflow};
use crate::support::eventually;
use crate::support::laws;
use crate::support::model::{ModelServer, Turn};
use crate::support::server::{Server, Settings, settings};

/// The tables of documents, out of the way, keep a step between its reply and its document.
const HIDE: &str = "ALTER TABLE workflow_document_versions RENAME TO hidden";
const SHOW: &str = "ALTER TABLE hidden RENAME TO workflow_document_versions";

/// What the next node has of the log of the one that is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Log {
    Whole,
    /// Up to the reply, which was kept before the log told of it.
    BeforeTheReply,
}

/// What has come of the execution, and how often the model was asked.
struct Outcome {
    shown: Value,
    events: Vec<Value>,
    asked: usize,
}

fn go_on_elsewhere(store: impl IntoIterator<Item = (&'static str, String)>, log: Log) -> Outcome {
    let (one, other, database) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), TestDatabase::create());
    let said = json!({"title": "A note", "text": "Said once."}).to_string();
    let model = ModelServer::scripted(vec![Turn::Says(said)]);
    let mut settings: Settings = settings();
    settings.insert("ADE_OPENAI_BASE_URL", model.url());
    settings.insert("ADE_DATABASE_URL", database.url().to_owned());
    settings.extend(store);
    let server = Server::start_with(one.path(), &settings);
    let definition = workflow("served", &[by_server(step("note", &[], "Write it."))]);
    assert_eq!(server.post("/api/v1/workflows", &definition).0, 201);
    database.execute(HIDE);
    let body = json!({"workflow_id": "served", "scope_type": "project", "scope_id": "bridge", "input": {}});
    let execution = server.post("/api/v1/executions", &body).1;
    let own = format!("/api/v1/executions/{}", execution["execution_id"].as_str().unwrap());
    let events =
        |server: &Server| server.get(&format!("{own}/events"))["items"].as_array().cloned().unwrap_or_default();
    eventually("the reply is told of", || (!laws::of_kind(&events(&server), "llm_call").is_empty()).then_some(()));
    server.kill();
    database.execute(SHOW);
    copy_without_replies(one.path(), other.path(), log);
    let server = Server::start_with(other.path(), &settings);
    let shown = eventually("the execution ends", || {
        let shown = server.get(&own);
        ["completed", "failed"].contains(&shown["status"].as_str()?).then_some(shown)
    });
    let outcome = Outcome { shown, events: events(&server), asked: model.requests().len() };
    server.stop();
    outcome
}

/// The directory of another node that has followed the log, and has its own name in the store.
fn copy_without_replies(from: &Path, to: &Path, log: Log) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_str().unwrap();
        let is_left = ["calls", "archive"].contains(&name) || (name == "journal" && log == Log::BeforeTheReply);
        if is_left {
            continue;
        }
        if path.is_dir() {
            fs::create_dir_all(to.join(name)).unwrap();
            copy_without_replies(&path, &to.join(name), log);
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
        if name == "events.ndjson" && path.components().any(|part| part.as_os_str() == "executions") {
            cut(&to.join(name), log);
        }
    }
}

fn cut(path: &Path, log: Log) {
    if log == Log::Whole {
        return;
    }
    let text = fs::read_to_string(path).unwrap();
    let lines = text.split_inclusive('\n').take_while(|line| !line.contains("\"llm_call\""));
    fs::write(path, lines.collect::<String>()).unwrap();
}

/// Completed, by the one reply that was paid for.
fn assert_paid_once(Outcome { shown, events, asked }: &Outcome) {
    assert_eq!((&shown["status"], asked), (&json!("completed"), &1), "{shown}");
    let calls = laws::of_kind(events, "llm_call");
    assert_eq!((calls.len(), &calls[0]["payload"]["error"]), (1, &Value::Null), "{:?}", laws::told(events));
}

fn directory(store: &Path) -> [(&'static str, String); 2] {
    [("ADE_OBJECT_STORE", format!("file://{}", store.display())), ("ADE_FILES", "store".into())]
}

#[test]
fn a_reply_that_the_log_tells_of_is_found_from_another_directory() {
    let store = tempfile::tempdir().unwrap();
    assert_paid_once(&go_on_elsewhere(directory(store.path()), Log::Whole));
}

#[test]
fn a_reply_that_was_kept_and_not_told_of_yet_is_found_too() {
    let store = tempfile::tempdir().unwrap();
    assert_paid_once(&go_on_elsewhere(directory(store.path()), Log::BeforeTheReply));
}

#[test]
fn a_reply_is_found_in_a_bucket() {
    if weed::is_there() {
        let weed = Weed::start();
        let store = weed.settings().into_iter().chain([("ADE_FILES", "store".to_owned())]);
        assert_paid_once(&go_on_elsewhere(store, Log::Whole));
    }
}

#[test]
fn without_a_store_a_reply_is_lost_with_its_disk_and_not_paid_for_again_unasked() {
    let Outcome { shown, asked, .. } = go_on_elsewhere([], Log::Whole);
    assert_eq!((&shown["status"], asked), (&json!("failed"), 1), "{shown}");
}
