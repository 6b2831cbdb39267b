//! What holds for the events of every execution, whatever has happened to it, and the sums over them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// A step, or one item of it.
type Key = (String, Option<String>);

pub fn kind(event: &Value) -> &str {
    event["type"].as_str().unwrap_or_default()
}

pub fn of_kind<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| kind(event) == name).collect()
}

pub fn key(event: &Value) -> Option<Key> {
    Some((event["step_id"].as_str()?.to_owned(), event["item"].as_str().map(str::to_owned)))
}

/// Checks the log of an execution that has ended; its terminal event.
#[track_caller]
pub fn assert_ended(events: &[Value]) -> &Value {
    assert_dense(events);
    assert_eq!(kind(&events[0]), "execution_started", "{:?}", told(events));
    assert_eq!(of_kind(events, "execution_started").len(), 1, "{:?}", told(events));
    let last = &events[events.len() - 1];
    assert_eq!((of_kind(events, "complete").len(), kind(last)), (1, "complete"), "{:?}", told(events));
    for (key, of_step) in by_step(events) {
        assert_step(&key, &of_step);
    }
    assert_items(events);
    assert_calls(events);
    assert_end(events, last);
    last
}

/// Sequences from 1 without holes, ids and times that go up, all of one execution.
#[track_caller]
pub fn assert_dense(events: &[Value]) {
    assert!(!events.is_empty(), "there are no events");
    for (event, sequence) in events.iter().zip(1_u64..) {
        assert_eq!(event["sequence"], sequence, "{:?}", told(events));
        for name in ["execution_id", "workflow_id", "workspace_id"] {
            assert!(event[name].is_string() && event[name] == events[0][name], "{name}: {event}");
        }
    }
    for pair in events.windows(2) {
        assert!(pair[0]["event_id"].as_str() < pair[1]["event_id"].as_str(), "{pair:?}");
        assert!(pair[0]["created_at"].as_str() <= pair[1]["created_at"].as_str(), "{pair:?}");
    }
}

/// The events in short, for messages.
pub fn told(events: &[Value]) -> Vec<String> {
    let one = |event: &Value| match key(event) {
        Some((step, Some(item))) => format!("{} {step}/{item}", kind(event)),
        Some((step, None)) => format!("{} {step}", kind(event)),
        None => kind(event).to_owned(),
    };
    events.iter().map(one).collect()
}

pub fn by_step(events: &[Value]) -> BTreeMap<Key, Vec<&Value>> {
    let mut steps: BTreeMap<Key, Vec<&Value>> = BTreeMap::new();
    for event in events {
        if let Some(key) = key(event) {
            steps.entry(key).or_default().push(event);
        }
    }
    steps
}

/// Where a step is, as its own events tell.
#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Before,
    AtWork,
    /// The id of the clarification.
    Asking(Value),
    /// The document and its version.
    Deciding(Value, Value),
    Over,
}

#[track_caller]
fn assert_step(key: &Key, events: &[&Value]) {
    let (mut phase, mut attempt, mut asked) = (Phase::Before, 0, BTreeSet::new());
    for event in events {
        let payload = &event["payload"];
        let described = || {
            format!("{key:?} in {phase:?}: {event}\n{:?}", events.iter().map(|event| kind(event)).collect::<Vec<_>>())
        };
        phase = match (&phase, kind(event)) {
            (Phase::Before, "step_started") => {
                attempt = 1;
                assert_eq!(payload["attempt"], 1, "{}", described());
                Phase::AtWork
            }
            (Phase::AtWork, "step_progress") => Phase::AtWork,
            (Phase::AtWork, "llm_call") => {
                assert_eq!(payload["attempt"], attempt, "{}", described());
                Phase::AtWork
            }
            (Phase::AtWork, "step_retrying") => {
                attempt += u64::from(payload["reason"] != "provider");
                assert_eq!(payload["attempt"], attempt, "{}", described());
                Phase::AtWork
            }
            (Phase::AtWork, "clarification_needed") => {
                let id = payload["clarification_id"].clone();
                assert!(asked.insert(id.to_string()), "a clarification is asked once: {}", described());
                Phase::Asking(id)
            }
            (Phase::Asking(id), "clarification_answered") if payload["clarification_id"] == *id => Phase::AtWork,
            (Phase::AtWork, "acceptance_needed") => {
                Phase::Deciding(payload["document_id"].clone(), payload["version"].clone())
            }
            (Phase::Deciding(document, version), "acceptance_given")
                if payload["document_id"] == *document && payload["version"] == *version =>
            {
                Phase::AtWork
            }
            (Phase::AtWork, "step_completed") => Phase::Over,
            (Phase::Before, "step_skipped") => Phase::Over,
            (
                Phase::Before | Phase::AtWork | Phase::Asking(_) | Phase::Deciding(..),
                "step_failed" | "step_cancelled",
            ) => Phase::Over,
            _ => panic!("this may not come: {}", described()),
        };
    }
    assert_eq!(phase, Phase::Over, "{key:?} has come to no end: {events:?}");
}

