//! The ledger and its sums. The database adds up; what is read for one answer is of one moment.

use chrono::NaiveDate;
use entity::execution;
use entity::llm_call::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::{CaseStatement, Condition, Expr, Func, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoSimpleExpr, QueryFilter, QueryOrder, QueryResult,
    QuerySelect, QueryTrait, Select, Set,
};

use super::cells::{Cells, plain, storable, stored};
use super::list::permitted;
use super::{Store, StoreError};
use crate::domain::ledger::{
    CallStatus, Days, Durations, LlmCall, StepCosts, Summary, Sums, Tokens, WorkflowStats, rank,
};
use crate::domain::money::MicroUsd;
use crate::domain::principal::Scope;
use crate::domain::status::ExecutionStatus;
use crate::domain::time::micros;
use crate::domain::workflow_document::WorkScope;
use crate::domain::{ExecutionId, WorkspaceId};

/// A statement has only so many parameters.
const AT_ONCE: usize = 500;

impl Store {
    /// How many of the calls the ledger did not have yet.
    pub async fn insert_llm_calls(&self, calls: &[LlmCall]) -> Result<u64, StoreError> {
        let mut inserted = 0;
        for some in calls.chunks(AT_ONCE) {
            let once = OnConflict::column(Column::Id).do_nothing().to_owned();
            let insert = Entity::insert_many(some.iter().map(|call| storable(row(call)))).on_conflict(once);
            inserted += insert.exec_without_returning(&*self.write_relaxed().await).await?;
        }
        Ok(inserted)
    }

    /// The calls of an execution, in the order in which they began.
    pub async fn llm_calls(&self, scope: &Scope, id: ExecutionId) -> Result<Vec<LlmCall>, StoreError> {
        let select = of_execution(scope, id).order_by_asc(Column::StartedAt).order_by_asc(Column::Id);
        select.all(self.read()).await?.into_iter().map(record).collect()
    }

    /// What the calls of these days add up to.
    pub async fn ledger_summary(&self, scope: &Scope, days: Days) -> Result<Summary, StoreError> {
        let moment = self.moment().await?;
        let within = Entity::find()
            .filter(permitted(scope, Column::WorkspaceId))
            .filter(Column::Day.between(days.first.to_string(), days.last.to_string()));
        let totals = sums(&moment, within.clone(), []).await?;
        let by_workflow = sums(&moment, within.clone(), [Column::WorkflowId]).await?;
        let by_model = sums(&moment, within.clone(), [Column::Provider, Column::Model]).await?;
        let by_day = sums(&moment, within, [Column::Day]).await?;
        moment.commit().await?;
        Ok(Summary {
            totals: total(totals),
            by_workflow: by_workflow.into_iter().map(|([workflow_id], sums)| (workflow_id, sums)).collect(),
            by_model: by_model.into_iter().map(|([provider, model], sums)| ((provider, model), sums)).collect(),
            by_day: by_day
                .into_iter()
                .map(|([day], sums)| Ok((day_of(&day)?, sums)))
                .collect::<Result<_, StoreError>>()?,
        })
    }

    /// What the steps of an execution cost, in the order in which they made their first calls.
    pub async fn execution_costs(&self, scope: &Scope, id: ExecutionId) -> Result<Vec<StepCosts>, StoreError> {
        let begun = of_execution(scope, id).order_by_asc(Column::StartedAt.min());
        let keys = [Column::StepId, Column::Provider, Column::Model];
        let groups = grouped(self.read(), begun, keys).await?;
        let costs =
            groups.into_iter().map(|([step_id, provider, model], sums)| StepCosts { step_id, provider, model, sums });
        Ok(costs.collect())
    }

