//! What an engine has said about its trouble, as far as its end is explained by it.

use std::collections::VecDeque;

use super::engine_error::EngineError;
use crate::domain::failure::RunFailure;

/// Of each kind, so many of the last are kept.
const KEPT: usize = 8;
/// Bytes of a line that are kept.
const LINE: usize = 1000;

#[derive(Debug, Default)]
pub struct StderrTail {
    /// Its own `run.error`s.
    errors: VecDeque<EngineError>,
    stderr: VecDeque<String>,
}

impl StderrTail {
    /// A `run.error` is on its way into the stream.
    pub fn error(&mut self, error: Option<EngineError>) {
        if let Some(error) = error {
            keep(&mut self.errors, error);
        }
    }

    pub fn last_error(&self) -> Option<&EngineError> {
        self.errors.back()
    }

    pub fn stderr_line(&mut self, line: &str) {
        if !line.trim().is_empty() {
            keep(&mut self.stderr, line[..line.floor_char_boundary(LINE)].to_owned());
        }
    }

    /// Whether the stream already reports this failure, in the engine's own words.
    pub fn already_reported(&self, failure: &RunFailure) -> bool {
        self.errors.iter().any(|error| error.failure() == *failure)
    }

    /// The last lines of the standard error output.
    pub fn stderr_lines(&self) -> impl Iterator<Item = &str> {
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
    use super::*;

    #[test]
    fn a_failure_is_told_when_code_stage_and_message_are() {
        let mut stderr_tail = StderrTail::default();
        let error = |code: &str, message: &str| EngineError {
            code: Some(code.into()),
            message: Some(message.into()),
            ..EngineError::default()
        };
        stderr_tail.error(Some(error("hook_error", "boom")));
        stderr_tail.error(None);
        assert!(stderr_tail.already_reported(&error("hook_error", "boom").failure()));
        assert!(!stderr_tail.already_reported(&error("other", "boom").failure()));
        assert!(!stderr_tail.already_reported(&error("hook_error", "bang").failure()));
        let elsewhere = EngineError { stage: Some("mapping".into()), ..error("hook_error", "boom") };
        assert!(!stderr_tail.already_reported(&elsewhere.failure()));
    }

    #[test]
    fn only_the_last_lines_are_kept_and_only_their_beginning() {
        let mut stderr_tail = StderrTail::default();
        stderr_tail.stderr_line(" \n");
        (0..20).for_each(|n| stderr_tail.stderr_line(&format!("{n} {}", "\u{e4}".repeat(LINE))));
        let kept: Vec<_> = stderr_tail.stderr_lines().collect();
        assert_eq!(kept.len(), KEPT);
        assert!(kept[0].starts_with("12 ") && kept.iter().all(|line| line.len() <= LINE));
    }
}
