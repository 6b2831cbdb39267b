//! Executions: the request as columns, the state as its log has it.

use entity::execution::{ActiveModel, Column, Entity, Model};
use sea_orm::entity::prelude::Json;
use sea_orm::sea_query::Expr;
use sea_orm::{DatabaseTransaction, EntityTrait, Iterable, QuerySelect, Select, Set};

use super::cells::{Cells, json, storable, stored};
use super::listable::Listable;
use super::listable::{Source, columns};
use super::rows::{InsertError, StoredWork};
use super::{StoreError, deletion, workflow};
use crate::domain::execution::{Execution, ExecutionState};
use crate::domain::status::{ExecutionStatus, LogState};
use crate::domain::time::micros;
use crate::domain::workflow_document::WorkScope;

/// Inputs may be large and no list shows them, so the items have none.
impl Listable for Execution {
    type Entity = Entity;

    fn workspace_column() -> Column {
        Column::WorkspaceId
    }

    fn select() -> Select<Entity> {
        let others = Column::iter().filter(|column| !matches!(column, Column::Input));
        Entity::find().select_only().columns(others).expr_as(Expr::cust("NULL"), "input")
    }

    fn searched() -> Vec<Source> {
        columns([Column::Id, Column::Status, Column::WorkflowId, Column::ScopeId])
    }

    fn record(row: Model) -> Result<Self, StoreError> {
        record(row)
    }
}

impl StoredWork for Execution {
    fn state_columns(state: &ExecutionState) -> ActiveModel {
        state_columns(state)
    }

    /// Only while its workspace and its workflow are there, which are then not deleted before this transaction has ended.
    async fn insert(&self, transaction: &DatabaseTransaction) -> Result<(), InsertError> {
        let is_there = deletion::hold_workspace(transaction, self.workspace_id).await?;
        if !is_there || !workflow::hold(transaction, self.workspace_id, &self.workflow_id).await? {
            return Err(InsertError::OriginGone);
        }
        Entity::insert(storable(row(self))).exec_without_returning(transaction).await?;
        Ok(())
    }
}

fn row(execution: &Execution) -> ActiveModel {
    ActiveModel {
        id: Set(execution.id.to_string()),
        workspace_id: Set(execution.workspace_id.to_string()),
        workflow_id: Set(execution.workflow_id.clone()),
        revision: Set(stored(execution.revision)),
        scope_type: Set(execution.scope.scope_type.clone()),
        scope_id: Set(execution.scope.scope_id.clone()),
        input: Set(execution.input.clone()),
        retry_of_execution_id: Set(execution.retry_of_execution_id.map(|id| id.to_string())),
        created_by: Set(execution.created_by.clone()),
        node_id: Set(execution.node_id.to_string()),
        created_at: Set(micros(execution.created_at)),
        log_degraded: Set(execution.log_degraded),
        durable_bytes: Set(execution.durable_bytes.map(stored)),
        log_state: Set(execution.log_state.as_str().into()),
        last_sequence: Set(stored(execution.last_sequence)),
        ..state_columns(&execution.state)
    }
}

fn state_columns(state: &ExecutionState) -> ActiveModel {
    ActiveModel {
        status: Set(state.status.as_str().into()),
        is_active: Set(!state.status.is_terminal()),
        current_steps: Set(json(&state.current_steps)),
        pending: Set(state.pending.clone()),
        failure: Set(state.failure.clone()),
        totals: Set(state.totals.clone()),
        clarification_count: Set(stored(state.clarification_count)),
        started_at: Set(state.started_at.map(micros)),
        completed_at: Set(state.completed_at.map(micros)),
        duration_ms: Set(state.duration_ms().map(stored)),
        ..ActiveModel::default()
    }
}

fn record(mut row: Model) -> Result<Execution, StoreError> {
    let state = state(&mut row)?;
    let cells = Cells { table: "executions", id: &row.id };
    Ok(Execution {
        id: cells.id("id", &row.id)?,
        workspace_id: cells.id("workspace_id", &row.workspace_id)?,
        workflow_id: row.workflow_id,
        revision: cells.count("revision", row.revision)?,
        scope: WorkScope { scope_type: row.scope_type, scope_id: row.scope_id },
        input: row.input,
        retry_of_execution_id: cells.id_option("retry_of_execution_id", row.retry_of_execution_id.as_deref())?,
        created_by: row.created_by,
        node_id: cells.id("node_id", &row.node_id)?,
        created_at: row.created_at,
        log_degraded: row.log_degraded,
        durable_bytes: cells.count_option("durable_bytes", row.durable_bytes)?,
        log_state: cells.word("log_state", LogState::parse, &row.log_state)?,
        last_sequence: cells.count("last_sequence", row.last_sequence)?,
        state,
    })
}

