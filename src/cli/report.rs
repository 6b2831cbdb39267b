//! The summary of a run's events, for the end of `ade run` and for `ade replay`.

use std::collections::{BTreeMap, VecDeque};

use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::{Value, json};

use super::text::seconds;

const LAST_LINES: usize = 15;
/// Severities that are counted separately; an engine may send any.
const SEVERITIES: usize = 100;

/// A fold of the events of one run or build; of an execution, of its end.
#[derive(Debug, Default)]
pub struct Report {
    pub events: u64,
    /// Of the terminal event.
    pub status: Option<String>,
    pub failure: Option<Failure>,
    pub output_paths: Vec<String>,
    /// The newest lines of standard error.
    pub last_lines: VecDeque<String>,
    started: bool,
    duration_ms: Option<u64>,
    engine_version: Option<String>,
    env_reused: Option<bool>,
    tables: u64,
    rows: u64,
    mapped_columns: u64,
    unmapped_columns: u64,
    issues_of_tables: BTreeMap<String, u64>,
    issues_of_run: Option<BTreeMap<String, u64>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub code: String,
    pub message: String,
}

impl Report {
    pub fn apply(&mut self, event: &Value) {
        self.events += 1;
        let payload = &event["payload"];
        match event["type"].as_str().unwrap_or_default() {
            "run.started" => {
                self.started = true;
                self.engine_version = text(&payload["engine_version"]);
                self.env_reused = payload["env"]["reused"].as_bool();
            }
            "run.table.summary" => self.table(payload),
            "run.validation.summary" => self.issues_of_run = Some(counts(&payload["issues_by_severity"])),
            "console.line" if payload["stream"] == "stderr" => self.standard_error(payload),
            "complete" => self.ended(payload, &payload["failure"], &payload["totals"]["duration_ms"]),
            "build.completed" => self.ended(payload, &payload["error"], &payload["duration_ms"]),
            "run.completed" => {
                self.ended(payload, &payload["failure"], &payload["execution"]["duration_ms"]);
                let paths = payload["artifacts"]["output_paths"].as_array();
                self.output_paths = paths.into_iter().flatten().filter_map(text).collect();
            }
            _ => {}
        }
    }

    pub fn succeeded(&self) -> bool {
        matches!(self.status.as_deref(), Some("succeeded" | "active" | "completed"))
    }

    /// Whether the engine was started: without it there is nothing to summarize.
    pub fn has_started(&self) -> bool {
        self.started
    }

    /// By severity.
    pub fn issues(&self) -> &BTreeMap<String, u64> {
        self.issues_of_run.as_ref().unwrap_or(&self.issues_of_tables)
    }

    /// The normalized workbook among the outputs.
    pub fn workbook(&self) -> Option<&str> {
        let workbook = self.output_paths.iter().find(|path| path.ends_with(".xlsx"));
        workbook.or_else(|| self.output_paths.first()).map(String::as_str)
    }

