//! Many executions at work in a service that is killed again and again, at moments that chance picks.
//!
//! `ADE_KILLS` is how often, `ADE_KILL_SEED` what chance begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::executions::{verify, work};
use crate::support::definitions::{answers_to, step, with, workflow};
use crate::support::log::Log;
use crate::support::random::Random;
use crate::support::server::{Server, settings};
use crate::support::{eventually, laws};

const EXECUTIONS: &str = "/api/v1/executions";
const OF_EACH: usize = 5;

fn definitions() -> Vec<Value> {
    let each = json!({"for_each": {"document_type": "list", "collection": "items"}});
    let person = json!({"acceptance": {"required": true}});
    let two = |name: &str, first: Value| workflow(name, &[first, step("end", &["note"], "End it.")]);
    vec![
        two("plain", step("note", &[], "Write it.\nbuiltin: delay 60")),
        two("asking", step("note", &[], "Write it.\nbuiltin: ask What?")),
        two("accepted", with(step("note", &[], "Write it.\nbuiltin: reply broken 1"), person)),
        two("busy", step("note", &[], "Write it.\nbuiltin: fail server 1\nbuiltin: delay 30")),
        workflow(
            "items",
            &[with(step("part", &["list"], "Write one.\nbuiltin: delay 20"), each), step("end", &["part"], "Sum up.")],
        ),
    ]
}

/// Makes an execution in a scope of its own; its id.
fn execute(server: &Server, workflow_id: &Value, scope: usize) -> String {
    let input = match workflow_id.as_str() {
        Some("items") => json!({"list": {"items": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}}),
        _ => json!({}),
    };
    let body =
        json!({"workflow_id": workflow_id, "scope_type": "project", "scope_id": scope.to_string(), "input": input});
    let (status, execution) = server.post(EXECUTIONS, &body);
    assert_eq!(status, 201, "{execution}");
    execution["execution_id"].as_str().unwrap().to_owned()
}

/// Does what persons are asked for; how many executions are still active.
fn respond(server: &Server) -> usize {
    let active = server.get(&format!("{EXECUTIONS}?active=true&perPage=200"));
    for execution in active["items"].as_array().unwrap() {
        let path = format!("{EXECUTIONS}/{}/steps", execution["execution_id"].as_str().unwrap());
        for pending in execution["pending"].as_array().unwrap() {
            let (what, mut body) = match pending["kind"].as_str() {
                Some("clarification") => ("clarification", json!({"answers": answers_to(&pending["questions"])})),
                _ => ("acceptance", json!({"accepted": true})),
            };
            body["item"] = pending["item"].clone();
            let (status, answer) =
                server.post(&format!("{path}/{}/{what}", pending["step_id"].as_str().unwrap()), &body);
            assert_eq!(status, 200, "{answer}");
        }
    }
    active["total"].as_u64().unwrap() as usize
}

fn log_of(server: &Server, id: &str) -> (Value, Log) {
    let shown = server.get(&format!("{EXECUTIONS}/{id}"));
    let log = Log::read(&server.data_dir, &shown);
    (shown, log)
}

#[test]
fn many_executions_survive_any_number_of_kills() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (kills, seed) = (number("ADE_KILLS").unwrap_or(6), number("ADE_KILL_SEED").unwrap_or(20_261_121));
    eprintln!("{kills} kills, seed {seed}");
    let (folder, mut random) = (tempfile::tempdir().unwrap(), Random::new(seed));
    let mut settings = settings();
    settings.insert("ADE_LLM_RETRY_DELAY", "10ms".into());
    let mut server = Server::start_with(folder.path(), &settings);
    let definitions = definitions();
    for definition in &definitions {
        let (status, made) = server.post("/api/v1/workflows", definition);
        assert_eq!(status, 201, "{made}");
    }
    // What each is when nothing happens to it.
    let names: Vec<_> = definitions.iter().map(|definition| &definition["workflow_id"]).collect();
    let calm: Vec<_> = names.iter().enumerate().map(|(scope, name)| execute(&server, name, scope)).collect();
    eventually("the first ones end", || (respond(&server) == 0).then_some(()));
    let calm: Vec<_> = calm.iter().map(|id| work(&log_of(&server, id).1.events)).collect();

    let mut lives: Vec<(usize, String)> = Vec::new();
    for kill in 0..kills {
        for which in 0..names.len() * OF_EACH / kills.max(1) as usize + 1 {
            let which = which % names.len();
            lives.push((which, execute(&server, names[which], 1_000 + lives.len())));
        }
        let (begin, delay) = (Instant::now(), Duration::from_millis(random.below(400)));
        while begin.elapsed() < delay {
            respond(&server);
        }
        server.kill();
        eprintln!("kill {kill} after {delay:?}");
        server = Server::start_with(folder.path(), &settings);
    }
    eventually("all end", || (respond(&server) == 0).then_some(()));
    let mut all = Vec::new();
    let mut interrupted = 0;
    for (which, id) in &lives {
        let (shown, log) = log_of(&server, id);
        let end = laws::assert_ended(&log.events);
        assert_eq!((&end["payload"]["status"], &shown["status"]), (&json!("completed"), &json!("completed")), "{end}");
        assert_eq!(work(&log.events), calm[*which], "seed {seed}: {:?}", laws::told(&log.events));
        let calls = laws::of_kind(&log.events, "llm_call");
        interrupted += calls.iter().filter(|call| call["payload"]["error"] == "interrupted").count();
        assert_one_version(&server, &shown, end);
        all.extend(log.events);
    }
    eprintln!("{} executions, {interrupted} calls interrupted", lives.len());
    assert_sums(&server, &all, &names);
    assert_fed(&server);
    server.stop();
    verify(folder.path());
}