    /// None when there is neither such a workflow nor an execution of one.
    pub async fn workflow_stats(
        &self,
        workspace_id: WorkspaceId,
        workflow_id: &str,
    ) -> Result<Option<WorkflowStats>, StoreError> {
        let moment = self.moment().await?;
        let executions = execution::Entity::find()
            .filter(execution::Column::WorkspaceId.eq(workspace_id.to_string()))
            .filter(execution::Column::WorkflowId.eq(plain(workflow_id)));
        let mut stats = outcomes(&moment, executions.clone()).await?;
        let calls = Entity::find()
            .filter(Column::WorkspaceId.eq(workspace_id.to_string()))
            .filter(Column::WorkflowId.eq(plain(workflow_id)));
        stats.calls = total(sums(&moment, calls, []).await?);
        stats.durations = durations(&moment, executions).await?;
        moment.commit().await?;
        let is_known = stats.executions() > 0 || self.find_workflow(workspace_id, workflow_id).await?.is_some();
        Ok(is_known.then_some(stats))
    }
}

fn of_execution(scope: &Scope, id: ExecutionId) -> Select<Entity> {
    Entity::find().filter(permitted(scope, Column::WorkspaceId)).filter(Column::ExecutionId.eq(id.to_string()))
}

type Group<const N: usize> = ([String; N], Sums);

/// As [`grouped`], in the order of the keys.
async fn sums<const N: usize>(
    connection: &impl ConnectionTrait,
    calls: Select<Entity>,
    keys: [Column; N],
) -> Result<Vec<Group<N>>, StoreError> {
    let mut groups = grouped(connection, calls, keys).await?;
    groups.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(groups)
}

/// The calls, added up for each combination of keys.
async fn grouped<const N: usize>(
    connection: &impl ConnectionTrait,
    calls: Select<Entity>,
    keys: [Column; N],
) -> Result<Vec<Group<N>>, StoreError> {
    let mut select = added_up(calls.select_only());
    for (name, key) in KEYS.iter().zip(keys) {
        select = select.expr_as(key.into_simple_expr(), *name).group_by(key);
    }
    let rows = connection.query_all(&select.into_query()).await?;
    rows.iter().map(|row| Ok((texts(row)?, sums_of(row)?))).collect()
}

const KEYS: [&str; 3] = ["first_key", "second_key", "third_key"];

fn texts<const N: usize>(row: &QueryResult) -> Result<[String; N], DbErr> {
    let mut texts = [const { String::new() }; N];
    for (text, name) in texts.iter_mut().zip(KEYS) {
        *text = row.try_get("", name)?;
    }
    Ok(texts)
}

/// Without keys there is one group, also of nothing.
fn total(groups: Vec<Group<0>>) -> Sums {
    groups.into_iter().map(|([], sums)| sums).next().unwrap_or_default()
}

fn added_up(calls: Select<Entity>) -> Select<Entity> {
    let priced_execution: Expr =
        CaseStatement::new().case(Column::CostMicroUsd.is_not_null(), Column::ExecutionId.into_simple_expr()).into();
    calls
        .expr_as(Expr::cust("COUNT(*)"), "calls")
        .expr_as(how_many(Column::Status.eq(CallStatus::Failed.as_str())), "errors")
        .expr_as(how_many(Column::CostMicroUsd.is_null()), "unpriced_calls")
        .expr_as(Func::count_distinct(Column::ExecutionId.into_simple_expr()), "executions")
        .expr_as(Func::count_distinct(priced_execution), "priced_executions")
        .expr_as(sum_of(Column::InputTokens.into_simple_expr()), "input_tokens")
        .expr_as(sum_of(Column::OutputTokens.into_simple_expr()), "output_tokens")
        .expr_as(sum_of(Column::CacheReadTokens.into_simple_expr()), "cache_read_tokens")
        .expr_as(sum_of(Column::CacheWriteTokens.into_simple_expr()), "cache_write_tokens")
        .expr_as(sum_of(Column::CostMicroUsd.into_simple_expr()), "cost_micro_usd")
        .expr_as(sum_of(Column::LatencyMs.into_simple_expr()), "latency_ms")
}

