//! Executions as the service shows them.

use serde_json::Value;

use crate::cli::exit::CommandError;
use crate::domain::progress::Pending;

pub const PATH: &str = "/api/v1/executions";

/// The input that an execution is waiting for.
pub fn pending(resource: &Value) -> Result<Vec<Pending>, CommandError> {
    serde_json::from_value(resource["pending"].clone())
        .map_err(|error| CommandError::failed(format!("unexpected answer from the service: {error}")))
}
