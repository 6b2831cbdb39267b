//! Whether new work is taken.
//!
//! Law: it is decided before anything of the work is stored. Work that was let in is registered before [`Admission::close`]
//! returns, and what was refused has left no row: no client gets a refusal for work that is done all the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, RwLock, watch};

/// Storing and registering takes as long as the disk does; one that hangs must not hold up the end of the service.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Default)]
pub struct Admission {
    closed: Arc<watch::Sender<bool>>,
    /// Held for reading by each command that is on its way in.
    entrance: Arc<RwLock<()>>,
}

/// Held until the work has been registered, or is given up.
#[derive(Debug)]
pub struct Admitted(#[allow(dead_code, reason = "held for its drop")] OwnedRwLockReadGuard<()>);

impl Admission {
    /// Nothing when the service is going down. Not to be called by one that is on the way in already.
    pub async fn enter(&self) -> Option<Admitted> {
        let guard = self.entrance.clone().read_owned().await;
        (!self.is_closed()).then_some(Admitted(guard))
    }

    /// Takes nothing more, and waits for what is on the way in.
    pub async fn close(&self) {
        self.closed.send_replace(true);
        if tokio::time::timeout(PATIENCE, self.entrance.write()).await.is_err() {
            tracing::warn!("work is still on its way in while the service stops");
        }
    }

    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Turns true when the service goes down.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn closing_waits_for_what_is_on_its_way_and_refuses_the_rest() {
        let admission = Admission::default();
        let admitted = admission.enter().await.unwrap();
        let mut closing = tokio_test_task(admission.clone());
        tokio::task::yield_now().await;
        assert!(!closing.is_finished() && admission.is_closed());
        drop(admitted);
        (&mut closing).await.unwrap();
        assert!(admission.enter().await.is_none());
    }

    fn tokio_test_task(admission: Admission) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move { admission.close().await })
    }
}
