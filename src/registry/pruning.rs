//! Pruning: removes venvs that are no longer needed, while everything else goes on.
//!
//! Law: what goes is decided and taken out of its place under the lock under which venvs are promised, so no venv
//! is removed that a run has been given. Rows stay, and say that their venvs are gone.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::core::Core;
use super::error::PruneError;
use super::services::Services;
use super::slots::BuildsOf;
use crate::blocking::blocking;
use crate::domain::build::Build;
use crate::domain::principal::Scope;
use crate::domain::status::BuildStatus;
use crate::domain::{BuildId, ConfigurationId, WorkspaceId};
use crate::files;
use crate::store::StoreError;
use crate::worker::trash::log_stuck;
use crate::worker::venv;
use crate::worker::venv::pruning::{Venv, build_directories, configurations_with_venvs, superfluous};

/// What a round of pruning has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    pub configurations: usize,
    pub venvs_removed: usize,
    /// Rows whose venvs were gone, or were back, without their knowing.
    pub rows_corrected: usize,
    pub bytes_freed: u64,
    /// Configurations left to the next round, and what cannot be deleted.
    pub failed: usize,
}

/// Prunes the venvs of all configurations of this node. Must be called on a worker thread.
pub async fn prune(core: &Core) -> PruneReport {
    let services = &core.services;
    let mut report = PruneReport::default();
    let venvs = services.work.venvs_dir.clone();
    let found = blocking(move || configurations_with_venvs(&venvs)).await;
    for (workspace_id, id) in report.unless_failed("the directory of venvs", found).unwrap_or_default() {
        if services.admission.is_closed() {
            break;
        }
        let done = prune_one(core, workspace_id, id).await;
        if let Some(Some(pruned)) = report.unless_failed(id, done) {
            report.count(&pruned);
        }
    }
    empty_trash(services, &services.work.venvs_dir, &mut report).await;
    empty_trash(services, &services.work.data_dir, &mut report).await;
    report
}

/// Entries that are deleted before one looks whether the service is stopping.
const STEP: u64 = 20_000;
/// So many steps in a round; the next one goes on.
const STEPS: usize = 100;

/// Deleting takes longer than pruning, and needs no lock. A service that stops is not held up; the next one goes on.
async fn empty_trash(services: &Services, root: &Path, report: &mut PruneReport) {
    for _ in 0..STEPS {
        let directory = root.to_owned();
        let emptied = blocking(move || files::empty_trash(&directory, STEP, &|| false)).await;
        let Some(emptied) = report.unless_failed("removed files", emptied) else { return };
        log_stuck(root, &emptied);
        report.bytes_freed += emptied.bytes;
        report.failed += emptied.stuck.len();
        if emptied.is_done || services.admission.is_closed() {
            return;
        }
    }
}

/// Of one configuration.
#[derive(Default)]
struct Pruned {
    venvs_removed: usize,
    rows_corrected: usize,
}

impl PruneReport {
    fn count(&mut self, pruned: &Pruned) {
        self.configurations += 1;
        self.venvs_removed += pruned.venvs_removed;
        self.rows_corrected += pruned.rows_corrected;
    }

    fn unless_failed<T, E: std::fmt::Display>(
        &mut self,
        what: impl std::fmt::Display,
        done: Result<T, E>,
    ) -> Option<T> {
        let noted = |error| {
            tracing::warn!(%what, %error, "could not be pruned");
            self.failed += 1;
        };
        done.map_err(noted).ok()
    }
}

