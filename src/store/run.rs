//! Runs: the request as columns, the state as its log has it.

use std::collections::BTreeSet;

use entity::run::{ActiveModel, Column, Entity, Model};
use entity::{document, run_document};
use sea_orm::sea_query::{Expr, ExprTrait, SelectStatement};
use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait, IntoSimpleExpr, Iterable, QueryFilter as _, QueryOrder as _,
    QuerySelect, QueryTrait, Select, Set,
};

use super::cells::{Cells, json, storable, stored};
use super::listable::{Listable, column_source};
use super::listable::{Source, columns};
use super::rows::{InsertError, StoredWork};
use super::{Store, StoreError, deletion, stored_file};
use crate::domain::failure::{Label, RunFailure};
use crate::domain::list::Field;
use crate::domain::run::{Run, RunState};
use crate::domain::status::{LogState, RunStatus};
use crate::domain::stored_file::StoredFile;
use crate::domain::time::{Timestamp, micros};
use crate::domain::{RunId, id::NodeId};

/// Rows written in one statement; databases bound the number of parameters.
const BATCH: usize = 500;

/// Summaries are large and no list shows them, so the items have none.
impl Listable for Run {
    type Entity = Entity;

    fn workspace_column() -> Column {
        Column::WorkspaceId
    }

    fn configuration_id() -> Option<Column> {
        Some(Column::ConfigurationId)
    }

    fn select() -> Select<Entity> {
        let others = Column::iter().filter(|column| !matches!(column, Column::Summary));
        Entity::find().select_only().columns(others).expr_as(Expr::cust("NULL"), "summary")
    }

    fn source(field: Field) -> Source {
        match field {
            Field::InputDocumentId => of_runs(inputs(), run_document::Column::DocumentId.into_simple_expr()),
            plain => column_source::<Self>(plain),
        }
    }

    fn searched() -> Vec<Source> {
        let mut searched = columns([Column::Id, Column::Status, Column::ConfigurationId]);
        searched.push(input_names());
        searched
    }

    fn record(row: Model) -> Result<Self, StoreError> {
        record(row)
    }
}

impl StoredWork for Run {
    fn state_columns(state: &RunState) -> ActiveModel {
        state_columns(state)
    }

    /// With the rows of its documents. Only while these and its configuration are there, which are then not deleted
    /// before this transaction has ended.
    async fn insert(&self, transaction: &DatabaseTransaction) -> Result<(), InsertError> {
        deletion::hold_configuration(transaction, self.workspace_id, self.configuration_id).await?;
        for ids in self.options.document_ids.chunks(BATCH) {
            deletion::hold_documents(transaction, ids).await?;
        }
        Entity::insert(storable(row(self))).exec_without_returning(transaction).await?;
        let documents: BTreeSet<_> = self.options.document_ids.iter().collect();
        let inputs = documents.into_iter().map(|document_id| run_document::ActiveModel {
            run_id: Set(self.id.to_string()),
            document_id: Set(document_id.to_string()),
        });
        for inputs in inputs.collect::<Vec<_>>().chunks(BATCH) {
            run_document::Entity::insert_many(inputs.to_vec()).exec_without_returning(transaction).await?;
        }
        Ok(())
    }
}

impl Store {
    /// Runs of a node that have ended and of whose outputs the object store was told nothing, by id, behind the one named.
    pub async fn runs_with_outputs_to_note(
        &self,
        node_id: NodeId,
        after: Option<RunId>,
        limit: u64,
    ) -> Result<Vec<Run>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let select = Entity::find().filter(Column::OutputsNotedAt.is_null()).filter(Column::Id.gt(after));
        let select = select.filter(Column::NodeId.eq(node_id.to_string())).filter(Column::CompletedAt.is_not_null());
        select.order_by_asc(Column::Id).limit(limit).all(self.read()).await?.into_iter().map(record).collect()
    }

    /// Notes the outputs of a run, all or none; those that are noted stay as they are.
    pub async fn note_outputs(&self, id: RunId, outputs: &[StoredFile], at: Timestamp) -> Result<(), StoreError> {
        let writer = self.write().await;
        let transaction = writer.begin().await?;
        stored_file::note_new(&transaction, outputs, at).await?;
        let change = ActiveModel { outputs_noted_at: Set(Some(micros(at))), ..Default::default() };
        let update = Entity::update_many().set(change).filter(Column::Id.eq(id.to_string()));
        update.exec(&transaction).await?;
        Ok(transaction.commit().await?)
    }
}

