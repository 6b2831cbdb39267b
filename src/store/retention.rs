//! What retention asks of rows: which logs are old enough, and what has become of them.

use sea_orm::sea_query::Condition;
use sea_orm::{
    ColumnTrait, DatabaseConnection, EntityName, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    prelude::DateTimeUtc,
};

use super::cells::Cells;
use super::listable::column_of;
use super::rows::{StoredWork, column, statuses};
use super::{Store, StoreError};
use crate::domain::id::NodeId;
use crate::domain::list::Field;
use crate::domain::principal::Scope;
use crate::domain::status::LogState;
use crate::domain::time::{Timestamp, micros};
use crate::domain::work::{LogFacts, Work, each_kind};
use crate::domain::{StreamId, StreamKey, StreamKind};

/// A log of work that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinishedLog {
    pub key: StreamKey,
    pub completed_at: Timestamp,
}

/// Which finished logs of a node; a page of them at a time, oldest first.
#[derive(Debug, Clone)]
pub struct FinishedQuery<'a> {
    pub node_id: NodeId,
    pub kind: StreamKind,
    pub states: &'a [LogState],
    pub completed_before: Timestamp,
    /// The last one of the page before.
    pub after: Option<FinishedLog>,
    pub limit: u64,
}

impl Store {
    /// Logs of work that has ended and that have not failed.
    pub async fn finished_logs(&self, query: &FinishedQuery<'_>) -> Result<Vec<FinishedLog>, StoreError> {
        each_kind!(W => if W::KIND == query.kind {
            return finished::<W>(self.read(), query).await;
        });
        // A feed never ends.
        Ok(Vec::new())
    }

    /// None when there is no such row. Logs outlive what they are of: also of a workspace that was deleted.
    pub async fn log_facts(&self, key: StreamKey) -> Result<Option<LogFacts>, StoreError> {
        let scope = Scope::Only(vec![key.workspace_id()]);
        each_kind!(W => if let Ok(id) = key.id().try_into() {
            return Ok(self.find_or_deleted::<W>(&scope, id).await?.map(|work| work.log()));
        });
        Ok(None)
    }

    /// What has become of a log. False when there is no such row.
    pub async fn set_log_state(&self, key: StreamKey, state: LogState) -> Result<bool, StoreError> {
        each_kind!(W => if W::KIND == key.kind() {
            return self.set_log_state_of::<W>(key.workspace_id(), key, state).await;
        });
        Ok(false)
    }
}

async fn finished<W: StoredWork>(
    database: &DatabaseConnection,
    query: &FinishedQuery<'_>,
) -> Result<Vec<FinishedLog>, StoreError> {
    let [id, completed_at] = [Field::Id, Field::CompletedAt].map(column_of::<W>);
    let log_state = column::<W>("log_state");
    let select = W::Entity::find()
        .select_only()
        .columns([id, W::workspace_column(), completed_at])
        .filter(log_state.is_in(query.states.iter().map(|state| state.as_str())))
        .filter(completed_at.lt(micros(query.completed_before)))
        .filter(column_of::<W>(Field::Status).is_in(statuses::<W>(true)))
        .filter(column::<W>("log_degraded").eq(false))
        .filter(column::<W>("node_id").eq(query.node_id.to_string()))
        .filter(behind(id, completed_at, query.after))
        .order_by_asc(completed_at)
        .order_by_asc(id)
        .limit(query.limit);
    let rows: Vec<(String, String, DateTimeUtc)> = select.into_tuple().all(database).await?;
    let table = W::Entity::default().table_name();
    rows.into_iter().map(|(id, workspace_id, at)| record(table, &id, &workspace_id, at)).collect()
}

fn behind<C: ColumnTrait>(id: C, completed_at: C, after: Option<FinishedLog>) -> Condition {
    let Some(FinishedLog { key, completed_at: at }) = after else { return Condition::all() };
    let same_moment = Condition::all().add(completed_at.eq(micros(at))).add(id.gt(key.to_string()));
    Condition::any().add(completed_at.gt(micros(at))).add(same_moment)
}

