//! The ledger: what every call of a language model took and cost, and the sums over it.
//!
//! Law: sums are exact. A call whose price is not known costs nothing in them and is counted apart; averages of cost
//! are over the calls whose price is known. A call belongs to the UTC day on which it began.

use chrono::NaiveDate;

use super::money::MicroUsd;
use super::status::text_enum;
use super::time::Timestamp;
use super::workflow_document::WorkScope;
use super::{CallId, ExecutionId, WorkspaceId};

text_enum! {
    CallStatus { Succeeded = "succeeded", Failed = "failed" }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
}

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub struct LlmCall {
    pub id: CallId,
    pub workspace_id: WorkspaceId,
    pub execution_id: ExecutionId,
    pub workflow_id: String,
    pub scope: WorkScope,
    pub step_id: String,
    pub item: Option<String>,
    pub attempt: u32,
    pub provider: String,
    pub model: String,
    pub tokens: Tokens,
    pub latency_ms: u64,
    /// None when the price of the model is not known.
    pub cost: Option<MicroUsd>,
    pub status: CallStatus,
    pub error_type: Option<String>,
    pub started_at: Timestamp,
    pub completed_at: Timestamp,
}

impl LlmCall {
    /// The day that it is counted in.
    pub fn day(&self) -> NaiveDate {
        self.started_at.date_naive()
    }
}

/// Days, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    pub first: NaiveDate,
    pub last: NaiveDate,
}

impl Days {
    pub fn iter(self) -> impl Iterator<Item = NaiveDate> {
        self.first.iter_days().take_while(move |day| *day <= self.last)
    }
}

/// What a set of calls adds up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    pub calls: u64,
    pub errors: u64,
    pub unpriced_calls: u64,
    /// Executions with at least one of the calls.
    pub executions: u64,
    /// Executions with at least one of the calls whose price is known.
    pub priced_executions: u64,
    pub tokens: Tokens,
    pub cost: MicroUsd,
    /// Of all calls together.
    pub latency_ms: u64,
}

impl Sums {
    pub fn cost_per_call(&self) -> Option<MicroUsd> {
        self.cost.divided_by(self.calls - self.unpriced_calls)
    }

    pub fn cost_per_execution(&self) -> Option<MicroUsd> {
        self.cost.divided_by(self.priced_executions)
    }

    /// In whole milliseconds, failed calls included.
    pub fn mean_latency_ms(&self) -> Option<u64> {
        (self.calls > 0).then(|| (self.latency_ms + self.calls / 2) / self.calls)
    }

    /// None without calls: nothing has succeeded then, and nothing failed.
    pub fn success_rate(&self) -> Option<f64> {
        share(self.calls - self.errors, self.calls)
    }
}

/// How many of all; none of nothing.
pub fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

/// A range of days, whole and in its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub totals: Sums,
    pub by_workflow: Vec<(String, Sums)>,
    /// Provider and model.
    pub by_model: Vec<((String, String), Sums)>,
    /// Days without calls are left out.
    pub by_day: Vec<(NaiveDate, Sums)>,
}

/// What one step of an execution took, with one model.
#[derive(Debug, Clone, PartialEq)]
pub struct StepCosts {
    pub step_id: String,
    pub provider: String,
    pub model: String,
    pub sums: Sums,
}

/// What became of the executions of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowStats {
    /// How many have each status; those that none has are left out.
    pub by_status: Vec<(super::status::ExecutionStatus, u64)>,
    /// Those that asked a person at least once.
    pub clarified: u64,
    /// Those that were made by retrying another.
    pub retries: u64,
    /// Of all calls of all of them.
    pub calls: Sums,
    /// Of those that completed; none when none did.
    pub durations: Option<Durations>,
}

impl WorkflowStats {
    pub fn executions(&self) -> u64 {
        self.by_status.iter().map(|(_, count)| count).sum()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durations {
    pub mean_ms: u64,
    pub p50_ms: u64,
    pub p95_ms: u64,
}

/// The place, from 0, of the value that `percent` of `count` values do not exceed: the nearest rank.
pub fn rank(percent: u64, count: u64) -> u64 {
    (count * percent).div_ceil(100).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_over_what_is_known_and_rounded() {
        let sums = Sums {
            calls: 4,
            errors: 1,
            unpriced_calls: 1,
            executions: 2,
            priced_executions: 1,
            cost: MicroUsd(5),
            latency_ms: 10,
            ..Sums::default()
        };
        assert_eq!((sums.cost_per_call(), sums.cost_per_execution()), (Some(MicroUsd(2)), Some(MicroUsd(5))));
        assert_eq!((sums.mean_latency_ms(), sums.success_rate()), (Some(3), Some(0.75)));
    }

    #[test]
    fn of_nothing_there_is_no_average() {
        let nothing = Sums::default();
        assert_eq!((nothing.cost_per_call(), nothing.cost_per_execution()), (None, None));
        assert_eq!((nothing.mean_latency_ms(), nothing.success_rate()), (None, None));
    }

    #[test]
    fn ranks_are_the_nearest() {
        for (percent, count, expected) in [(50, 1, 0), (95, 1, 0), (50, 4, 1), (50, 5, 2), (95, 20, 18), (95, 21, 19)] {
            assert_eq!(rank(percent, count), expected, "{percent} of {count}");
        }
    }

    #[test]
    fn both_ends_of_a_range_of_days_count() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let days = Days { first: day("2026-02-27"), last: day("2026-03-01") };
        assert_eq!(days.iter().collect::<Vec<_>>(), ["2026-02-27", "2026-02-28", "2026-03-01"].map(day));
    }
}
