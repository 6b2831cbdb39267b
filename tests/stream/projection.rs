//! Rows and summaries are folds of logs: the same log gives the same row, however often and from wherever it is folded.

use std::sync::Arc;
use std::time::Duration;

use ade::domain::configuration::{Configuration, Workspace};
use ade::domain::execution::{Execution, ExecutionState};
use ade::domain::id::NodeId;
use ade::domain::principal::Scope;
use ade::domain::progress::StepKey;
use ade::domain::run::{Run, RunOptions, RunState};
use ade::domain::sequence::Start;
use ade::domain::status::{ExecutionStatus, RunStatus};
use ade::domain::time::{Timestamp, micros};
use ade::domain::workflow::NewWorkflow;
use ade::domain::workflow_document::WorkScope;
use ade::domain::{ConfigurationId, ExecutionId, RunId, StreamKey, WorkspaceId};
use ade::event::payload::execution::Complete;
use ade::event::payload::run::Completed;
use ade::event::{Draft, Identity, Source, codec};
use ade::projection::{self, RetryPolicy, Target};
use ade::store::Store;
use ade::summary::{ExecutionFold, Fact, RunFold};
use serde_json::{Value, json};

use super::support::{World, in_system, line};
use ade_test_support::database::TestDatabase;

/// A log as the service wrote it.
const RECORDED: &[u8] = include_bytes!("recorded_run.ndjson");

fn lines(log: &[u8]) -> impl Iterator<Item = &[u8]> {
    log.split_inclusive(|&byte| byte == b'\n')
}

fn payload(line: &[u8]) -> Value {
    serde_json::from_str(codec::decode(line).unwrap().payload.get()).unwrap()
}

/// Whose log it is.
fn ids(log: &[u8]) -> (RunId, WorkspaceId, ConfigurationId) {
    let first: Value = serde_json::from_slice(lines(log).next().unwrap()).unwrap();
    let id = |name: &str| first[name].as_str().unwrap().to_owned();
    (id("run_id").parse().unwrap(), id("workspace_id").parse().unwrap(), id("configuration_id").parse().unwrap())
}

fn fold(log: &[u8]) -> RunState {
    let (run, workspace, configuration) = ids(log);
    let mut fold = RunFold::new(run, workspace, configuration);
    for line in lines(log) {
        fold.apply(Fact::from(&codec::decode(line).unwrap()));
    }
    fold.state().clone()
}

#[test]
fn the_summary_in_the_terminal_event_is_the_fold_of_the_log_before_it() {
    let last = lines(RECORDED).last().unwrap();
    let completed: Completed = serde_json::from_value(payload(last)).unwrap();
    let state = fold(RECORDED);
    assert_eq!(state.status, RunStatus::Succeeded);
    assert!(state.row_count.is_some_and(|rows| rows > 0), "the recorded run has read something");
    // The log is an old one: what its summary says holds still, and there may be more to say.
    assert!(holds(state.summary.as_ref().unwrap(), completed.summary.as_ref().unwrap()), "{:?}", state.summary);
}

/// Whether a value has everything that an older one has.
fn holds(value: &Value, older: &Value) -> bool {
    match (value, older) {
        (Value::Object(value), Value::Object(older)) => {
            older.iter().all(|(key, older)| value.get(key).is_some_and(|value| holds(value, older)))
        }
        (Value::Array(value), Value::Array(older)) => {
            value.len() == older.len() && value.iter().zip(older).all(|(value, older)| holds(value, older))
        }
        _ => value == older,
    }
}

#[test]
fn irrelevant_events_change_no_fold() {
    let minded: Vec<u8> =
        lines(RECORDED).filter(|line| RunFold::is_relevant(codec::raw_type(line))).flatten().copied().collect();
    assert!(lines(&minded).count() < lines(RECORDED).count());
    assert_eq!(fold(&minded), fold(RECORDED));
}

/// A database in which the run is queued.
struct Rows {
    store: Store,
    run: Run,
    // Dropped after the store.
    database: TestDatabase,
}

impl Rows {
    async fn with(run_id: RunId, workspace_id: WorkspaceId, configuration_id: ConfigurationId) -> Self {
        let database = TestDatabase::create();
        let store = Store::connect(database.url(), 4).await.unwrap();
        store.migrate().await.unwrap();
        let now = micros(chrono::Utc::now());
        let workspace = Workspace {
            id: workspace_id,
            name: "Acme".into(),
            slug: "acme".into(),
            created_at: now,
            is_default: false,
        };
        store.insert_workspace(&workspace).await.unwrap();
        let configuration =
            Configuration { id: configuration_id, ..Configuration::draft(workspace_id, "Members", now) };
        store.insert_configuration(&configuration).await.unwrap();
        let run = queued(run_id, workspace_id, configuration_id, now);
        store.insert(&run, None).await.unwrap();
        Self { store, run, database }
    }

