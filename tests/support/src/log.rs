//! The lines of a log on disk, and what must hold for them whatever happened.

use std::path::{Path, PathBuf};

use serde_json::Value;

pub struct Log {
    pub lines: Vec<String>,
    pub events: Vec<Value>,
}

impl Log {
    /// Reads a log that nothing writes any more.
    pub fn read(data_dir: &Path, resource: &Value) -> Self {
        let path = path(data_dir, resource);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!text.is_empty(), "there are events: {}", path.display());
        Self::parse(&text)
    }

    /// The text of a log file.
    pub fn parse(text: &str) -> Self {
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole: {text:?}");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let events = lines.iter().map(|line| serde_json::from_str(line).expect("each line is json")).collect();
        Self { lines, events }
    }

    /// Dense from 1, and one terminal event, the last.
    pub fn assert_ended(&self) -> &Value {
        self.assert_consistent();
        self.terminal_event().expect("there is a terminal event")
    }

    /// Dense from 1, and at most one terminal event, which is the last.
    pub fn assert_consistent(&self) {
        for (event, n) in self.events.iter().zip(1u64..) {
            assert_eq!(event["sequence"], n, "sequences are dense");
        }
        let terminal = self.events.iter().position(|event| event["type"] == terminal(event));
        assert!(terminal.is_none_or(|at| at + 1 == self.events.len()), "nothing follows the terminal event");
    }

    pub fn terminal_event(&self) -> Option<&Value> {
        self.events.last().filter(|event| event["type"] == terminal(event))
    }

    pub fn of(&self, kind: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["type"] == kind).collect()
    }

    /// The text of console lines from one pipe.
    pub fn console(&self, pipe: &str) -> Vec<&str> {
        let lines = self.of("console.line").into_iter().filter(|event| event["payload"]["stream"] == pipe);
        lines.filter_map(|event| event["payload"]["message"].as_str()).collect()
    }
}

pub fn terminal(event: &Value) -> &'static str {
    match (&event["execution_id"], &event["run_id"]) {
        (Value::String(_), _) => "complete",
        (_, Value::Null) => "build.completed",
        _ => "run.completed",
    }
}

/// The log file of a run, a build or an execution.
pub fn path(data_dir: &Path, resource: &Value) -> PathBuf {
    let text = |key: &str| resource[key].as_str().expect("a resource has ids").to_owned();
    let (kind, id) = match resource["execution_id"].as_str() {
        Some(id) => ("executions", id.to_owned()),
        None if text("id").starts_with("run_") => ("runs", text("id")),
        None => ("builds", text("id")),
    };
    data_dir.join(format!("workspaces/{}/{kind}/{id}/logs/events.ndjson", text("workspace_id")))
}
