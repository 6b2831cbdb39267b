//! The state and the summary (`ade.run_summary/v1`) of a run, folded from its stream.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Fact;
use super::tables::{IssueSums, Issues, Table, Tables};
use crate::domain::run::RunState;
use crate::domain::status::RunStatus;
use crate::domain::time;
use crate::domain::{ConfigurationId, RunId, WorkspaceId};
use crate::event::payload::run::{Completed, LeftOut, Started};

/// Folds one run's stream.
#[derive(Debug)]
pub struct RunFold {
    ids: (RunId, WorkspaceId, ConfigurationId),
    state: RunState,
    input_file_count: usize,
    tables: Tables,
    /// The engine's own totals win over the sum of the tables'.
    totals: Option<IssueSums>,
    left_out: LeftOut,
}

#[derive(Deserialize)]
struct Queued {
    options: QueuedOptions,
}

#[derive(Deserialize)]
struct QueuedOptions {
    #[serde(default)]
    document_ids: Vec<String>,
}

impl RunFold {
    pub fn new(run_id: RunId, workspace_id: WorkspaceId, configuration_id: ConfigurationId) -> Self {
        Self {
            ids: (run_id, workspace_id, configuration_id),
            state: RunState::default(),
            input_file_count: 0,
            tables: Tables::default(),
            totals: None,
            left_out: LeftOut::default(),
        }
    }

    /// Whether an event of this type can change the state; the many that cannot need not be parsed.
    pub fn is_relevant(kind: &[u8]) -> bool {
        matches!(kind, b"run.table.summary" | b"run.validation.summary") || Self::changes_status(kind)
    }

    /// Whether an event of this type is worth a write of the row.
    pub fn changes_status(kind: &[u8]) -> bool {
        matches!(kind, b"run.queued" | b"run.started" | b"run.completed" | b"build.created" | b"build.started")
    }

    pub fn apply(&mut self, fact: Fact<'_>) {
        match fact.kind {
            "run.queued" => self.queued(fact.read()),
            "build.created" => self.state.build_id = fact.build_id.or(self.state.build_id),
            "build.started" => self.become_status(RunStatus::Building),
            "run.started" => self.started(fact.read(), &fact),
            "run.table.summary" => self.table(fact.read()),
            "run.validation.summary" => self.validation(fact.read()),
            "run.completed" => {
                if let Some(ending) = fact.read() {
                    self.end(&ending);
                }
            }
            _ => {}
        }
    }

    /// Ends the run: the state becomes terminal and gets its summary.
    pub fn end(&mut self, ending: &Completed) {
        if !self.state.status.can_become(ending.status) {
            return;
        }
        self.state.status = ending.status;
        self.state.failure = ending.failure.clone();
        self.state.exit_code = ending.execution.exit_code;
        self.state.started_at = ending.execution.started_at.or(self.state.started_at);
        self.state.completed_at = ending.execution.completed_at;
        self.state.output_paths = ending.artifacts.output_paths.clone();
        self.state.processed_files = ending.artifacts.processed_files.clone();
        self.left_out = ending.artifacts.truncated.unwrap_or_default();
        self.state.summary = Some(self.summary());
    }

    pub fn state(&self) -> &RunState {
        &self.state
    }

    fn become_status(&mut self, next: RunStatus) {
        if self.state.status.can_become(next) {
            self.state.status = next;
        }
    }

    fn queued(&mut self, queued: Option<Queued>) {
        self.input_file_count = queued.map_or(0, |queued| queued.options.document_ids.len());
    }

    fn started(&mut self, started: Option<Started>, fact: &Fact<'_>) {
        self.become_status(RunStatus::Running);
        self.state.started_at = Some(fact.created_at);
        self.state.build_id = fact.build_id.or(self.state.build_id);
        let Some(started) = started else { return };
        self.state.engine_version = started.engine_version;
        self.state.config_version = started.config_version;
        self.state.env_reason = Some(started.env.reason);
        self.state.env_reused = Some(started.env.reused);
        self.tables.declare(started.fields, started.fields_left_out);
    }