    pub fn to_table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED);
        let mut row = |name: &str, value: String| {
            table.add_row([name.to_owned(), value]);
        };
        row("status", self.status.clone().unwrap_or_else(|| "not ended".to_owned()));
        row("tables", self.tables.to_string());
        row("rows", self.rows.to_string());
        row("columns", format!("{} mapped, {} unmapped", self.mapped_columns, self.unmapped_columns));
        row("issues", self.issues_in_words());
        if let Some(version) = &self.engine_version {
            let env = if self.env_reused == Some(true) { "environment reused" } else { "environment built" };
            row("engine", format!("{version} ({env})"));
        }
        if let Some(milliseconds) = self.duration_ms {
            row("duration", seconds(milliseconds));
        }
        table.to_string()
    }

    pub fn to_json(&self) -> Value {
        json!({
            "status": self.status,
            "failure": self.failure,
            "tables": self.tables,
            "rows": self.rows,
            "mapped_columns": self.mapped_columns,
            "unmapped_columns": self.unmapped_columns,
            "issues": self.issues(),
            "engine_version": self.engine_version,
            "environment_reused": self.env_reused,
            "duration_ms": self.duration_ms,
        })
    }

    fn issues_in_words(&self) -> String {
        let words = self.issues().iter().filter(|(_, count)| **count > 0);
        match words.map(|(severity, count)| format!("{count} {severity}")).collect::<Vec<_>>() {
            none if none.is_empty() => "none".to_owned(),
            some => some.join(", "),
        }
    }

    fn table(&mut self, payload: &Value) {
        let length = |list: &Value| list.as_array().map_or(0, |items| items.len() as u64);
        self.tables += 1;
        self.rows = self.rows.saturating_add(payload["row_count"].as_u64().unwrap_or(0));
        self.mapped_columns += length(&payload["mapping"]["mapped_columns"]);
        self.unmapped_columns += length(&payload["mapping"]["unmapped_columns"]);
        for (severity, count) in counts(&payload["validation"]["issues_by_severity"]) {
            if self.issues_of_tables.len() < SEVERITIES || self.issues_of_tables.contains_key(&severity) {
                let sum = self.issues_of_tables.entry(severity).or_default();
                *sum = sum.saturating_add(count);
            }
        }
    }

    fn standard_error(&mut self, payload: &Value) {
        if self.last_lines.len() == LAST_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.extend(text(&payload["message"]));
    }

    fn ended(&mut self, payload: &Value, failure: &Value, duration_ms: &Value) {
        self.status = text(&payload["status"]);
        self.duration_ms = duration_ms.as_u64();
        self.failure = failure.is_object().then(|| Failure {
            code: text(&failure["code"]).unwrap_or_else(|| "failed".to_owned()),
            message: text(&failure["message"]).unwrap_or_default(),
        });
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn counts(object: &Value) -> BTreeMap<String, u64> {
    let entries = object.as_object().into_iter().flatten();
    entries.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, payload: Value) -> Value {
        json!({"type": kind, "payload": payload})
    }

    fn table(rows: u64, errors: u64) -> Value {
        let mapping = json!({"mapped_columns": [{}, {}], "unmapped_columns": [{}]});
        let validation = json!({"issues_by_severity": {"error": errors}});
        event("run.table.summary", json!({"row_count": rows, "mapping": mapping, "validation": validation}))
    }

    #[test]
    fn a_finished_run_is_summed_over_its_tables() {
        let mut report = Report::default();
        let done = json!({"status": "succeeded", "failure": null, "execution": {"duration_ms": 61_500},
            "artifacts": {"output_paths": ["output/log.txt", "output/normalized.xlsx"]}});
        for event in [table(3, 1), table(4, 2), event("run.completed", done)] {
            report.apply(&event);
        }
        assert!(report.succeeded());
        assert_eq!((report.tables, report.rows, report.mapped_columns, report.unmapped_columns), (2, 7, 4, 2));
        assert_eq!(report.workbook(), Some("output/normalized.xlsx"));
        let shown = report.to_table();
        assert!(shown.contains("3 error") && shown.contains("1 m 01 s"), "{shown}");
    }

    #[test]
    fn the_runs_own_count_of_issues_wins_over_the_tables() {
        let mut report = Report::default();
        report.apply(&table(1, 9));
        report.apply(&event("run.validation.summary", json!({"issues_by_severity": {"warning": 2}})));
        assert_eq!(report.issues_in_words(), "2 warning");
    }

    #[test]
    fn a_failure_keeps_its_code_and_the_newest_lines_of_standard_error() {
        let mut report = Report::default();
        for number in 0..LAST_LINES + 2 {
            report.apply(&event("console.line", json!({"stream": "stderr", "message": format!("line {number}")})));
        }
        let failure = json!({"code": "engine_error", "stage": "run", "message": "it broke"});
        report.apply(&event("run.completed", json!({"status": "failed", "failure": failure})));
        assert!(!report.succeeded());
        let expected = Failure { code: "engine_error".to_owned(), message: "it broke".to_owned() };
        assert_eq!(report.failure, Some(expected));
        assert_eq!((report.last_lines.len(), report.last_lines[0].as_str()), (LAST_LINES, "line 2"));
    }
}