    async fn of(world: &World) -> Self {
        let (workspace_id, id) = (world.key().workspace_id(), world.key().id().try_into().expect("worlds are of runs"));
        Self::with(id, workspace_id, ConfigurationId::generate()).await
    }

    async fn row(&self) -> Run {
        self.store.find::<Run>(&Scope::All, self.run.id).await.unwrap().unwrap()
    }
}

fn queued(id: RunId, workspace_id: WorkspaceId, configuration_id: ConfigurationId, now: Timestamp) -> Run {
    Run { id, ..Run::queued((workspace_id, configuration_id), RunOptions::default(), NodeId::generate(), now) }
}

/// A world with the first `count` events of the recorded log in its file.
fn recorded_world(count: usize) -> World {
    let (run_id, workspace_id, configuration_id) = ids(RECORDED);
    let identity = Identity::new(StreamKey::of(workspace_id, run_id), configuration_id);
    let world = World { identity, ..World::quick() };
    std::fs::create_dir_all(world.path().parent().unwrap()).unwrap();
    let beginning: Vec<u8> = lines(RECORDED).take(count).flatten().copied().collect();
    std::fs::write(world.path(), beginning).unwrap();
    world
}

/// Folds what the log holds into the row, as a start of the service does.
async fn project(rows: &Rows, world: &World) {
    let life = world.live().await;
    let follow = life.stream.follow(Start::default()).unwrap();
    if !life.stream.tail().closed {
        life.stream.hub().set_halt(ade::stream::window::Halt::Draining);
    }
    projection::project(&rows.store, follow, Target::new(&rows.run), RetryPolicy::NONE).await.unwrap();
    life.end().await;
}

#[test]
fn a_row_is_the_fold_of_its_log_and_stays_so_when_it_is_folded_again() {
    in_system(async {
        let (run_id, workspace_id, configuration_id) = ids(RECORDED);
        let rows = Rows::with(run_id, workspace_id, configuration_id).await;
        let count = lines(RECORDED).count();
        let world = recorded_world(count);
        project(&rows, &world).await;
        let row = rows.row().await;
        assert_eq!((&row.state, row.last_sequence), (&fold(RECORDED), count as u64));
        project(&rows, &world).await;
        assert_eq!(rows.row().await, row);
    });
}

#[test]
fn a_partial_row_is_completed_and_an_older_fold_never_reverts_it() {
    in_system(async {
        let (run_id, workspace_id, configuration_id) = ids(RECORDED);
        let rows = Rows::with(run_id, workspace_id, configuration_id).await;
        let count = lines(RECORDED).count();
        let minded = lines(RECORDED).enumerate().filter(|(_, line)| RunFold::is_relevant(codec::raw_type(line)));
        for (index, _) in minded {
            let world = recorded_world(index + 1);
            let beginning: Vec<u8> = lines(RECORDED).take(index + 1).flatten().copied().collect();
            project(&rows, &world).await;
            let row = rows.row().await;
            assert_eq!((row.state, row.last_sequence), (fold(&beginning), index as u64 + 1));
        }
        let row = rows.row().await;
        assert_eq!(row.last_sequence, count as u64);
        project(&rows, &recorded_world(count / 2)).await;
        assert_eq!(rows.row().await, row);
    });
}

#[test]
fn a_live_row_follows_its_stream_to_the_end_through_deaths_of_the_actor() {
    in_system(async {
        let world = World::new();
        let (rows, life) = (Rows::of(&world).await, world.live().await);
        let mut projected = projection::spawn(rows.store.clone(), life.stream.clone(), &rows.run);
        let say = async |kind: &'static str, payload: Value| {
            life.stream.append_one(Draft::new(kind, Source::Api, &payload)).await.unwrap();
            life.stream.panic().await;
        };
        say("run.queued", json!({"options": {"document_ids": ["doc_1"]}})).await;
        say("run.started", json!({"status": "in_progress", "mode": "execute", "engine_version": "1", "config_version": null, "env": {"reason": "reuse_ok", "reused": true}})).await;
        life.stream.append((0..100).map(|index| line(format!("{index}"), 100)).collect::<Arc<[_]>>()).await.unwrap();
        say("run.completed", json!({"status": "failed", "failure": null, "execution": {"exit_code": 3, "duration_ms": 1}, "artifacts": {"output_paths": [], "events_path": "logs/events.ndjson"}, "summary": null})).await;
        projected.wait_for(|done| *done).await.unwrap();
        let row = rows.row().await;
        assert_eq!((row.state.status, row.state.exit_code, row.last_sequence), (RunStatus::Failed, Some(3), 103));
        life.end().await;
        let mut fold = RunFold::new(rows.run.id, rows.run.workspace_id, rows.run.configuration_id);
        let log = std::fs::read(world.path()).unwrap();
        lines(&log).for_each(|line| fold.apply(Fact::from(&codec::decode(line).unwrap())));
        assert_eq!(&row.state, fold.state());
    });
}

