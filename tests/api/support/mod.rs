//! A service of its own for each test, over real HTTP, files, database and child processes.
//!
//! Law: when a service has been stopped, nothing of it is left. Its registry is empty, none of its processes
//! lives, and every log in its data folder is dense and ends with its one terminal event, unless its run has not begun.

pub mod executions;
pub mod index;
pub mod tools;
mod aftermath;
mod contract;
mod verbs;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ade::app::{Application, StartError, StopHandle};
use ade::config::{Environment, Settings, Sources};
use ade::registry::{ActorState, Observed, PruneReport, RegistryHandle};
use ade_test_support::database::{Locked, TestDatabase};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

pub use ade_test_support::http::{Request, Response, in_turn};
pub use ade_test_support::sse::{EventStream, Frame, kind};
pub use ade_test_support::{TIMEOUT, definitions, http, laws, model, process, random, wait_until};
pub use serde_json::{Value, json};
pub use verbs::{Project, types};

/// A running service. Dropping it stops it and checks that nothing is left.
pub struct TestApp {
    pub address: SocketAddr,
    ground: Arc<Ground>,
    settings: Vec<(String, String)>,
    /// Of the first admin, where there is sign-in.
    key: Option<String>,
    stop: StopHandle,
    registry: RegistryHandle,
    service: Option<JoinHandle<Aftermath>>,
    allows_open_logs: bool,
}

/// Where scripts may write, in the folder.
const SHARED: &str = "shared";

/// What outlives a service: its folder and its database.
struct Ground {
    folder: TempDir,
    database: Arc<TestDatabase>,
}

impl Ground {
    fn new() -> Arc<Self> {
        Self::named("")
    }

    /// In a folder whose name begins like this.
    fn named(prefix: &str) -> Arc<Self> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir().unwrap();
        fs::create_dir(folder.path().join(SHARED)).unwrap();
        Arc::new(Self { folder, database: Arc::new(TestDatabase::create()) })
    }
}

/// What the registry still held when the service had stopped.
#[derive(Debug, Default)]
struct Aftermath {
    /// How much of each kind.
    work: BTreeMap<&'static str, usize>,
    actors: Vec<ActorState>,
}

fn own(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl TestApp {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With settings beside those of every test.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        Self::try_start(Ground::new(), own(settings)).unwrap()
    }

    /// As [`TestApp::with`], in a folder whose name begins like this.
    pub fn in_folder(prefix: &str, settings: &[(&str, &str)]) -> Self {
        Self::try_start(Ground::named(prefix), own(settings)).unwrap()
    }

    /// On the embedded engine, whose packages come from an index the first time.
    pub fn with_builtin_engine() -> Self {
        let ground = Ground::new();
        let folder = &ground.folder;
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uv-cache");
        fs::create_dir_all(&shared).unwrap();
        fs::create_dir_all(folder.path().join("data/cache")).unwrap();
        std::os::unix::fs::symlink(&shared, folder.path().join("data/cache/uv")).unwrap();
        let (writable, own) = (shared.display().to_string(), folder.path().join(SHARED).display().to_string());
        let writable = ("ADE_ISOLATION_WRITE".into(), format!("{own},{writable}"));
        Self::try_start(ground, vec![("ADE_ENGINE_SPEC".into(), "builtin".into()), writable]).unwrap()
    }

    /// What a start with these settings fails with.
    pub fn refused(settings: &[(&str, &str)]) -> String {
        Self::try_start(Ground::new(), own(settings)).map(drop).unwrap_err()
    }

    /// A second service on this one's data folder.
    pub fn start_beside(&self) -> Result<Self, String> {
        Self::try_start(self.ground.clone(), self.settings.clone())
    }

    /// Another node: a service with a data folder of its own on this one's database, with the same settings.
    pub fn another(&self) -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join(SHARED)).unwrap();
        let ground = Arc::new(Ground { folder, database: self.ground.database.clone() });
        Self::try_start(ground, self.settings.clone()).unwrap()
    }

    /// As [`TestApp::restart`], with these settings beside those it had.
    pub fn restart_with(mut self, settings: &[(&str, &str)]) -> Self {
        self.settings.extend(own(settings));
        self.restart()
    }

    /// The same folder and settings again, after this one has stopped.
    pub fn restart(mut self) -> Self {
        self.allows_open_logs = true;
        self.stop_now();
        let mut again = Self::try_start(self.ground.clone(), self.settings.clone()).unwrap();
        again.key = self.key.take();
        again
    }

    /// The key of the first admin.
    #[track_caller]
    pub fn key(&self) -> &str {
        self.key.as_deref().expect("a service with sign-in")
    }

    fn try_start(ground: Arc<Ground>, settings: Vec<(String, String)>) -> Result<Self, String> {
        let engine = ground.folder.path().join("engine");
        tools::write_files(&engine, &tools::files_of("engine"));
        let environment = environment(&ground, &settings);
        let loaded = Settings::load(&Sources { environment, ..Sources::default() });
        let mut loaded = loaded.map_err(|error| error.to_string())?;
        http::observe(contract::check);
        loaded.launcher = env!("CARGO_BIN_EXE_ade").into();
        let (started, start) = mpsc::channel();
        let service = std::thread::spawn(move || serve(loaded, &started));
        match start.recv().expect("a start has an outcome") {
            Ok(Running { address, key, stop, registry }) => {
                let service = Some(service);
                Ok(Self { address, ground, settings, key, stop, registry, service, allows_open_logs: false })
            }
            Err(error) => {
                service.join().unwrap();
                Err(error.to_string())
            }
        }
    }

    /// Everything of this service is below.
    pub fn folder(&self) -> &Path {
        self.ground.folder.path()
    }

    /// Runs a statement in the service's database, behind its back.
    pub fn change_database(&self, sql: &str) {
        self.ground.database.execute(sql);
    }

    /// Keeps everybody else from writing into the service's database, which has to be SQLite.
    pub fn lock_database(&self) -> Locked {
        self.ground.database.lock()
    }

    /// Of this service's database, for whoever looks at it or changes it behind the service's back.
    pub fn database_url(&self) -> &str {
        self.ground.database.url()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// A path that only this test uses, as text for scripts, which may write there.
    pub fn path(&self, name: &str) -> String {
        self.folder().join(SHARED).join(name).display().to_string()
    }

    pub fn touch(&self, name: &str) {
        fs::write(self.path(name), "").unwrap();
    }

    /// What maintenance does from time to time.
    pub fn prune(&self) -> PruneReport {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.registry.prune_builds())
    }

    /// Stops in good order, and tells how long that took.
    pub fn stop_gracefully(&mut self) -> Duration {
        let began = Instant::now();
        self.stop.stop(true);
        self.join().map_or(Duration::ZERO, |ended| ended - began)
    }

    /// Begins to stop in good order.
    pub fn begin_stop(&self) {
        self.stop.stop(true);
    }

    pub fn stop_now(&mut self) {
        self.stop.stop(false);
        self.join();
    }

    /// Checks what is left; answers when the service had ended.
    fn join(&mut self) -> Option<Instant> {
        let service = self.service.take()?;
        let Aftermath { work, actors } = service.join().expect("the service does not panic");
        let ended = Instant::now();
        assert!(work.values().all(|&count| count == 0), "live work after the stop: {work:?} {actors:?}");
        assert!(actors.is_empty(), "live actors after the stop: {actors:?}");
        aftermath::check(self.folder(), self.allows_open_logs);
        Some(ended)
    }

    /// Logs may stay open: of work that waits for the next start.
    pub fn allow_open_logs(&mut self) {
        self.allows_open_logs = true;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stop.stop(false);
            if let Some(service) = self.service.take() {
                let _ = service.join();
            }
        } else {
            self.stop_now();
        }
    }
}

