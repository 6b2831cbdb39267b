//! The composition root: data directory, store, logs, registry, server; started in this order, stopped in reverse.

mod lock;
mod isolation;
mod key_files;
mod sign_in;
pub mod doctor;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::sync::watch;

use key_files::{ADMIN_KEY, LOCAL_KEY};
pub use key_files::{FirstKeyError, key_in};
use lock::LockError;
pub use lock::{Owner, read_owner};
use sign_in::OidcError;

use crate::access::handle::SessionLimits;
use crate::access::secret::NoEntropy;
use crate::access::{Access, keeper};
use crate::audit::AuditLog;
use crate::backup::UNFINISHED;
use crate::catalogue::{self, ReadDirectoryError};
use crate::config::{AccessSettings, Durability, LlmProvider, LlmSettings, Settings, StreamOptions, TokenLimit};
use crate::domain::id::NodeId;
use crate::domain::maintenance::{MaintenanceReport, MaintenanceState};
use crate::files::Dir;
use crate::http::connection::Connections;
use crate::http::ports::{self, NoMaintenance};
use crate::http::server::{self, BindError, HttpEnd};
use crate::llm::{self, Models, ModelsError};
use crate::log::{self, LogOptions, LogRoot, OpenRootError, RealDisk};
use crate::maintenance::{self, MaintenanceHandle, NotDone};
use crate::registry::{RegistryHandle, Services, probe_venvs};
use crate::store::{ConnectError, MigrateError, Store, StoreError};

