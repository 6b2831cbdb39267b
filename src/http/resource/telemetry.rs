//! What language models took and cost.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ledger::{Days, StepCosts, Summary, Sums, WorkflowStats, share};
use crate::domain::money::MicroUsd;
use crate::domain::status::ExecutionStatus;
use crate::domain::{ExecutionId, WorkspaceId};

/// What calls add up to, wherever it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
struct UsageResource {
    calls: u64,
    errors: u64,
    input_tokens: u64,
    output_tokens: u64,
    cache_read_tokens: u64,
    cache_write_tokens: u64,
    cost_usd: MicroUsd,
    unpriced_calls: u64,
}

impl From<&Sums> for UsageResource {
    fn from(sums: &Sums) -> Self {
        Self {
            calls: sums.calls,
            errors: sums.errors,
            input_tokens: sums.tokens.input,
            output_tokens: sums.tokens.output,
            cache_read_tokens: sums.tokens.cache_read,
            cache_write_tokens: sums.tokens.cache_write,
            cost_usd: sums.cost,
            unpriced_calls: sums.unpriced_calls,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageOfExecutions)]
struct SumsResource {
    executions: u64,
    #[serde(flatten)]
    usage: UsageResource,
}

impl From<&Sums> for SumsResource {
    fn from(sums: &Sums) -> Self {
        Self { executions: sums.executions, usage: sums.into() }
    }
}

/// A range of days, whole and in its parts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageSummary)]
pub struct SummaryResource<'a> {
    start: String,
    end: String,
    totals: SumsResource,
    averages: Averages,
    success_rate: Option<f64>,
    by_workflow: Vec<OfWorkflow<'a>>,
    by_model: Vec<OfModel<'a>>,
    by_day: Vec<OfDay>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageAverages)]
struct Averages {
    cost_per_call: Option<MicroUsd>,
    cost_per_execution: Option<MicroUsd>,
    latency_ms: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageOfWorkflow)]
struct OfWorkflow<'a> {
    workflow_id: &'a str,
    #[serde(flatten)]
    sums: SumsResource,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageOfModel)]
struct OfModel<'a> {
    provider: &'a str,
    model: &'a str,
    #[serde(flatten)]
    sums: SumsResource,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageOfDay)]
struct OfDay {
    date: String,
    #[serde(flatten)]
    sums: SumsResource,
}

impl<'a> SummaryResource<'a> {
    pub fn of(days: Days, summary: &'a Summary) -> Self {
        let Summary { totals, by_workflow, by_model, by_day } = summary;
        let of_day = |day| by_day.iter().find(|(own, _)| *own == day).map(|(_, sums)| *sums).unwrap_or_default();
        let by_workflow = by_workflow.iter().map(|(id, sums)| OfWorkflow { workflow_id: id, sums: sums.into() });
        let by_model = by_model.iter().map(|((provider, model), sums)| OfModel { provider, model, sums: sums.into() });
        let by_day = days.iter().map(|day| OfDay { date: day.to_string(), sums: (&of_day(day)).into() });
        Self {
            start: days.first.to_string(),
            end: days.last.to_string(),
            totals: totals.into(),
            averages: Averages {
                cost_per_call: totals.cost_per_call(),
                cost_per_execution: totals.cost_per_execution(),
                latency_ms: totals.mean_latency_ms(),
            },
            success_rate: totals.success_rate(),
            by_workflow: by_workflow.collect(),
            by_model: by_model.collect(),
            by_day: by_day.collect(),
        }
    }
}

/// What an execution took, whole and by step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExecutionCosts)]
pub struct CostsResource<'a> {
    execution_id: ExecutionId,
    workspace_id: WorkspaceId,
    workflow_id: &'a str,
    total_cost_usd: MicroUsd,
    calls: u64,
    errors: u64,
    unpriced_calls: u64,
    input_tokens: u64,
    output_tokens: u64,
    cache_read_tokens: u64,
    cache_write_tokens: u64,
    latency_ms: u64,
    steps: Vec<StepResource<'a>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StepCosts)]
struct StepResource<'a> {
    step_id: &'a str,
    provider: &'a str,
    model: &'a str,
    latency_ms: u64,
    #[serde(flatten)]
    usage: UsageResource,
}

impl<'a> CostsResource<'a> {
    pub fn of(
        execution_id: ExecutionId,
        (workspace_id, workflow_id): (WorkspaceId, &'a str),
        steps: &'a [StepCosts],
    ) -> Self {
        let sum = |of: fn(&Sums) -> u64| steps.iter().map(|step| of(&step.sums)).sum();
        Self {
            execution_id,
            workspace_id,
            workflow_id,
            total_cost_usd: steps.iter().map(|step| step.sums.cost).sum(),
            calls: sum(|sums| sums.calls),
            errors: sum(|sums| sums.errors),
            unpriced_calls: sum(|sums| sums.unpriced_calls),
            input_tokens: sum(|sums| sums.tokens.input),
            output_tokens: sum(|sums| sums.tokens.output),
            cache_read_tokens: sum(|sums| sums.tokens.cache_read),
            cache_write_tokens: sum(|sums| sums.tokens.cache_write),
            latency_ms: sum(|sums| sums.latency_ms),
            steps: steps.iter().map(StepResource::of).collect(),
        }
    }
}

impl<'a> StepResource<'a> {
    fn of(step: &'a StepCosts) -> Self {
        let StepCosts { step_id, provider, model, sums } = step;
        Self { step_id, provider, model, latency_ms: sums.latency_ms, usage: sums.into() }
    }
}

/// What became of the executions of a workflow.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkflowStats)]
pub struct StatsResource<'a> {
    workspace_id: WorkspaceId,
    workflow_id: &'a str,
    executions: ExecutionCounts,
    total_cost_usd: MicroUsd,
    avg_cost_usd: Option<MicroUsd>,
    unpriced_calls: u64,
    avg_duration_ms: Option<u64>,
    p50_duration_ms: Option<u64>,
    p95_duration_ms: Option<u64>,
    clarification_rate: Option<f64>,
    retry_rate: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ExecutionCounts {
    #[serde(flatten)]
    by_status: BTreeMap<&'static str, u64>,
    total: u64,
}

impl<'a> StatsResource<'a> {
    pub fn of(workspace_id: WorkspaceId, workflow_id: &'a str, stats: &WorkflowStats) -> Self {
        let total = stats.executions();
        let durations = stats.durations;
        Self {
            workspace_id,
            workflow_id,
            executions: ExecutionCounts::of(stats),
            total_cost_usd: stats.calls.cost,
            avg_cost_usd: stats.calls.cost_per_execution(),
            unpriced_calls: stats.calls.unpriced_calls,
            avg_duration_ms: durations.map(|durations| durations.mean_ms),
            p50_duration_ms: durations.map(|durations| durations.p50_ms),
            p95_duration_ms: durations.map(|durations| durations.p95_ms),
            clarification_rate: share(stats.clarified, total),
            retry_rate: share(stats.retries, total),
        }
    }
}

impl ExecutionCounts {
    fn of(stats: &WorkflowStats) -> Self {
        let count = |status| stats.by_status.iter().find(|(own, _)| *own == status).map_or(0, |(_, count)| *count);
        let by_status = ExecutionStatus::ALL.iter().map(|&status| (status.as_str(), count(status))).collect();
        Self { by_status, total: stats.executions() }
    }
}
