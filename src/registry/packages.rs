//! Packages of configurations in the object store, and the directories on this disk that are copies of them.
//!
//! Laws. The row names the archive that counts, and names it only when the store has it: a change is there for every node, or not at
//! all. Of two who change the files that one row names, the row lets one through. A directory on the disk that is not the named
//! archive's is exchanged before anybody reads it, as a whole; one of a configuration without an archive counts as it is. A directory
//! that is a copy need not survive a power cut: the first who wants it after a start compares it with the archive's name.
//!
//! All but `ready` is called by whoever holds the configuration's lock.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};

use chrono::Utc;
use sha2::{Digest as _, Sha256};

use super::leftovers::INCOMING;
use super::services::Services;
use crate::blocking::blocking;
use crate::depot::{FileToKeep, Kept, OpenError, PutError};
use crate::domain::configuration::Configuration;
use crate::domain::maintenance::TaskReport;
use crate::domain::principal::Scope;
use crate::domain::time::micros;
use crate::domain::{ConfigurationId, WorkspaceId};
use crate::files::{Location, is_absent};
use crate::package::{self, Staging, TreeState, UnpackError};
use crate::store::{NextPackage, StoreError};

/// How often a package is looked for that others exchange meanwhile, and a change made again.
pub const TRIES: usize = 12;

/// The package on the disk is the one that counts, when this returns. Without an object store it always is.
pub async fn ready(services: &Services, configuration: &Configuration) -> Result<(), OpenError> {
    if is_ready(services, configuration).await? {
        return Ok(());
    }
    let _editing = services.editing.lock(configuration.id).await;
    ready_alone(services, (configuration.workspace_id, configuration.id)).await.map(drop)
}

/// As [`ready`]; gives the row that it is ready by.
pub async fn ready_alone(services: &Services, of: (WorkspaceId, ConfigurationId)) -> Result<Configuration, OpenError> {
    let mut current = find(services, of).await?;
    for _ in 1..TRIES {
        let Err(error) = bring_up(services, &current).await else { return Ok(current) };
        // An archive that another one has replaced goes, also while it is fetched.
        let now = find(services, of).await?;
        if now.package == current.package {
            return Err(error);
        }
        current = now;
    }
    bring_up(services, &current).await.map(|()| current)
}

async fn find(services: &Services, (of, id): (WorkspaceId, ConfigurationId)) -> Result<Configuration, OpenError> {
    let found = services.store.find_configuration(&Scope::Only(vec![of]), id).await?;
    found.ok_or(OpenError::NotFound)
}

async fn bring_up(services: &Services, configuration: &Configuration) -> Result<(), OpenError> {
    if is_ready(services, configuration).await? {
        return Ok(());
    }
    let Some(name) = configuration.current_package() else {
        return match is_on_disk(services, configuration).await? {
            true => Ok(()),
            false => Err(OpenError::Unavailable("its files are on the disk of another data directory alone".into())),
        };
    };
    // What cannot be read as a package is none of the archive.
    if !state_on_disk(services, configuration).await.is_ok_and(|state| state.is_named(name)) {
        fetch(services, configuration, name).await?;
    }
    services.trees.set(configuration.id, name);
    Ok(())
}

/// Known to be so. A directory that somebody has removed is fetched again.
async fn is_ready(services: &Services, configuration: &Configuration) -> io::Result<bool> {
    if !services.depot.has_store() {
        return Ok(true);
    }
    Ok(services.trees.is_current(configuration) && is_on_disk(services, configuration).await?)
}

async fn is_on_disk(services: &Services, configuration: &Configuration) -> io::Result<bool> {
    let directory = services.work.location(configuration.directory());
    let look = move || match directory.open() {
        Err(error) if is_absent(&error) => Ok(false),
        opened => opened.map(|_| true),
    };
    blocking(look).await
}

async fn state_on_disk(services: &Services, configuration: &Configuration) -> io::Result<TreeState> {
    let (locks, directory) = (services.work.packages.clone(), services.work.location(configuration.directory()));
    let look = move || locks.reading(&directory.path(), || TreeState::of(&directory.open()?).map_err(io::Error::other));
    blocking(look).await
}

async fn fetch(services: &Services, configuration: &Configuration, name: &str) -> Result<(), OpenError> {
    let path = configuration.package_path(name);
    let zip = services.depot.open(&path).await.map_err(|error| match error {
        OpenError::NotFound => OpenError::Damaged(format!("nothing is noted of the archive {name}")),
        error => error,
    })?;
    let (locks, directory) = (services.work.packages.clone(), services.work.location(configuration.directory()));
    let name = name.to_owned();
    let exchange = move || {
        let staging = match package::unpack_tree(zip, &directory, &name) {
            Ok(staging) => staging,
            Err(UnpackError::Io(error)) => return Err(error),
            Err(error) => return Ok(Err(OpenError::Damaged(format!("the archive {name}: {error}")))),
        };
        locks.exchanging(&directory.path(), || staging.commit_copy()).map(Ok)
    };
    let exchanged = blocking(exchange).await?;
    // The directory is the copy.
    if let Err(error) = services.depot.drop_copy_of_others(&path).await {
        tracing::warn!(path = %path.display(), %error, "an archive stays on the disk");
    }
    exchanged
}

/// An archive that the store has, and that nothing leads to yet.
pub struct Archived {
    kept: Kept,
    name: String,
    content_digest: String,
}

