//! Events in one line each. Pure.

use serde_json::Value;

use super::exec;
use super::text::seconds;
use crate::domain::text::printable;

/// Name of the phase, and whether it starts.
pub fn phase_of(event: &Value) -> Option<(String, bool)> {
    let (scope, starts) = match event["type"].as_str()? {
        "build.phase.started" => ("build", true),
        "run.phase.started" => ("run", true),
        "build.phase.completed" => ("build", false),
        "run.phase.completed" => ("run", false),
        _ => return exec::phase_of(event),
    };
    Some((format!("{scope} {}", printable(event["payload"]["phase"].as_str()?)), starts))
}

/// The event in one line; none for those that would only be noise.
pub fn line_of(event: &Value) -> Option<String> {
    let payload = &event["payload"];
    let text = |key: &str| printable(payload[key].as_str().unwrap_or_default());
    let number = |key: &str| payload[key].as_u64().unwrap_or(0);
    let kind = event["type"].as_str().unwrap_or_default();
    Some(match kind {
        "console.line" => format!("[{}] {}", text("scope"), text("message")),
        "build.phase.started" | "run.phase.started" => format!("{} ...", phase_of(event)?.0),
        "build.phase.completed" | "run.phase.completed" => {
            format!("{} {} in {}", phase_of(event)?.0, text("status"), seconds(number("duration_ms")))
        }
        "run.waiting" => format!("waiting for {}", text("reason")),
        "run.started" => format!("run started, engine {}", text("engine_version")),
        "run.table.summary" => table_line(payload),
        "run.validation.issue" => {
            format!("{} {} in row {}: {}", text("severity"), text("field"), number("row"), text("message"))
        }
        "run.error" => format!("error {}: {}", text("code"), text("message")),
        "run.cancelling" => "cancelling".to_owned(),
        "build.completed" if payload["env"]["reused"] == true => "build reused".to_owned(),
        "build.completed" | "run.completed" => format!("{} {}", kind.replace(".completed", ""), text("status")),
        "run.queued" | "build.created" | "build.started" | "run.validation.summary" => return None,
        // Those of executions have no scope in their names.
        plain if !plain.contains('.') => return exec::line_of(event),
        other => printable(other),
    })
}

fn table_line(payload: &Value) -> String {
    let place = ["source_file", "source_sheet"].map(|key| printable(payload[key].as_str().unwrap_or("?")));
    let mapped = payload["mapping"]["mapped_columns"].as_array().map_or(0, Vec::len);
    let rows = payload["row_count"].as_u64().unwrap_or(0);
    format!("table {} / {}: {rows} rows, {mapped} columns mapped", place[0], place[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_event_worth_a_line_has_one() {
        let line = |kind: &str, payload: Value| line_of(&json!({"type": kind, "payload": payload}));
        let cases = [
            ("console.line", json!({"scope": "run", "message": "hi"}), Some("[run] hi")),
            ("build.phase.started", json!({"phase": "create_venv"}), Some("build create_venv ...")),
            (
                "run.phase.completed",
                json!({"phase": "mapping", "status": "succeeded", "duration_ms": 1200}),
                Some("run mapping succeeded in 1.2 s"),
            ),
            ("build.completed", json!({"status": "active", "env": {"reused": true}}), Some("build reused")),
            ("run.completed", json!({"status": "failed"}), Some("run failed")),
            ("run.queued", json!({}), None),
            ("engine.custom", json!({}), Some("engine.custom")),
        ];
        for (kind, payload, expected) in cases {
            assert_eq!(line(kind, payload).as_deref(), expected);
        }
    }
}