/// The settings of every test, and what this one adds.
fn environment(ground: &Ground, own: &[(String, String)]) -> Environment {
    let folder = ground.folder.path();
    let path = std::env::var("PATH").unwrap_or_default();
    let to_the_index = |name: &str| {
        let name = name.to_ascii_uppercase();
        ["SSL_CERT_", "UV_", "PIP_"].iter().any(|prefix| name.starts_with(prefix)) || name.ends_with("_PROXY")
    };
    let mut environment: Environment = std::env::vars().filter(|(name, _)| to_the_index(name)).collect();
    environment.extend([
        ("PATH".into(), format!("{}:{path}", tools::uv_directory().display())),
        ("HOME".into(), folder.display().to_string()),
        ("ADE_BIND".into(), "127.0.0.1:0".into()),
        ("ADE_AUTH".into(), "off".into()),
        ("ADE_DATA_DIR".into(), folder.join("data").display().to_string()),
        ("ADE_ENGINE_SPEC".into(), folder.join("engine").display().to_string()),
        ("ADE_PYTHON_BIN".into(), tools::python().into()),
        ("ADE_INSTALLER".into(), "uv".into()),
        // There are programs that stand in for uv, and call it.
        ("ADE_ISOLATION_READ".into(), tools::shared_directory().display().to_string()),
        ("ADE_ISOLATION_WRITE".into(), folder.join(SHARED).display().to_string()),
        ("ADE_CANCEL_GRACE".into(), "1s".into()),
        ("ADE_MAX_CONCURRENCY".into(), "4".into()),
        ("ADE_DATABASE_POOL".into(), "4".into()),
        ("ADE_DATABASE_URL".into(), ground.database.url().to_owned()),
    ]);
    environment.extend(own.iter().cloned());
    environment
}

struct Running {
    address: SocketAddr,
    key: Option<String>,
    stop: StopHandle,
    registry: RegistryHandle,
}

type Started = Result<Running, StartError>;

/// The life of a service, on a thread of its own.
fn serve(settings: Settings, started: &mpsc::Sender<Started>) -> Aftermath {
    let system = actix::System::new();
    let aftermath = system.block_on(async {
        let application = match Application::build(settings).await {
            Ok(application) => application,
            Err(error) => {
                started.send(Err(error)).unwrap();
                return Aftermath::default();
            }
        };
        let registry = application.registry().clone();
        let (address, stop) = (application.address(), application.stop_handle());
        let key = application.first_key().await.expect("a key can be made");
        let key = key.map(|key| key.expose_secret().to_owned());
        started.send(Ok(Running { address, key, stop, registry: registry.clone() })).unwrap();
        application.run().await.expect("the service ends well");
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let Observed { work, actors } = registry.observe().await.expect("the registry answers");
            if actors.is_empty() || Instant::now() > deadline {
                return Aftermath { work, actors };
            }
            actix::clock::sleep(Duration::from_millis(5)).await;
        }
    });
    actix::System::current().stop();
    system.run().expect("the system ends well");
    aftermath
}