/// The documents that runs work on.
fn inputs() -> SelectStatement {
    run_document::Entity::find().select_only().column(run_document::Column::RunId).into_query()
}

fn of_runs(rows: SelectStatement, value: Expr) -> Source {
    Source::Many { owner: Column::Id.into_simple_expr(), rows: Box::new(rows), value }
}

fn input_names() -> Source {
    let is_input = run_document::Column::DocumentId.into_simple_expr().eq(document::Column::Id.into_simple_expr());
    of_runs(inputs().inner_join(document::Entity, is_input).take(), document::Column::Name.into_simple_expr())
}

fn row(run: &Run) -> ActiveModel {
    ActiveModel {
        id: Set(run.id.to_string()),
        workspace_id: Set(run.workspace_id.to_string()),
        configuration_id: Set(run.configuration_id.to_string()),
        options: Set(json(&run.options)),
        attempt: Set(run.attempt.into()),
        retry_of_run_id: Set(run.retry_of_run_id.map(|id| id.to_string())),
        node_id: Set(run.node_id.to_string()),
        created_at: Set(micros(run.created_at)),
        log_degraded: Set(run.log_degraded),
        durable_bytes: Set(run.durable_bytes.map(stored)),
        log_state: Set(run.log_state.as_str().into()),
        last_sequence: Set(stored(run.last_sequence)),
        ..state_columns(&run.state)
    }
}

fn state_columns(state: &RunState) -> ActiveModel {
    let failure = state.failure.as_ref();
    ActiveModel {
        status: Set(state.status.as_str().into()),
        build_id: Set(state.build_id.map(|id| id.to_string())),
        failure_code: Set(failure.map(|failure| failure.code.as_str().into())),
        failure_stage: Set(failure.map(|failure| failure.stage.as_str().into())),
        failure_message: Set(failure.map(|failure| failure.message.clone())),
        engine_version: Set(state.engine_version.clone()),
        config_version: Set(state.config_version.clone()),
        env_reason: Set(state.env_reason.clone()),
        env_reused: Set(state.env_reused),
        started_at: Set(state.started_at.map(micros)),
        completed_at: Set(state.completed_at.map(micros)),
        exit_code: Set(state.exit_code),
        table_count: Set(state.table_count.map(stored)),
        row_count: Set(state.row_count.map(stored)),
        sheet_count: Set(state.sheet_count.map(stored)),
        max_validation_severity: Set(state.max_validation_severity.clone()),
        output_paths: Set(json(&state.output_paths)),
        processed_files: Set(json(&state.processed_files)),
        summary: Set(state.summary.clone()),
        has_output: Set(!state.output_paths.is_empty()),
        ..ActiveModel::default()
    }
}

fn record(mut row: Model) -> Result<Run, StoreError> {
    let state = state(&mut row)?;
    let cells = Cells { table: "runs", id: &row.id };
    Ok(Run {
        id: cells.id("id", &row.id)?,
        workspace_id: cells.id("workspace_id", &row.workspace_id)?,
        configuration_id: cells.id("configuration_id", &row.configuration_id)?,
        options: cells.json("options", row.options)?,
        attempt: cells.count("attempt", row.attempt)?,
        retry_of_run_id: cells.id_option("retry_of_run_id", row.retry_of_run_id.as_deref())?,
        node_id: cells.id("node_id", &row.node_id)?,
        created_at: row.created_at,
        log_degraded: row.log_degraded,
        durable_bytes: cells.count_option("durable_bytes", row.durable_bytes)?,
        log_state: cells.word("log_state", LogState::parse, &row.log_state)?,
        last_sequence: cells.count("last_sequence", row.last_sequence)?,
        state,
    })
}

