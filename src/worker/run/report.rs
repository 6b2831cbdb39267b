//! What the engine says about its own end, and what the service makes of it.
//!
//! Invariant: a run has succeeded only when both the exit code and the engine say so. What a script prints last cannot
//! turn a failure into a success.

use serde_json::Value;

use super::engine_error::EngineError;
use crate::domain::failure::{RunFailure, RunFailureCode, Stage};
use crate::domain::text::{json_length, keep_fitting};
use crate::worker::process::Exit;

/// The engine's own `run.started`, `run.completed` and result line, taken together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineReport {
    pub engine_version: Option<String>,
    pub status: Option<String>,
    /// Relative to the run's directory.
    pub output_paths: PathList,
    /// The documents' original names.
    pub processed_files: PathList,
    pub error: Option<EngineError>,
}

/// Paths up to a number of bytes, and how many there are beyond.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathList {
    pub paths: Vec<String>,
    pub left_out: u64,
}

/// Bytes of JSON of the names that an engine reports.
const REPORTED: usize = 64 << 10;

impl PathList {
    /// The first ones that fit into so many bytes of JSON.
    pub fn within(mut paths: Vec<String>, bytes: usize) -> Self {
        let left_out = keep_fitting(&mut paths, bytes, |path| json_length(path) + 1);
        Self { paths, left_out }
    }

    pub fn reported(paths: Vec<String>) -> Self {
        Self::within(paths, REPORTED)
    }

    fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.left_out == 0
    }
}

/// Why a run failed, and what the engine says beyond that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFailure {
    pub failure: RunFailure,
    pub details: Option<Value>,
}

impl From<RunFailure> for EngineFailure {
    fn from(failure: RunFailure) -> Self {
        Self { failure, details: None }
    }
}

impl EngineReport {
    /// A later word counts more; what it leaves out stays.
    pub fn absorb(&mut self, later: EngineReport) {
        self.engine_version = later.engine_version.or(self.engine_version.take());
        if later.status.is_some() {
            self.error = later.error;
            self.status = later.status;
        }
        if !later.output_paths.is_empty() {
            self.output_paths = later.output_paths;
        }
        if !later.processed_files.is_empty() {
            self.processed_files = later.processed_files;
        }
    }

    /// Why the run failed; `None` when it has succeeded. An engine that reports no error may have `told` one before.
    pub fn failure(&self, exit: Exit, told: Option<&EngineError>) -> Option<EngineFailure> {
        let claimed = self.status.as_deref().is_none_or(|status| status == "succeeded");
        if exit.succeeded() && claimed {
            return None;
        }
        if let Some(error) = self.error.as_ref().or(told.filter(|_| exit.code.is_some())) {
            return Some(EngineFailure { failure: error.failure(), details: error.further() });
        }
        let message = match (exit.code, exit.signal) {
            (Some(0), _) => "the engine says that it failed".into(),
            (Some(code), _) => format!("the engine exited with code {code}"),
            (None, Some(signal)) => format!("the engine was killed by signal {signal}"),
            (None, None) => "the engine ended in an unknown way".into(),
        };
        Some(RunFailure::new(RunFailureCode::EngineError, Stage::Run, message).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: Option<&str>, message: Option<&str>) -> EngineReport {
        let error = message.map(|message| EngineError { message: Some(message.into()), ..EngineError::default() });
        EngineReport { status: status.map(Into::into), error, ..EngineReport::default() }
    }

    #[test]
    fn success_needs_both_words() {
        let exit = |code| Exit { code: Some(code), signal: None };
        assert_eq!(report(None, None).failure(exit(0), None), None);
        assert_eq!(report(Some("succeeded"), None).failure(exit(0), None), None);
        for (report, exit, message) in [
            (report(Some("succeeded"), None), exit(1), "the engine exited with code 1"),
            (report(Some("failed"), None), exit(0), "the engine says that it failed"),
            (report(Some("failed"), Some("boom")), exit(1), "boom"),
            (report(None, None), Exit { code: None, signal: Some(9) }, "the engine was killed by signal 9"),
        ] {
            let failure = report.failure(exit, None).map(|found| found.failure.message);
            assert_eq!(failure.as_deref(), Some(message));
        }
    }

    #[test]
    fn the_later_word_counts() {
        let mut all = report(Some("succeeded"), None);
        all.output_paths = PathList::reported(vec!["output/a".into()]);
        all.absorb(report(Some("failed"), Some("hook")));
        assert_eq!((all.status.as_deref(), all.output_paths.paths.len()), (Some("failed"), 1));
        all.absorb(EngineReport { engine_version: Some("1".into()), ..EngineReport::default() });
        assert_eq!(all.status.as_deref(), Some("failed"));
    }
    #[test]
    fn an_error_told_before_explains_an_exit_but_no_signal() {
        let told = EngineError {
            code: Some("hook_error".into()),
            stage: Some("extracting".into()),
            message: Some("boom".into()),
            details: Some(serde_json::json!({"hook": "h"})),
        };
        let exit = |code, signal| Exit { code, signal };
        let found = report(None, None).failure(exit(Some(1), None), Some(&told)).unwrap();
        assert_eq!((found.failure.code.as_str(), found.failure.stage.as_str()), ("hook_error", "extracting"));
        assert_eq!((found.failure.message.as_str(), found.details.unwrap()["hook"].as_str()), ("boom", Some("h")));
        let killed = report(None, None).failure(exit(None, Some(9)), Some(&told)).unwrap();
        assert_eq!(killed.failure.code.as_str(), "engine_error");
        let reported = report(Some("failed"), Some("later")).failure(exit(Some(1), None), Some(&told)).unwrap();
        assert_eq!(reported.failure.message, "later");
        assert_eq!(report(None, None).failure(exit(Some(0), None), Some(&told)), None, "it may have got over it");
    }

    #[test]
    fn of_a_million_paths_the_first_are_kept_and_the_others_counted() {
        let list = PathList::within((0..1_000_000).map(|n| format!("output/{n}")).collect(), 10_000);
        assert!(serde_json::to_string(&list.paths).unwrap().len() <= 10_001);
        assert_eq!(list.paths.len() as u64 + list.left_out, 1_000_000);
        assert_eq!(list.paths[1], "output/1");
    }
}
