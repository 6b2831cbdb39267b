//! The state of a build, folded from its stream.

use super::Fact;
use crate::domain::build::{BuildError, BuildState};
use crate::domain::status::BuildStatus;
use crate::domain::time::Timestamp;
use crate::event::payload::build::Completed;

#[derive(Debug, Default)]
pub struct BuildFold {
    state: BuildState,
}

impl BuildFold {
    pub fn apply(&mut self, fact: Fact<'_>) {
        match fact.kind {
            "build.started" => self.started(fact.created_at),
            "build.completed" => {
                if let Some(completed) = fact.read::<Completed>() {
                    self.completed(completed, fact.created_at);
                }
            }
            _ => {}
        }
    }

    /// Whether an event of this type can change the state.
    pub fn is_relevant(kind: &[u8]) -> bool {
        matches!(kind, b"build.started" | b"build.completed")
    }

    pub fn state(&self) -> &BuildState {
        &self.state
    }

    fn started(&mut self, at: Timestamp) {
        if self.state.status.can_become(BuildStatus::Building) {
            self.state.status = BuildStatus::Building;
            self.state.started_at = Some(at);
        }
    }

    fn completed(&mut self, completed: Completed, at: Timestamp) {
        if !self.state.status.can_become(completed.status) {
            return;
        }
        let metadata = completed.metadata.unwrap_or_default();
        self.state = BuildState {
            status: completed.status,
            engine_version: metadata.engine_version,
            python_version: metadata.python_version,
            config_version: metadata.config_version,
            started_at: self.state.started_at,
            completed_at: Some(at),
            exit_code: completed.exit_code,
            summary: completed.summary,
            error: completed.error.map(|error| BuildError { code: error.code, message: error.message }),
        };
    }
}
