//! A hundred executions at once, with everything that can happen to one, and what holds for all of them after that.
//!
//! `ADE_CROWD` is their number, `ADE_CROWD_SEED` what chance begins with.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::definitions::{answers_to, limited, step, with, workflow};
use crate::support::executions::{EXECUTIONS, id_of};
use crate::support::random::Random;
use crate::support::{EventStream, Request, TestApp, Value, json, kind, laws};

fn definitions() -> Vec<Value> {
    let large = json!({"model": "builtin-large"});
    let each = json!({"for_each": {"document_type": "list", "collection": "items"}});
    let person = json!({"acceptance": {"required": true}, "max_attempts": 2});
    let two = |name: &str, first: Value| workflow(name, &[first, step("end", &["note"], "End it.")]);
    vec![
        two("plain", step("note", &[], "Write it.")),
        two(
            "asking",
            with(step("note", &[], "Write it.\nbuiltin: ask What?\nbuiltin: ask(number)? How many?"), large.clone()),
        ),
        two("accepted", with(step("note", &[], "Write it."), person)),
        two(
            "busy",
            step(
                "note",
                &[],
                "Write it.\nbuiltin: fail rate_limited 1 after 5\nbuiltin: cut 1\nbuiltin: reply invalid 1",
            ),
        ),
        two("useless", with(step("note", &[], "Write it.\nbuiltin: reply broken 3"), large)),
        two("refused", step("note", &[], "Write it.\nbuiltin: fail refused")),
        two("unpriced", with(step("note", &[], "Write it."), json!({"model": "builtin-of-nobody"}))),
        limited(
            "limited",
            &json!({"max_cost_usd": "0.02"}),
            &[
                step("note", &[], "Write it."),
                with(step("end", &["note"], "End it."), json!({"model": "builtin-large", "max_tokens": 100_000})),
            ],
        ),
        limited(
            "items",
            &json!({"max_parallel_steps": 2}),
            &[
                with(
                    step(
                        "part",
                        &["list"],
                        "Write one.\nbuiltin: fail server 1\nbuiltin: ask? Which?"
                            .replace("ask?", "ask(yes_no)?")
                            .as_str(),
                    ),
                    each,
                ),
                step("end", &["part"], "Sum up."),
            ],
        ),
        workflow(
            "wide",
            &[
                step("a", &[], "Write a.\nbuiltin: delay 40"),
                step("b", &[], "Write b.\nbuiltin: ask Why?"),
                with(step("c", &[], "Write c.\nbuiltin: reply broken 3"), json!({"max_attempts": 2})),
                with(step("end", &["a", "b"], "End it."), json!({"optional_inputs": ["c"]})),
            ],
        ),
    ]
}

fn input_of(workflow_id: &str) -> Value {
    let items = json!([{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "d"}]);
    if workflow_id == "items" { json!({"list": {"items": items}}) } else { json!({}) }
}

/// What a reader has seen of one execution, and what it has done.
struct Life {
    id: String,
    lines: Vec<String>,
    events: Vec<Value>,
    /// Answers and decisions that were taken.
    answers: usize,
    decisions: usize,
}

/// Makes an execution, reads it to its end, and answers, decides and cancels as chance has it.
fn live(app: &TestApp, workflow_id: &str, mut random: Random) -> Life {
    let created = app.post(EXECUTIONS, &app.execution_of(workflow_id, &input_of(workflow_id))).expect(201).json();
    let mut life = Life { id: id_of(&created), lines: Vec::new(), events: Vec::new(), answers: 0, decisions: 0 };
    let cancel_at = (random.below(4) == 0).then(|| 1 + random.below(14) as usize);
    let mut stream = EventStream::open(app.address, &Request::get(format!("{EXECUTIONS}/{}/events/stream", life.id)));
    while let Some(frame) = stream.event() {
        let event = frame.json();
        life.lines.push(frame.data.unwrap());
        let taken = respond(app, &life.id, &event, &mut random);
        life.answers += usize::from(taken && kind(&event) == "clarification_needed");
        life.decisions += usize::from(taken && kind(&event) == "acceptance_needed");
        life.events.push(event);
        if Some(life.events.len()) == cancel_at {
            let status = app.post(&format!("{EXECUTIONS}/{}/cancel", life.id), &json!({})).status();
            assert!([202, 200, 409].contains(&status), "{status}");
        }
    }
    life
}

/// Does what an event asks of a person; whether that was taken.
fn respond(app: &TestApp, id: &str, event: &Value, random: &mut Random) -> bool {
    let target =
        |what: &str| format!("{EXECUTIONS}/{id}/steps/{}/{what}", event["step_id"].as_str().unwrap_or_default());
    let (body, target) = match kind(event) {
        "clarification_needed" => {
            let target = target("clarification");
            if random.below(3) == 0 {
                let wrong = json!({"answers": {"Q_77": 1}, "item": event["item"]});
                let status = app.post(&target, &wrong).status();
                assert!([422, 409].contains(&status), "{status}");
            }
            (json!({"answers": answers_to(&event["payload"]["questions"]), "item": event["item"]}), target)
        }
        "acceptance_needed" => {
            (json!({"accepted": random.below(3) > 0, "comment": "so", "item": event["item"]}), target("acceptance"))
        }
        _ => return false,
    };
    let answer = app.post(&target, &body);
    // It may have ended, or be about to.
    assert!([200, 409].contains(&answer.status()), "{answer}");
    answer.status() == 200
}

