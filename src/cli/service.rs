//! The service that a command talks to: the one that owns the data directory, else one inside this process.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use actix_rt::task::JoinHandle;
use secrecy::SecretString;

use super::client::ApiClient;
use crate::app::{Application, RunError, StartError, StopHandle, key_in, read_owner};
use crate::config::Settings;

const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A running service; [`Service::close`] ends it if it is ours.
pub struct Service {
    pub base_url: String,
    key: Option<SecretString>,
    guard: Option<Embedded>,
}

struct Embedded {
    stop: StopHandle,
    running: JoinHandle<Result<(), RunError>>,
}

impl Service {
    /// The service at `url`, for which the settings have a key if it asks for one; it is left running.
    pub fn remote(url: &str, settings: &Settings) -> Self {
        Self { base_url: url.trim_end_matches('/').to_owned(), key: settings.access.api_key.clone(), guard: None }
    }

    /// The one that runs on the data directory. Whoever may read the key that lies there needs no other.
    fn local(url: &str, settings: &Settings) -> Self {
        let mut service = Self::remote(url, settings);
        service.key = service.key.take().or_else(|| key_in(&settings.storage.data_dir));
        service
    }

    /// It ends with the command.
    pub fn is_embedded(&self) -> bool {
        self.guard.is_some()
    }

    pub fn client(&self) -> ApiClient {
        ApiClient::new(&self.base_url, self.key.as_ref())
    }

    /// Ends an embedded service and waits for it; leaves any other alone. In good order, work that goes on there may
    /// end first; else it is ended.
    pub async fn close(mut self, in_good_order: bool) {
        let Some(Embedded { stop, running }) = self.guard.take() else { return };
        stop.stop(in_good_order);
        if let Ok(Err(error)) = running.await {
            tracing::warn!(%error, "embedded service ended badly");
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(Embedded { stop, .. }) = &self.guard {
            stop.stop(false);
        }
    }
}

/// No service is there to be asked.
#[derive(Debug, thiserror::Error)]
#[error("no service runs on the data directory {0}; start one with `ade serve`, or name one with --server")]
pub struct NoService(PathBuf);

/// The service at `server`, else the live one of the data directory. For commands that do not start one: it would begin the
/// work that waits in the folder.
pub async fn attach(settings: &Settings, server: Option<&str>) -> Result<ApiClient, NoService> {
    let data_dir = &settings.storage.data_dir;
    match server {
        Some(url) => Ok(Service::remote(url, settings).client()),
        None => running_service(settings)
            .await
            .map_or_else(|| Err(NoService(data_dir.clone())), |service| Ok(service.client())),
    }
}

/// The service at `server`, else the live one of the data directory; without one, an embedded service on a free port, which
/// serves this program and nobody else.
pub async fn attach_or_start(mut settings: Settings, server: Option<&str>) -> Result<Service, StartError> {
    if let Some(url) = server {
        return Ok(Service::remote(url, &settings));
    }
    if let Some(service) = running_service(&settings).await {
        return Ok(service);
    }
    settings.server.bind = (Ipv4Addr::LOCALHOST, 0).into();
    // Other nodes would look for it where `serve` listens.
    settings.cluster.iter_mut().for_each(|cluster| cluster.peers = None);
    let application = Application::build(settings).await?;
    let base_url = format!("http://{}", application.address());
    let key = application.local_key()?;
    let stop = application.stop_handle();
    let running = actix_rt::spawn(application.run());
    Ok(Service { base_url, key, guard: Some(Embedded { stop, running }) })
}

/// The service that holds the data directory's lock and answers.
pub async fn running_service(settings: &Settings) -> Option<Service> {
    let base_url = format!("http://{}", read_owner(&settings.storage.data_dir)?.address?);
    let service = Service::local(&base_url, settings);
    let answer = tokio::time::timeout(PROBE_TIMEOUT, service.client().bytes("/health/live")).await;
    matches!(answer, Ok(Ok(_))).then_some(service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::config::{Flag, Sources};
    use crate::domain::id::NodeId;

    fn settings(data_dir: &Path) -> Settings {
        let value = data_dir.display().to_string();
        let flags = vec![Flag { name: "--data-dir", key: "data_dir", value }];
        Settings::load(&Sources { flags, ..Sources::default() }).unwrap()
    }

    fn owner_at(address: &str) -> String {
        serde_json::json!({"address": address, "node_id": NodeId::generate(), "pid": 1}).to_string()
    }

    #[actix_web::test]
    async fn a_live_owner_of_the_folder_is_used_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let owner = attach_or_start(settings(folder.path()), None).await.unwrap();
        assert!(owner.guard.is_some());
        let address = owner.base_url.strip_prefix("http://").unwrap();
        let lock = owner_at(address);
        std::fs::write(folder.path().join(".lock"), lock).unwrap();
        let second = attach_or_start(settings(folder.path()), None).await.unwrap();
        assert!(second.guard.is_none() && second.base_url == owner.base_url);
        second.close(true).await;
        assert!(owner.client().bytes("/health/live").await.is_ok());
        owner.close(true).await;
    }

    #[actix_web::test]
    async fn a_lock_that_nobody_answers_for_is_no_service() {
        let folder = tempfile::tempdir().unwrap();
        // A port that was free a moment ago, and is closed again.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for lock in [owner_at(&address.to_string()), "not json".to_owned(), String::new()] {
            std::fs::write(folder.path().join(".lock"), lock).unwrap();
            assert!(running_service(&settings(folder.path())).await.is_none());
        }
    }
}
