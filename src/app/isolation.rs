//! What a start says about the isolation of children, and what it insists on.

use std::path::Path;

use crate::config::{Isolation, IsolationSettings};
use crate::isolation::{Protection, Verdict, hide_this_process};
use crate::registry::Services;

#[derive(Debug, thiserror::Error)]
#[error("ADE_ISOLATION is required, and does not hold on this machine: {0}")]
pub struct NotIsolated(String);

/// Hides this process from what it will start.
pub fn hide() {
    if let Err(error) = hide_this_process() {
        tracing::warn!(%error, "other processes of this user can look into the service");
    }
}

/// Tries what children must not be able to do, and says what holds. Where all of it is required, what does not is the end
/// of the start. `file` is the service's own.
pub async fn check(services: &Services, file: &Path) -> Result<(), NotIsolated> {
    let settings = &services.settings.isolation;
    if settings.level == Isolation::Off {
        tracing::warn!("ADE_ISOLATION is off: configurations can reach whatever the service's user can");
        return Ok(());
    }
    let missing = match services.work.try_protections(file).await {
        Ok(found) => missing(&found, settings),
        Err(error) => vec![format!("nothing is known of it: {error}")],
    };
    if missing.is_empty() {
        tracing::info!(engine_network = settings.engine_network, "builds and engines are isolated");
        return Ok(());
    }
    let missing = missing.join("; ");
    match settings.level {
        Isolation::Required => Err(NotIsolated(missing)),
        _ => {
            tracing::warn!(does_not_hold = missing, "builds and engines are isolated in part; `ade doctor` says more");
            Ok(())
        }
    }
}

/// What was asked for and does not hold, in words.
fn missing(found: &[(Protection, Verdict)], settings: &IsolationSettings) -> Vec<String> {
    let wanted = found.iter().filter(|(protection, _)| is_wanted(*protection, settings));
    let missing = wanted.filter(|(_, verdict)| *verdict != Verdict::Refused);
    missing.map(|(protection, _)| format!("it is not so that {}", protection.claim())).collect()
}

/// Whether the settings ask for it.
pub fn is_wanted(protection: Protection, settings: &IsolationSettings) -> bool {
    settings.level != Isolation::Off && (protection != Protection::Network || !settings.engine_network)
}