/// A sum of nothing is zero; PostgreSQL's sums are of another type than what they are made of.
fn sum_of(values: Expr) -> Expr {
    let sum = Func::cast_as(Func::sum(values), "bigint");
    Func::coalesce([sum.into(), Expr::cust("0")]).into()
}

fn how_many(which: Expr) -> Expr {
    sum_of(CaseStatement::new().case(which, Expr::cust("1")).finally(Expr::cust("0")).into())
}

fn sums_of(row: &QueryResult) -> Result<Sums, StoreError> {
    let count = |column: &'static str| count_of(row, column);
    Ok(Sums {
        calls: count("calls")?,
        errors: count("errors")?,
        unpriced_calls: count("unpriced_calls")?,
        executions: count("executions")?,
        priced_executions: count("priced_executions")?,
        tokens: Tokens {
            input: count("input_tokens")?,
            output: count("output_tokens")?,
            cache_read: count("cache_read_tokens")?,
            cache_write: count("cache_write_tokens")?,
        },
        cost: MicroUsd(row.try_get("", "cost_micro_usd")?),
        latency_ms: count("latency_ms")?,
    })
}

const OF_SUMS: Cells<'static> = Cells { table: "llm_calls", id: "(sums)" };

fn count_of(row: &QueryResult, column: &'static str) -> Result<u64, StoreError> {
    OF_SUMS.count(column, row.try_get::<i64>("", column)?)
}

fn day_of(text: &str) -> Result<NaiveDate, StoreError> {
    OF_SUMS.id("day", text)
}

/// Without calls and durations.
async fn outcomes(
    connection: &impl ConnectionTrait,
    executions: Select<execution::Entity>,
) -> Result<WorkflowStats, StoreError> {
    use execution::Column::{ClarificationCount, RetryOfExecutionId, Status};
    let select = executions
        .select_only()
        .expr_as(Status.into_simple_expr(), "status")
        .expr_as(Expr::cust("COUNT(*)"), "executions")
        .expr_as(how_many(ClarificationCount.gt(0)), "clarified")
        .expr_as(how_many(RetryOfExecutionId.is_not_null()), "retries")
        .group_by(Status);
    let mut stats =
        WorkflowStats { by_status: Vec::new(), clarified: 0, retries: 0, calls: Sums::default(), durations: None };
    for row in connection.query_all(&select.into_query()).await? {
        let cells = Cells { table: "executions", id: "(sums)" };
        let status: String = row.try_get("", "status")?;
        let status = cells.word("status", ExecutionStatus::parse, &status)?;
        stats.by_status.push((status, count_of(&row, "executions")?));
        stats.clarified += count_of(&row, "clarified")?;
        stats.retries += count_of(&row, "retries")?;
    }
    Ok(stats)
}

/// Of the executions that completed.
async fn durations(
    connection: &impl ConnectionTrait,
    executions: Select<execution::Entity>,
) -> Result<Option<Durations>, StoreError> {
    use execution::Column::{DurationMs, Status};
    let completed = executions
        .select_only()
        .filter(Condition::all().add(Status.eq(ExecutionStatus::Completed.as_str())).add(DurationMs.is_not_null()));
    let counted = completed
        .clone()
        .expr_as(Expr::cust("COUNT(*)"), "count")
        .expr_as(sum_of(DurationMs.into_simple_expr()), "sum");
    let row = connection.query_one(&counted.into_query()).await?;
    let (count, sum) = match &row {
        Some(row) => (count_of(row, "count")?, count_of(row, "sum")?),
        None => (0, 0),
    };
    let at = async |percent| {
        let in_order = completed.clone().column(DurationMs).order_by_asc(DurationMs);
        let found = in_order.offset(rank(percent, count)).limit(1).into_tuple::<i64>().one(connection).await?;
        OF_SUMS.count::<u64>("duration_ms", found.unwrap_or_default())
    };
    match count {
        0 => Ok(None),
        _ => Ok(Some(Durations { mean_ms: (sum + count / 2) / count, p50_ms: at(50).await?, p95_ms: at(95).await? })),
    }
}

