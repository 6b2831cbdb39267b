//! What a start says about the isolation of children, and what it insists on.

use std::path::Path;

use crate::blocking::blocking;
use crate::config::{Isolation, IsolationSettings, Settings};
use crate::isolation::{NoUserIds, Protection, Verdict, can_give, hide_this_process};
use crate::registry::Services;
use crate::worker::process::count_in;
use crate::worker::protections::Tried;
use crate::worker::{WorkContext, handing};

#[derive(Debug, thiserror::Error)]
pub enum NotIsolated {
    #[error("ADE_ISOLATION is required, and does not hold on this machine: {0}")]
    Required(String),
    #[error("ADE_ISOLATION_UIDS cannot be what it is: {0}")]
    Users(NoUserIds),
}

/// Hides this process from what it will start.
pub fn hide() {
    if let Err(error) = hide_this_process() {
        tracing::warn!(%error, "other processes of this user can look into the service");
    }
}

/// For a service whose children have users of their own: nothing that it makes from now on is anybody's business, and
/// processes of these users count as its own.
pub fn expect_users(settings: &Settings) {
    let Some(ids) = settings.isolation.uids.filter(|ids| can_give(ids.first..=ids.last).is_ok()) else { return };
    count_in(ids.first..=ids.last);
    let others = nix::sys::stat::Mode::S_IRWXO;
    let before = nix::sys::stat::umask(others);
    nix::sys::stat::umask(before | others);
}

/// Tries what children must not be able to do, and says what holds. Where all of it is required, what does not is the end
/// of the start. `file` is the service's own.
pub async fn check(services: &Services, file: &Path) -> Result<(), NotIsolated> {
    let settings = &services.settings.isolation;
    if settings.level == Isolation::Off {
        tracing::warn!("ADE_ISOLATION is off: configurations can reach whatever their user can");
        if settings.uids.is_none() {
            return Ok(());
        }
    }
    let mut missing = without_users(services).await?;
    missing.extend(match services.work.try_protections(file).await {
        Ok(found) => self::missing(&found, settings),
        Err(error) => vec![format!("nothing is known of it: {error}")],
    });
    if missing.is_empty() {
        let (engine_network, users) = (settings.engine_network, settings.uids.map(|ids| ids.to_string()));
        tracing::info!(engine_network, users, "builds and engines are isolated");
        return Ok(());
    }
    let missing = missing.join("; ");
    match settings.level {
        Isolation::Required => Err(NotIsolated::Required(missing)),
        _ => {
            tracing::warn!(does_not_hold = missing, "builds and engines are isolated in part; `ade doctor` says more");
            Ok(())
        }
    }
}

/// Closes what the service keeps to the users of its children; why that cannot be, where it was asked for.
async fn without_users(services: &Services) -> Result<Vec<String>, NotIsolated> {
    match users(&services.settings.isolation) {
        None => return Ok(Vec::new()),
        Some(Err(own @ NoUserIds::Own(_))) => return Err(NotIsolated::Users(own)),
        Some(Err(why)) => return Ok(vec![unusable(&why)]),
        Some(Ok(())) => {}
    }
    let WorkContext { data_dir, venvs_dir, .. } = &*services.work;
    let (data_dir, venvs_dir) = (data_dir.clone(), venvs_dir.clone());
    let closed = blocking(move || handing::close(&data_dir, &venvs_dir)).await;
    Ok(closed
        .err()
        .map(|error| format!("the data directory cannot be closed to others: {error}"))
        .into_iter()
        .collect())
}

/// Whether children can have users of their own, where the settings ask for that.
pub fn users(settings: &IsolationSettings) -> Option<Result<(), NoUserIds>> {
    settings.uids.map(|ids| can_give(ids.first..=ids.last))
}

pub fn unusable(why: &NoUserIds) -> String {
    format!("ADE_ISOLATION_UIDS cannot be used: {why}")
}

/// What was asked for and does not hold, in words.
fn missing(found: &Tried, settings: &IsolationSettings) -> Vec<String> {
    let wanted = found.verdicts.iter().filter(|(protection, _)| is_wanted(*protection, settings));
    let missing = wanted.filter(|(_, verdict)| *verdict != Verdict::Refused);
    let missing = missing.map(|(protection, _)| format!("it is not so that {}", protection.claim()));
    missing.chain(barred(found)).collect()
}

/// What children of other users need and cannot get to, in words.
pub fn barred(found: &Tried) -> Option<String> {
    let paths: Vec<_> = found.barred.iter().map(|path| path.display().to_string()).collect();
    let why = "is below a directory that the user ids of ADE_ISOLATION_UIDS may not pass";
    (!paths.is_empty()).then(|| format!("{} {why}", paths.join(", ")))
}

/// Whether the settings ask for it.
pub fn is_wanted(protection: Protection, settings: &IsolationSettings) -> bool {
    match protection {
        Protection::Users => settings.uids.is_some(),
        Protection::Network => settings.level != Isolation::Off && !settings.engine_network,
        _ => settings.level != Isolation::Off,
    }
}
