//! What an engine has said about its trouble, as far as its end is explained by it.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::report::EngineReport;
use crate::domain::failure::RunFailure;

/// Of each kind, so many of the last are kept.
const KEPT: usize = 8;
/// Bytes of a line that are kept.
const LINE: usize = 1000;

#[derive(Debug, Default)]
pub struct LastWords {
    errors: VecDeque<ToldError>,
    stderr: VecDeque<String>,
}

/// A `run.error` of the engine's own.
#[derive(Debug, Deserialize)]
struct ToldError {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl LastWords {
    /// A `run.error` is on its way into the stream.
    pub fn error(&mut self, payload: &RawValue) {
        if let Ok(error) = serde_json::from_str(payload.get()) {
            keep(&mut self.errors, error);
        }
    }

    pub fn complaint(&mut self, line: &str) {
        if !line.trim().is_empty() {
            keep(&mut self.stderr, line[..line.floor_char_boundary(LINE)].to_owned());
        }
    }

    /// Whether the stream tells this failure already, in the engine's own words.
    pub fn have_told(&self, failure: &RunFailure, report: &EngineReport) -> bool {
        let code = report.error.as_ref().and_then(|error| error.code.as_deref());
        let same_code = |told: &str| code == Some(told) || told == failure.code.as_str();
        self.errors.iter().any(|error| {
            error.message.as_deref() == Some(&failure.message) && error.code.as_deref().is_none_or(same_code)
        })
    }

    /// The last lines of the standard error output.
    pub fn complaints(&self) -> impl Iterator<Item = &str> {
        self.stderr.iter().map(String::as_str)
    }
}

fn keep<T>(kept: &mut VecDeque<T>, one: T) {
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(one);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::failure::{RunFailureCode, Stage};
    use crate::worker::run::report::EngineError;

    #[test]
    fn a_failure_is_told_when_code_and_message_are() {
        let mut words = LastWords::default();
        let raw = |value: serde_json::Value| serde_json::value::to_raw_value(&value).unwrap();
        words.error(&raw(json!({"code": "hook_error", "message": "boom"})));
        words.error(&raw(json!({"message": "no code"})));
        words.error(&raw(json!(["not", "an", "error"])));
        let report = |code: &str| EngineReport {
            error: Some(EngineError { code: Some(code.into()), ..EngineError::default() }),
            ..EngineReport::default()
        };
        for (message, code, told) in [
            ("boom", "hook_error", true),
            ("boom", "other", false),
            ("bang", "hook_error", false),
            ("no code", "other", true),
        ] {
            let failure = RunFailure { code: RunFailureCode::EngineError, stage: Stage::Run, message: message.into() };
            assert_eq!(words.have_told(&failure, &report(code)), told, "{message} {code}");
        }
    }

    #[test]
    fn only_the_last_lines_are_kept_and_only_their_beginning() {
        let mut words = LastWords::default();
        words.complaint(" \n");
        (0..20).for_each(|n| words.complaint(&format!("{n} {}", "\u{e4}".repeat(LINE))));
        let kept: Vec<_> = words.complaints().collect();
        assert_eq!(kept.len(), KEPT);
        assert!(kept[0].starts_with("12 ") && kept.iter().all(|line| line.len() <= LINE));
    }
}
