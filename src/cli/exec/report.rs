//! Summaries of executions for the terminal. Pure.

use comfy_table::{Table, presets};
use serde_json::Value;

use super::dialogue::{name, question_lines, questions};
use crate::cli::text::seconds;
use crate::domain::progress::{DocumentRef, Pending, PendingKind, Product, Progress, StepKey};
use crate::domain::text::printable;

pub fn table(progress: &Progress) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("status", progress.status.to_string());
    if let Some(failure) = &progress.failure {
        let step = failure.step_id.as_ref().map(|step| format!(" in {step}")).unwrap_or_default();
        row("failure", printable(&format!("{}{step}: {}", failure.code, failure.message)));
    }
    progress.products().for_each(|product| row("document", document_line(product)));
    let totals = &progress.totals;
    row("tokens", format!("{} in, {} out, {} calls", totals.input_tokens, totals.output_tokens, totals.calls));
    let unpriced = match totals.unpriced_calls {
        0 => String::new(),
        calls => format!(", and {calls} calls of unknown price"),
    };
    row("cost", format!("{} USD{unpriced}", totals.cost_usd));
    if progress.status.is_terminal() {
        row("duration", seconds(totals.duration_ms));
    }
    table.to_string()
}

fn document_line(Product { step_id, item, document, .. }: &Product) -> String {
    let DocumentRef { document_id, document_type, version } = document;
    let step = StepKey { step_id: step_id.clone(), item: item.clone() };
    printable(&format!("{document_type} {document_id} version {version} (of {step})"))
}

/// The pending input, and the commands that answer it.
pub fn waiting(execution: &str, pending: &[Pending]) -> Vec<String> {
    pending
        .iter()
        .flat_map(|pending| [format!("{} waits", name(pending)), format!("  {}", command(execution, pending))])
        .collect()
}

/// The questions in full, as they are asked.
pub fn asked(execution: &str, pending: &Pending) -> Vec<String> {
    let mut lines = vec![format!(
        "{} waits for {}",
        name(pending),
        match pending.kind {
            PendingKind::Clarification => "answers".to_owned(),
            PendingKind::Acceptance => match &pending.document {
                Some(document) => format!("acceptance of {} version {}", document.document_type, document.version),
                None => "acceptance".to_owned(),
            },
        }
    )];
    let questions = questions(pending);
    for (number, question) in (1..).zip(questions) {
        let question_lines = question_lines(question, number, questions.len());
        lines.push(format!("  {}: {}", question.id, question_lines[0]));
        lines.extend(question_lines[1..].iter().map(|line| format!("    {line}")));
    }
    lines.push(format!("  {}", command(execution, pending)));
    lines
}

fn command(execution: &str, pending: &Pending) -> String {
    let item = pending.item.as_ref().map(|item| format!(" --item {item}")).unwrap_or_default();
    let step = &pending.step_id;
    match pending.kind {
        PendingKind::Clarification => {
            let required = questions(pending).iter().filter(|question| question.required);
            let answers: String = required.map(|question| format!(" --answer {}=...", question.id)).collect();
            printable(&format!("ade exec answer {execution} {step}{item}{answers}"))
        }
        PendingKind::Acceptance => {
            printable(&format!("ade exec accept {execution} {step}{item} [--reject] [--comment ...]"))
        }
    }
}

/// The items of a page, newest first as they come.
pub fn list(page: &Value) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["execution", "workflow", "scope", "status", "at", "cost (USD)", "created"]);
    for item in page["items"].as_array().into_iter().flatten() {
        let text = |key: &str| printable(item[key].as_str().unwrap_or_default());
        let steps: Vec<_> = item["current_steps"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let scope = format!("{}:{}", text("scope_type"), text("scope_id"));
        let cost = item["totals"]["cost_usd"].as_str().unwrap_or("-").to_owned();
        let row = [
            text("execution_id"),
            text("workflow_id"),
            scope,
            text("status"),
            printable(&steps.join(", ")),
            cost,
            text("created_at"),
        ];
        table.add_row(row);
    }
    table.to_string()
}

/// Every step of an execution.
pub fn steps(steps: &Value) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["step", "status", "attempt", "document", "cost (USD)", "error"]);
    for step in steps.as_array().into_iter().flatten() {
        let text = |value: &Value| printable(value.as_str().unwrap_or_default());
        let item = step["item"].as_str().map(|item| format!(" {}", printable(item))).unwrap_or_default();
        let error = &step["error"];
        let error = if error.is_object() {
            format!("{}: {}", text(&error["code"]), text(&error["message"]))
        } else {
            text(error)
        };
        let attempt = step["attempt"].as_u64().unwrap_or_default().to_string();
        let name = format!("{}{item}", text(&step["step_id"]));
        table.add_row([
            name,
            text(&step["status"]),
            attempt,
            text(&step["document_id"]),
            text(&step["cost_usd"]),
            error,
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::dialogue::tests::clarification;
    use super::*;
    use crate::domain::progress::{ExecutionFailure, ExecutionFailureCode, StepState, Totals};
    use crate::domain::status::ExecutionStatus;

    #[test]
    fn an_execution_is_summed_up_with_its_documents_and_its_cost() {
        let product: Product = serde_json::from_value(json!({
            "step_id": "plan", "item": "R-1", "document_id": "doc_01ARZ3NDEKTSV4RRFFQ69G5FAV", "document_type": "plan",
            "version": 2, "content_digest": "sha256:00",
        }))
        .unwrap();
        let failure = ExecutionFailure {
            code: ExecutionFailureCode::StepFailed,
            step_id: Some("summary".into()),
            item: None,
            message: "it broke".into(),
        };
        let totals: Totals = serde_json::from_value(json!({
            "cost_usd": "0.000250", "input_tokens": 7, "output_tokens": 5, "calls": 2, "unpriced_calls": 1, "duration_ms": 1500,
        }))
        .unwrap();
        let mut progress =
            Progress { status: ExecutionStatus::Failed, failure: Some(failure), totals, ..Progress::default() };
        let state = StepState { document: Some(product), ..StepState::default() };
        progress.steps.insert(StepKey::item("plan", "R-1"), state);
        let shown = table(&progress);
        for expected in [
            "failed",
            "step_failed in summary: it broke",
            "plan doc_01ARZ3NDEKTSV4RRFFQ69G5FAV version 2 (of plan/R-1)",
            "0.000250 USD, and 1 calls of unknown price",
            "7 in, 5 out, 2 calls",
            "1.5 s",
        ] {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
    }

    #[test]
    fn pending_input_is_shown_with_the_command_that_answers_it() {
        let lines = waiting("exec_1", &[clarification()]);
        let expected =
            ["requirements waits", "  ade exec answer exec_1 requirements --answer Q_1=... --answer Q_2=..."];
        assert_eq!(lines, expected);
        let lines = asked("exec_1", &clarification());
        assert_eq!(lines[..2], ["requirements waits for answers", "  Q_1: (1/3) Q_1? (required)"]);
        assert_eq!(lines[3], "      1) Soon");
    }
}