fn state(row: &mut Model) -> Result<RunState, StoreError> {
    let cells = Cells { table: "runs", id: &row.id };
    Ok(RunState {
        status: cells.word("status", RunStatus::parse, &row.status)?,
        build_id: cells.id_option("build_id", row.build_id.as_deref())?,
        failure: failure(&cells, row)?,
        engine_version: row.engine_version.clone(),
        config_version: row.config_version.clone(),
        env_reason: row.env_reason.clone(),
        env_reused: row.env_reused,
        started_at: row.started_at,
        completed_at: row.completed_at,
        exit_code: row.exit_code,
        table_count: cells.count_option("table_count", row.table_count)?,
        row_count: cells.count_option("row_count", row.row_count)?,
        sheet_count: cells.count_option("sheet_count", row.sheet_count)?,
        max_validation_severity: row.max_validation_severity.clone(),
        output_paths: cells.json("output_paths", row.output_paths.take())?,
        processed_files: cells.json("processed_files", row.processed_files.take())?,
        summary: row.summary.take(),
    })
}

fn failure(cells: &Cells<'_>, row: &Model) -> Result<Option<RunFailure>, StoreError> {
    let Some(code) = &row.failure_code else { return Ok(None) };
    let stage = row.failure_stage.as_deref().ok_or_else(|| cells.unreadable("failure_stage"))?;
    let message = row.failure_message.clone().ok_or_else(|| cells.unreadable("failure_message"))?;
    Ok(Some(RunFailure { code: Label::stored(code), stage: Label::stored(stage), message }))
}

#[cfg(test)]
mod tests {
    use sea_orm::ConnectionTrait;
    use serde_json::json;

    use super::*;
    use crate::domain::configuration::Document;
    use crate::domain::id::NodeId;
    use crate::domain::list::{Comparison, Filter, Query, RUNS, Test, Value, Within};
    use crate::domain::principal::Scope;
    use crate::domain::run::{LogLevel, RunOptions};
    use crate::domain::{BuildId, ConfigurationId, DocumentId, RunId};
    use crate::store::Store;
    use crate::store::fixture::{TestStore, at, document, run};
    use crate::store::{Listed, Slice};

    fn full_options() -> RunOptions {
        RunOptions {
            dry_run: true,
            validate_only: true,
            force_rebuild: true,
            document_ids: vec![DocumentId::generate(), DocumentId::generate()],
            input_sheet_names: vec!["Blatt 1".into()],
            metadata: [("k\"ey".to_owned(), "v\n\té".to_owned())].into(),
            log_level: Some(LogLevel::Warning),
        }
    }

    fn full_state(status: RunStatus) -> RunState {
        RunState {
            status,
            build_id: Some(BuildId::generate()),
            failure: Some(RunFailure {
                code: Label::stored("hook_error"),
                stage: Label::stored("extracting"),
                message: "it broke".into(),
            }),
            engine_version: Some("1.2".into()),
            config_version: Some("0.1".into()),
            env_reason: Some("cache_hit".into()),
            env_reused: Some(false),
            started_at: Some(at(30)),
            completed_at: Some(at(1_000_040)),
            exit_code: Some(-9),
            table_count: Some(0),
            row_count: Some(5_000_000_000),
            sheet_count: Some(3),
            max_validation_severity: Some("warning".into()),
            output_paths: vec!["output/a b.xlsx".into()],
            processed_files: vec!["a.xlsx".into(), "ü.csv".into()],
            summary: Some(json!({"core": {"rows": 1.5, "none": null}})),
        }
    }

