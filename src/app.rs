//! The composition root: data directory, store, logs, registry, server; started in this order, stopped in reverse.

mod lock;
mod isolation;
mod key_files;
mod models;
mod peers;
mod objects;
mod start_error;
mod data_dir;
mod sign_in;
pub mod doctor;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::sync::watch;

use data_dir::{DataDir, Purpose};
pub use data_dir::{hold_at_rest, open_store, read_node_id};
use key_files::{ADMIN_KEY, LOCAL_KEY};
pub use key_files::{FirstKeyError, key_in};
pub use lock::{Owner, read_owner};
pub use models::models;
pub use objects::open_objects;
pub use start_error::StartError;

use crate::access::handle::{Granting, SessionLimits};
use crate::access::{Access, keeper};
use crate::audit::AuditLog;
use crate::catalogue;
use crate::config::{AccessSettings, Settings};
use crate::domain::maintenance::{MaintenanceReport, MaintenanceState};
use crate::http::connection::Connections;
use crate::http::contract;
use crate::http::ports::{self, NoMaintenance};
use crate::http::route::all::describe;
use crate::http::server::{self, HttpEnd};
use crate::log::Stop as Stopping;
use crate::maintenance::{self, MaintenanceHandle, NotDone};
use crate::registry::{RegistryHandle, Services};
use crate::store::StoreError;
use crate::worker::process::kill_marked;

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the server failed: {0}")]
    Server(#[from] io::Error),
    /// What runs here must not be recorded by this process any more.
    #[error("the journal of this node is over: {0}")]
    Halted(String),
}

/// A service that is bound and recovered, and not yet serving.
pub struct Application {
    server: Server,
    public: SocketAddr,
    local: SocketAddr,
    is_encrypted: bool,
    connections: Connections,
    stop: watch::Sender<Option<Stop>>,
    data: DataDir,
    maintenance: MaintenanceHandle,
    access: Access,
}

/// One maintenance pass on a directory that no service holds; no work is started. Must be called within an actix
/// system.
pub async fn maintain(settings: Settings) -> Result<MaintenanceReport, StartError> {
    let data = DataDir::open(settings, Purpose::AtRest).await?;
    let report = tokio::select! {
        report = maintenance::run_once(data.maintained()) => report,
        why = halted(&data.services) => return Err(StartError::Halted(why)),
    };
    data.close().await;
    Ok(report)
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
        Self::build_unless(settings, std::future::pending()).await
    }

    /// As [`Application::build`]; ends with [`StartError::Stopped`] if it is asked to while it opens a journal in a cluster,
    /// or recovers with one, which takes as long as that does not answer. With one on the disk, which answers, both are
    /// finished.
    pub async fn build_unless(settings: Settings, stop: impl Future<Output = ()>) -> Result<Self, StartError> {
        let workflows = settings.workflows.folder.as_deref().map(catalogue::read_directory).transpose()?;
        isolation::hide();
        isolation::expect_users(&settings);
        let mut stop = std::pin::pin!(stop);
        let mut data = open_unless(settings, stop.as_mut()).await?;
        key_files::remove_local(&data.settings.storage.data_dir);
        isolation::check(&data.services, &data.settings.storage.data_dir.join(lock::FILE)).await?;
        let stopped = tokio::select! {
            report = data.registry.recover() => {
                tracing::info!(report = ?report?, "recovered");
                None
            }
            why = halted(&data.services) => Some(StartError::Halted(why)),
            () = &mut stop, if data.settings.cluster.is_some() => Some(StartError::Stopped),
        };
        if let Some(why) = stopped {
            return Err(abandon(data, why).await);
        }
        catalogue::offer(data.registry.store(), workflows.unwrap_or_default()).await?;
        let maintenance = maintenance::start(data.maintained());
        let access = open_access(&data).await?;
        let data_dir = &data.settings.storage.data_dir;
        let audit =
            AuditLog::open(data_dir).map_err(|source| StartError::DataDir { path: data_dir.join("audit"), source })?;
        let port = Arc::new(MaintenancePort(maintenance.clone()));
        let oidc = sign_in::provider(&data.settings.access)?;
        let HttpEnd { server, address, local, connections, certificates } =
            server::bind(data.registry.clone(), port, access.clone(), audit, oidc)?;
        data.announce(local)?;
        let is_encrypted = certificates.is_some();
        if let Some(certificates) = certificates {
            // Ends with the system that this runs on.
            actix::spawn(certificates.watch());
        }
        let (data_dir, venvs_dir) = (&data.settings.storage.data_dir, &data.settings.build.venvs_dir);
        let provider = data.services.models.providers.default_name().as_str();
        let sign_in = access.is_on();
        tracing::info!(
            %address, sign_in, data_dir = %data_dir.display(), venvs_dir = %venvs_dir.display(), llm_provider = provider,
            "service ready"
        );
        let (stop, _) = watch::channel(None);
        let public = address;
        Ok(Self { server, public, local, is_encrypted, connections, stop, data, maintenance, access })
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
        let (data_dir, secret) = (&self.data.settings.storage.data_dir, self.access.local_key()?);
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
        key_files::write(&self.data.settings.storage.data_dir, ADMIN_KEY, &secret)?;
        Ok(Some(secret))
    }

    /// The registry, for a program that embeds the service.
    pub fn registry(&self) -> &RegistryHandle {
        &self.data.registry
    }

    /// Serves until it is stopped, then drains: no new work, running work until it ends or its time is up, streams
    /// notified and closed, logs and database closed.
    pub async fn run(self) -> Result<(), RunError> {
        let Self { server, connections, stop, data, maintenance, access, .. } = self;
        let keeper = actix::spawn(keeper::keep(access));
        let (handle, registry, settings) = (server.handle(), data.registry.clone(), data.settings.clone());
        let stop_now = handle.clone();
        prepare(&data.services);
        let watching = actix::spawn(peers::attend(registry.clone(), data.services.clone()));
        let draining = actix::spawn(async move {
            drain(stop, &registry, &maintenance, settings).await;
            // Streams have ended by now; their last bytes go out, and clients that do not read them are cut off.
            // The server's own graceful stop looks once a second, and waits for idle connections too.
            let _ = tokio::time::timeout(LAST_WORDS, connections.none()).await;
            handle.stop(false).await;
        });
        tokio::select! {
            served = server => served?,
            why = halted(&data.services) => {
                // As a crash would leave it, but for its children: another process is at work in its place.
                draining.abort();
                keeper.abort();
                watching.abort();
                stop_now.stop(false).await;
                kill_marked(vec![data.services.work.launcher.node().clone()]).await;
                return Err(RunError::Halted(why));
            }
        }
        draining.abort();
        keeper.abort();
        watching.abort();
        key_files::remove_local(&data.settings.storage.data_dir);
        data.close().await;
        Ok(())
    }
}

