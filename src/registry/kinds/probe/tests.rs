//! A probe is created, joined by its key, followed, cancelled, retried, listed, recovered and repeated in the feed by the
//! same code as every other kind of work.

use chrono::{TimeDelta, Utc};
use tempfile::TempDir;

use super::session::NewProbe;
use super::{PROBE, Probe, ProbeId, ProbeState, ProbeStatus, Then};
use crate::app::{Application, RunError, StopHandle};
use crate::config::{Environment, Settings, Sources};
use crate::domain::configuration::Workspace;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::list::{Query, WORKSPACES};
use crate::domain::principal::{Principal, Scope};
use crate::domain::sequence::Start;
use crate::domain::status::LogState;
use crate::domain::time::micros;
use crate::domain::work::Work as _;
use crate::domain::{StreamId, StreamKey, WorkspaceId};
use crate::event::codec::raw_type;
use crate::log::LogReader;
use crate::log::verify::verify_log;
use crate::registry::error::CreateError;
use crate::registry::{Created, RegistryHandle};
use crate::store::{FinishedQuery, Store};
use crate::stream::Item;

/// A data directory with a workspace.
struct Ground {
    directory: TempDir,
    workspace_id: WorkspaceId,
}

impl Ground {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let workspace = Workspace {
            id: WorkspaceId::generate(),
            name: "Probes".into(),
            slug: "probes".into(),
            created_at: micros(Utc::now()),
            is_default: false,
        };
        let ground = Self { directory, workspace_id: workspace.id };
        let store = ground.store().await;
        store.migrate().await.unwrap();
        store.insert_workspace(&workspace).await.unwrap();
        ground
    }

    fn url(&self) -> String {
        format!("sqlite://{}?mode=rwc", self.directory.path().join("ade.db").display())
    }

    /// As others see it who use the database beside the service.
    async fn store(&self) -> Store {
        Store::connect(&self.url(), 2).await.unwrap()
    }

    async fn start(&self) -> Service {
        let directory = self.directory.path().display().to_string();
        let environment = Environment::from_iter([
            ("ADE_DATA_DIR".to_owned(), directory),
            ("ADE_DATABASE_URL".to_owned(), self.url()),
            ("ADE_BIND".to_owned(), "127.0.0.1:0".to_owned()),
        ]);
        let settings = Settings::load(&Sources { environment, ..Sources::default() }).unwrap();
        let application = Application::build(settings).await.unwrap();
        let (registry, stop) = (application.registry().clone(), application.stop_handle());
        Service { registry, stop, running: actix::spawn(application.run()) }
    }
}

struct Service {
    registry: RegistryHandle,
    stop: StopHandle,
    running: tokio::task::JoinHandle<Result<(), RunError>>,
}

impl Service {
    async fn create(&self, new: NewProbe, key: Option<&str>) -> Created<Probe> {
        let key = key.map(|key| IdempotencyKey::parse(key.as_bytes()).unwrap());
        self.registry.create::<Probe>(Principal::local(), new, key).await.unwrap()
    }

    async fn show(&self, id: ProbeId) -> Probe {
        self.registry.show::<Probe>(&Principal::local(), id).await.unwrap().unwrap()
    }

    /// The types of a stream's events from its first to its last.
    async fn types(&self, key: StreamKey) -> Vec<String> {
        let mut follow = self.registry.follow(key, Start::default()).await.unwrap();
        let mut types = Vec::new();
        loop {
            match follow.next().await.unwrap() {
                Item::Chunk(chunk) => chunk.for_each(|sequence, line| {
                    types.push(String::from_utf8_lossy(raw_type(line)).into_owned());
                    assert_eq!(sequence, types.len() as u64);
                }),
                Item::Heartbeat => {}
                Item::End(_) => return types,
            }
        }
    }

    async fn stop(self) {
        self.stop.stop(false);
        self.running.await.unwrap().unwrap();
    }
}

fn counting(ground: &Ground, target: u64) -> NewProbe {
    NewProbe { workspace_id: ground.workspace_id, target, then: Then::Ends }
}