/// The service could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot use the data directory {path}: {source}")]
    DataDir { path: PathBuf, source: io::Error },
    #[error("the data directory is in use by {0}")]
    InUse(LockError),
    #[error("ADE_VENVS_DIR {path} cannot be written: {source}")]
    VenvsDir { path: PathBuf, source: io::Error },
    #[error("language models: {0}")]
    Models(#[from] ModelsError),
    #[error(transparent)]
    Workflows(#[from] ReadDirectoryError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database's schema is old and ADE_AUTO_MIGRATE is false; `ade migrate up` brings it up to date")]
    OldSchema,
    #[error(transparent)]
    Log(#[from] OpenRootError),
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    #[error(transparent)]
    Isolation(#[from] isolation::NotIsolated),
    #[error("a restore into the data directory {path} was broken off; run `ade restore` again")]
    Unrestored { path: PathBuf },
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Oidc(#[from] OidcError),
}

#[derive(Debug, thiserror::Error)]
#[error("the server failed: {0}")]
pub struct RunError(#[from] io::Error);

/// A service that is bound and recovered, and not yet serving.
pub struct Application {
    server: Server,
    public: SocketAddr,
    local: SocketAddr,
    is_encrypted: bool,
    connections: Connections,
    stop: watch::Sender<Option<Stop>>,
    folder: Folder,
    maintenance: MaintenanceHandle,
    access: Access,
}

/// The locked data directory, and what is open in it.
struct Folder {
    registry: RegistryHandle,
    services: Services,
    settings: Arc<Settings>,
    owner: Owner,
    /// Held as long as this lives.
    lock: File,
}

impl Folder {
    /// Locks the directory and opens everything in it. Must be called within an actix system.
    async fn open(settings: Settings) -> Result<Self, StartError> {
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
        let log = open_log(&settings)?;
        let services = Services::new(settings.clone(), store, log, node_id, models);
        let registry = RegistryHandle::start(services.clone());
        Ok(Self { registry, services, settings, owner, lock })
    }

    /// Publishes the address of the service in the lock file.
    fn announce(&mut self, address: SocketAddr) -> Result<(), StartError> {
        self.owner.address = Some(address);
        let path = &self.settings.storage.data_dir;
        lock::write(&self.lock, &self.owner).map_err(|source| StartError::DataDir { path: path.clone(), source })
    }

    fn maintained(&self) -> maintenance::Service {
        maintenance::Service { registry: self.registry.clone(), services: self.services.clone() }
    }

    /// Closes what is open, the logs durably. No work may be running any more.
    async fn close(self) {
        let Services { store, log, .. } = self.services;
        let _ = store.close().await;
        let _ = tokio::task::spawn_blocking(move || log.close()).await;
    }
}

/// One maintenance pass on a directory that no service holds; no work is started. Must be called within an actix
/// system.
pub async fn maintain(settings: Settings) -> Result<MaintenanceReport, StartError> {
    let folder = Folder::open(settings).await?;
    let report = maintenance::run_once(folder.maintained()).await;
    folder.close().await;
    Ok(report)
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
    let log = open_log(settings)?;
    let closed = tokio::task::spawn_blocking(move || log.close()).await;
    closed.map_err(|error| unusable(io::Error::other(error)))?;
    Ok(Some(AtRest(lock)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Graceful,
    Now,
}

/// Stops a running service from elsewhere.
#[derive(Clone)]
pub struct StopHandle(watch::Sender<Option<Stop>>);

impl StopHandle {
    /// Gracefully: running work may end within the drain time. Otherwise it is interrupted at once.
    pub fn stop(&self, graceful: bool) {
        self.0.send_replace(Some(if graceful { Stop::Graceful } else { Stop::Now }));
    }
}

impl Application {
    /// Locks the data directory, opens everything in it, recovers what the previous process left behind, and binds.
    /// Must be called within an actix system.
    pub async fn build(settings: Settings) -> Result<Self, StartError> {
        let workflows = settings.workflows.folder.as_deref().map(catalogue::read_directory).transpose()?;
        isolation::hide();
        let mut folder = Folder::open(settings).await?;
        key_files::remove_local(&folder.settings.storage.data_dir);
        isolation::check(&folder.services, &folder.settings.storage.data_dir.join(lock::FILE)).await?;
        let report = folder.registry.recover().await?;
        tracing::info!(?report, "recovered");
        catalogue::offer(folder.registry.store(), workflows.unwrap_or_default()).await?;
        let maintenance = maintenance::start(folder.maintained());
        let access = open_access(&folder).await?;
        let data_dir = &folder.settings.storage.data_dir;
        let audit =
            AuditLog::open(data_dir).map_err(|source| StartError::DataDir { path: data_dir.join("audit"), source })?;
        let port = Arc::new(MaintenancePort(maintenance.clone()));
        let oidc = sign_in::provider(&folder.settings.access)?;
        let HttpEnd { server, address, local, connections, certificates } =
            server::bind(folder.registry.clone(), port, access.clone(), audit, oidc)?;
        folder.announce(local)?;
        let is_encrypted = certificates.is_some();
        if let Some(certificates) = certificates {
            // Ends with the system that this runs on.
            actix::spawn(certificates.watch());
        }
        let (data_dir, venvs_dir) = (&folder.settings.storage.data_dir, &folder.settings.build.venvs_dir);
        let provider = folder.services.models.providers.default_name().as_str();
        let sign_in = access.is_on();
        tracing::info!(
            %address, sign_in, data_dir = %data_dir.display(), venvs_dir = %venvs_dir.display(), llm_provider = provider,
            "service ready"
        );
        let (stop, _) = watch::channel(None);
        Ok(Self { server, public: address, local, is_encrypted, connections, stop, folder, maintenance, access })
    }

    /// Where clients reach it, with the scheme.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_encrypted { "https" } else { "http" }, self.public)
    }

    /// Where programs on this machine reach it, by plain HTTP.
    pub fn address(&self) -> SocketAddr {
        self.local
    }

    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(self.stop.clone())
    }

    /// A key for a program that embeds the service, and while that runs for other commands of the same user: it lies in
    /// the data directory. Nothing where nobody signs in.
    pub fn local_key(&self) -> Result<Option<SecretString>, StartError> {
        if !self.access.is_on() {
            return Ok(None);
        }
        let (data_dir, secret) = (&self.folder.settings.storage.data_dir, self.access.local_key()?);
        let unusable = |source| StartError::DataDir { path: data_dir.clone(), source };
        key_files::write(data_dir, LOCAL_KEY, &secret).map_err(unusable)?;
        Ok(Some(secret))
    }

    /// Where there has never been a key, makes an admin's, and leaves it in the data directory too.
    pub async fn first_key(&self) -> Result<Option<SecretString>, FirstKeyError> {
        if !self.access.is_on() {
            return Ok(None);
        }
        let Some((_, secret)) = self.access.first_key().await? else { return Ok(None) };
        key_files::write(&self.folder.settings.storage.data_dir, ADMIN_KEY, &secret)?;
        Ok(Some(secret))
    }

    /// The registry, for a program that embeds the service.
    pub fn registry(&self) -> &RegistryHandle {
        &self.folder.registry
    }

    /// Serves until it is stopped, then drains: no new work, running work until it ends or its time is up, streams
    /// notified and closed, logs and database closed.
    pub async fn run(self) -> Result<(), RunError> {
        let Self { server, connections, stop, folder, maintenance, access, .. } = self;
        let keeper = actix::spawn(keeper::keep(access));
        let (handle, registry, settings) = (server.handle(), folder.registry.clone(), folder.settings.clone());
        prepare(&folder.services);
        let draining = actix::spawn(async move {
            drain(stop, &registry, &maintenance, settings).await;
            // Streams have ended by now; their last bytes go out, and clients that do not read them are cut off.
            // The server's own graceful stop looks once a second, and waits for idle connections too.
            let _ = tokio::time::timeout(LAST_WORDS, connections.none()).await;
            handle.stop(false).await;
        });
        server.await?;
        draining.abort();
        keeper.abort();
        key_files::remove_local(&folder.settings.storage.data_dir);
        folder.close().await;
        Ok(())
    }
}

async fn open_access(folder: &Folder) -> Result<Access, StoreError> {
    let settings = &folder.settings.access;
    let (store, limits) = (folder.services.store.clone(), session_limits(settings));
    Access::open(store, folder.owner.node_id, settings.sign_in, limits).await
}

pub fn session_limits(settings: &AccessSettings) -> SessionLimits {
    SessionLimits { idle: settings.session_idle, total: settings.session_total }
}

/// The interface asks for maintenance through this, since it does not know who does it.
struct MaintenancePort(MaintenanceHandle);

impl ports::Maintenance for MaintenancePort {
    fn run_now(&self) -> BoxFuture<'static, Result<MaintenanceReport, NoMaintenance>> {
        let maintenance = self.0.clone();
        Box::pin(async move {
            maintenance.run_now().await.map_err(|error| match error {
                NotDone::Stopping => NoMaintenance::Stopping,
                NotDone::Died => NoMaintenance::Died,
            })
        })
    }

    fn observe(&self) -> BoxFuture<'static, Option<MaintenanceState>> {
        let maintenance = self.0.clone();
        Box::pin(async move { maintenance.observe().await })
    }
}

/// Slow preparations in the background, so that the first run finds its installer fetched. When nothing can be built,
/// the first build reports why as well.
fn prepare(services: &Services) {
    let (work, worker) = (services.work.clone(), services.arbiters.worker());
    worker.spawn_fn(move || {
        actix::spawn(async move {
            if let Err(error) = work.tools.find().await {
                tracing::warn!(error = %error, "no build can succeed");
            }
            if let Err(why) = work.engine().await.install {
                tracing::warn!(error = %why, "no build can succeed");
            }
        });
    });
}

/// Maintenance checks between two steps whether it is to stop, and each of them is short.
const MAINTENANCE_END: Duration = Duration::from_secs(2);

/// For the bytes on their way to clients when everything has ended.
const LAST_WORDS: Duration = Duration::from_millis(300);

async fn drain(
    stop: watch::Sender<Option<Stop>>,
    registry: &RegistryHandle,
    maintenance: &MaintenanceHandle,
    settings: Arc<Settings>,
) {
    let mut stopped = stop.subscribe();
    let first = stopped.wait_for(Option::is_some).await.map(|stop| *stop).unwrap_or(Some(Stop::Now));
    let no_more_maintenance = tokio::time::timeout(MAINTENANCE_END, maintenance.stop());
    let (ended, ()) = tokio::join!(no_more_maintenance, drain_work(stopped, first, registry, settings));
    if ended.is_err() {
        tracing::warn!("maintenance timed out; the next pass resumes where it stopped");
    }
}

async fn drain_work(
    mut stopped: watch::Receiver<Option<Stop>>,
    first: Option<Stop>,
    registry: &RegistryHandle,
    settings: Arc<Settings>,
) {
    if first == Some(Stop::Graceful) {
        tokio::select! {
            () = registry.drain(settings.server.drain_timeout) => {}
            // The second request stops at once.
            _ = stopped.wait_for(|stop| *stop == Some(Stop::Now)) => {}
        }
    }
    registry.drain(Duration::ZERO).await;
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

/// The language models of the settings. Wrong prices and a missing key are errors at the start.
pub fn models(settings: &LlmSettings) -> Result<Models, ModelsError> {
    let default = match settings.provider {
        LlmProvider::Builtin => llm::ProviderName::Builtin,
        LlmProvider::Anthropic => llm::ProviderName::Anthropic,
        LlmProvider::OpenAi => llm::ProviderName::OpenAi,
    };
    let endpoint =
        |base_url: &str, key: &Option<SecretString>| llm::Endpoint { base_url: base_url.to_owned(), key: key.clone() };
    let options = llm::Options {
        default,
        anthropic: endpoint(&settings.anthropic_base_url, &settings.anthropic_api_key),
        openai: endpoint(&settings.openai_base_url, &settings.openai_api_key),
        openai_parameters: openai_parameters(settings),
        limits: llm::Limits { total: settings.timeout, idle: settings.idle_timeout, ..llm::Limits::default() },
        ca_file: settings.ca_file.clone(),
    };
    let retries = llm::retry::Policy {
        max_attempts: u32::try_from(settings.max_attempts).unwrap_or(u32::MAX),
        delay: settings.retry_delay,
        max_delay: settings.retry_max_delay,
    };
    Models::new(options, retries, settings.prices.as_deref())
}

fn openai_parameters(settings: &LlmSettings) -> llm::Fixed {
    llm::Fixed {
        stream_options: match settings.openai_stream_options {
            StreamOptions::Auto => None,
            StreamOptions::On => Some(true),
            StreamOptions::Off => Some(false),
        },
        token_limit: match settings.openai_token_limit {
            TokenLimit::Auto => None,
            TokenLimit::MaxTokens => Some(llm::TokenLimit::MaxTokens),
            TokenLimit::MaxCompletionTokens => Some(llm::TokenLimit::MaxCompletionTokens),
        },
    }
}

fn open_log(settings: &Settings) -> Result<LogRoot, StartError> {
    let durability = match settings.log.durability {
        Durability::Fsync => log::Durability::Fsync,
        Durability::Write => log::Durability::Write,
    };
    let options = LogOptions { durability, ..LogOptions::default() };
    let data_dir = &settings.storage.data_dir;
    let (root, replayed) = LogRoot::open(data_dir, Arc::new(RealDisk::within(data_dir)), options)?;
    tracing::info!(?replayed, "journal replayed");
    Ok(root)
}