/// A step of items is complete when all of them are.
#[track_caller]
fn assert_items(events: &[Value]) {
    let kept = kept(events);
    for begun in of_kind(events, "step_started") {
        let Some(items) = begun["payload"]["items"].as_array() else { continue };
        let step = begun["step_id"].as_str().unwrap_or_default();
        let completed = |key: &Key| {
            kept.contains(key)
                || of_kind(events, "step_completed").iter().any(|event| self::key(event).as_ref() == Some(key))
        };
        if completed(&(step.to_owned(), None)) {
            for item in items {
                let item = item.as_str().unwrap_or_default().to_owned();
                assert!(completed(&(step.to_owned(), Some(item.clone()))), "{step}/{item}: {:?}", told(events));
            }
        }
    }
}

/// What an earlier execution has completed.
pub fn kept(events: &[Value]) -> BTreeSet<Key> {
    let kept = events[0]["payload"]["kept"].as_array().into_iter().flatten();
    kept.filter_map(key).collect()
}

#[track_caller]
fn assert_calls(events: &[Value]) {
    let calls = of_kind(events, "llm_call");
    let ids: BTreeSet<_> = calls.iter().map(|call| call["payload"]["call_id"].to_string()).collect();
    assert_eq!(ids.len(), calls.len(), "a call is recorded once");
    for call in calls {
        let payload = &call["payload"];
        let replied = payload["error"].is_null();
        assert_eq!(payload["content_digest"].is_string(), replied, "a reply has a digest: {call}");
    }
}

#[track_caller]
fn assert_end(events: &[Value], end: &Value) {
    let payload = &end["payload"];
    let status = payload["status"].as_str().unwrap_or_default();
    assert!(["completed", "failed", "cancelled"].contains(&status), "{end}");
    assert_eq!(payload["failure"].is_null(), status == "completed", "{end}");
    let sums = Sums::of(events);
    for (name, sum) in sums.as_totals() {
        assert_eq!(payload["totals"][&name], sum, "totals.{name} of {end}");
    }
    let product =
        |event: &Value, document: &Value| (key(event), document["document_id"].clone(), document["version"].clone());
    let written = of_kind(events, "step_completed").into_iter().map(|event| product(event, &event["payload"]));
    let earlier =
        events[0]["payload"]["kept"].as_array().into_iter().flatten().map(|kept| product(kept, &kept["document"]));
    let text = |list: Vec<(Option<Key>, Value, Value)>| -> BTreeSet<String> {
        list.into_iter().filter(|(_, document, _)| !document.is_null()).map(|one| format!("{one:?}")).collect()
    };
    let documents = payload["documents"].as_array().into_iter().flatten().map(|document| product(document, document));
    assert_eq!(text(documents.collect()), text(written.chain(earlier).collect()), "documents of {end}");
}

/// Whole micro-dollars.
pub fn micro(amount: &Value) -> i64 {
    let text = amount.as_str().unwrap_or_else(|| panic!("money is a decimal string: {amount}"));
    let (whole, part) = text.split_once('.').unwrap_or_else(|| panic!("six decimals: {text}"));
    assert_eq!(part.len(), 6, "six decimals: {text}");
    whole.parse::<i64>().unwrap() * 1_000_000 + part.parse::<i64>().unwrap()
}

