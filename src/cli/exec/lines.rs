//! Events of executions in one line each. Pure.

use serde_json::Value;

use crate::cli::text::seconds;
use crate::domain::text::printable;

/// Which step an event is of: `plan`, or `plan R-1` for an item.
pub fn step_of(event: &Value) -> Option<String> {
    let step = event["step_id"].as_str()?;
    let item = event["item"].as_str().map(|item| format!(" {item}"));
    Some(printable(&format!("{step}{}", item.unwrap_or_default())))
}

/// The step that starts or stops running, and which of both.
pub fn phase_of(event: &Value) -> Option<(String, bool)> {
    let starts = match event["type"].as_str()? {
        "step_started" | "clarification_answered" | "acceptance_given" => true,
        "clarification_needed"
        | "acceptance_needed"
        | "step_completed"
        | "step_failed"
        | "step_skipped"
        | "step_cancelled" => false,
        _ => return None,
    };
    Some((step_of(event)?, starts))
}

/// The event in one line; none for those that would only be noise.
pub fn line_of(event: &Value) -> Option<String> {
    let payload = &event["payload"];
    let step = step_of(event).unwrap_or_default();
    let text = |key: &str| printable(payload[key].as_str().unwrap_or_default());
    let number = |key: &str| payload[key].as_u64().unwrap_or(0);
    Some(match event["type"].as_str().unwrap_or_default() {
        "execution_started" => {
            let (workflow, scope) = (text("workflow_id"), format!("{}:{}", text("scope_type"), text("scope_id")));
            format!("{workflow} at revision {} for {scope}", number("revision"))
        }
        "step_started" => match payload["items"].as_array() {
            Some(items) => format!("{step} for each of {} items ...", items.len()),
            None => format!("{step} ..."),
        },
        "llm_call" => call_line(&step, payload),
        "step_retrying" => {
            let finding = &payload["findings"][0]["message"];
            let why = finding.as_str().map(|message| format!(", {}", printable(message)));
            format!("{step} retries, {}{}", text("reason"), why.unwrap_or_default())
        }
        "clarification_needed" => {
            let count = payload["questions"].as_array().map_or(0, Vec::len);
            format!("{step} asks {count} question{}", if count == 1 { "" } else { "s" })
        }
        "clarification_answered" => format!("{step} is answered"),
        "acceptance_needed" => format!("{step} is to be accepted: {}", document(payload)),
        "acceptance_given" if payload["accepted"] == true => format!("{step} is accepted"),
        "acceptance_given" => format!("{step} is rejected{}", colon(&text("comment"))),
        "step_completed" => {
            let written = payload["version"].as_u64().map(|_| colon(&document(payload)));
            format!("{step} completed in {}{}", seconds(number("duration_ms")), written.unwrap_or_default())
        }
        "step_failed" => {
            let of = |key: &str| printable(payload["error"][key].as_str().unwrap_or_default());
            format!("{step} failed, {}: {}", of("code"), of("message"))
        }
        "step_skipped" => format!("{step} skipped, {}", text("reason")),
        "step_cancelled" => format!("{step} cancelled, {}", text("reason")),
        "complete" => format!("execution {}", text("status")),
        "step_progress" => return None,
        other => printable(other),
    })
}

fn call_line(step: &str, payload: &Value) -> String {
    let text = |key: &str| payload[key].as_str().map(printable);
    let model = text("model").unwrap_or_default();
    if let Some(error) = text("error") {
        return format!(
            "{step} called {model}: {error}{}",
            text("error_message").map(|m| format!(", {m}")).unwrap_or_default()
        );
    }
    let cost = text("cost_usd").map_or_else(|| "at an unknown price".to_owned(), |cost| format!("{cost} USD"));
    format!("{step} called {model}: {} tokens in, {} out, {cost}", payload["input_tokens"], payload["output_tokens"])
}

fn document(payload: &Value) -> String {
    format!("{} version {}", printable(payload["document_type"].as_str().unwrap_or_default()), payload["version"])
}

fn colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_event_worth_a_line_has_one() {
        let call = json!({"model": "m", "input_tokens": 7, "output_tokens": 5, "cost_usd": "0.000125"});
        let unpriced = json!({"model": "m", "input_tokens": 7, "output_tokens": 5, "cost_usd": null});
        let started = json!({"workflow_id": "w", "revision": 2, "scope_type": "project", "scope_id": "42"});
        let document = json!({"document_type": "plan", "version": 3, "duration_ms": 1200});
        for (kind, payload, expected) in [
            ("execution_started", started, Some("w at revision 2 for project:42")),
            ("step_started", json!({"items": null}), Some("plan R-1 ...")),
            ("step_started", json!({"items": ["a", "b"]}), Some("plan R-1 for each of 2 items ...")),
            ("llm_call", call, Some("plan R-1 called m: 7 tokens in, 5 out, 0.000125 USD")),
            ("llm_call", unpriced, Some("plan R-1 called m: 7 tokens in, 5 out, at an unknown price")),
            ("llm_call", json!({"model": "m", "error": "timeout"}), Some("plan R-1 called m: timeout")),
            (
                "step_retrying",
                json!({"reason": "validation", "findings": [{"message": "too \u{1b}[1mlong"}]}),
                Some("plan R-1 retries, validation, too long"),
            ),
            ("clarification_needed", json!({"questions": [1]}), Some("plan R-1 asks 1 question")),
            ("acceptance_needed", document.clone(), Some("plan R-1 is to be accepted: plan version 3")),
            ("acceptance_given", json!({"accepted": true, "comment": "x"}), Some("plan R-1 is accepted")),
            ("acceptance_given", json!({"accepted": false, "comment": "no"}), Some("plan R-1 is rejected: no")),
            ("step_completed", document, Some("plan R-1 completed in 1.2 s: plan version 3")),
            ("step_completed", json!({"version": null}), Some("plan R-1 completed in 0.0 s")),
            (
                "step_failed",
                json!({"error": {"code": "rejected", "message": "why"}}),
                Some("plan R-1 failed, rejected: why"),
            ),
            ("step_skipped", json!({"reason": "dependency_failed"}), Some("plan R-1 skipped, dependency_failed")),
            ("complete", json!({"status": "failed"}), Some("execution failed")),
            ("step_progress", json!({"text": "..."}), None),
            ("something_new", json!({}), Some("something_new")),
        ] {
            let event = json!({"type": kind, "step_id": "plan", "item": "R-1", "payload": payload});
            assert_eq!(line_of(&event).as_deref(), expected, "{kind}");
        }
    }

    #[test]
    fn a_step_is_not_at_work_while_it_waits() {
        let phase = |kind: &str| phase_of(&json!({"type": kind, "step_id": "a", "item": null}));
        assert_eq!(phase("step_started"), Some(("a".to_owned(), true)));
        assert_eq!(phase("clarification_needed"), Some(("a".to_owned(), false)));
        assert_eq!(phase("clarification_answered"), Some(("a".to_owned(), true)));
        assert_eq!(phase("step_completed"), Some(("a".to_owned(), false)));
        assert_eq!(phase("llm_call"), None);
    }
}
