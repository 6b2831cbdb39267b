//! The only way to the maintenance actor. A handle survives its incarnations.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix::Actor;
use tokio::sync::watch;

use super::actor::{Finish, MaintenanceActor, Observe, RunNow};
use super::round::Service;
use crate::domain::maintenance::{MaintenanceReport, MaintenanceState};
use crate::supervision::{Policy, Supervised};

/// A panicking actor is restarted; if it does nothing else, there is no maintenance until the next start.
const RESTARTS: Policy = Policy::Retry { times: 5, within: Duration::from_secs(600) };

/// There is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    #[error("the service is stopping")]
    Stopping,
    #[error("the maintenance pass panicked")]
    Died,
}

#[derive(Clone)]
pub struct MaintenanceHandle {
    actor: Supervised<MaintenanceActor>,
    stop: Arc<watch::Sender<bool>>,
}

/// Starts the actor on a worker thread.
pub fn start(service: Service) -> MaintenanceHandle {
    let (stop, stopped) = watch::channel(false);
    let worker = service.services.arbiters.worker();
    let (actor, supervision) = Supervised::start(RESTARTS, move |generation, guard| {
        let actor = MaintenanceActor::new(service.clone(), stopped.clone(), generation, guard);
        async { Ok::<_, Infallible>(actor.start()) }
    });
    worker.spawn(async move {
        let verdict = supervision.await;
        tracing::debug!(?verdict, "maintenance has stopped");
    });
    MaintenanceHandle { actor, stop: Arc::new(stop) }
}

impl MaintenanceHandle {
    /// Makes a round and reports what it did. It is made whether or not the caller waits for it.
    pub async fn run_now(&self) -> Result<MaintenanceReport, NotDone> {
        let (_, address) = self.actor.after(0).await.map_err(|_| self.why_not())?;
        address.send(RunNow).await.ok().flatten().ok_or_else(|| self.why_not())
    }

    /// What its actor is doing; none when it is gone.
    pub async fn observe(&self) -> Option<MaintenanceState> {
        self.actor.send(|| Observe).await.ok()
    }

    /// Ends the round in progress where it is, and makes no other.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let mut seen = 0;
        while let Ok((generation, address)) = self.actor.after(seen).await {
            // One that dies of it is followed by another, which is asked too.
            let _ = address.send(Finish).await;
            seen = generation;
        }
    }

    fn why_not(&self) -> NotDone {
        if *self.stop.borrow() { NotDone::Stopping } else { NotDone::Died }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::actor::Panic;
    use super::super::task::TASKS;
    use super::*;
    use crate::config::{Environment, Settings, Sources};
    use crate::domain::id::NodeId;
    use crate::log::{LogOptions, LogRoot, RealDisk};
    use crate::registry::{RegistryHandle, Services};
    use crate::store::Store;

    /// Nothing here takes this long unless it hangs.
    const LONG: Duration = Duration::from_secs(60);

    pub async fn service(folder: &std::path::Path) -> Service {
        service_with(folder, &[]).await
    }

    pub async fn service_with(folder: &std::path::Path, settings: &[(&str, String)]) -> Service {
        let folder_setting = ("ADE_DATA_DIR".to_owned(), folder.display().to_string());
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let environment: Environment = settings.chain([folder_setting]).collect();
        let settings = Settings::load(&Sources { environment, ..Sources::default() }).unwrap();
        let store = Store::connect(&format!("{}?mode=rwc", settings.storage.database_url), 2).await.unwrap();
        store.migrate().await.unwrap();
        let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
        let (log, _) = LogRoot::open(folder, Arc::new(RealDisk::default()), options).unwrap();
        let models = crate::app::models(&settings.llm).unwrap();
        let services = Services::new(Arc::new(settings), store, log, NodeId::generate(), models);
        Service { registry: RegistryHandle::start(services.clone()), services }
    }

    async fn in_time<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(LONG, what).await.expect("it hangs")
    }

    #[actix::test]
    async fn a_panic_is_survived_and_a_stop_is_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let handle = start(service(folder.path()).await);
        let names = |report: MaintenanceReport| report.tasks.into_iter().map(|task| task.name).collect::<Vec<_>>();
        let expected: Vec<_> = TASKS.iter().map(|task| task.name).collect();
        assert_eq!(names(in_time(handle.run_now()).await.unwrap()), expected);

        let (generation, first) = in_time(handle.actor.after(0)).await.unwrap();
        let _ = first.send(Panic).await;
        let (_, next) = in_time(handle.actor.after(generation)).await.unwrap();
        assert_ne!(next, first);
        assert_eq!(names(in_time(handle.run_now()).await.unwrap()), expected);

        in_time(handle.stop()).await;
        assert_eq!(in_time(handle.run_now()).await, Err(NotDone::Stopping));
        in_time(handle.stop()).await;
    }

    #[actix::test]
    async fn a_stop_ends_the_round_under_way_and_those_who_wait_for_one_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let handle = start(service(folder.path()).await);
        let asked: Vec<_> =
            (0..10).map(|_| handle.clone()).map(|handle| actix::spawn(async move { handle.run_now().await })).collect();
        in_time(handle.stop()).await;
        for asked in asked {
            // Before the stop or after it, but answered.
            match in_time(asked).await.unwrap() {
                Ok(report) => assert!(report.tasks.len() <= TASKS.len()),
                Err(error) => assert_eq!(error, NotDone::Stopping),
            }
        }
    }
}
