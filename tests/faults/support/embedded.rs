//! The registry without its server, in the test's own process.

use std::path::Path;
use std::sync::Arc;

use ade::config::{Flag, Settings, Sources};
use ade::domain::WorkspaceId;
use ade::domain::configuration::{Configuration, Workspace};
use ade::domain::id::NodeId;
use ade::domain::time::micros;
use ade::log::{LogOptions, LogRoot, RealDisk};
use ade::registry::{Arbiters, Services};
use ade::store::Store;

/// Must be called within an actix system.
pub async fn services(data_dir: &Path) -> Services {
    let flags = vec![Flag { name: "--data-dir", key: "data_dir", value: data_dir.display().to_string() }];
    let settings = Arc::new(Settings::load(&Sources { flags, ..Sources::default() }).unwrap());
    let store = Store::connect(&settings.storage.database_url, 2).await.unwrap();
    store.migrate().await.unwrap();
    let (log, _) = LogRoot::open(data_dir, Arc::new(RealDisk::default()), LogOptions::default()).unwrap();
    let models = ade::app::models(&settings.llm).unwrap();
    Services::on(Arbiters::start(1), settings, store, log, NodeId::generate(), models)
}

/// The rows of a service that has ended. Must be called within an actix system.
pub async fn store(data_dir: &Path) -> Store {
    let flags = vec![Flag { name: "--data-dir", key: "data_dir", value: data_dir.display().to_string() }];
    let settings = Settings::load(&Sources { flags, ..Sources::default() }).unwrap();
    Store::connect(&settings.storage.database_url, 2).await.unwrap()
}

/// A configuration in a workspace of its own.
pub async fn configuration(services: &Services) -> Configuration {
    let now = micros(chrono::Utc::now());
    let workspace = Workspace {
        id: WorkspaceId::generate(),
        name: "w".into(),
        slug: "w".into(),
        created_at: now,
        is_default: false,
    };
    let configuration = Configuration::draft(workspace.id, "c", now);
    services.store.insert_workspace(&workspace).await.unwrap();
    services.store.insert_configuration(&configuration).await.unwrap();
    configuration
}