/// Nothing was written twice.
fn assert_one_version(server: &Server, shown: &Value, end: &Value) {
    let documents =
        server.get(&format!("/api/v1/documents?execution_id={}&perPage=200", shown["execution_id"].as_str().unwrap()));
    let documents = documents["items"].as_array().unwrap();
    let named = |list: &[Value]| -> BTreeSet<(String, String)> {
        list.iter().map(|one| (one["document_id"].to_string(), one["version"].to_string())).collect()
    };
    // No step has written the input.
    let written: Vec<_> = documents.iter().filter(|one| one["document_type"] != "list").cloned().collect();
    assert_eq!(named(&written), named(end["payload"]["documents"].as_array().unwrap()), "{shown}");
    assert!(written.iter().all(|one| one["version"] == 1), "{written:?}");
}

/// The ledger has the calls of the logs, those before the kills included.
fn assert_sums(server: &Server, events: &[Value], names: &[&Value]) {
    for name in names {
        let own = events.iter().filter(|event| event["workflow_id"] == **name);
        let sums = laws::Sums::of(own.clone());
        let ids: BTreeSet<_> = own.map(|event| event["execution_id"].as_str().unwrap()).collect();
        let (mut calls, mut cost) = (0, 0);
        for id in ids {
            let costs = server.get(&format!("/api/v1/telemetry/executions/{id}/costs"));
            calls += costs["calls"].as_u64().unwrap();
            cost += laws::micro(&costs["total_cost_usd"]);
        }
        assert_eq!((calls, cost), (sums.calls, sums.cost), "{name}");
    }
}

/// The feed has told of each execution what there is to tell, once and in order.
fn assert_fed(server: &Server) {
    let listed = server.get(&format!("{EXECUTIONS}?perPage=200"));
    let items = listed["items"].as_array().unwrap();
    assert_eq!(listed["total"], items.len(), "one page has all");
    let workspace = items[0]["workspace_id"].as_str().unwrap();
    let mut expected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for item in items {
        let log = Log::read(&server.data_dir, item);
        let told = log.events.iter().filter(|event| {
            ["execution_started", "clarification_needed", "complete"].iter().any(|kind| event["type"] == *kind)
        });
        let id = item["execution_id"].as_str().unwrap().to_owned();
        expected.insert(id, told.map(|event| event["sequence"].as_u64().unwrap()).collect());
    }
    let count: usize = expected.values().map(Vec::len).sum();
    let told = eventually("the feed has told everything", || {
        let (mut told, mut entries, mut after) = (BTreeMap::<String, Vec<u64>>::new(), 0, 0);
        loop {
            let page = server.get(&format!("/api/v1/workspaces/{workspace}/events?after_sequence={after}"));
            for entry in page["items"].as_array().unwrap() {
                let origin = &entry["payload"]["origin"];
                let stream = origin["stream"].as_str().unwrap().to_owned();
                told.entry(stream).or_default().push(origin["sequence"].as_u64().unwrap());
                entries += 1;
            }
            after = page["next_after_sequence"].as_u64().unwrap();
            if page["next_after_sequence"] == page["last_sequence"] {
                return (entries >= count).then_some(told);
            }
        }
    });
    assert_eq!(told, expected);
}
