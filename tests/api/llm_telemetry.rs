//! What language models took and cost. The ledger is filled behind the service's back, through its own store.

use ade::domain::execution::{Execution, ExecutionState};
use ade::domain::id::NodeId;
use ade::domain::ledger::{CallStatus, LlmCall, Tokens};
use ade::domain::money::MicroUsd;
use ade::domain::status::ExecutionStatus;
use ade::domain::time::Timestamp;
use ade::domain::workflow::NewWorkflow;
use ade::domain::workflow_document::WorkScope;
use ade::domain::{CallId, ExecutionId, WorkspaceId};
use ade::store::Store;
use chrono::{DateTime, TimeDelta, Utc};

use crate::support::{TestApp, Value, json};

/// The service's store, and who waits for it.
struct Ledger {
    runtime: tokio::runtime::Runtime,
    store: Store,
}

impl Ledger {
    fn of(app: &TestApp) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = runtime.block_on(Store::connect(app.database_url(), 1)).unwrap();
        Self { runtime, store }
    }

    fn workflow(&self, workspace: &str, workflow_id: &str) {
        let new = NewWorkflow {
            workflow_id: workflow_id.into(),
            name: "Strategy".into(),
            description: String::new(),
            step_count: 1,
            definition: json!({}),
        };
        let inserted = self.store.insert_workflow(workspace.parse().unwrap(), &new, Utc::now());
        self.runtime.block_on(inserted).unwrap();
    }

    fn execution(&self, workspace: &str, workflow_id: &str, state: ExecutionState) -> Execution {
        let execution = Execution {
            id: ExecutionId::generate(),
            workspace_id: workspace.parse::<WorkspaceId>().unwrap(),
            workflow_id: workflow_id.into(),
            revision: 1,
            scope: WorkScope { scope_type: "project".into(), scope_id: "42".into() },
            input: None,
            retry_of_execution_id: None,
            created_by: "local".into(),
            node_id: NodeId::generate(),
            created_at: Utc::now(),
            log_degraded: false,
            durable_bytes: None,
            log_state: Default::default(),
            last_sequence: 1,
            state,
        };
        self.runtime.block_on(self.store.insert(&execution, None)).unwrap();
        execution
    }

    fn call(&self, of: &Execution, step_id: &str, started_at: &str, cost: Option<i64>) {
        let started_at: Timestamp = started_at.parse::<DateTime<Utc>>().unwrap();
        let failed = cost == Some(0);
        let call = LlmCall {
            id: CallId::generate(),
            workspace_id: of.workspace_id,
            execution_id: of.id,
            workflow_id: of.workflow_id.clone(),
            scope: of.scope.clone(),
            step_id: step_id.into(),
            item: None,
            attempt: 1,
            provider: "builtin".into(),
            model: if cost.is_some() { "small" } else { "unknown" }.into(),
            tokens: Tokens { input: 100, output: 10, cache_read: 2, cache_write: 1 },
            latency_ms: 40,
            cost: cost.map(MicroUsd),
            status: if failed { CallStatus::Failed } else { CallStatus::Succeeded },
            error_type: failed.then(|| "timeout".into()),
            started_at,
            completed_at: started_at + TimeDelta::milliseconds(40),
        };
        assert_eq!(self.runtime.block_on(self.store.insert_llm_calls(&[call])).unwrap(), 1);
    }
}

/// The default workspace, which a document brings with it.
fn default_workspace(app: &TestApp) -> String {
    let document = json!({"scope_type": "project", "scope_id": "1", "document_type": "x", "content": 1});
    let made = app.post("/api/v1/documents", &document).expect(201).json();
    made["workspace_id"].as_str().unwrap().to_owned()
}

