//! What a round of maintenance has done, task by task.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time::{Timestamp, serde_micros};

/// Errors of a task that are reported one by one; the rest is only counted.
const REPORTED: usize = 20;

/// The observable state of the actor that makes rounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MaintenanceState {
    /// Counted from 1; more than that after a panic.
    pub generation: u64,
    /// A round is in progress.
    pub working: bool,
    /// Callers that wait for the next round.
    pub waiting: usize,
}

/// One round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MaintenanceReport {
    #[serde(with = "serde_micros")]
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    pub duration_ms: u64,
    pub tasks: Vec<TaskReport>,
}

impl MaintenanceReport {
    /// Nothing went wrong.
    pub fn succeeded(&self) -> bool {
        self.tasks.iter().all(|task| task.failed == 0)
    }
}

/// One task of a round.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct TaskReport {
    pub name: Cow<'static, str>,
    pub done: u64,
    /// In use at the moment, or not yet possible: the next round looks again.
    pub skipped: u64,
    pub failed: u64,
    pub bytes_freed: u64,
    /// There is more than one round may do, or the service is stopping: the next round goes on.
    pub unfinished: bool,
    pub errors: Vec<String>,
}

impl TaskReport {
    pub fn new(name: &'static str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    pub fn fail(&mut self, error: impl std::fmt::Display) {
        self.failed += 1;
        if self.errors.len() < REPORTED {
            self.errors.push(error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_counted_and_the_first_ones_are_told() {
        let mut task = TaskReport::new("sweep");
        (0..50).for_each(|number| task.fail(number));
        assert_eq!((task.failed, task.errors.len(), task.errors[0].as_str()), (50, REPORTED, "0"));
        let report = MaintenanceReport { started_at: chrono::DateTime::UNIX_EPOCH, duration_ms: 1, tasks: vec![task] };
        assert!(!report.succeeded());
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<MaintenanceReport>(&text).unwrap(), report);
    }
}
