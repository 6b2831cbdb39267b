//! What every task of a round is given.

use tokio::sync::watch;

use crate::domain::time::Timestamp;
use crate::registry::{RegistryHandle, Services};

/// What is maintained.
#[derive(Clone)]
pub struct Service {
    pub registry: RegistryHandle,
    pub services: Services,
}

/// What every task of a round is given.
#[derive(Clone)]
pub struct Round {
    pub registry: RegistryHandle,
    pub services: Services,
    pub now: Timestamp,
    pub stop: watch::Receiver<bool>,
}

impl Round {
    /// The service stops: tasks end where they are.
    pub fn should_stop(&self) -> bool {
        *self.stop.borrow()
    }
}
