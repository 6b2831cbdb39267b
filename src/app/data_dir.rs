//! A data directory, locked, and what is open in it: database, logs, the registry.
//!
//! Law: nothing in it is opened before the lock is held, and it is held until all of it is closed.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::lock::{self, LockError, Owner};
use super::models::models;
use super::objects::archive;
use super::start_error::StartError;
use crate::backup::UNFINISHED;
use crate::blocking::blocking;
use crate::cluster::{Nodes, Presence};
use crate::config::{ClusterSettings, ClusterSignIn, Durability, KeptIn, Settings};
use crate::depot::{Depot, RemoteOptions};
use crate::domain::id::NodeId;
use crate::files::Dir;
use crate::log::{
    self, ClusterOptions, LogOptions, LogRoot, NatsCredentials, OpenClusterError, OpenRootError, RealDisk, Stop,
};
use crate::maintenance;
use crate::registry::{INCOMING, RegistryHandle, Services, probe_venvs};
use crate::store::{MigrateError, Store};

/// The locked data directory, and what is open in it.
pub struct DataDir {
    pub registry: RegistryHandle,
    pub services: Services,
    pub settings: Arc<Settings>,
    pub owner: Owner,
    /// None of a command at rest, which no other node is to see.
    presence: Option<Presence>,
    /// Held as long as this lives.
    lock: File,
}

/// What a data directory is opened for.
pub enum Purpose {
    /// To work there, unless it is asked to stop before it has taken a journal in a cluster over.
    Service(Stop),
    /// For a command while no service is at work there.
    AtRest,
}

impl DataDir {
    /// Locks the directory and opens everything in it. Must be called within an actix system.
    pub async fn open(settings: Settings, purpose: Purpose) -> Result<Self, StartError> {
        let settings = Arc::new(settings);
        let data_dir = settings.storage.data_dir.clone();
        let unusable = |source| StartError::DataDir { path: data_dir.clone(), source };
        std::fs::create_dir_all(&data_dir).map_err(unusable)?;
        let lock = lock::lock(&data_dir).await.map_err(|error| match error {
            LockError::Io(source) => unusable(source),
            held => StartError::InUse(held),
        })?;
        if Dir::root(&data_dir).and_then(|dir| dir.has(UNFINISHED)).map_err(unusable)? {
            return Err(StartError::Unrestored { path: data_dir });
        }
        let node_id = node_id(&data_dir).map_err(unusable)?;
        let owner = Owner::this(node_id);
        lock::write(&lock, &owner).map_err(unusable)?;
        probe_venvs(&settings)
            .map_err(|source| StartError::VenvsDir { path: settings.build.venvs_dir.clone(), source })?;
        let models = models(&settings.llm)?;
        let store = open_store(&settings).await?;
        let nodes = nodes(&settings, node_id);
        let presence = match purpose {
            // Before it has its journal: nobody takes a node for lost that is about to begin.
            Purpose::Service(_) => Some(Presence::begin(nodes.clone(), store.clone()).await?),
            Purpose::AtRest => None,
        };
        let log = open_log(&settings, node_id, purpose).await?;
        if !nodes.is_alone() {
            let epoch = log.journal_state().epoch;
            nodes.begin_epoch(epoch);
            store.note_epoch(node_id, epoch).await?;
        }
        attach_archive(&settings, &log).await?;
        let depot = depot(&settings, &store, &log, node_id);
        let services = Services::new(settings.clone(), store, log, node_id, models);
        let services = services.keeping_files_in(depot).among(nodes);
        let registry = RegistryHandle::start(services.clone());
        Ok(Self { registry, services, settings, owner, presence, lock })
    }

    /// Publishes the address of the service in the lock file.
    pub fn announce(&mut self, address: SocketAddr) -> Result<(), StartError> {
        self.owner.address = Some(address);
        let path = &self.settings.storage.data_dir;
        lock::write(&self.lock, &self.owner).map_err(|source| StartError::DataDir { path: path.clone(), source })
    }

    pub fn maintained(&self) -> maintenance::Service {
        maintenance::Service { registry: self.registry.clone(), services: self.services.clone() }
    }

    /// Closes what is open, the logs durably. No work may be running any more.
    pub async fn close(self) {
        let Services { store, log, depot, followers, .. } = self.services;
        depot.stop();
        let closed = tokio::task::spawn_blocking(move || {
            followers.stop();
            log.close();
        });
        let _ = closed.await;
        // The next node may go on with what is left of its work: its journal takes nothing more.
        if let Some(presence) = self.presence {
            presence.end().await;
        }
        let _ = store.close().await;
    }
}

/// A data directory that no service holds, nor can while this lives. What only the journal had is in the logs.
pub struct AtRest(#[allow(dead_code, reason = "held")] File);

/// None while a service is at work there: what it has acknowledged is in the logs.
pub async fn hold_at_rest(settings: &Settings) -> Result<Option<AtRest>, StartError> {
    let data_dir = &settings.storage.data_dir;
    let unusable = |source| StartError::DataDir { path: data_dir.clone(), source };
    let lock = match lock::lock(data_dir).await {
        Err(LockError::Held(_)) => return Ok(None),
        Err(LockError::Io(source)) => return Err(unusable(source)),
        Ok(lock) => lock,
    };
    let log = open_log(settings, node_id(data_dir).map_err(unusable)?, Purpose::AtRest).await?;
    let closed = tokio::task::spawn_blocking(move || log.close()).await;
    closed.map_err(|error| unusable(io::Error::other(error)))?;
    Ok(Some(AtRest(lock)))
}

/// What the service writes of itself into a data directory is smaller.
const SMALL: u64 = 64 * 1024;

/// The identity of the data directory, created once.
fn node_id(data_dir: &Path) -> io::Result<NodeId> {
    match read_node_id(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = NodeId::generate();
            Dir::root(data_dir)?.replace("node_id", id.to_string().as_bytes())?;
            Ok(id)
        }
        read => read,
    }
}

