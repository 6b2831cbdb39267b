//! What the interface needs of modules that it must not import; `app` provides it.

use futures_util::future::BoxFuture;

use super::problem::{Code, Problem};
use crate::domain::maintenance::{MaintenanceReport, MaintenanceState};

/// Runs a maintenance pass to its end, whether or not its caller waits for it.
pub trait Maintenance: Send + Sync {
    fn run_now(&self) -> BoxFuture<'static, Result<MaintenanceReport, NoMaintenance>>;

    /// What its actor is doing; none when it is gone.
    fn observe(&self) -> BoxFuture<'static, Option<MaintenanceState>>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMaintenance {
    #[error("the service is stopping")]
    Stopping,
    #[error("the maintenance pass panicked")]
    Died,
}

impl From<NoMaintenance> for Problem {
    fn from(error: NoMaintenance) -> Self {
        match error {
            NoMaintenance::Stopping => Self::new(Code::Draining, error.to_string()),
            NoMaintenance::Died => Self::internal(error),
        }
    }
}