#[test]
fn a_hundred_concurrent_executions_keep_every_law() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (count, seed) = (number("ADE_CROWD").unwrap_or(100), number("ADE_CROWD_SEED").unwrap_or(20_261_121));
    eprintln!("{count} executions, seed {seed}");
    let app = TestApp::with(&[("ADE_LLM_RETRY_DELAY", "10ms")]);
    let definitions = definitions();
    definitions.iter().for_each(|definition| app.add_workflow(definition));
    let mut random = Random::new(seed);
    let plan: Vec<_> = (0..count)
        .map(|_| (&definitions[random.below(definitions.len() as u64) as usize], random.below(u64::MAX)))
        .collect();
    let lives: Vec<Life> = std::thread::scope(|scope| {
        let threads: Vec<_> = plan
            .iter()
            .map(|(definition, seed)| {
                let (app, name) = (&app, definition["workflow_id"].as_str().unwrap());
                scope.spawn(move || live(app, name, Random::new(*seed)))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    for life in &lives {
        let end = check(&app, life);
        *ends.entry(end).or_default() += 1;
    }
    eprintln!("{ends:?}");
    if count >= 100 {
        assert_eq!(ends.len(), 3, "some complete, some fail, some are cancelled: {ends:?}");
    }
    let events: Vec<Value> = lives.iter().flat_map(|life| life.events.clone()).collect();
    laws::assert_summary(&app.get("/api/v1/telemetry/summary").expect(200).json(), &events);
    check_stats(&app, &definitions, &lives);
    let active = app.get(&format!("{EXECUTIONS}?active=true")).expect(200).json();
    assert_eq!(active["total"], 0, "{active}");
}

/// The laws for one; how it has ended.
fn check(app: &TestApp, life: &Life) -> String {
    let end = laws::assert_ended(&life.events);
    assert_eq!(
        laws::of_kind(&life.events, "clarification_answered").len(),
        life.answers,
        "{:?}",
        laws::told(&life.events)
    );
    assert_eq!(laws::of_kind(&life.events, "acceptance_given").len(), life.decisions, "{:?}", laws::told(&life.events));
    let target = |rest: &str| format!("{EXECUTIONS}/{}{rest}", life.id);
    let whole: String = life.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    let folder =
        app.data_dir().join("workspaces").join(end["workspace_id"].as_str().unwrap()).join("executions").join(&life.id);
    assert!(std::fs::read_to_string(folder.join("logs/events.ndjson")).unwrap() == whole, "the file is what was read");
    assert!(app.get(&target("/events?format=ndjson")).expect(200).text() == whole, "so is the replay");
    let page = app.get(&target("/events?limit=1000")).expect(200);
    assert!(page.text().starts_with(&format!(r#"{{"items":[{}]"#, life.lines.join(","))), "and the page");
    let shown = app.get(&target("")).expect(200).json();
    for name in ["status", "failure", "totals"] {
        assert_eq!(shown[name], end["payload"][name], "{name} of {shown}");
    }
    let begun: BTreeSet<_> = life.events.iter().filter_map(laws::key).collect();
    let steps = app.get(&target("/steps")).expect(200).json();
    for step in steps.as_array().unwrap() {
        let is_over = ["completed", "failed", "skipped", "cancelled"].contains(&step["status"].as_str().unwrap());
        assert!(is_over || !begun.contains(&laws::key(step).unwrap()), "{step} of {}", life.id);
    }
    end["payload"]["status"].as_str().unwrap().to_owned()
}

fn check_stats(app: &TestApp, definitions: &[Value], lives: &[Life]) {
    for definition in definitions {
        let name = definition["workflow_id"].as_str().unwrap();
        let own: Vec<_> = lives.iter().filter(|life| life.events[0]["workflow_id"] == name).collect();
        let stats = app.get(&format!("/api/v1/telemetry/workflows/{name}/stats")).expect(200).json();
        let cost = laws::Sums::of(own.iter().flat_map(|life| &life.events)).cost;
        assert_eq!(
            (&stats["executions"]["total"], &stats["total_cost_usd"]),
            (&json!(own.len()), &json!(laws::dollars(cost))),
            "{stats}"
        );
        for status in ["completed", "failed", "cancelled"] {
            let count = own.iter().filter(|life| life.events.last().unwrap()["payload"]["status"] == status).count();
            assert_eq!(stats["executions"][status], count, "{status} of {stats}");
        }
    }
}
