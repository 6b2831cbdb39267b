//! What language models took and cost: by day, workflow and model, of an execution, and of a workflow.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{Datelike, NaiveDate, TimeDelta, Utc};

use super::workspaces;
use crate::domain::execution::Execution;
use crate::domain::ledger::Days;
use crate::domain::{ExecutionId, WorkspaceId};
use crate::http::auth::Viewer;
use crate::http::contract::{self, Routes};
use crate::http::problem::{Code, Problem};
use crate::http::query::RawQuery;
use crate::http::resource::telemetry::{CostsResource, StatsResource, SummaryResource};
use crate::registry::RegistryHandle;

/// Both ends counted.
const MAX_DAYS: i64 = 366;
const DEFAULT_DAYS: i64 = 7;

pub fn mount(routes: &mut Routes) {
    routes
        .at("/telemetry/summary", |at| {
            at.read(summary, |op| {
                op.named("show_usage", "What language models took and cost: by day, workflow and model.")
                    .query_id::<WorkspaceId>("workspace_id", "Else the default workspace.")
                    .query("start", contract::day(), "The first day; unless told the seven days up to the end.")
                    .query("end", contract::day(), "The last day; unless told today.")
                    .answers::<SummaryResource>(200, "Of the period, and of its parts.")
                    .refuses(&[Code::InvalidRequest])
            })
        })
        .at("/telemetry/executions/{execution}/costs", |at| {
            at.read(costs, |op| {
                op.named("show_execution_costs", "What an execution took and cost, step by step.")
                    .answers::<CostsResource>(200, "What it cost so far.")
            })
        })
        .at("/telemetry/workflows/{workflow}/stats", |at| {
            at.read(stats, |op| {
                op.named("show_workflow_stats", "What became of the executions of a workflow.")
                    .query_id::<WorkspaceId>("workspace_id", "Else the default workspace.")
                    .answers::<StatsResource>(200, "Of all revisions.")
            })
        });
}

#[derive(Debug, Default)]
struct Range {
    workspace_id: Option<String>,
    start: Option<String>,
    end: Option<String>,
}

impl Range {
    fn read(request: &HttpRequest) -> Result<Self, Problem> {
        let mut query = RawQuery::read(request)?;
        let (workspace_id, start, end) = (query.take("workspace_id")?, query.take("start")?, query.take("end")?);
        query.finish("workspace_id, start or end")?;
        Ok(Self { workspace_id, start, end })
    }

    /// Without an end it is today, without a start the week that ends there.
    fn days(&self, today: NaiveDate) -> Result<Days, Problem> {
        let day = |name: &str, text: &Option<String>| {
            let read =
                |text: &String| day(text).ok_or_else(|| Problem::invalid_query(name, "a day such as 2026-01-31"));
            text.as_ref().map(read).transpose()
        };
        let last = day("end", &self.end)?.unwrap_or(today);
        let first = day("start", &self.start)?.unwrap_or_else(|| last - TimeDelta::days(DEFAULT_DAYS - 1));
        match (last - first).num_days() + 1 {
            ..=0 => Err(Problem::invalid("start", format!("a day up to {last}"))),
            1..=MAX_DAYS => Ok(Days { first, last }),
            _ => Err(Problem::invalid("start", format!("at most {MAX_DAYS} days before the end, which counts"))),
        }
    }
}

fn day(text: &str) -> Option<NaiveDate> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    // Only the one spelling that days are kept in, else they would not be found.
    day.filter(|day| (1..=9999).contains(&day.year()) && day.to_string() == text)
}

async fn summary(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Range::read(&request)?;
    let days = query.days(Utc::now().date_naive())?;
    let workspace_id = workspaces::named_or_default(&registry, &principal, query.workspace_id.as_deref()).await?;
    let summary = registry.store().ledger_summary(&workspaces::only(workspace_id), days).await?;
    Ok(HttpResponse::Ok().json(SummaryResource::of(days, &summary)))
}

async fn costs(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    id: web::Path<ExecutionId>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let (store, scope) = (registry.store(), &principal.workspaces);
    // Of a finished one, with everything in its log.
    let execution =
        registry.show::<Execution>(&principal, id).await?.ok_or_else(|| Problem::not_found("the execution"))?;
    let steps = store.execution_costs(scope, id).await?;
    let workflow = (execution.workspace_id, execution.workflow_id.as_str());
    Ok(HttpResponse::Ok().json(CostsResource::of(id, workflow, &steps)))
}

async fn stats(
    Viewer(principal): Viewer,
    registry: web::Data<RegistryHandle>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let named = workspaces::named(&request)?;
    let workspace_id = workspaces::holding("the workflow", &registry, &principal, named.as_deref()).await?;
    let stats = registry.store().workflow_stats(workspace_id, &path).await?;
    let stats = stats.ok_or_else(|| Problem::not_found("the workflow"))?;
    Ok(HttpResponse::Ok().json(StatsResource::of(workspace_id, &path, &stats)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: Option<&str>, end: Option<&str>) -> Result<(String, String), Problem> {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let range = Range { workspace_id: None, start: text(start), end: text(end) };
        let today = day("2026-03-03").unwrap();
        range.days(today).map(|days| (days.first.to_string(), days.last.to_string()))
    }

    #[test]
    fn days_are_the_last_seven_unless_told() {
        for (start, end, first, last) in [
            (None, None, "2026-02-25", "2026-03-03"),
            (Some("2026-03-03"), None, "2026-03-03", "2026-03-03"),
            (None, Some("2024-03-01"), "2024-02-24", "2024-03-01"),
            (Some("2024-01-01"), Some("2024-12-31"), "2024-01-01", "2024-12-31"),
            (Some("2026-03-05"), Some("2026-03-09"), "2026-03-05", "2026-03-09"),
        ] {
            assert_eq!(range(start, end).unwrap(), (first.to_owned(), last.to_owned()));
        }
    }

    #[test]
    fn days_in_the_wrong_order_or_too_many_are_refused() {
        for (start, end, path, allowed) in [
            (Some("2026-03-04"), None, "start", "up to 2026-03-03"),
            (Some("2026-03-02"), Some("2026-03-01"), "start", "up to"),
            (Some("2024-01-01"), Some("2025-01-01"), "start", "at most 366"),
            (Some("2026-3-01"), None, "start", "2026-01-31"),
            (Some("2026-02-29"), None, "start", "2026-01-31"),
            (None, Some("today"), "end", "2026-01-31"),
            (None, Some(""), "end", "2026-01-31"),
            (None, Some("-0001-01-01"), "end", "2026-01-31"),
        ] {
            let problem = range(start, end).unwrap_err();
            // Days that can be read and make no period are another fault than what is no day.
            let code = if allowed.starts_with("2026") { Code::InvalidQuery } else { Code::InvalidRequest };
            assert_eq!((problem.errors[0].path.as_str(), problem.code), (path, code), "{start:?}");
            assert!(problem.errors[0].message.contains(allowed), "{:?}", problem.errors);
        }
        assert!(range(Some("2024-01-01"), Some("2024-12-31")).is_ok(), "a leap year");
    }
}