    fn table(&mut self, table: Option<Table>) {
        self.tables.add(table);
        self.state.table_count = Some(self.tables.count());
        self.state.row_count = self.tables.row_count();
        self.state.sheet_count = Some(self.tables.sheet_count() as u64);
        self.state.max_validation_severity = self.issues().max_severity();
    }

    fn validation(&mut self, totals: Option<Issues>) {
        if let Some(totals) = totals {
            self.totals = Some(IssueSums::of_run(&totals));
        }
    }

    fn issues(&self) -> &IssueSums {
        self.totals.as_ref().unwrap_or(self.tables.issues())
    }

    fn summary(&mut self) -> Value {
        self.state.max_validation_severity = self.issues().max_severity();
        json!({
            "schema": "ade.run_summary/v1",
            "version": "1.0.0",
            "run": self.about_run(),
            "core": self.core(),
            "breakdowns": { "by_file": self.tables.by_file(), "by_field": self.tables.by_field() },
            "truncated": self.truncated(),
        })
    }

    /// What is left out for the summary to keep its bounds, each with its count; null when that is nothing.
    fn truncated(&self) -> Value {
        let paths = [("output_paths", self.left_out.output_paths), ("processed_files", self.left_out.processed_files)];
        let counts: Vec<_> = self.tables.left_out(self.issues()).into_iter().chain(paths).collect();
        if counts.iter().all(|(_, count)| *count == 0) {
            return Value::Null;
        }
        counts.into_iter().map(|(name, count)| (name.to_owned(), Value::from(count))).collect::<Map<_, _>>().into()
    }

    fn about_run(&self) -> Value {
        let state = &self.state;
        let (run_id, workspace_id, configuration_id) = self.ids;
        let duration = state.started_at.zip(state.completed_at).map(|(from, to)| time::duration_ms(from, to));
        json!({
            "id": run_id, "workspace_id": workspace_id, "configuration_id": configuration_id,
            "status": state.status,
            "failure_code": state.failure.as_ref().map(|failure| &failure.code),
            "failure_stage": state.failure.as_ref().map(|failure| &failure.stage),
            "failure_message": state.failure.as_ref().map(|failure| &failure.message),
            "engine_version": state.engine_version, "config_version": state.config_version,
            "env_reason": state.env_reason, "env_reused": state.env_reused,
            "started_at": state.started_at.map(time::format),
            "completed_at": state.completed_at.map(time::format),
            "duration_ms": duration,
            "duration_seconds": duration.map(|ms| ms as f64 / 1000.0),
        })
    }