fn state(row: &mut Model) -> Result<ExecutionState, StoreError> {
    let cells = Cells { table: "executions", id: &row.id };
    let take = |cell: &mut Json| std::mem::take(cell);
    Ok(ExecutionState {
        status: cells.word("status", ExecutionStatus::parse, &row.status)?,
        current_steps: cells.json("current_steps", take(&mut row.current_steps))?,
        pending: take(&mut row.pending),
        failure: row.failure.take(),
        totals: take(&mut row.totals),
        clarification_count: cells.count("clarification_count", row.clarification_count)?,
        started_at: row.started_at,
        completed_at: row.completed_at,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::id::NodeId;
    use crate::domain::list::{Comparison, EXECUTIONS, Field, Filter, Query, Test, Value};
    use crate::domain::principal::Scope;
    use crate::domain::{ExecutionId, WorkspaceId};
    use crate::store::Store;
    use crate::store::fixture::{TestStore, at, execution, work_scope, workflow};

    fn full_state(status: ExecutionStatus) -> ExecutionState {
        ExecutionState {
            status,
            current_steps: vec!["draft".into(), "review".into()],
            pending: json!([{"step_id": "draft", "kind": "clarification", "questions": [{"id": "q1"}]}]),
            failure: Some(json!({"code": "cost_limit", "message": "\u{e4}"})),
            totals: json!({"calls": 3, "cost_usd": "0.000750"}),
            clarification_count: 2,
            started_at: Some(at(30)),
            completed_at: Some(at(1_500_030)),
        }
    }

    /// With the workflows `plan` and `audit` in it.
    async fn furnished() -> (TestStore, WorkspaceId) {
        let (store, own) = TestStore::furnished().await;
        for id in ["plan", "audit"] {
            store.insert_workflow(own.workspace_id, &workflow(id), at(1)).await.unwrap();
        }
        (store, own.workspace_id)
    }

    async fn found(store: &Store, id: ExecutionId) -> Execution {
        store.find::<Execution>(&Scope::All, id).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn an_execution_comes_back_whole() {
        let (store, of) = furnished().await;
        let sparse = execution(of, "plan");
        let full = Execution {
            revision: 4,
            scope: work_scope("a/b"),
            input: Some(json!({"brief": {"text": "x"}})),
            retry_of_execution_id: Some(sparse.id),
            log_degraded: true,
            durable_bytes: Some(4096),
            last_sequence: 41,
            state: full_state(ExecutionStatus::Failed),
            ..execution(of, "plan")
        };
        for execution in [&sparse, &full] {
            store.insert(execution, None).await.unwrap();
            assert_eq!(found(&store, execution.id).await, *execution);
        }
    }

    #[tokio::test]
    async fn a_foreign_execution_is_neither_seen_nor_changed() {
        let (store, of) = furnished().await;
        let foreign = store.furnish("other").await.workspace_id;
        let execution = execution(of, "plan");
        store.insert(&execution, None).await.unwrap();
        for scope in [Scope::Only(vec![]), Scope::Only(vec![foreign])] {
            assert_eq!(store.find::<Execution>(&scope, execution.id).await.unwrap(), None);
            let listed = store.page::<Execution>(&scope, &Query::all(EXECUTIONS.order), 1, 50).await.unwrap();
            assert_eq!(listed.total, 0);
        }
        let state = full_state(ExecutionStatus::Failed);
        assert!(!store.save_state::<Execution>(foreign, execution.id, &state, 5).await.unwrap());
        assert!(!store.set_degraded::<Execution>(foreign, execution.id, Some(1)).await.unwrap());
        assert!(!store.delete::<Execution>(foreign, execution.id).await.unwrap());
        assert_eq!(workflow::count_active(store.read(), foreign, "plan").await.unwrap(), 0);
        assert_eq!(found(&store, execution.id).await, execution);
    }

    #[tokio::test]
    async fn state_only_moves_forward() {
        let (store, of) = furnished().await;
        let execution = execution(of, "plan");
        store.insert(&execution, None).await.unwrap();
        let id = execution.id;
        let running = ExecutionState { status: ExecutionStatus::Running, ..ExecutionState::default() };
        let ended = full_state(ExecutionStatus::Completed);
        assert!(store.save_state::<Execution>(of, id, &ended, 9).await.unwrap());
        assert!(!store.save_state::<Execution>(of, id, &ended, 9).await.unwrap(), "again");
        assert!(!store.save_state::<Execution>(of, id, &running, 4).await.unwrap(), "late");
        assert_eq!(found(&store, id).await, Execution { state: ended, last_sequence: 9, ..execution });
        assert!(store.save_state::<Execution>(of, id, &running, 10).await.unwrap());
        assert_eq!(found(&store, id).await.state, running, "what the log no longer says is cleared");
        assert!(!store.save_state::<Execution>(of, ExecutionId::generate(), &running, 99).await.unwrap(), "not there");
    }

    #[tokio::test]
    async fn degraded_is_set_beside_the_state() {
        let (store, of) = furnished().await;
        let execution = execution(of, "plan");
        store.insert(&execution, None).await.unwrap();
        assert!(store.set_degraded::<Execution>(of, execution.id, Some(12)).await.unwrap());
        assert_eq!(store.degraded::<Execution>(execution.node_id).await.unwrap(), [], "it has not ended");
        let ended = full_state(ExecutionStatus::Failed);
        store.save_state::<Execution>(of, execution.id, &ended, 9).await.unwrap();
        let expected = Execution {
            log_degraded: true,
            durable_bytes: Some(12),
            state: ended,
            last_sequence: 9,
            ..execution.clone()
        };
        assert_eq!(store.degraded::<Execution>(execution.node_id).await.unwrap(), std::slice::from_ref(&expected));
        assert!(store.set_degraded::<Execution>(of, execution.id, None).await.unwrap());
        assert_eq!(store.degraded::<Execution>(execution.node_id).await.unwrap(), []);
        let expected = Execution { log_degraded: false, durable_bytes: None, ..expected };
        assert_eq!(found(&store, execution.id).await, expected);
    }

    #[tokio::test]
    async fn what_has_not_ended_is_known_by_node_and_by_workflow() {
        let (store, of) = furnished().await;
        let node_id = NodeId::generate();
        for (micros, &status) in ExecutionStatus::ALL.iter().enumerate() {
            let state = ExecutionState { status, ..ExecutionState::default() };
            let execution = Execution { node_id, created_at: at(micros as i64), state, ..execution(of, "plan") };
            store.insert(&execution, None).await.unwrap();
        }
        store.insert(&execution(of, "audit"), None).await.unwrap();
        let unfinished = store.unfinished::<Execution>(node_id).await.unwrap();
        let statuses: Vec<_> = unfinished.iter().map(|execution| execution.state.status).collect();
        use ExecutionStatus::{Pending, Running, WaitingAcceptance, WaitingClarification};
        assert_eq!(statuses, [Pending, Running, WaitingClarification, WaitingAcceptance]);
        assert_eq!(workflow::count_active(store.read(), of, "plan").await.unwrap(), 4);
        assert_eq!(workflow::count_active(store.read(), of, "audit").await.unwrap(), 1);
    }

    #[tokio::test]
    async fn lists_are_filtered_and_show_no_input() {
        let (store, of) = furnished().await;
        let input = Some(json!({"brief": 1}));
        let one = Execution { created_at: at(1), input: input.clone(), ..execution(of, "plan") };
        let ended = full_state(ExecutionStatus::Completed);
        let two = Execution { created_at: at(2), input, state: ended, ..execution(of, "audit") };
        let three = Execution { created_at: at(3), scope: work_scope("43"), ..execution(of, "plan") };
        for execution in [&one, &two, &three] {
            store.insert(execution, None).await.unwrap();
        }
        let text = |value: &str| Test::Compare(Comparison::Eq, Value::Text(value.into()));
        let flag = |value| Test::Compare(Comparison::Eq, Value::Flag(value));
        for (field, test, expected) in [
            (Field::WorkflowId, text("plan"), &[three.id, one.id][..]),
            (Field::ScopeId, text("42"), &[two.id, one.id]),
            (Field::ScopeType, text("project"), &[three.id, two.id, one.id]),
            (Field::IsActive, flag(true), &[three.id, one.id]),
            (Field::IsActive, flag(false), &[two.id]),
            (Field::Status, text("completed"), &[two.id]),
            (Field::CompletedAt, Test::NotEmpty, &[two.id]),
        ] {
            let query = Query { filter: Filter::Test(field, test), ..Query::all(EXECUTIONS.order) };
            let listed = store.page::<Execution>(&Scope::All, &query, 1, 50).await.unwrap();
            let found: Vec<_> = listed.items.iter().map(|item| item.id).collect();
            assert_eq!(found, expected, "{query:?}");
            assert!(listed.items.iter().all(|item| item.input.is_none()));
        }
    }
}