fn group(mut group: Value, numbers: [u64; 5], cost: &str) -> Value {
    let [calls, errors, executions, tokens, unpriced] = numbers;
    group.as_object_mut().unwrap().extend(
        json!({
            "calls": calls, "errors": errors, "executions": executions, "input_tokens": 100 * tokens,
            "output_tokens": 10 * tokens, "cache_read_tokens": 2 * tokens, "cache_write_tokens": tokens,
            "cost_usd": cost, "unpriced_calls": unpriced,
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    group
}

#[test]
fn a_summary_adds_up_the_calls_of_its_days() {
    let app = TestApp::start();
    let ledger = Ledger::of(&app);
    let (own, foreign) = (default_workspace(&app), app.create_workspace("foreign"));
    for (workspace, workflow_id) in [(&own, "plan"), (&own, "audit"), (&foreign, "plan")] {
        ledger.workflow(workspace, workflow_id);
    }
    let [plan, audit, elsewhere] = [(&own, "plan"), (&own, "audit"), (&foreign, "plan")]
        .map(|(workspace, workflow_id)| ledger.execution(workspace, workflow_id, ExecutionState::default()));
    ledger.call(&plan, "draft", "2026-03-01T00:00:00Z", Some(1_000_000));
    ledger.call(&plan, "draft", "2026-03-03T23:59:59.999999Z", Some(0));
    ledger.call(&audit, "check", "2026-03-03T12:00:00Z", Some(500_000));
    ledger.call(&audit, "check", "2026-03-03T12:00:01Z", None);
    ledger.call(&plan, "draft", "2026-02-28T23:59:59.999999Z", Some(7));
    ledger.call(&plan, "draft", "2026-03-04T00:00:00Z", Some(7));
    ledger.call(&elsewhere, "draft", "2026-03-02T00:00:00Z", Some(3));

    let target = "/api/v1/telemetry/summary/?start=2026-03-01&end=2026-03-03";
    let summary = app.get(target).expect(200).json();
    let expected = json!({
        "start": "2026-03-01", "end": "2026-03-03",
        "totals": group(json!({}), [4, 1, 2, 4, 1], "1.500000"),
        "averages": {"cost_per_call": "0.500000", "cost_per_execution": "0.750000", "latency_ms": 40},
        "success_rate": 0.75,
        "by_workflow": [
            group(json!({"workflow_id": "audit"}), [2, 0, 1, 2, 1], "0.500000"),
            group(json!({"workflow_id": "plan"}), [2, 1, 1, 2, 0], "1.000000"),
        ],
        "by_model": [
            group(json!({"provider": "builtin", "model": "small"}), [3, 1, 2, 3, 0], "1.500000"),
            group(json!({"provider": "builtin", "model": "unknown"}), [1, 0, 1, 1, 1], "0.000000"),
        ],
        "by_day": [
            group(json!({"date": "2026-03-01"}), [1, 0, 1, 1, 0], "1.000000"),
            group(json!({"date": "2026-03-02"}), [0, 0, 0, 0, 0], "0.000000"),
            group(json!({"date": "2026-03-03"}), [3, 1, 2, 3, 1], "0.500000"),
        ],
    });
    assert_eq!(summary, expected);
    assert_eq!(app.get(&format!("{target}&workspace_id={own}")).expect(200).json(), expected);
    let other = app.get(&format!("{target}&workspace_id={foreign}")).expect(200).json();
    assert_eq!(other["totals"], group(json!({}), [1, 0, 1, 1, 0], "0.000003"));
}

#[test]
fn a_summary_of_nothing_has_no_averages() {
    let app = TestApp::start();
    let (before, summary) = (Utc::now(), app.get("/api/v1/telemetry/summary").expect(200).json());
    assert_eq!(summary["success_rate"], Value::Null);
    assert_eq!(summary["averages"], json!({"cost_per_call": null, "cost_per_execution": null, "latency_ms": null}));
    assert_eq!(summary["totals"], group(json!({}), [0; 5], "0.000000"));
    assert_eq!((&summary["by_workflow"], &summary["by_model"]), (&json!([]), &json!([])));
    let days: Vec<_> = summary["by_day"].as_array().unwrap().iter().map(|day| day["date"].clone()).collect();
    let week = |last: Timestamp| -> Vec<Value> {
        (0..7).rev().map(|back| json!((last - TimeDelta::days(back)).date_naive().to_string())).collect()
    };
    assert!(days == week(before) || days == week(Utc::now()), "the last seven days, today among them: {days:?}");
}

#[test]
fn invalid_or_too_many_days_are_rejected() {
    let app = TestApp::start();
    let (no_period, no_day) = ((422, "invalid_request"), (400, "invalid_query"));
    for (query, place, (status, code)) in [
        ("start=2026-03-02&end=2026-03-01", "start", no_period),
        ("start=2025-01-01&end=2026-01-02", "start", no_period),
        ("start=tomorrow", "start", no_day),
        ("end=2026-02-30", "end", no_day),
        ("end=2026-2-3", "end", no_day),
    ] {
        let problem = app.get(&format!("/api/v1/telemetry/summary?{query}")).problem(status, code);
        assert_eq!(problem["errors"][0]["path"], place, "{problem}");
    }
    let year = app.get("/api/v1/telemetry/summary?start=2025-01-01&end=2026-01-01").expect(200).json();
    assert_eq!(year["by_day"].as_array().unwrap().len(), 366);
    app.get("/api/v1/telemetry/summary?colour=red").problem(400, "invalid_query");
    app.get("/api/v1/telemetry/summary?workspace_id=x").problem(422, "invalid_id");
    app.get("/api/v1/telemetry/summary?workspace_id=ws_01J00000000000000000000000").problem(404, "not_found");
}

#[test]
fn the_costs_of_an_execution_are_reported_per_step() {
    let app = TestApp::start();
    let ledger = Ledger::of(&app);
    let own = default_workspace(&app);
    ledger.workflow(&own, "plan");
    let execution = ledger.execution(&own, "plan", ExecutionState::default());
    ledger.call(&execution, "write", "2026-03-01T10:00:00Z", Some(0));
    ledger.call(&execution, "write", "2026-03-01T10:00:01Z", Some(1_500));
    ledger.call(&execution, "check", "2026-03-01T10:00:02Z", None);
    ledger.call(&ledger.execution(&own, "plan", ExecutionState::default()), "write", "2026-03-01T10:00:00Z", Some(9));
    let target = format!("/api/v1/telemetry/executions/{}/costs", execution.id);
    let step = |name: &str, model: &str, numbers: [u64; 5], cost: &str| {
        let own = json!({"step_id": name, "provider": "builtin", "model": model, "latency_ms": 40 * numbers[0]});
        let mut step = group(own, numbers, cost);
        step.as_object_mut().unwrap().remove("executions");
        step
    };
    let expected = json!({
        "execution_id": execution.id, "workspace_id": own, "workflow_id": "plan", "total_cost_usd": "0.001500",
        "calls": 3, "errors": 1, "unpriced_calls": 1, "input_tokens": 300, "output_tokens": 30,
        "cache_read_tokens": 6, "cache_write_tokens": 3, "latency_ms": 120,
        "steps": [
            step("write", "small", [2, 1, 1, 2, 0], "0.001500"),
            step("check", "unknown", [1, 0, 1, 1, 1], "0.000000"),
        ],
    });
    assert_eq!(app.get(&target).expect(200).json(), expected);
    app.get("/api/v1/telemetry/executions/exec_01J00000000000000000000000/costs").problem(404, "not_found");
    app.get("/api/v1/telemetry/executions/run_1/costs").problem(422, "invalid_id");
}

#[test]
fn the_stats_of_a_workflow_are_of_all_its_executions() {
    let app = TestApp::start();
    app.get("/api/v1/telemetry/workflows/plan/stats").problem(404, "not_found");
    let ledger = Ledger::of(&app);
    let own = default_workspace(&app);
    ledger.workflow(&own, "plan");
    let target = "/api/v1/telemetry/workflows/plan/stats/";
    let statuses = |counts: [u64; 8]| {
        let names = ["pending", "running", "waiting_clarification", "waiting_acceptance", "completed", "failed"];
        let names = names.into_iter().chain(["cancelled", "total"]);
        names.zip(counts).map(|(name, count)| (name.to_owned(), json!(count))).collect::<serde_json::Map<_, _>>()
    };
    let mut expected = json!({
        "workspace_id": own, "workflow_id": "plan", "executions": statuses([0; 8]), "total_cost_usd": "0.000000",
        "avg_cost_usd": null, "unpriced_calls": 0, "avg_duration_ms": null, "p50_duration_ms": null,
        "p95_duration_ms": null, "clarification_rate": null, "retry_rate": null,
    });
    assert_eq!(app.get(target).expect(200).json(), expected);

    let began: Timestamp = "2026-03-01T10:00:00Z".parse::<DateTime<Utc>>().unwrap();
    for seconds in [1, 2, 9] {
        let state = ExecutionState {
            status: ExecutionStatus::Completed,
            clarification_count: seconds % 2,
            started_at: Some(began),
            completed_at: Some(began + TimeDelta::seconds(seconds as i64)),
            ..ExecutionState::default()
        };
        let execution = ledger.execution(&own, "plan", state);
        ledger.call(&execution, "write", "2026-03-01T10:00:00Z", Some(seconds as i64));
    }
    let waiting = ExecutionState { status: ExecutionStatus::WaitingAcceptance, ..ExecutionState::default() };
    ledger.execution(&own, "plan", waiting);
    expected["executions"] = json!(statuses([0, 0, 0, 1, 3, 0, 0, 4]));
    expected["total_cost_usd"] = json!("0.000012");
    expected["avg_cost_usd"] = json!("0.000004");
    expected["avg_duration_ms"] = json!(4000);
    expected["p50_duration_ms"] = json!(2000);
    expected["p95_duration_ms"] = json!(9000);
    expected["clarification_rate"] = json!(0.5);
    expected["retry_rate"] = json!(0.0);
    assert_eq!(app.get(target).expect(200).json(), expected);
    let other = app.create_workspace("other");
    app.get(&format!("{target}?workspace_id={other}")).problem(404, "not_found");
    app.get(&format!("{target}?colour=red")).problem(400, "invalid_query");
}