    fn core(&self) -> Value {
        let mut core = json!({
            "input_file_count": self.input_file_count,
            "input_sheet_count": self.tables.sheet_count(),
            "table_count": self.tables.count(),
            "row_count": self.tables.row_count(),
            "canonical_field_count": self.tables.field_count(),
            "required_field_count": self.tables.required_field_count(),
            "mapped_field_count": self.tables.mapped_field_count(),
            "unmapped_column_count": self.tables.unmapped_column_count(),
        });
        self.issues().write(&mut core);
        core
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::event::{Draft, Source};
    use serde_json::value::to_raw_value;

    fn fold(events: &[(&str, Value)]) -> RunFold {
        let mut fold = RunFold::new(RunId::generate(), WorkspaceId::generate(), ConfigurationId::generate());
        for (kind, payload) in events {
            let payload = to_raw_value(payload).unwrap();
            let draft = Draft { payload, ..Draft::new(kind.to_string(), Source::Engine, &()) };
            fold.apply(Fact::of_draft(&draft, Timestamp::default()));
        }
        fold
    }

    fn table(id: &str, file: &str, rows: u64, field_issues: Value) -> (&'static str, Value) {
        let payload = json!({
            "table_id": id, "source_file": file, "source_sheet": "A", "row_count": rows, "column_count": 2,
            "mapping": {
                "mapped_columns": [
                    {"field": "email", "header": "E-Mail", "source_column_index": 1, "score": 0.9, "is_required": true, "is_satisfied": true},
                    {"field": "amount", "header": "", "source_column_index": -1, "score": 0.0, "is_required": false, "is_satisfied": false},
                ],
                "unmapped_columns": [{"header": "x", "source_column_index": 0, "output_header": "raw_1"}],
            },
            "validation": {
                "issues_total": 2, "issues_by_severity": {"error": 1, "warning": 1}, "issues_by_code": {"bad": 2},
                "issues_by_field": field_issues, "max_severity": "error",
            },
        });
        ("run.table.summary", payload)
    }

    fn started() -> (&'static str, Value) {
        ("run.started", json!({}))
    }

    fn completed(status: &str) -> (&'static str, Value) {
        let execution = json!({"exit_code": 0, "started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:00:02.5Z", "duration_ms": 2500});
        (
            "run.completed",
            json!({"status": status, "failure": null, "execution": execution, "artifacts": {"output_paths": ["output/normalized.xlsx"], "events_path": "logs/events.ndjson"}, "summary": null}),
        )
    }

    #[test]
    fn a_run_of_two_tables_is_summed_up() {
        let field_issues = json!({"email": {"issues_total": 2, "issues_by_severity": {"error": 1, "warning": 1}, "issues_by_code": {"bad": 2}}});
        let fields = json!([{"field": "amount", "label": "Amount", "required": false}, {"field": "email", "label": "E-mail", "required": true}]);
        let fold = fold(&[
            ("run.queued", json!({"options": {"document_ids": ["doc_1"]}})),
            (
                "run.started",
                json!({"status": "in_progress", "mode": "execute", "engine_version": "1.0.0", "config_version": null, "fields": fields, "env": {"reason": "reuse_ok", "reused": true}}),
            ),
            table("t1", "a.xlsx", 10, field_issues.clone()),
            table("t2", "a.xlsx", 5, field_issues),
            completed("succeeded"),
        ]);
        let state = fold.state();
        assert_eq!((state.status, state.table_count, state.row_count), (RunStatus::Succeeded, Some(2), Some(15)));
        assert_eq!(state.max_validation_severity.as_deref(), Some("error"));
        let summary = state.summary.as_ref().unwrap();
        assert_eq!(summary["run"]["duration_ms"], 2500);
        assert_eq!(summary["core"]["validation_issue_count_total"], 4);
        assert_eq!(summary["core"]["mapped_field_count"], 1);
        assert_eq!(summary["core"]["unmapped_column_count"], 2);
        assert_eq!(summary["core"]["input_sheet_count"], 1);
        assert_eq!(summary["breakdowns"]["by_file"][0]["issue_counts_by_code"]["bad"], 4);
        let by_field = summary["breakdowns"]["by_field"].as_array().unwrap();
        assert_eq!(by_field[0]["field"], "amount", "manifest order");
        assert_eq!((&by_field[1]["validation_issue_count_total"], &by_field[1]["mapped"]), (&json!(4), &json!(true)));
    }

    #[test]
    fn a_missing_row_count_makes_the_total_unknown() {
        let (kind, mut payload) = table("t1", "a", 1, json!({}));
        payload["row_count"] = Value::Null;
        assert_eq!(fold(&[table("t2", "a", 4, json!({})), (kind, payload)]).state().row_count, None);
    }

    #[test]
    fn the_engines_totals_win_and_a_terminal_state_stays() {
        let totals = json!({"issues_total": 9, "issues_by_severity": {"info": 9}, "issues_by_code": {}, "issues_by_field": {}, "max_severity": "info"});
        let fold = fold(&[
            ("run.started", json!({})),
            table("t", "a", 1, json!({})),
            ("run.validation.summary", totals),
            completed("succeeded"),
            completed("failed"),
        ]);
        assert_eq!(fold.state().status, RunStatus::Succeeded);
        assert_eq!(fold.state().summary.as_ref().unwrap()["core"]["validation_issue_count_total"], 9);
        assert_eq!(fold.state().max_validation_severity.as_deref(), Some("info"));
    }
    /// Longer lines of an engine are no events; no line of the service's own is longer either.
    const EVENT_LIMIT: usize = 1 << 20;

    #[test]
    fn a_summary_of_too_much_is_cut_and_says_by_how_much() {
        const FIELDS: u64 = 3000;
        let many = |name: &str, count: u64| -> Value {
            (0..count).map(|n| (format!("{name}_{n}"), Value::from(1))).collect::<Map<_, _>>().into()
        };
        let columns: Vec<_> =
            (0..FIELDS).map(|n| json!({"field": format!("field_{n}"), "source_column_index": n})).collect();
        let mut events = vec![started()];
        for table in 0..1000 {
            let columns = if table < 5 { json!(columns) } else { json!([]) };
            let validation = json!({"issues_total": 2000, "issues_by_severity": many("severity", 500),
                "issues_by_code": many("code", 2000), "issues_by_field": many("field", FIELDS)});
            let validation = if table % 100 == 0 { validation } else { json!({}) };
            events.push((
                "run.table.summary",
                json!({"table_id": format!("t{table}"), "row_count": 2,
                "source_file": format!("file {table} {}", "\"".repeat(100)), "source_sheet": format!("sheet {table}"),
                "mapping": {"mapped_columns": columns}, "validation": validation}),
            ));
        }
        events.push(completed("succeeded"));
        let fold = fold(&events);
        let summary = fold.state().summary.as_ref().unwrap();
        let length = summary.to_string().len();
        assert!(length < EVENT_LIMIT * 6 / 10, "{length}");
        let core = &summary["core"];
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} is a number"));
        assert_eq!((number(&core["table_count"]), number(&core["row_count"])), (1000, 2000));
        assert_eq!((number(&core["canonical_field_count"]), number(&core["mapped_field_count"])), (FIELDS, FIELDS));
        assert_eq!((number(&core["input_sheet_count"]), number(&core["validation_issue_count_total"])), (1000, 20_000));
        let listed = |of: &str| summary["breakdowns"][of].as_array().unwrap().len() as u64;
        let left_out = |of: &str| number(&summary["truncated"][of]);
        assert_eq!(listed("by_field") + left_out("fields"), FIELDS);
        assert_eq!(listed("by_file") + left_out("files"), 1000);
        let sum = |of: &Value| of.as_object().unwrap().values().map(number).sum::<u64>();
        assert_eq!(sum(&core["issue_counts_by_code"]) + left_out("issues_by_code"), 20_000);
        assert_eq!(sum(&core["issue_counts_by_severity"]) + left_out("issues_by_severity"), 5000);
        assert!(listed("by_field") > 100 && listed("by_file") > 100 && left_out("issues_in_breakdowns") > 0);
    }