/// Opens the data directory, unless it is asked to stop before it has taken a journal in a cluster over.
async fn open_unless(
    settings: Settings,
    stop: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Result<DataDir, StartError> {
    let (in_cluster, asked) = (settings.cluster.is_some(), Stopping::default());
    let mut opening = std::pin::pin!(DataDir::open(settings, Purpose::Service(asked.clone())));
    tokio::select! {
        opened = &mut opening => return opened,
        () = stop, if in_cluster => asked.ask(),
    }
    match opening.await {
        // It had gone too far, or had no need to wait.
        Ok(data) => Err(abandon(data, StartError::Stopped).await),
        Err(error) => Err(error),
    }
}

/// Ends a start whose recovery was broken off, as a crash would, but for its children. Recovery goes on until the process
/// ends, so that nothing is closed below it: with rows that cannot be read it would end work that only waits. Who starts next
/// has the same children's mark, and may not have the data directory before these are gone.
async fn abandon(data: DataDir, why: StartError) -> StartError {
    tracing::info!(%why, "the start is broken off");
    kill_marked(vec![data.services.work.launcher.node().clone()]).await;
    why
}

async fn open_access(data: &DataDir) -> Result<Access, StoreError> {
    let settings = &data.settings.access;
    let (store, limits) = (data.services.store.clone(), session_limits(settings));
    let node_id = data.owner.node_id;
    let granting = if data.registry.nodes().is_alone() { Granting::Alone } else { Granting::Together };
    Access::open(store, granting(node_id), settings.sign_in, limits).await
}

pub fn session_limits(settings: &AccessSettings) -> SessionLimits {
    SessionLimits { idle: settings.session_idle, total: settings.session_total }
}

/// The contract of the interface, as `docs/openapi.json` has it.
pub fn contract() -> String {
    contract::document_text(&describe())
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

/// How often the journal is asked whether it is over.
const HALT_INTERVAL: Duration = Duration::from_millis(250);

/// Why the journal takes nothing more from this process, once it does. A journal on this disk never says so.
async fn halted(services: &Services) -> String {
    if !services.log.journal_state().is_replicated {
        return std::future::pending().await;
    }
    tokio::select! {
        why = fenced_off(services) => why,
        why = peers::cut_off(services) => why,
    }
}

async fn fenced_off(services: &Services) -> String {
    loop {
        if let Some(why) = services.log.journal_state().halted {
            tracing::error!(%why, "the service ends at once");
            return why;
        }
        tokio::time::sleep(HALT_INTERVAL).await;
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
    registry.nodes().drain();
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