fn record(
    table: &'static str,
    id: &str,
    workspace_id: &str,
    completed_at: Timestamp,
) -> Result<FinishedLog, StoreError> {
    let cells = Cells { table, id };
    let workspace_id = cells.id("workspace_id", workspace_id)?;
    let id = StreamId::parse(id).ok_or_else(|| cells.unreadable("id"))?;
    let key = StreamKey::of(workspace_id, id);
    Ok(FinishedLog { key, completed_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::build::{Build, BuildState};
    use crate::domain::configuration::Configuration;
    use crate::domain::execution::Execution;
    use crate::domain::principal::Scope;
    use crate::domain::run::{Run, RunState};
    use crate::domain::status::{BuildStatus, ExecutionStatus, RunStatus};
    use crate::store::fixture::{TestStore, at, build, execution, run, workflow};

    const KEPT: [LogState; 2] = [LogState::Plain, LogState::Compressed];

    /// A run that ended at this moment.
    fn ended(of: &Configuration, node_id: NodeId, micros: i64) -> Run {
        let state = RunState { status: RunStatus::Succeeded, completed_at: Some(at(micros)), ..RunState::default() };
        Run { node_id, state, ..run(of) }
    }

    fn query(node_id: NodeId, before: i64) -> FinishedQuery<'static> {
        let completed_before = at(before);
        FinishedQuery { node_id, kind: StreamKind::RUN, states: &KEPT, completed_before, after: None, limit: 100 }
    }

    #[tokio::test]
    async fn only_what_has_ended_long_enough_ago_is_found() {
        let (store, configuration) = TestStore::furnished().await;
        let node_id = NodeId::generate();
        let wanted = ended(&configuration, node_id, 10);
        let others = [
            ended(&configuration, node_id, 20),
            ended(&configuration, NodeId::generate(), 10),
            Run { log_degraded: true, ..ended(&configuration, node_id, 10) },
            Run { log_state: LogState::Deleted, ..ended(&configuration, node_id, 10) },
            Run { node_id, ..run(&configuration) },
            Run {
                state: RunState { status: RunStatus::Running, ..ended(&configuration, node_id, 10).state },
                ..ended(&configuration, node_id, 10)
            },
        ];
        for run in others.iter().chain([&wanted]) {
            store.insert(run, None).await.unwrap();
        }
        let found = store.finished_logs(&query(node_id, 20)).await.unwrap();
        assert_eq!(found, [FinishedLog { key: wanted.stream_key(), completed_at: at(10) }]);
        let builds = FinishedQuery { kind: StreamKind::BUILD, ..query(node_id, 20) };
        assert_eq!(store.finished_logs(&builds).await.unwrap(), []);
    }

    #[tokio::test]
    async fn pages_lead_through_all_of_them_oldest_first() {
        let (store, configuration) = TestStore::furnished().await;
        let node_id = NodeId::generate();
        // Several at the same moment, so that the id must break ties.
        for number in 0..7 {
            store.insert(&ended(&configuration, node_id, number / 3), None).await.unwrap();
        }
        let all = store.finished_logs(&query(node_id, 1000)).await.unwrap();
        assert_eq!(all.len(), 7);
        assert!(all.is_sorted_by_key(|log| (log.completed_at, log.key.to_string())));
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = FinishedQuery { after, limit: 2, ..query(node_id, 1000) };
            let found = store.finished_logs(&page).await.unwrap();
            let Some(last) = found.last() else { break };
            after = Some(*last);
            paged.extend(found);
        }
        assert_eq!(paged, all);
    }

    #[tokio::test]
    async fn what_has_become_of_a_log_is_kept_within_its_workspace() {
        let (store, configuration) = TestStore::furnished().await;
        let run = ended(&configuration, NodeId::generate(), 5);
        let state = BuildState { status: BuildStatus::Active, completed_at: Some(at(6)), ..BuildState::default() };
        let build = Build { state, ..build(&configuration) };
        store.insert(&run, None).await.unwrap();
        store.insert(&build, None).await.unwrap();
        for key in [run.stream_key(), build.stream_key()] {
            assert!(store.set_log_state(key, LogState::Expiring).await.unwrap());
            let facts = store.log_facts(key).await.unwrap().unwrap();
            assert_eq!((facts.has_ended, facts.degraded, facts.state), (true, false, LogState::Expiring));
        }
        let foreign = StreamKey::of(store.furnish("other").await.workspace_id, run.id);
        assert!(!store.set_log_state(foreign, LogState::Deleted).await.unwrap());
        assert_eq!(store.log_facts(foreign).await.unwrap(), None);
        let found = store.find::<Run>(&Scope::All, run.id).await.unwrap().unwrap();
        assert_eq!(found, Run { log_state: LogState::Expiring, ..run });
    }

    #[tokio::test]
    async fn logs_of_executions_are_kept_like_those_of_runs() {
        use crate::domain::execution::ExecutionState;
        let (store, configuration) = TestStore::furnished().await;
        let (of, node_id) = (configuration.workspace_id, NodeId::generate());
        store.insert_workflow(of, &workflow("plan"), at(1)).await.unwrap();
        let state = |status, micros| ExecutionState { status, completed_at: Some(at(micros)), ..Default::default() };
        let made = |status, micros| Execution { node_id, state: state(status, micros), ..execution(of, "plan") };
        let wanted = made(ExecutionStatus::Cancelled, 10);
        for execution in [&wanted, &made(ExecutionStatus::Completed, 20), &made(ExecutionStatus::Running, 5)] {
            store.insert(execution, None).await.unwrap();
        }
        let executions = FinishedQuery { kind: StreamKind::EXECUTION, ..query(node_id, 20) };
        let found = store.finished_logs(&executions).await.unwrap();
        assert_eq!(found, [FinishedLog { key: wanted.stream_key(), completed_at: at(10) }]);
        assert!(store.set_log_state(wanted.stream_key(), LogState::Deleted).await.unwrap());
        let facts = store.log_facts(wanted.stream_key()).await.unwrap().unwrap();
        assert_eq!((facts.has_ended, facts.state), (true, LogState::Deleted));
        let foreign = StreamKey::of(store.furnish("other").await.workspace_id, wanted.id);
        assert!(!store.set_log_state(foreign, LogState::Plain).await.unwrap());
        assert_eq!(store.log_facts(foreign).await.unwrap(), None);
    }
}