    #[test]
    fn what_is_summed_does_not_overflow_and_what_cannot_be_read_is_counted() {
        let (kind, mut payload) = table("t2", "a", u64::MAX, json!({"email": u64::MAX}));
        payload["validation"]["issues_total"] = json!(u64::MAX);
        let odd = (kind, json!({"table_id": "t3", "row_count": -1}));
        let twice =
            fold(&[started(), table("t1", "a", 1, json!({"email": 1})), (kind, payload), completed("succeeded")]);
        let core = &twice.state().summary.as_ref().unwrap()["core"];
        assert_eq!((&core["row_count"], &core["validation_issue_count_total"]), (&json!(u64::MAX), &json!(u64::MAX)));
        let unread = fold(&[started(), table("t1", "a", 1, json!({})), odd, completed("succeeded")]);
        let summary = unread.state().summary.as_ref().unwrap();
        assert_eq!((&summary["core"]["table_count"], &summary["core"]["row_count"]), (&json!(2), &Value::Null));
        assert_eq!(summary["truncated"]["unread_tables"], 1);
    }

    #[test]
    fn two_files_of_one_name_are_two() {
        let of = |index: u64| {
            let (kind, mut payload) = table(&format!("t{index}"), "a.csv", index + 1, json!({}));
            payload["file_index"] = json!(index);
            (kind, payload)
        };
        let fold = fold(&[started(), of(1), of(0), of(1), completed("succeeded")]);
        let summary = fold.state().summary.as_ref().unwrap();
        let files = summary["breakdowns"]["by_file"].as_array().unwrap();
        let shape: Vec<_> =
            files.iter().map(|file| (file["file_index"].as_u64(), file["row_count"].as_u64())).collect();
        assert_eq!(shape, [(Some(1), Some(4)), (Some(0), Some(1))], "in the order in which they came");
        assert_eq!(summary["core"]["input_sheet_count"], 2);
        assert_eq!(summary["truncated"], Value::Null);
    }
}
