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
