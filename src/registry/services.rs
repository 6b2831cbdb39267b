//! What work is started with: the store, the logs, the settings, and the threads it runs on.

use std::future::Future;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::{Arbiter, ArbiterHandle};
use tokio::sync::oneshot;

use super::admission::Admission;
use super::followers::Followers;
use super::keyed_locks::KeyedLocks;
use super::leases::Leases;
use super::meters::WorkMeters;
use super::safe_mode::SafeModeSwitch;
use super::trees::Trees;
use crate::cluster::Nodes;
use crate::config::Settings;
use crate::depot::Depot;
use crate::domain::id::NodeId;
use crate::feed::Feeds;
use crate::llm::Models;
use crate::log::LogRoot;
use crate::store::Store;
use crate::stream::{MetersByKind, Replicas, StreamOptions};
use crate::worker::WorkContext;
use crate::worker::process::Marker;
use crate::worker::run::Capacity;
use crate::worker::venv::marker::probe_writable;

/// Shared by all of the registry; cheap to clone.
#[derive(Clone)]
pub struct Services {
    pub store: Store,
    pub log: LogRoot,
    pub settings: Arc<Settings>,
    pub node_id: NodeId,
    /// This one, and those that share its database.
    pub nodes: Nodes,
    pub arbiters: Arbiters,
    pub work: Arc<WorkContext>,
    pub capacity: Capacity,
    pub admission: Admission,
    pub safe_mode: SafeModeSwitch,
    /// A request waits for its twin, so that it finds what that one has created.
    pub idempotency_locks: KeyedLocks,
    /// Of configurations: a change sees the status and the files that it is made for.
    pub editing: KeyedLocks,
    /// Which of their archives are on this disk.
    pub trees: Trees,
    pub leases: Leases,
    pub feeds: Feeds,
    /// Where the files of documents are.
    pub depot: Depot,
    pub models: Models,
    /// The other nodes whose logs are copied here, and their streams.
    pub followers: Followers,
    pub replicas: Replicas,
    /// What streams, and work, count.
    pub streams: MetersByKind,
    pub meters: WorkMeters,
}

impl Services {
    /// Starts the threads of streams and workers; must be called within an actix system.
    pub fn new(settings: Arc<Settings>, store: Store, log: LogRoot, node_id: NodeId, models: Models) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self::on(Arbiters::start(cores), settings, store, log, node_id, models)
    }

    /// As [`Services::new`], on threads that are there.
    pub fn on(
        arbiters: Arbiters,
        settings: Arc<Settings>,
        store: Store,
        log: LogRoot,
        node_id: NodeId,
        models: Models,
    ) -> Self {
        let capacity = Capacity::new(settings.limits.max_concurrency, settings.limits.queue_size);
        let (of_feeds, streams) = (arbiters.clone(), MetersByKind::default());
        let replicas = Replicas::new(log.clone(), streams.clone());
        let options = stream_options(&settings, &streams, &replicas);
        let feeds = Feeds::new(log.clone(), store.clone(), node_id, options.into(), move || of_feeds.stream());
        let depot = Depot::on_disk(settings.storage.data_dir.clone(), store.clone());
        Self {
            depot,
            safe_mode: SafeModeSwitch::new(settings.server.safe_mode, store.clone(), capacity.clone()),
            work: Arc::new(WorkContext::new(settings.clone(), marker(&settings.storage.data_dir, node_id))),
            admission: Admission::default(),
            idempotency_locks: KeyedLocks::default(),
            editing: KeyedLocks::default(),
            trees: Trees::default(),
            store,
            log,
            node_id,
            nodes: Nodes::alone(node_id),
            arbiters,
            capacity,
            leases: Leases::default(),
            feeds,
            models,
            followers: Followers::default(),
            replicas,
            streams,
            meters: WorkMeters::default(),
            settings,
        }
    }

    /// With files elsewhere than on the disk alone.
    pub fn keeping_files_in(self, depot: Depot) -> Self {
        Self { depot, ..self }
    }

    /// As one of several nodes.
    pub fn among(self, nodes: Nodes) -> Self {
        if !nodes.is_alone() {
            self.feeds.share();
        }
        Self { nodes, ..self }
    }

    pub fn stream_options(&self) -> StreamOptions {
        stream_options(&self.settings, &self.streams, &self.replicas)
    }
}

/// What this data directory's children carry. A copy of the directory has the same node id and is another directory: its service
/// must not take this one's children for its own.
pub fn marker(data_dir: &Path, node_id: NodeId) -> Marker {
    let place = std::fs::metadata(data_dir).map_or((0, 0), |directory| (directory.dev(), directory.ino()));
    Marker::node(format!("{node_id}-{:x}-{:x}", place.0, place.1))
}

fn stream_options(settings: &Settings, meters: &MetersByKind, replicas: &Replicas) -> StreamOptions {
    StreamOptions {
        heartbeat: settings.stream.sse_heartbeat,
        max_subscribers: settings.limits.max_subscribers,
        meters: meters.clone(),
        replicas: Some(replicas.clone()),
    }
}

/// Builds need a directory that can be written: better a failed start than a failed build.
pub fn probe_venvs(settings: &Settings) -> io::Result<()> {
    probe_writable(&settings.build.venvs_dir)
}

/// Threads for streams and threads for workers, apart: a worker that parses a child's flood of output
/// must not hold up the streams of others.
#[derive(Clone)]
pub struct Arbiters {
    streams: Arc<[ArbiterHandle]>,
    workers: Arc<[ArbiterHandle]>,
    next: Arc<AtomicUsize>,
}

impl Arbiters {
    /// Starts `count` threads of each kind; must be called within an actix system.
    pub fn start(count: usize) -> Self {
        let handles = || (0..count.max(1)).map(|_| Arbiter::new().handle()).collect();
        Self { streams: handles(), workers: handles(), next: Arc::default() }
    }

    pub fn stream(&self) -> ArbiterHandle {
        self.pick(&self.streams)
    }

    pub fn worker(&self) -> ArbiterHandle {
        self.pick(&self.workers)
    }

    /// Runs a command to its end on a worker thread, whether or not the caller waits for it.
    pub async fn run<Fut>(&self, command: impl FnOnce() -> Fut + Send + 'static) -> Fut::Output
    where
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        self.worker().spawn_fn(move || {
            actix::spawn(async move {
                let _ = answer.send(command().await);
            });
        });
        outcome.await.expect("a command ends with an answer unless it panicked")
    }

    fn pick(&self, handles: &[ArbiterHandle]) -> ArbiterHandle {
        handles[self.next.fetch_add(1, Ordering::Relaxed) % handles.len()].clone()
    }
}