/// `None` for directories of a configuration that is not known here: another service may know it. Of one that has been
/// deleted none is needed.
async fn prune_one(core: &Core, workspace_id: WorkspaceId, id: ConfigurationId) -> Result<Option<Pruned>, PruneError> {
    let services = &core.services;
    let decision = core.builds_of(id).await?.decision;
    let _deciding = decision.lock_owned().await;
    // What is in progress, and what is current, may have changed while another decision was taken.
    let builds = core.builds_of(id).await?;
    let scope = Scope::Only(vec![workspace_id]);
    let (current, keep) = match services.store.find_configuration(&scope, id).await? {
        Some(configuration) => (configuration.active_build_id, services.settings.build.keep),
        None if services.store.configuration_is_deleted(workspace_id, id).await? => (None, 0),
        None => return Ok(None),
    };
    let venvs = services.work.venvs_dir.clone();
    let directories = blocking(move || build_directories(&venvs, workspace_id, id)).await?;
    let among: Vec<BuildId> = directories.iter().map(|(id, _)| *id).collect();
    let rows = services.store.builds_with_venvs(workspace_id, id, &among).await?;
    let wholes = wholes(services, rows).await?;
    let facts: Vec<Venv> = among.iter().map(|&id| facts(services, current, &builds, &wholes, id)).collect();
    let gone = superfluous(&facts, keep);
    let removed = remove(services, directories, &gone).await?;
    let rows_corrected = correct(services, &wholes, &removed).await?;
    Ok(Some(Pruned { venvs_removed: removed.len(), rows_corrected }))
}

/// Each build with whether its venv is there and whole.
async fn wholes(services: &Services, rows: Vec<Build>) -> Result<Vec<(Build, bool)>, PruneError> {
    let work = services.work.clone();
    let looked = blocking(move || {
        let with_whole = |build: Build| {
            let whole = build.state.status == BuildStatus::Active && venv::venv_is_intact(&work, &build);
            (build, whole)
        };
        Ok(rows.into_iter().map(with_whole).collect())
    });
    Ok(looked.await?)
}

fn facts(
    services: &Services,
    current: Option<BuildId>,
    builds: &BuildsOf,
    rows: &[(Build, bool)],
    id: BuildId,
) -> Venv {
    let row = rows.iter().find(|(build, _)| build.id == id);
    // On a database that several nodes share, each prunes what it has built.
    let is_foreign = row.is_some_and(|(build, _)| build.node_id != services.node_id);
    let is_under_way = builds.in_flight.iter().any(|in_flight| in_flight.id() == id);
    Venv {
        build_id: id,
        is_whole: row.is_some_and(|(_, whole)| *whole),
        is_in_use: is_under_way || is_foreign || services.leases.is_held(id),
        is_current: current == Some(id),
    }
}

async fn remove(
    services: &Services,
    directories: Vec<(BuildId, PathBuf)>,
    gone: &[BuildId],
) -> Result<Vec<BuildId>, PruneError> {
    let victims: Vec<_> = directories.into_iter().filter(|(id, _)| gone.contains(id)).collect();
    let venvs = services.work.venvs_dir.clone();
    let removed = blocking(move || {
        victims.into_iter().map(|(id, directory)| files::discard(&venvs, &directory).map(|_| id)).collect()
    });
    Ok(removed.await?)
}

/// Rows say what is so now.
async fn correct(services: &Services, rows: &[(Build, bool)], removed: &[BuildId]) -> Result<usize, StoreError> {
    let mut corrected = 0;
    for (build, whole) in rows {
        let is_present = *whole && !removed.contains(&build.id);
        if build.node_id == services.node_id && build.venv_present != is_present {
            services.store.set_venv_present(build.workspace_id, build.id, is_present).await?;
            corrected += usize::from(!removed.contains(&build.id));
        }
    }
    Ok(corrected)
}

/// Brings up to date what rows say of their venvs, in the records and in the database: a directory may have been deleted by hand.
pub async fn look_at_venvs(services: &Services, builds: &mut [Build]) -> Result<(), StoreError> {
    let is_ours = |build: &&Build| build.state.status == BuildStatus::Active && build.node_id == services.node_id;
    let active: Vec<Build> = builds.iter().filter(is_ours).cloned().collect();
    let work = services.work.clone();
    let looked = blocking(move || {
        Ok(active.iter().map(|build| (build.id, venv::venv_is_intact(&work, build))).collect::<Vec<_>>())
    });
    for (id, whole) in looked.await.unwrap_or_default() {
        let changed = builds.iter_mut().find(|build| build.id == id && build.venv_present != whole);
        if let Some(build) = changed {
            build.venv_present = whole;
            services.store.set_venv_present(build.workspace_id, build.venv_build_id(), whole).await?;
        }
    }
    Ok(())
}