    async fn found(store: &Store, id: RunId) -> Run {
        store.find::<Run>(&Scope::All, id).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_run_comes_back_whole() {
        let (store, configuration) = TestStore::furnished().await;
        let sparse = run(&configuration);
        let full = Run {
            options: full_options(),
            attempt: 2,
            retry_of_run_id: Some(sparse.id),
            log_degraded: true,
            durable_bytes: Some(4096),
            last_sequence: 41,
            state: full_state(RunStatus::Failed),
            ..run(&configuration)
        };
        for id in &full.options.document_ids {
            store.insert_document(&Document { id: *id, ..document(run(&configuration).workspace_id) }).await.unwrap();
        }
        for run in [&sparse, &full] {
            store.insert(run, None).await.unwrap();
            assert_eq!(found(&store, run.id).await, *run);
        }
    }

    #[tokio::test]
    async fn times_keep_their_microseconds_and_their_order() {
        let (store, configuration) = TestStore::furnished().await;
        // As text these have no fraction, three digits and six: 1 s, 1.5 s, 1.500001 s, 2 s.
        let moments = [1_000_000, 1_500_000, 1_500_001, 2_000_000].map(at);
        for created_at in [moments[2], moments[0], moments[3], moments[1]] {
            store.insert(&Run { created_at, ..run(&configuration) }, None).await.unwrap();
        }
        let listed = store.page::<Run>(&Scope::All, &newest(), 1, 50).await.unwrap();
        let mut times: Vec<_> = listed.items.iter().map(|run| run.created_at).collect();
        times.reverse();
        assert_eq!(times, moments);
    }

    #[tokio::test]
    async fn a_foreign_run_is_neither_seen_nor_changed() {
        let (store, own) = TestStore::furnished().await;
        let foreign = store.furnish("other").await.workspace_id;
        let run = run(&own);
        store.insert(&run, None).await.unwrap();
        for scope in [Scope::Only(vec![]), Scope::Only(vec![foreign])] {
            assert_eq!(store.find::<Run>(&scope, run.id).await.unwrap(), None);
            let within = Within { workspace_id: Some(own.workspace_id), ..Within::default() };
            for query in [newest(), Query { within, ..newest() }] {
                assert_eq!(store.page::<Run>(&scope, &query, 1, 50).await.unwrap(), Listed { items: vec![], total: 0 });
                let slice = store.slice::<Run>(&scope, &query, None, 50).await.unwrap();
                assert_eq!(slice, Slice { items: vec![], next: None });
            }
        }
        assert!(!store.save_state::<Run>(foreign, run.id, &full_state(RunStatus::Failed), 5).await.unwrap());
        assert!(!store.set_degraded::<Run>(foreign, run.id, Some(1)).await.unwrap());
        assert_eq!(found(&store, run.id).await, run);
    }

    #[tokio::test]
    async fn state_only_moves_forward() {
        let (store, configuration) = TestStore::furnished().await;
        let run = run(&configuration);
        store.insert(&run, None).await.unwrap();
        let (of, id) = (run.workspace_id, run.id);
        let running = RunState { status: RunStatus::Running, ..RunState::default() };
        let ended = full_state(RunStatus::Succeeded);

        assert!(store.save_state::<Run>(of, id, &running, 3).await.unwrap());
        assert!(store.save_state::<Run>(of, id, &ended, 9).await.unwrap());
        assert!(!store.save_state::<Run>(of, id, &ended, 9).await.unwrap(), "again");
        assert!(!store.save_state::<Run>(of, id, &running, 4).await.unwrap(), "late");
        assert_eq!(found(&store, id).await, Run { state: ended, last_sequence: 9, ..run.clone() });
        assert!(!store.save_state::<Run>(of, RunId::generate(), &running, 99).await.unwrap(), "not there");
    }

    #[tokio::test]
    async fn a_saved_state_clears_what_the_log_no_longer_says() {
        let (store, configuration) = TestStore::furnished().await;
        let run = Run { state: full_state(RunStatus::Running), last_sequence: 1, ..run(&configuration) };
        store.insert(&run, None).await.unwrap();
        store.save_state::<Run>(run.workspace_id, run.id, &RunState::default(), 2).await.unwrap();
        assert_eq!(found(&store, run.id).await.state, RunState::default());
    }

    #[tokio::test]
    async fn degraded_is_set_beside_the_state() {
        let (store, configuration) = TestStore::furnished().await;
        let run = run(&configuration);
        store.insert(&run, None).await.unwrap();
        assert!(store.set_degraded::<Run>(run.workspace_id, run.id, Some(12)).await.unwrap());
        let expected = Run { log_degraded: true, durable_bytes: Some(12), ..run.clone() };
        assert_eq!(found(&store, run.id).await, expected);
        assert_eq!(store.degraded::<Run>(run.node_id).await.unwrap(), [], "it has not ended");
        let ended = full_state(RunStatus::Succeeded);
        store.save_state::<Run>(run.workspace_id, run.id, &ended, 9).await.unwrap();
        let expected = Run { state: ended, last_sequence: 9, ..expected };
        assert_eq!(store.degraded::<Run>(NodeId::generate()).await.unwrap(), []);
        assert_eq!(store.degraded::<Run>(run.node_id).await.unwrap(), std::slice::from_ref(&expected));
        assert!(store.set_degraded::<Run>(run.workspace_id, run.id, None).await.unwrap());
        assert_eq!(store.degraded::<Run>(run.node_id).await.unwrap(), []);
        assert_eq!(found(&store, run.id).await, Run { log_degraded: false, durable_bytes: None, ..expected });
    }

    #[tokio::test]
    async fn unfinished_runs_are_those_of_the_node_that_have_not_ended() {
        let (store, configuration) = TestStore::furnished().await;
        let node_id = NodeId::generate();
        for (micros, &status) in RunStatus::ALL.iter().enumerate() {
            let state = RunState { status, ..RunState::default() };
            let run = Run { node_id, created_at: at(micros as i64), state, ..run(&configuration) };
            store.insert(&run, None).await.unwrap();
        }
        store.insert(&run(&configuration), None).await.unwrap();
        let open = store.unfinished::<Run>(node_id).await.unwrap();
        let statuses: Vec<_> = open.iter().map(|run| run.state.status).collect();
        assert_eq!(statuses, [RunStatus::Queued, RunStatus::Building, RunStatus::Running]);
    }

    fn newest() -> Query {
        Query::all(RUNS.order)
    }

    #[tokio::test]
    async fn pages_are_newest_first_and_the_id_breaks_ties() {
        let (store, configuration) = TestStore::furnished().await;
        let mut runs: Vec<_> = (0..7).map(|n| Run { created_at: at(n / 3), ..run(&configuration) }).collect();
        for run in &runs {
            store.insert(run, None).await.unwrap();
        }
        runs.sort_by_key(|run| std::cmp::Reverse((run.created_at, run.id)));
        let mut paged = Vec::new();
        for page in 1..=4 {
            let listed = store.page::<Run>(&Scope::All, &newest(), page, 3).await.unwrap();
            assert_eq!(listed.total, 7);
            paged.extend(listed.items);
        }
        assert_eq!(paged, runs);
        let beyond = store.page::<Run>(&Scope::All, &newest(), u64::MAX, 50).await.unwrap();
        assert_eq!((beyond.items.len(), beyond.total), (0, 7));
    }

    #[tokio::test]
    async fn a_list_is_limited_to_its_branch_and_its_items_have_no_summary() {
        let (store, one) = TestStore::furnished().await;
        let two = store.furnish("other").await;
        let failed = Run { state: full_state(RunStatus::Failed), ..run(&two) };
        for run in [&run(&one), &run(&two), &failed] {
            store.insert(run, None).await.unwrap();
        }
        let total = async |within: Within| {
            store.page::<Run>(&Scope::All, &Query { within, ..newest() }, 1, 1).await.unwrap().total
        };
        let of = |configuration_id| Within { configuration_id: Some(configuration_id), ..Within::default() };
        assert_eq!(total(Within::default()).await, 3);
        assert_eq!(total(Within { workspace_id: Some(two.workspace_id), ..Within::default() }).await, 2);
        assert_eq!(total(of(one.id)).await, 1);
        assert_eq!(total(of(ConfigurationId::generate())).await, 0);
        let status = Test::Compare(Comparison::Eq, Value::Text("failed".into()));
        let query = Query { filter: Filter::Test(Field::Status, status), ..newest() };
        let mut bare = failed.clone();
        bare.state.summary = None;
        let listed = store.page::<Run>(&Scope::All, &query, 1, 50).await.unwrap();
        assert_eq!(listed, Listed { items: vec![bare], total: 1 });
    }

    #[tokio::test]
    async fn an_unreadable_row_is_named() {
        let (store, configuration) = TestStore::furnished().await;
        let run = run(&configuration);
        store.insert(&run, None).await.unwrap();
        store.read().execute_unprepared("update runs set status = 'flying'").await.unwrap();
        let error = store.find::<Run>(&Scope::All, run.id).await.unwrap_err();
        assert_eq!(error.to_string(), format!("row {} of table runs has an unreadable status", run.id));
    }
}
