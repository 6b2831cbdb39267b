//! The service is killed while executions are at work, and goes on with them: the same documents come out, no step runs
//! again that was complete, and no call is made again whose reply is on record.
//!
//! With `ADE_KILL_EVERY_EVENT` set, the example is killed at each of its events, otherwise at every fourth.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::definitions::{answers_to, by_server, example, step, with, workflow};
use crate::support::http::Request;
use crate::support::laws;
use crate::support::log::Log;
use crate::support::model::{ModelServer, Turn};
use crate::support::server::{Server, Settings, ade, settings};
use crate::support::sse::{Seen, Subscriber};
use crate::support::work::parse;
use crate::support::{NEVER, eventually};

/// A data folder, what is executed in it, and what has been seen of it.
struct Story {
    folder: tempfile::TempDir,
    settings: Settings,
    id: String,
    lines: Vec<(u64, String)>,
}

impl Story {
    /// Starts a service and makes the execution.
    fn begin(definition: &Value, input: &Value, settings: Settings) -> (Self, Server) {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_with(folder.path(), &settings);
        let (status, made) = server.post("/api/v1/workflows", definition);
        assert!([201, 409].contains(&status), "{made}");
        let body = json!({
            "workflow_id": definition["workflow_id"], "scope_type": "project", "scope_id": "bridge", "input": input,
        });
        let (status, execution) = server.post("/api/v1/executions", &body);
        assert_eq!(status, 201, "{execution}");
        let id = execution["execution_id"].as_str().unwrap().to_owned();
        (Self { folder, settings, id, lines: Vec::new() }, server)
    }

    fn restart(&self) -> Server {
        Server::start_with(self.folder.path(), &self.settings)
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/executions/{}{rest}", self.id)
    }

    fn show(&self, server: &Server) -> Value {
        server.get(&self.path(""))
    }

    fn events(&self) -> Vec<Value> {
        self.lines.iter().map(|(_, line)| parse(line)).collect()
    }

    /// Reads on from what was seen, and answers what is asked, until so many events have been seen or the stream is
    /// over.
    fn follow(&mut self, server: &Server, events: usize) {
        let subscriber = Subscriber::start(server.address, &self.path("/stream"), self.lines.last().map(|(id, _)| *id));
        eventually("the execution goes on", || {
            let is_over = subscriber.is_over();
            let seen = subscriber.seen();
            let all: Vec<Value> = self.lines.iter().chain(&seen.events).map(|(_, line)| parse(line)).collect();
            if all.len() >= events || is_over {
                return Some(());
            }
            open_clarifications(&all).iter().for_each(|asked| self.answer(server, asked));
            None
        });
        // What has come in the meantime is seen too.
        let Seen { events, .. } = subscriber.seen();
        self.lines.extend(events);
    }

    fn answer(&self, server: &Server, asked: &Value) {
        let path = self.path(&format!("/steps/{}/clarification", asked["step_id"].as_str().unwrap()));
        let body = json!({"answers": answers_to(&asked["payload"]["questions"]), "item": asked["item"]});
        let (status, answer) = server.post(&path, &body);
        assert_eq!(status, 200, "{answer}");
    }

    fn follow_to_the_end(&mut self, server: &Server) {
        self.follow(server, usize::MAX);
        let last = self.lines.last().map(|(_, line)| parse(line));
        assert_eq!(
            last.map_or(Value::Null, |last| last["type"].clone()),
            "complete",
            "{:?}",
            laws::told(&self.events())
        );
    }

    /// What must hold when it is over; every document that there is.
    fn check(&self, server: &Server, status: &str) -> Vec<Value> {
        let shown = self.show(server);
        let log = Log::read(self.folder.path(), &shown);
        log.assert_ended();
        let stored: Vec<_> = (1..).zip(log.lines.iter().cloned()).collect();
        assert!(
            self.lines == stored,
            "what was seen is the log:\n{:?}\n{:?}",
            laws::told(&self.events()),
            laws::told(&log.events)
        );
        let end = laws::assert_ended(&log.events);
        assert_eq!((&end["payload"]["status"], &shown["status"]), (&json!(status), &json!(status)), "{end}");
        assert_eq!((&shown["last_sequence"], &shown["totals"]), (&end["sequence"], &end["payload"]["totals"]));
        self.assert_replies(&log.events);
        let costs = server.get(&format!("/api/v1/telemetry/executions/{}/costs", self.id));
        for (name, sum) in laws::Sums::of(&log.events).as_totals() {
            let name = if name == "cost_usd" { "total_cost_usd" } else { &name };
            assert_eq!(costs[name], sum, "{name} of {costs}");
        }
        documents(server)
    }