impl Archived {
    /// Of what a new configuration begins with.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn content_digest(&self) -> &str {
        &self.content_digest
    }

    pub fn path(&self) -> &str {
        &self.kept.path
    }

    fn next(&self) -> NextPackage<'_> {
        NextPackage { name: &self.name, path: &self.kept.path, content_digest: &self.content_digest }
    }
}

/// Puts an archive of a directory into the store, and waits until it is there.
pub async fn archive(
    services: &Services,
    configuration: &Configuration,
    directory: &Location,
) -> Result<Archived, PutError> {
    let (incoming, directory) = (services.work.location(INCOMING), directory.clone());
    let packed = blocking(move || pack(&directory, &incoming)).await?;
    let name = packed.state.name(&ulid::Ulid::generate().to_string());
    let path = configuration.package_path(&name);
    let file = FileToKeep {
        path: path.clone(),
        workspace_id: configuration.workspace_id,
        bytes: packed.bytes,
        sha256: packed.sha256.clone(),
    };
    let begun = services.depot.begin(file).await?.ok_or_else(|| PutError::Unavailable("there is none".into()))?;
    let (place, content_digest) = (services.work.location(path), packed.state.content_digest.clone());
    blocking(move || packed.put_to(&place)).await?;
    let kept = services.depot.keep(begun).await?;
    Ok(Archived { kept, name, content_digest })
}

/// An archive before it has its place; it goes when it is dropped.
struct Packed {
    state: TreeState,
    bytes: u64,
    sha256: String,
    at: Location,
}

impl Packed {
    fn put_to(&self, place: &Location) -> io::Result<()> {
        let ((incoming, name), (directory, to)) = (self.at.parent()?, place.make_parent()?);
        incoming.rename(&name, &directory, &to)?;
        directory.sync()
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        // It has its place already, or it is clutter that the next start sweeps.
        let _ = self.at.parent().and_then(|(incoming, name)| incoming.remove_file(&name));
    }
}

fn pack(directory: &Location, incoming: &Location) -> io::Result<Packed> {
    let (waiting, name) = (incoming.make()?, ulid::Ulid::generate().to_string());
    let file = waiting.create(&name)?;
    let packed = package::pack_tree(&directory.open()?, file).map_err(io::Error::other);
    let described = packed.and_then(|(mut zip, state)| Ok((state, describe(&mut zip)?)));
    match described {
        Ok((state, (bytes, sha256))) => Ok(Packed { state, bytes, sha256, at: incoming.join(name) }),
        Err(error) => {
            let _ = waiting.remove_file(&name);
            Err(error)
        }
    }
}

/// Its length and checksum; it is on the disk then.
fn describe(file: &mut File) -> io::Result<(u64, String)> {
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let mut sha256 = Sha256::new();
    let bytes = io::copy(file, &mut sha256)?;
    Ok((bytes, format!("{:x}", sha256.finalize())))
}

/// The archive counts from now on, and what was staged takes the place of what is on the disk. False, and nothing has changed, when
/// the row is not the one any more that the change was made for.
pub async fn exchange(
    services: &Services,
    known: &Configuration,
    archived: &Archived,
    staging: Staging,
) -> Result<bool, StoreError> {
    if !services.store.exchange_package(known, &archived.next(), micros(Utc::now())).await? {
        return Ok(false);
    }
    let (locks, directory) = (services.work.packages.clone(), services.work.location(known.directory()));
    match blocking(move || locks.exchanging(&directory.path(), || staging.commit_copy())).await {
        Ok(()) => services.trees.set(known.id, &archived.name),
        // The change is made all the same: whoever reads the package next fetches it.
        Err(error) => {
            services.trees.forget(known.id);
            tracing::error!(configuration = %known.id, %error, "a changed package did not get its place on the disk");
        }
    }
    Ok(true)
}

/// Rows that are read at once.
const PAGE: u64 = 200;

/// Gives the store an archive of every package that is on this disk alone, as it is in a data directory of before.
pub async fn settle(
    services: &Services,
    report: &mut TaskReport,
    should_stop: &(dyn Fn() -> bool + Send + Sync),
) -> Result<(), StoreError> {
    let mut after = None;
    while services.depot.has_store() {
        let page = services.store.configurations_to_pack(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for configuration in page {
            if should_stop() {
                report.unfinished = true;
                return Ok(());
            }
            match settle_one(services, &configuration).await {
                Ok(true) => report.done += 1,
                Ok(false) => report.skipped += 1,
                Err(error) => {
                    report.fail(format_args!("{}: {error}", configuration.id));
                    if matches!(error, PutError::Unavailable(_)) {
                        report.unfinished = true;
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

/// False where its files are not here, or not those that the row tells of: they are another node's, or somebody has changed them by
/// hand, which the next run notes.
async fn settle_one(services: &Services, listed: &Configuration) -> Result<bool, PutError> {
    let _editing = services.editing.lock(listed.id).await;
    let found = services.store.find_configuration(&Scope::Only(vec![listed.workspace_id]), listed.id).await?;
    let Some(known) = found.filter(|found| found.current_package().is_none()) else { return Ok(false) };
    let Ok(state) = state_on_disk(services, &known).await else { return Ok(false) };
    if state.content_digest != known.content_digest {
        return Ok(false);
    }
    let archived = archive(services, &known, &services.work.location(known.directory())).await?;
    let is_first = services.store.exchange_package(&known, &archived.next(), known.updated_at).await?;
    if is_first {
        services.trees.set(known.id, archived.name());
    }
    Ok(is_first)
}
