//! What the engine says about its own end, and what the service makes of it.
//!
//! Law: a run has succeeded only when both the exit code and the engine say so. What a script prints last cannot
//! turn a failure into a success.

use serde::Deserialize;

use crate::domain::failure::{RunFailure, RunFailureCode, Stage};
use crate::worker::process::Exit;

/// The engine's own `run.started`, `run.completed` and result line, taken together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineReport {
    pub engine_version: Option<String>,
    pub status: Option<String>,
    /// Relative to the run's folder.
    pub output_paths: Vec<String>,
    /// The documents' original names.
    pub processed_files: Vec<String>,
    pub error: Option<EngineError>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct EngineError {
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub stage: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
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

    /// Why the run failed; `None` when it has succeeded.
    pub fn failure(&self, exit: Exit) -> Option<RunFailure> {
        let claimed = self.status.as_deref().is_none_or(|status| status == "succeeded");
        if exit.succeeded() && claimed {
            return None;
        }
        let told = self.error.as_ref().and_then(|error| error.message.clone().or_else(|| error.code.clone()));
        let message = told.unwrap_or_else(|| match (exit.code, exit.signal) {
            (Some(0), _) => "the engine says that it failed".into(),
            (Some(code), _) => format!("the engine exited with code {code}"),
            (None, Some(signal)) => format!("the engine was killed by signal {signal}"),
            (None, None) => "the engine ended in an unknown way".into(),
        });
        Some(RunFailure { code: RunFailureCode::EngineError, stage: Stage::Run, message })
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
        assert_eq!(report(None, None).failure(exit(0)), None);
        assert_eq!(report(Some("succeeded"), None).failure(exit(0)), None);
        for (report, exit, message) in [
            (report(Some("succeeded"), None), exit(1), "the engine exited with code 1"),
            (report(Some("failed"), None), exit(0), "the engine says that it failed"),
            (report(Some("failed"), Some("boom")), exit(1), "boom"),
            (report(None, None), Exit { code: None, signal: Some(9) }, "the engine was killed by signal 9"),
        ] {
            assert_eq!(report.failure(exit).map(|failure| failure.message).as_deref(), Some(message));
        }
    }

    #[test]
    fn the_later_word_counts() {
        let mut all = report(Some("succeeded"), None);
        all.output_paths = vec!["output/a".into()];
        all.absorb(report(Some("failed"), Some("hook")));
        assert_eq!((all.status.as_deref(), all.output_paths.len()), (Some("failed"), 1));
        all.absorb(EngineReport { engine_version: Some("1".into()), ..EngineReport::default() });
        assert_eq!(all.status.as_deref(), Some("failed"));
    }
}