    /// Every reply that is on record is stored.
    fn assert_replies(&self, events: &[Value]) {
        let workspace = events[0]["workspace_id"].as_str().unwrap();
        let calls = self.folder.path().join(format!("workspaces/{workspace}/executions/{}/calls", self.id));
        for call in laws::of_kind(events, "llm_call").iter().filter(|call| call["payload"]["error"].is_null()) {
            let file = calls.join(format!("{}.json", call["payload"]["call_id"].as_str().unwrap()));
            assert!(file.exists(), "{call}");
        }
    }

    /// Stops the service, and has its folder verified.
    fn end(self, server: Server) {
        server.stop();
        verify(self.folder.path());
    }
}

pub fn verify(folder: &Path) {
    let verified = ade(folder, &settings()).arg("verify").output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

fn open_clarifications(events: &[Value]) -> Vec<Value> {
    let answered: Vec<_> = laws::of_kind(events, "clarification_answered")
        .iter()
        .map(|event| event["payload"]["clarification_id"].clone())
        .collect();
    let asked = laws::of_kind(events, "clarification_needed").into_iter();
    asked.filter(|event| !answered.contains(&event["payload"]["clarification_id"])).cloned().collect()
}

/// Type, scope, version and content of everything, without what differs from one life to another.
fn documents(server: &Server) -> Vec<Value> {
    let listed = server.get("/api/v1/documents?perPage=200&latest=true");
    let listed = listed["items"].as_array().unwrap().iter();
    let mut documents: Vec<_> = listed
        .map(|item| {
            let shown = server.get(&format!("/api/v1/documents/{}", item["document_id"].as_str().unwrap()));
            let kept = ["document_type", "scope_type", "scope_id", "version", "content", "step_id", "item", "attempt"];
            Value::Object(kept.iter().map(|&name| (name.to_owned(), shown[name].clone())).collect())
        })
        .collect();
    documents.sort_by_key(Value::to_string);
    documents
}

/// How often each step has had a reply, and how often it has begun.
pub fn work(events: &[Value]) -> BTreeMap<String, (usize, usize)> {
    let count = |events: &[&Value], is_so: &dyn Fn(&Value) -> bool| events.iter().filter(|event| is_so(event)).count();
    laws::by_step(events)
        .into_iter()
        .map(|(key, events)| {
            let replies = count(&events, &|event| event["type"] == "llm_call" && event["payload"]["error"].is_null());
            (format!("{key:?}"), (replies, count(&events, &|event| event["type"] == "step_started")))
        })
        .collect()
}

fn brief() -> Value {
    json!({"brief": {"title": "A bridge", "goal": "People cross the river on foot", "for": ["walkers", "children"]}})
}

#[test]
fn a_kill_at_any_event_of_the_example_does_not_change_its_result() {
    let (mut calm, server) = Story::begin(&example(), &brief(), settings());
    calm.follow_to_the_end(&server);
    let (expected, events) = (calm.check(&server, "completed"), calm.events());
    calm.end(server);
    let apart = if std::env::var_os("ADE_KILL_EVERY_EVENT").is_some() { 1 } else { 4 };
    for at in (1..=events.len()).step_by(apart) {
        let (mut story, server) = Story::begin(&example(), &brief(), settings());
        story.follow(&server, at);
        server.kill();
        eprintln!("killed at event {at} of {}, with {} seen", events.len(), story.lines.len());
        let server = story.restart();
        story.follow_to_the_end(&server);
        let documents = story.check(&server, "completed");
        assert_eq!(documents, expected, "killed at event {at}: {:?}", laws::told(&story.events()));
        assert_eq!(work(&story.events()), work(&events), "killed at event {at}: {:?}", laws::told(&story.events()));
        story.end(server);
    }
}

/// Two steps on a server, the second of which runs once for each of two items.
fn on_a_server() -> (Value, Value) {
    let each = json!({"for_each": {"document_type": "list", "collection": "items"}});
    let part = with(by_server(step("part", &["list", "note"], "Write one.")), each);
    let steps = [by_server(step("note", &[], "Write it.")), part];
    (workflow("served", &steps), json!({"list": {"items": [{"id": "a"}, {"id": "b"}]}}))
}

fn document() -> Turn {
    Turn::Says(json!({"title": "A note", "text": "Said once."}).to_string())
}

fn with_server(model: &ModelServer) -> Settings {
    let mut settings = settings();
    settings.insert("ADE_OPENAI_BASE_URL", model.url());
    settings.insert("ADE_LLM_RETRY_DELAY", "10ms".into());
    settings
}

/// Every call on record was made once; what was asked besides was under way when the service died.
fn assert_asked(model: &ModelServer, events: &[Value], in_flight: usize) {
    let (asked, replies) = (model.requests().len(), work(events).values().map(|(replies, _)| replies).sum::<usize>());
    assert!(
        (replies..=replies + in_flight).contains(&asked),
        "{asked} calls for {replies} replies: {:?}",
        laws::told(events)
    );
}

#[test]
fn a_recorded_call_is_never_repeated() {
    let (definition, input) = on_a_server();
    let model = ModelServer::scripted(vec![document()]);
    let (mut calm, server) = Story::begin(&definition, &input, with_server(&model));
    calm.follow_to_the_end(&server);
    let (expected, events) = (calm.check(&server, "completed"), calm.events());
    assert_asked(&model, &events, 0);
    calm.end(server);
    for at in 1..=events.len() {
        let model = ModelServer::scripted(vec![document()]);
        let (mut story, server) = Story::begin(&definition, &input, with_server(&model));
        story.follow(&server, at);
        server.kill();
        let server = story.restart();
        story.follow_to_the_end(&server);
        assert_eq!(story.check(&server, "completed"), expected, "killed at event {at}");
        assert_eq!(work(&story.events()), work(&events), "killed at event {at}: {:?}", laws::told(&story.events()));
        assert_asked(&model, &story.events(), 2);
        story.end(server);
    }
}

#[test]
fn repeated_kills_lead_to_the_same_end() {
    let definition = workflow(
        "asking",
        &[
            step("note", &["brief"], "Write it.\nbuiltin: ask What?\nbuiltin: reply broken 1"),
            step("end", &["note"], "End it."),
        ],
    );
    let (mut calm, server) = Story::begin(&definition, &brief(), settings());
    calm.follow_to_the_end(&server);
    let (expected, events) = (calm.check(&server, "completed"), calm.events());
    calm.end(server);
    let (mut story, mut server) = Story::begin(&definition, &brief(), settings());
    let mut lives = 1;
    while story.lines.last().is_none_or(|(_, line)| parse(line)["type"] != "complete") {
        story.follow(&server, story.lines.len() + 1);
        server.kill();
        server = story.restart();
        lives += 1;
    }
    eprintln!("{lives} lives, {} events", story.lines.len());
    assert!(lives > 3, "it was killed while it was at work");
    assert_eq!(story.check(&server, "completed"), expected);
    assert_eq!(work(&story.events()), work(&events), "{:?}", laws::told(&story.events()));
    story.end(server);
}

#[test]
fn a_call_interrupted_by_a_crash_is_recorded_and_repeated() {
    let model = ModelServer::scripted(vec![Turn::Hangs, document()]);
    let definition = workflow("hangs", &[by_server(step("note", &[], "Write it."))]);
    let (mut story, server) = Story::begin(&definition, &json!({}), with_server(&model));
    model.await_calls(1);
    story.follow(&server, 2);
    server.kill();
    let server = story.restart();
    story.follow_to_the_end(&server);
    story.check(&server, "completed");
    let events = story.events();
    let errors: Vec<_> =
        laws::of_kind(&events, "llm_call").iter().map(|call| call["payload"]["error"].clone()).collect();
    assert_eq!(
        (model.requests().len(), errors),
        (2, vec![json!("interrupted"), Value::Null]),
        "{:?}",
        laws::told(&events)
    );
    story.end(server);
}

#[test]
fn user_input_survives_a_kill_once_it_is_accepted() {
    let accept = with(step("end", &["note"], "End it."), json!({"acceptance": {"required": true}}));
    let definition = workflow("asking", &[step("note", &[], "Write it.\nbuiltin: ask What?"), accept]);
    let (mut story, server) = Story::begin(&definition, &json!({}), settings());
    let waits = |server: &Server, status: &str| eventually(status, || (story_status(server) == status).then_some(()));
    waits(&server, "waiting_clarification");
    let asked = story.show(&server)["pending"][0].clone();
    server.kill();
    let server = story.restart();
    // It was not told that the service was away.
    assert_eq!(
        (&story.show(&server)["status"], &story.show(&server)["pending"][0]),
        (&json!("waiting_clarification"), &asked)
    );
    let path = story.path("/steps/note/clarification");
    assert_eq!(server.post(&path, &json!({"answers": {"Q_1": "this"}})).0, 200);
    server.kill();
    let server = story.restart();
    assert_eq!(server.post(&path, &json!({"answers": {"Q_1": "that"}})).0, 409);
    assert_eq!(server.post(&path, &json!({"answers": {"Q_1": "this"}})).0, 200);
    waits(&server, "waiting_acceptance");
    server.kill();
    let server = story.restart();
    let path = story.path("/steps/end/acceptance");
    assert_eq!(server.post(&path, &json!({"accepted": true})).0, 200);
    server.kill();
    let server = story.restart();
    story.follow_to_the_end(&server);
    assert_eq!(story.check(&server, "completed").len(), 2);
    story.end(server);
}

/// Of the only execution that there is.
fn story_status(server: &Server) -> String {
    server.get("/api/v1/executions")["items"][0]["status"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_accepted_cancel_is_carried_out_after_a_kill() {
    let model = ModelServer::scripted(vec![Turn::Hangs]);
    let definition = workflow("hangs", &[by_server(step("note", &[], "Write it."))]);
    let (mut story, server) = Story::begin(&definition, &json!({}), with_server(&model));
    model.await_calls(1);
    assert_eq!(server.post(&story.path("/cancel"), &json!({})).0, 202);
    server.kill();
    let server = story.restart();
    story.follow_to_the_end(&server);
    story.check(&server, "cancelled");
    assert_eq!(server.post(&story.path("/cancel"), &json!({})).0, 200);
    story.end(server);
}

#[test]
fn an_execution_waiting_for_a_person_does_not_delay_a_stop() {
    let definition = workflow("asking", &[step("note", &[], "Write it.\nbuiltin: ask What?")]);
    let mut settings = settings();
    settings.insert("ADE_DRAIN_TIMEOUT", NEVER.into());
    let (mut story, mut server) = Story::begin(&definition, &json!({}), settings);
    eventually("it waits", || (story_status(&server) == "waiting_clarification").then_some(()));
    let reader = Subscriber::start(server.address, &story.path("/stream"), None);
    eventually("the reader is there", || (reader.count() > 0).then_some(()));
    server.signal(libc::SIGTERM);
    assert!(server.wait().success());
    let seen = reader.finish();
    assert!(seen.whole && !seen.events.iter().any(|(_, line)| parse(line)["type"] == "complete"), "{seen:?}");
    drop(server);
    verify(story.folder.path());
    let server = story.restart();
    assert_eq!(story.show(&server)["status"], "waiting_clarification");
    story.follow_to_the_end(&server);
    story.check(&server, "completed");
    story.end(server);
}

#[test]
fn an_execution_running_at_a_stop_continues_at_the_next_start() {
    let model = ModelServer::scripted(vec![document(), Turn::Hangs, document()]);
    let definition =
        workflow("hangs", &[by_server(step("note", &[], "Write it.")), by_server(step("end", &["note"], "End it."))]);
    let mut settings = with_server(&model);
    settings.insert("ADE_DRAIN_TIMEOUT", "2s".into());
    let (mut story, mut server) = Story::begin(&definition, &json!({}), settings);
    model.await_calls(2);
    server.signal(libc::SIGTERM);
    assert!(server.wait().success());
    model.await_disconnects(1);
    drop(server);
    verify(story.folder.path());
    let server = story.restart();
    story.follow_to_the_end(&server);
    story.check(&server, "completed");
    assert_eq!(model.requests().len(), 3, "{:?}", laws::told(&story.events()));
    assert_eq!(work(&story.events()).values().map(|(_, begun)| *begun).collect::<Vec<_>>(), [1, 1]);
    story.end(server);
}

#[test]
fn a_nearly_finished_step_completes_before_the_service_stops() {
    let definition = workflow(
        "slow",
        &[step("note", &[], "Write it.\nbuiltin: delay 1500"), step("end", &["note"], "End it.\nbuiltin: ask Why?")],
    );
    let (mut story, mut server) = Story::begin(&definition, &json!({}), settings());
    story.follow(&server, 2);
    server.signal(libc::SIGTERM);
    let body = json!({"workflow_id": "slow", "scope_type": "project", "scope_id": "other"});
    let refused = eventually("new work is refused", || {
        let request = Request::post("/api/v1/executions").json(&body);
        // The service may have ended.
        let status = server.send(&request).map_or(503, |answer| answer.status());
        (status != 201).then_some(status)
    });
    assert_eq!(refused, 503);
    assert!(server.wait().success());
    drop(server);
    let server = story.restart();
    story.follow_to_the_end(&server);
    story.check(&server, "completed");
    let errors =
        laws::of_kind(&story.events(), "llm_call").iter().filter(|call| !call["payload"]["error"].is_null()).count();
    assert!(errors <= 1, "{:?}", laws::told(&story.events()));
    story.end(server);
}