#[test]
fn a_row_waits_for_a_database_that_is_away_and_its_stream_does_not() {
    in_system(async {
        let world = World::new();
        let (rows, life) = (Rows::of(&world).await, world.live().await);
        rows.database.execute("ALTER TABLE runs RENAME TO runs_elsewhere");
        let mut projected = projection::spawn(rows.store.clone(), life.stream.clone(), &rows.run);
        for (kind, payload) in [
            ("run.queued", json!({"options": {"document_ids": []}})),
            (
                "run.completed",
                json!({"status": "failed", "failure": null, "execution": {"exit_code": 3, "duration_ms": 1}, "artifacts": {"output_paths": [], "events_path": "logs/events.ndjson"}, "summary": null}),
            ),
        ] {
            life.stream.append_one(Draft::new(kind, Source::Api, &payload)).await.unwrap();
        }
        assert!(life.stream.tail().closed, "the stream has ended without its row");
        let given_up = tokio::time::timeout(Duration::from_millis(500), projected.changed()).await;
        assert!(given_up.is_err(), "the row is not given up");
        rows.database.execute("ALTER TABLE runs_elsewhere RENAME TO runs");
        projected.wait_for(|done| *done).await.unwrap();
        let row = rows.row().await;
        assert_eq!((row.state.status, row.state.exit_code, row.last_sequence), (RunStatus::Failed, Some(3), 2));
        life.end().await;
    });
}

#[test]
fn the_row_of_an_execution_follows_its_stream() {
    in_system(async {
        let (workspace_id, id) = (WorkspaceId::generate(), ExecutionId::generate());
        let rows = Rows::with(RunId::generate(), workspace_id, ConfigurationId::generate()).await;
        let execution = pending(id, workspace_id);
        let new = NewWorkflow {
            workflow_id: "plan".into(),
            name: "Plan".into(),
            description: String::new(),
            step_count: 1,
            definition: json!({}),
        };
        rows.store.insert_workflow(workspace_id, &new, execution.created_at).await.unwrap();
        rows.store.insert(&execution, None).await.unwrap();
        let world = World { identity: Identity::of_execution(workspace_id, id, "plan"), ..World::new() };
        let life = world.live().await;
        let mut projected = projection::spawn(rows.store.clone(), life.stream.clone(), &execution);
        let say = async |draft: Draft| life.stream.append_one(draft).await.unwrap();
        let started =
            json!({"workflow_id": "plan", "revision": 1, "scope_type": "project", "scope_id": "42", "steps": ["a"]});
        say(Draft::new("execution_started", Source::Api, &started)).await;
        let began = json!({"attempt": 1, "role": "writer", "model": "small", "inputs": []});
        say(Draft::new("step_started", Source::Api, &began).of_step(StepKey::step("a"))).await;
        let ended = Complete {
            status: ExecutionStatus::Cancelled,
            failure: None,
            totals: Default::default(),
            documents: Vec::new(),
        };
        say(Draft::new("complete", Source::Api, &ended)).await;
        projected.wait_for(|done| *done).await.unwrap();
        life.end().await;
        let mut fold = ExecutionFold::default();
        let log = std::fs::read(world.path()).unwrap();
        lines(&log).for_each(|line| fold.apply(Fact::from(&codec::decode(line).unwrap())));
        let row = rows.store.find::<Execution>(&Scope::All, id).await.unwrap().unwrap();
        assert_eq!((row.state.status, row.last_sequence), (ExecutionStatus::Cancelled, 3));
        assert!(row.state.started_at.is_some() && row.state.completed_at.is_some());
        assert_eq!(row, Execution { state: ExecutionState::from(fold.progress()), last_sequence: 3, ..execution });
    });
}

fn pending(id: ExecutionId, workspace_id: WorkspaceId) -> Execution {
    Execution {
        id,
        workspace_id,
        workflow_id: "plan".into(),
        revision: 1,
        scope: WorkScope { scope_type: "project".into(), scope_id: "42".into() },
        input: None,
        retry_of_execution_id: None,
        created_by: "local".into(),
        node_id: NodeId::generate(),
        created_at: micros(chrono::Utc::now()),
        log_degraded: false,
        durable_bytes: None,
        log_state: Default::default(),
        last_sequence: 0,
        state: ExecutionState::default(),
    }
}
