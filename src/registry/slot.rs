//! A piece of work that is going on.

use std::sync::{Arc, Weak};

use tokio::sync::watch;

use crate::domain::StreamKey;
use crate::domain::build::Build;
use crate::stream::StreamHandle;
use crate::worker::execution::Desk;
use crate::worker::stop::{StopReason, Stopper};

/// What others may do with it: watch it, stop it, wait for it.
#[derive(Clone)]
pub struct Entry {
    pub stream: StreamHandle,
    pub stopper: Stopper,
    /// True once the row says what the log says, for good.
    pub projected: watch::Receiver<bool>,
    /// Where an execution is spoken to.
    pub desk: Option<Desk>,
}

impl Entry {
    pub fn key(&self) -> StreamKey {
        self.stream.key()
    }

    /// Waits until the row is final.
    pub async fn settled(&self) {
        let _ = self.projected.clone().wait_for(|done| *done).await;
    }
}

/// A build that others may join.
#[derive(Clone)]
pub struct InFlight {
    pub build: Build,
    pub stream: StreamHandle,
    pub waiters: Weak<Waiters>,
}

/// Held by everybody who waits for a build. When the last one lets go, the build is cancelled.
pub struct Waiters {
    stopper: Stopper,
}

impl Waiters {
    pub fn new(stopper: Stopper) -> Arc<Self> {
        Arc::new(Self { stopper })
    }
}

impl Drop for Waiters {
    fn drop(&mut self) {
        let reason = Some("nobody waits for this build any more".to_owned());
        self.stopper.stop(StopReason::Cancel { requested_by: None, reason });
    }
}