pub fn dollars(micro: i64) -> String {
    format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

/// The fold of `llm_call` events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    pub calls: u64,
    pub errors: u64,
    pub executions: BTreeSet<String>,
    /// In, out, read from the cache, written to it.
    pub tokens: [u64; 4],
    pub cost: i64,
    pub unpriced: u64,
}

const TOKENS: [&str; 4] = ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"];

impl Sums {
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut sums = Self::default();
        events.into_iter().filter(|event| kind(event) == "llm_call").for_each(|event| sums.add(event));
        sums
    }

    fn add(&mut self, event: &Value) {
        let payload = &event["payload"];
        self.calls += 1;
        self.errors += u64::from(!payload["error"].is_null());
        self.executions.insert(event["execution_id"].as_str().unwrap().to_owned());
        for (sum, name) in self.tokens.iter_mut().zip(TOKENS) {
            *sum += payload[name].as_u64().unwrap_or_else(|| panic!("{name} of {event}"));
        }
        match &payload["cost_usd"] {
            Value::Null => self.unpriced += 1,
            cost => self.cost += micro(cost),
        }
    }

    /// As the totals of an execution tell them.
    pub fn as_totals(&self) -> Vec<(String, Value)> {
        let own = json!({"calls": self.calls, "cost_usd": dollars(self.cost), "unpriced_calls": self.unpriced});
        self.with_tokens(own).as_object().unwrap().clone().into_iter().collect()
    }

    /// As telemetry tells them.
    pub fn as_group(&self) -> Value {
        self.with_tokens(json!({
            "calls": self.calls, "errors": self.errors, "executions": self.executions.len(),
            "cost_usd": dollars(self.cost), "unpriced_calls": self.unpriced,
        }))
    }

    fn with_tokens(&self, mut own: Value) -> Value {
        for (sum, name) in self.tokens.iter().zip(TOKENS) {
            own[name] = json!(sum);
        }
        own
    }
}

/// What a summary must say of these events, but for its averages and its days: totals, and the groups by their names.
pub fn groups<'a>(
    events: impl IntoIterator<Item = &'a Value>,
    name: impl Fn(&Value) -> Value,
) -> BTreeMap<String, Value> {
    let mut groups: BTreeMap<String, (Value, Vec<&Value>)> = BTreeMap::new();
    for event in events.into_iter().filter(|event| kind(event) == "llm_call") {
        let name = name(event);
        groups.entry(name.to_string()).or_insert((name, Vec::new())).1.push(event);
    }
    let sums = |(name, events): (Value, Vec<&Value>)| {
        let mut sums = Sums::of(events).as_group();
        sums.as_object_mut().unwrap().extend(name.as_object().unwrap().clone());
        sums
    };
    groups.into_iter().map(|(text, group)| (text, sums(group))).collect()
}

/// The UTC day on which a call began.
pub fn day(call: &Value) -> String {
    let ended = call["created_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let latency = call["payload"]["latency_ms"].as_i64().unwrap();
    (ended - chrono::TimeDelta::milliseconds(latency)).date_naive().to_string()
}

/// Asserts that a summary of these days is the fold of these events.
#[track_caller]
pub fn assert_summary(summary: &Value, events: &[Value]) {
    assert_eq!(summary["totals"], Sums::of(events).as_group());
    let listed = |name: &str| -> Vec<Value> { summary[name].as_array().unwrap().clone() };
    let sorted = |mut list: Vec<Value>| {
        list.sort_by_key(Value::to_string);
        list
    };
    let by = |name: &dyn Fn(&Value) -> Value| sorted(groups(events, name).into_values().collect());
    assert_eq!(sorted(listed("by_workflow")), by(&|event| json!({"workflow_id": event["workflow_id"]})));
    let model = |event: &Value| json!({"provider": event["payload"]["provider"], "model": event["payload"]["model"]});
    assert_eq!(sorted(listed("by_model")), by(&model));
    let days: Vec<_> = listed("by_day").into_iter().filter(|day| day["calls"] != 0).collect();
    assert_eq!(sorted(days), by(&|event| json!({"date": day(event)})));
}
