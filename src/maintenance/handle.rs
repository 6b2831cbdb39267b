//! The only way to the maintenance actor. A handle survives its incarnations.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr};
use tokio::sync::watch;

use super::actor::{Finish, MaintenanceActor, RunNow};
use crate::domain::maintenance::MaintenanceReport;
use crate::registry::RegistryHandle;
use crate::supervision::{Policy, supervise};

/// A panicking actor is made anew; if it does nothing else, there is no maintenance until the next start.
const RESTARTS: Policy = Policy::Retry { times: 5, within: Duration::from_secs(600) };

/// There is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    #[error("the service is stopping")]
    Stopping,
    #[error("the round died")]
    Died,
}

#[derive(Clone)]
enum Incarnation {
    Starting,
    Live(Addr<MaintenanceActor>),
    Gone,
}

#[derive(Clone)]
pub struct MaintenanceHandle {
    incarnation: watch::Receiver<Incarnation>,
    stop: Arc<watch::Sender<bool>>,
}

/// Starts the actor on a worker thread.
pub fn start(registry: RegistryHandle) -> MaintenanceHandle {
    let (announce, incarnation) = watch::channel(Incarnation::Starting);
    let (stop, stopped) = watch::channel(false);
    let worker = registry.services().arbiters.worker();
    worker.spawn_fn(move || {
        actix::spawn(async move {
            let verdict = supervise(RESTARTS, |_, guard| {
                let actor = MaintenanceActor::new(registry.clone(), stopped.clone(), guard);
                announce.send_replace(Incarnation::Live(actor.start()));
                async { Ok::<_, Infallible>(()) }
            });
            let verdict = verdict.await;
            tracing::debug!(?verdict, "no more maintenance");
            announce.send_replace(Incarnation::Gone);
        });
    });
    MaintenanceHandle { incarnation, stop: Arc::new(stop) }
}

impl MaintenanceHandle {
    /// Makes a round and tells what it did. It is made whether or not the caller waits for it.
    pub async fn run_now(&self) -> Result<MaintenanceReport, NotDone> {
        let address = self.live().await.ok_or_else(|| self.why_not())?;
        address.send(RunNow).await.ok().flatten().ok_or_else(|| self.why_not())
    }

    async fn live(&self) -> Option<Addr<MaintenanceActor>> {
        let mut incarnation = self.incarnation.clone();
        let started = incarnation.wait_for(|incarnation| !matches!(incarnation, Incarnation::Starting)).await;
        match started.as_deref() {
            Ok(Incarnation::Live(address)) => Some(address.clone()),
            _ => None,
        }
    }

    /// Ends the round under way where it is, and makes no other.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let mut incarnation = self.incarnation.clone();
        loop {
            let now = incarnation.borrow_and_update().clone();
            match now {
                Incarnation::Gone => return,
                Incarnation::Starting => {}
                Incarnation::Live(address) => drop(address.send(Finish).await),
            }
            if incarnation.changed().await.is_err() {
                return;
            }
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
    use crate::registry::Services;
    use crate::store::Store;

    /// Nothing here takes this long unless it hangs.
    const LONG: Duration = Duration::from_secs(60);

    pub async fn registry(folder: &std::path::Path) -> RegistryHandle {
        let environment = Environment::from([("ADE_DATA_DIR".to_owned(), folder.display().to_string())]);
        let settings = Settings::load(&Sources { environment, ..Sources::default() }).unwrap();
        let store = Store::connect(&format!("{}?mode=rwc", settings.storage.database_url), 2).await.unwrap();
        store.migrate().await.unwrap();
        let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
        let (log, _) = LogRoot::open(folder, Arc::new(RealDisk::default()), options).unwrap();
        let models = crate::app::models(&settings.llm).unwrap();
        RegistryHandle::start(Services::new(Arc::new(settings), store, log, NodeId::generate(), models))
    }

    async fn in_time<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(LONG, what).await.expect("it hangs")
    }

    #[actix::test]
    async fn a_panic_is_survived_and_a_stop_is_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let handle = start(registry(folder.path()).await);
        let names = |report: MaintenanceReport| report.tasks.into_iter().map(|task| task.name).collect::<Vec<_>>();
        let expected: Vec<_> = TASKS.iter().map(|task| task.name).collect();
        assert_eq!(names(in_time(handle.run_now()).await.unwrap()), expected);

        let first = in_time(handle.live()).await.unwrap();
        let _ = first.send(Panic).await;
        let mut incarnation = handle.incarnation.clone();
        let is_anew = |now: &Incarnation| matches!(now, Incarnation::Live(address) if *address != first);
        drop(in_time(incarnation.wait_for(is_anew)).await.unwrap());
        assert_eq!(names(in_time(handle.run_now()).await.unwrap()), expected);

        in_time(handle.stop()).await;
        assert_eq!(in_time(handle.run_now()).await, Err(NotDone::Stopping));
        in_time(handle.stop()).await;
    }

    #[actix::test]
    async fn a_stop_ends_the_round_under_way_and_those_who_wait_for_one_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let handle = start(registry(folder.path()).await);
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