#[actix::test]
async fn a_probe_counts_in_its_stream_and_its_row_follows() {
    let ground = Ground::new().await;
    let service = ground.start().await;
    let refused = service.registry.create::<Probe>(Principal::local(), counting(&ground, 0), None).await;
    assert!(matches!(refused, Err(CreateError::Refused(_))));
    let Created { work, replayed } = service.create(counting(&ground, 3), Some("k")).await;
    assert!(!replayed && work.state == ProbeState::default());
    let counted = ["probe.started", "probe.counted", "probe.counted", "probe.counted", "probe.completed"];
    assert_eq!(service.types(work.stream_key()).await, counted);
    let state = service.show(work.id).await.state;
    assert_eq!((state.status, state.counted), (ProbeStatus::Succeeded, 3));

    let again = service.create(counting(&ground, 3), Some("k")).await;
    assert!(again.replayed && again.work.id == work.id);
    let retried = service.registry.retry::<Probe>(Principal::local(), work.id, None).await.unwrap().work;
    assert!(retried.id != work.id && service.types(retried.stream_key()).await == counted);
    service.stop().await;
    let checked =
        verify_log(&LogReader::of(ground.directory.path(), work.stream_key()).unwrap(), work.stream_key(), true);
    assert_eq!(checked.unwrap().violations, []);
}

#[actix::test]
async fn a_probe_is_recovered_and_cancelled() {
    let ground = Ground::new().await;
    let service = ground.start().await;
    let work = service.create(NewProbe { then: Then::WaitsForCancel, ..counting(&ground, 2) }, None).await.work;
    service.stop().await;
    let unfinished = ground.store().await.unfinished::<Probe>(work.node_id).await.unwrap();
    assert_eq!(unfinished.iter().map(|probe| probe.id).collect::<Vec<_>>(), [work.id]);

    let service = ground.start().await;
    let observed = service.registry.observe().await.unwrap();
    assert_eq!(observed.work["probes"], 1);
    assert!(service.registry.cancel::<Probe>(Principal::local(), work.id, None).await.unwrap());
    assert_eq!(
        service.types(work.stream_key()).await,
        ["probe.started", "probe.counted", "probe.counted", "probe.completed"]
    );
    assert_eq!(service.show(work.id).await.state.status, ProbeStatus::Cancelled);
    service.stop().await;
}

#[actix::test]
async fn a_probe_that_panics_is_ended_and_its_row_agrees_with_its_log() {
    let ground = Ground::new().await;
    let service = ground.start().await;
    let work = service.create(NewProbe { then: Then::Panics, ..counting(&ground, 2) }, None).await.work;
    assert_eq!(service.types(work.stream_key()).await.last().unwrap(), "probe.completed");
    let state = service.show(work.id).await.state;
    assert_eq!((state.status, state.counted), (ProbeStatus::Failed, 2));
    service.stop().await;
    let verified =
        crate::cli::verify::verify_data_dir(ground.directory.path(), Some(&ground.store().await), None).await.unwrap();
    assert_eq!(verified.violations, [""; 0]);
}

#[actix::test]
async fn probes_are_listed_kept_and_repeated_in_the_feed() {
    let ground = Ground::new().await;
    let service = ground.start().await;
    let work = service.create(counting(&ground, 1), None).await.work;
    service.types(work.stream_key()).await;
    // Its row is final when it is shown.
    let ended = service.show(work.id).await;
    let mut feed = service.registry.follow(StreamKey::feed(ground.workspace_id), Start::default()).await.unwrap();
    let line = loop {
        if let Item::Chunk(chunk) = feed.next().await.unwrap() {
            break chunk.lines();
        }
    };
    let event: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!((&event["type"], &event["probe_id"]), (&"probe.completed".into(), &work.id.to_string().into()));
    drop(feed);
    service.stop().await;

    let store = ground.store().await;
    let scope = Scope::Only(vec![ground.workspace_id]);
    let listed = store.page::<Probe>(&scope, &Query::all(WORKSPACES.order), 1, 10).await.unwrap();
    assert_eq!(listed.items, std::slice::from_ref(&ended));
    let query = FinishedQuery {
        node_id: work.node_id,
        kind: PROBE,
        states: &[LogState::Plain],
        completed_before: ended.state.completed_at.unwrap() + TimeDelta::seconds(1),
        after: None,
        limit: 10,
    };
    let finished = store.finished_logs(&query).await.unwrap();
    assert_eq!(finished.iter().map(|log| log.key).collect::<Vec<_>>(), [work.stream_key()]);
    assert!(store.set_log_state(work.stream_key(), LogState::Expiring).await.unwrap());
    assert_eq!(store.log_facts(work.stream_key()).await.unwrap().unwrap().state, LogState::Expiring);
    assert_eq!(StreamId::parse(&work.id.to_string()), Some(work.id.into()));
}