/// The identity of a data directory that has one.
pub fn read_node_id(data_dir: &Path) -> io::Result<NodeId> {
    let text = Dir::root(data_dir)?.read("node_id", SMALL)?;
    let text = String::from_utf8_lossy(&text);
    text.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The database of the settings, with the schema of this program.
pub async fn open_store(settings: &Settings) -> Result<Store, StartError> {
    let storage = &settings.storage;
    let store = Store::connect(&storage.database_url, storage.database_pool as u32).await?;
    let status = store.migration_status().await?;
    if !status.unknown.is_empty() {
        tracing::warn!(migrations = ?status.unknown, "the database's schema is newer than this program");
    }
    if let Some(name) = status.breaking() {
        return Err(MigrateError::Breaking { name: name.to_owned() }.into());
    }
    match (status.pending.is_empty(), storage.auto_migrate) {
        (true, _) => {}
        (false, true) => drop(store.migrate().await?),
        (false, false) => return Err(StartError::OldSchema),
    }
    Ok(store)
}

/// On a thread of its own: a journal in a cluster is waited for.
async fn open_log(settings: &Settings, node_id: NodeId, purpose: Purpose) -> Result<LogRoot, StartError> {
    let durability = match settings.log.durability {
        Durability::Fsync => log::Durability::Fsync,
        Durability::Write => log::Durability::Write,
    };
    let options = LogOptions { durability, ..LogOptions::default() };
    let data_dir = settings.storage.data_dir.clone();
    let (stop, may_begin) = match purpose {
        Purpose::Service(stop) => (stop, true),
        // A command that is given the wrong directory would take the node from where it is at work.
        Purpose::AtRest => (Stop::default(), false),
    };
    let cluster = settings.cluster.as_ref().map(|cluster| cluster_options(cluster, node_id, may_begin));
    let disk = Arc::new(RealDisk::within(&data_dir));
    let unusable = |source| StartError::DataDir { path: settings.storage.data_dir.clone(), source };
    let opened = tokio::task::spawn_blocking(move || match cluster {
        Some(cluster) => LogRoot::open_in_cluster_unless(&data_dir, disk, options, &cluster, &stop),
        None => LogRoot::open(&data_dir, disk, options),
    });
    let (root, replayed) = match opened.await.map_err(|error| unusable(io::Error::other(error)))? {
        Err(OpenRootError::Cluster(OpenClusterError::Stopped)) => return Err(StartError::Stopped),
        opened => opened?,
    };
    tracing::info!(?replayed, "journal replayed");
    Ok(root)
}

/// Nothing of it exists without the setting.
async fn attach_archive(settings: &Settings, log: &LogRoot) -> Result<(), StartError> {
    let Some(archive) = archive(settings)? else { return Ok(()) };
    let unusable = |source| StartError::DataDir { path: settings.storage.data_dir.clone(), source };
    let log = log.clone();
    blocking(move || log.attach_archive(archive)).await.map_err(unusable)
}

/// With the store and the name of the archive: one that is away is found out about once.
fn depot(settings: &Settings, store: &Store, log: &LogRoot, node_id: NodeId) -> Depot {
    let data_dir = settings.storage.data_dir.clone();
    match log.archive_store().filter(|_| settings.files.kept_in == KeptIn::Store) {
        None => Depot::on_disk(data_dir, store.clone()),
        Some((objects, owner)) => {
            let (cache_bytes, min_free) = (settings.files.cache_bytes, settings.storage.disk_min_free);
            let options = RemoteOptions { objects, owner, node_id, cache_bytes, min_free, incoming: INCOMING.into() };
            Depot::in_store(data_dir, store.clone(), options)
        }
    }
}

/// Who they are is read, and this one shown to them, before it has its journal.
fn nodes(settings: &Settings, node_id: NodeId) -> Nodes {
    let cluster = settings.cluster.as_ref();
    let journal = cluster.map_or_else(String::new, |cluster| cluster_options(cluster, node_id, false).stream());
    Nodes::new(node_id, cluster, journal)
}

pub(super) fn cluster_options(settings: &ClusterSettings, node_id: NodeId, may_begin: bool) -> ClusterOptions {
    ClusterOptions {
        servers: settings.servers.clone(),
        cluster: settings.name.clone(),
        node: settings.node.clone().unwrap_or_else(|| node_id.to_string()),
        credentials: match &settings.sign_in {
            ClusterSignIn::None => NatsCredentials::None,
            ClusterSignIn::Password { user, password } => {
                NatsCredentials::Password { user: user.clone(), password: password.clone() }
            }
            ClusterSignIn::Token(token) => NatsCredentials::Token(token.clone()),
            ClusterSignIn::File(path) => NatsCredentials::File(path.clone()),
        },
        ca_file: settings.ca_file.clone(),
        certificate: settings.certificate.clone(),
        keep_bytes: settings.keep_bytes,
        may_begin,
    }
}