fn row(call: &LlmCall) -> ActiveModel {
    ActiveModel {
        id: Set(call.id.to_string()),
        workspace_id: Set(call.workspace_id.to_string()),
        execution_id: Set(call.execution_id.to_string()),
        workflow_id: Set(call.workflow_id.clone()),
        scope_type: Set(call.scope.scope_type.clone()),
        scope_id: Set(call.scope.scope_id.clone()),
        step_id: Set(call.step_id.clone()),
        item: Set(call.item.clone()),
        attempt: Set(call.attempt.into()),
        provider: Set(call.provider.clone()),
        model: Set(call.model.clone()),
        input_tokens: Set(stored(call.tokens.input)),
        output_tokens: Set(stored(call.tokens.output)),
        cache_read_tokens: Set(stored(call.tokens.cache_read)),
        cache_write_tokens: Set(stored(call.tokens.cache_write)),
        latency_ms: Set(stored(call.latency_ms)),
        cost_micro_usd: Set(call.cost.map(|cost| cost.0)),
        status: Set(call.status.as_str().into()),
        error_type: Set(call.error_type.clone()),
        started_at: Set(micros(call.started_at)),
        completed_at: Set(micros(call.completed_at)),
        day: Set(call.day().to_string()),
    }
}

fn record(row: Model) -> Result<LlmCall, StoreError> {
    let cells = Cells { table: "llm_calls", id: &row.id };
    Ok(LlmCall {
        id: cells.id("id", &row.id)?,
        workspace_id: cells.id("workspace_id", &row.workspace_id)?,
        execution_id: cells.id("execution_id", &row.execution_id)?,
        attempt: cells.count("attempt", row.attempt)?,
        tokens: Tokens {
            input: cells.count("input_tokens", row.input_tokens)?,
            output: cells.count("output_tokens", row.output_tokens)?,
            cache_read: cells.count("cache_read_tokens", row.cache_read_tokens)?,
            cache_write: cells.count("cache_write_tokens", row.cache_write_tokens)?,
        },
        latency_ms: cells.count("latency_ms", row.latency_ms)?,
        cost: row.cost_micro_usd.map(MicroUsd),
        status: cells.word("status", CallStatus::parse, &row.status)?,
        workflow_id: row.workflow_id,
        scope: WorkScope { scope_type: row.scope_type, scope_id: row.scope_id },
        step_id: row.step_id,
        item: row.item,
        provider: row.provider,
        model: row.model,
        error_type: row.error_type,
        started_at: row.started_at,
        completed_at: row.completed_at,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use chrono::{TimeDelta, TimeZone, Utc};
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::domain::CallId;
    use crate::domain::execution::{Execution, ExecutionState};
    use crate::domain::time::Timestamp;
    use crate::store::fixture::{TestStore, at, execution, llm_call, workflow};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn always() -> Days {
        Days { first: day("0001-01-01"), last: day("9999-12-31") }
    }

    /// What calls add up to, in plain Rust.
    fn added(calls: &[&LlmCall]) -> Sums {
        let ids = |calls: &mut dyn Iterator<Item = &&LlmCall>| {
            calls.map(|call| call.execution_id).collect::<BTreeSet<_>>().len() as u64
        };
        let sum = |of: fn(&LlmCall) -> u64| calls.iter().map(|call| of(call)).sum();
        Sums {
            calls: calls.len() as u64,
            errors: sum(|call| (call.status == CallStatus::Failed).into()),
            unpriced_calls: sum(|call| call.cost.is_none().into()),
            executions: ids(&mut calls.iter()),
            priced_executions: ids(&mut calls.iter().filter(|call| call.cost.is_some())),
            tokens: Tokens {
                input: sum(|call| call.tokens.input),
                output: sum(|call| call.tokens.output),
                cache_read: sum(|call| call.tokens.cache_read),
                cache_write: sum(|call| call.tokens.cache_write),
            },
            cost: calls.iter().filter_map(|call| call.cost).sum(),
            latency_ms: sum(|call| call.latency_ms),
        }
    }

    fn by<K: Ord>(calls: &[&LlmCall], key: impl Fn(&LlmCall) -> K) -> Vec<(K, Sums)> {
        let mut groups: BTreeMap<K, Vec<&LlmCall>> = BTreeMap::new();
        for call in calls {
            groups.entry(key(call)).or_default().push(call);
        }
        groups.into_iter().map(|(key, calls)| (key, added(&calls))).collect()
    }

    fn summed(calls: &[&LlmCall]) -> Summary {
        Summary {
            totals: added(calls),
            by_workflow: by(calls, |call| call.workflow_id.clone()),
            by_model: by(calls, |call| (call.provider.clone(), call.model.clone())),
            by_day: by(calls, LlmCall::day),
        }
    }

    #[tokio::test]
    async fn a_call_comes_back_whole_and_is_kept_once() {
        let (store, own) = TestStore::furnished().await;
        let of = execution(own.workspace_id, "plan");
        let full = LlmCall {
            item: Some("7".into()),
            attempt: 3,
            cost: None,
            status: CallStatus::Failed,
            error_type: Some("interrupted".into()),
            started_at: at(9),
            ..llm_call(&of)
        };
        let sparse = llm_call(&of);
        for call in [&full, &sparse] {
            assert_eq!(store.insert_llm_calls(std::slice::from_ref(call)).await.unwrap(), 1);
        }
        let retold = LlmCall { cost: Some(MicroUsd(999)), ..sparse.clone() };
        assert_eq!(store.insert_llm_calls(&[retold]).await.unwrap(), 0);
        assert_eq!(store.llm_calls(&Scope::All, of.id).await.unwrap(), [sparse.clone(), full]);
        assert_eq!(store.llm_calls(&Scope::Only(vec![]), of.id).await.unwrap(), []);
        let costs = store.execution_costs(&Scope::All, of.id).await.unwrap();
        assert_eq!(costs[0].sums.cost, sparse.cost.unwrap());
        assert_eq!(store.execution_costs(&Scope::Only(vec![]), of.id).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_call_belongs_to_the_utc_day_on_which_it_began() {
        let (store, own) = TestStore::furnished().await;
        let of = execution(own.workspace_id, "plan");
        let midnight = Utc.with_ymd_and_hms(2026, 3, 1, 0, 0, 0).unwrap();
        for started_at in [midnight - TimeDelta::microseconds(1), midnight] {
            let call = LlmCall { started_at, completed_at: midnight + TimeDelta::hours(30), ..llm_call(&of) };
            store.insert_llm_calls(&[call]).await.unwrap();
        }
        for (first, last, calls) in [
            ("2026-02-28", "2026-02-28", 1),
            ("2026-03-01", "2026-03-01", 1),
            ("2026-02-28", "2026-03-01", 2),
            ("2026-03-02", "2026-03-02", 0),
        ] {
            let days = Days { first: day(first), last: day(last) };
            let summary = store.ledger_summary(&Scope::All, days).await.unwrap();
            assert_eq!((summary.totals.calls, summary.by_day.len() as u64), (calls, calls), "{first} to {last}");
        }
        let foreign = store.ledger_summary(&Scope::Only(vec![WorkspaceId::generate()]), always()).await.unwrap();
        assert_eq!(foreign, summed(&[]));
    }

    #[tokio::test]
    async fn steps_are_told_in_the_order_in_which_they_began() {
        let (store, own) = TestStore::furnished().await;
        let of = execution(own.workspace_id, "plan");
        let step = |step_id: &str, model: &str, micros| LlmCall {
            step_id: step_id.into(),
            model: model.into(),
            started_at: at(micros),
            ..llm_call(&of)
        };
        let calls = [step("z", "small", 1), step("a", "small", 2), step("z", "small", 3), step("a", "large", 4)];
        for call in calls.iter().chain([&llm_call(&execution(own.workspace_id, "plan"))]) {
            store.insert_llm_calls(std::slice::from_ref(call)).await.unwrap();
        }
        let costs = store.execution_costs(&Scope::All, of.id).await.unwrap();
        let told: Vec<_> =
            costs.iter().map(|costs| (costs.step_id.as_str(), costs.model.as_str(), costs.sums.calls)).collect();
        assert_eq!(told, [("z", "small", 2), ("a", "small", 1), ("a", "large", 1)]);
        assert_eq!(costs[0].sums, added(&[&calls[0], &calls[2]]));
    }

    #[derive(Debug, Clone)]
    struct World {
        workspaces: [WorkspaceId; 2],
        executions: Vec<Execution>,
    }

    impl World {
        fn new() -> Self {
            let workspaces = [(); 2].map(|()| WorkspaceId::generate());
            let executions = [0, 0, 0, 1].map(|index| workspaces[index]);
            let workflows = ["plan", "plan", "audit", "plan"];
            let executions = executions.into_iter().zip(workflows).map(|(of, id)| execution(of, id)).collect();
            Self { workspaces, executions }
        }

        fn call(&self) -> impl Strategy<Value = LlmCall> + use<> {
            let names = (select(&["draft", "review"][..]), select(&["small", "Large", "a"][..]));
            let who = (select(self.executions.clone()), select(&["builtin", "other"][..]), names);
            let tokens = (0..5u64, 0..1_000_000u64, 0..3u64, 0..3u64);
            let amounts = (tokens, 0..100_000u64, proptest::option::weighted(0.7, 0..5_000_000i64));
            (who, amounts, any::<bool>(), moment()).prop_map(
                |((of, provider, (step_id, model)), (tokens, latency_ms, cost), failed, started_at)| LlmCall {
                    id: CallId::generate(),
                    provider: provider.into(),
                    model: model.into(),
                    step_id: step_id.into(),
                    tokens: Tokens { input: tokens.0, output: tokens.1, cache_read: tokens.2, cache_write: tokens.3 },
                    latency_ms,
                    cost: cost.map(MicroUsd),
                    status: if failed { CallStatus::Failed } else { CallStatus::Succeeded },
                    started_at,
                    ..llm_call(&of)
                },
            )
        }
    }

    /// At the edges of a few days.
    fn moment() -> impl Strategy<Value = Timestamp> + Clone {
        let midnight = Utc.with_ymd_and_hms(2026, 3, 1, 0, 0, 0).unwrap();
        (-2..3i64, select(&[-1, 0, 1][..]))
            .prop_map(move |(day, micros)| midnight + TimeDelta::days(day) + TimeDelta::microseconds(micros))
    }

    fn days() -> impl Strategy<Value = Days> {
        (-4..4i64, 0..6i64).prop_map(|(from, more)| {
            let first = day("2026-03-01") + TimeDelta::days(from);
            Days { first, last: first + TimeDelta::days(more) }
        })
    }

    #[test]
    fn the_database_adds_up_as_plain_rust_does() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let world = World::new();
        let rows = proptest::collection::vec(world.call(), 0..40);
        let queries = proptest::collection::vec((0..3usize, days()), 8);
        let config = ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() };
        proptest!(config, |(calls in rows, queries in queries)| {
            runtime.block_on(async {
                let store = TestStore::open().await;
                for (index, id) in world.workspaces.into_iter().enumerate() {
                    let workspace = crate::store::fixture::workspace(&format!("w{index}"));
                    let workspace = crate::domain::configuration::Workspace { id, ..workspace };
                    store.insert_workspace(&workspace).await.unwrap();
                }
                for call in &calls {
                    store.insert_llm_calls(std::slice::from_ref(call)).await.unwrap();
                }
                for (which, days) in queries {
                    let scope = world.workspaces.get(which).map_or(Scope::All, |id| Scope::Only(vec![*id]));
                    let within = |call: &&LlmCall| {
                        scope.allows(call.workspace_id) && (days.first..=days.last).contains(&call.day())
                    };
                    let expected = summed(&calls.iter().filter(within).collect::<Vec<_>>());
                    prop_assert_eq!(store.ledger_summary(&scope, days).await.unwrap(), expected);
                }
                for execution in &world.executions {
                    let own: Vec<_> = calls.iter().filter(|call| call.execution_id == execution.id).collect();
                    let mut told = store.execution_costs(&Scope::All, execution.id).await.unwrap();
                    told.sort_by_key(|step| (step.step_id.clone(), step.provider.clone(), step.model.clone()));
                    let groups = by(&own, |call| (call.step_id.clone(), call.provider.clone(), call.model.clone()));
                    let expected: Vec<_> = groups.into_iter().map(|((step_id, provider, model), sums)| {
                        StepCosts { step_id, provider, model, sums }
                    }).collect();
                    prop_assert_eq!(told, expected);
                }
                Ok(())
            })?;
        });
    }

    #[tokio::test]
    async fn a_workflow_s_stats_are_of_all_its_executions() {
        let (store, own) = TestStore::furnished().await;
        let of = own.workspace_id;
        assert_eq!(store.workflow_stats(of, "plan").await.unwrap(), None);
        for id in ["plan", "audit"] {
            store.insert_workflow(of, &workflow(id), at(1)).await.unwrap();
        }
        let nothing = store.workflow_stats(of, "plan").await.unwrap().unwrap();
        assert_eq!((nothing.executions(), nothing.durations, nothing.calls), (0, None, Sums::default()));

        let (mut calls, mut first) = (Vec::new(), None);
        for (number, status) in [
            (1, ExecutionStatus::Completed),
            (2, ExecutionStatus::Completed),
            (3, ExecutionStatus::Completed),
            (10, ExecutionStatus::Completed),
            (500, ExecutionStatus::Failed),
            (0, ExecutionStatus::Running),
        ] {
            let mut made = execution(of, "plan");
            made.retry_of_execution_id = first.filter(|_| number == 2);
            made.state = ExecutionState {
                status,
                clarification_count: number % 2,
                started_at: Some(at(0)),
                completed_at: status.is_terminal().then(|| at(number as i64 * 1000)),
                ..ExecutionState::default()
            };
            first = first.or(Some(made.id));
            store.insert(&made, None).await.unwrap();
            calls.push(LlmCall { cost: (number > 0).then_some(MicroUsd(number as i64)), ..llm_call(&made) });
        }
        calls.push(llm_call(&execution(of, "audit")));
        for call in &calls {
            store.insert_llm_calls(std::slice::from_ref(call)).await.unwrap();
        }
        let mut stats = store.workflow_stats(of, "plan").await.unwrap().unwrap();
        stats.by_status.sort_by_key(|(status, _)| status.as_str());
        use ExecutionStatus::{Completed, Failed, Running};
        let expected = WorkflowStats {
            by_status: vec![(Completed, 4), (Failed, 1), (Running, 1)],
            clarified: 2,
            retries: 1,
            calls: added(&calls[..6].iter().collect::<Vec<_>>()),
            durations: Some(Durations { mean_ms: 4, p50_ms: 2, p95_ms: 10 }),
        };
        assert_eq!(stats, expected);
        assert_eq!(store.workflow_stats(WorkspaceId::generate(), "plan").await.unwrap(), None);
    }
}
