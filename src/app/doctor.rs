//! Looking at a machine and its settings as a start and its first work would find them, and leaving nothing behind.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::isolation::{barred, hide, is_wanted, unusable, users};
use super::objects;
use crate::blocking::blocking;
use crate::config::{Isolation, IsolationSettings, KeptIn, Settings};
use crate::domain::stored_file::FileState;
use crate::files::{Dir, free_bytes};
use crate::isolation::{Protection, Verdict};
use crate::objects::{Content, ObjectStore, Stop};
use crate::store::{Store, StoreError};
use crate::worker::WorkContext;
use crate::worker::process::{Marker, adopt_orphans};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub name: String,
    pub state: State,
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ok,
    /// The settings do not ask for it.
    Unused,
    Failed,
}

impl Finding {
    fn of(name: &str, outcome: Result<String, String>) -> Self {
        let state = if outcome.is_ok() { State::Ok } else { State::Failed };
        Self { name: name.to_owned(), state, detail: outcome.unwrap_or_else(|why| why) }
    }
}

/// Everything that is looked at. `file` is one that this process can read and write, and that no child is given.
pub async fn examine(settings: Settings, file: &Path) -> Vec<Finding> {
    hide();
    let _ = adopt_orphans();
    let settings = Arc::new(settings);
    let work = WorkContext::new(settings.clone(), Marker::node("doctor".into()));
    let mut findings = vec![python(&work).await, installer(&work).await];
    for (name, path) in [("data directory", &settings.storage.data_dir), ("venvs directory", &settings.build.venvs_dir)]
    {
        findings.push(Finding::of(name, directory(path.clone(), settings.storage.disk_min_free).await));
    }
    findings.push(Finding::of("database", database(&settings).await));
    findings.push(archive(&settings).await);
    findings.push(files(&settings).await);
    findings.extend(isolation(&work, &settings, file).await);
    findings
}

async fn python(work: &WorkContext) -> Finding {
    let found = work.tools.python().await;
    let found = found.map(|python| format!("{} ({})", python.path.display(), python.version));
    Finding::of("python", found.map_err(|error| error.to_string()))
}

async fn installer(work: &WorkContext) -> Finding {
    Finding::of("installer", Ok(work.tools.installer_at_hand().await))
}

/// Writable, and with room; or not there yet, where it can be made.
async fn directory(path: PathBuf, min_free: u64) -> Result<String, String> {
    let shown = path.display().to_string();
    let free = blocking(move || {
        let there = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/")).to_owned();
        match there == path {
            true => Dir::root(&path)?.probe()?,
            false => nix::unistd::access(&there, nix::unistd::AccessFlags::W_OK)?,
        }
        free_bytes(&there)
    });
    let free = free.await.map_err(|error| format!("{shown} cannot be written: {error}"))?;
    let room = format!("{shown}, {} MiB free", free >> 20);
    if free < min_free { Err(format!("{room}, which is less than ADE_DISK_MIN_FREE")) } else { Ok(room) }
}

async fn database(settings: &Settings) -> Result<String, String> {
    let file = settings.storage.database_file();
    if let Some(file) = file.filter(|file| !file.exists()) {
        return Ok(format!("{} is made by the first start", file.display()));
    }
    let store = Store::connect(&settings.storage.database_url, 1).await.map_err(|error| error.to_string())?;
    let status = store.migration_status().await.map_err(|error| error.to_string());
    let _ = store.close().await;
    let pending = status?.pending.len();
    Ok(if pending == 0 { "it answers".into() } else { format!("it answers; {pending} migrations are pending") })
}

/// How many files the object store has, and how many it is owed.
async fn files(settings: &Settings) -> Finding {
    let name = "files";
    let is_in_use = settings.files.kept_in == KeptIn::Store;
    let counted = match settings.storage.database_file().is_some_and(|file| !file.exists()) {
        true => Ok(None),
        false => counted(settings).await,
    };
    let detail = match counted {
        Err(why) => return Finding::of(name, Err(why)),
        Ok(None) => "nothing is noted of them yet".to_owned(),
        Ok(Some((stored, owed))) => format!("{stored} in the object store, {owed} owed to it"),
    };
    let state = if is_in_use { State::Ok } else { State::Unused };
    let detail = if is_in_use { detail } else { format!("ADE_FILES is disk; {detail}") };
    Finding { name: name.to_owned(), state, detail }
}

/// None before the first start of this release.
async fn counted(settings: &Settings) -> Result<Option<(u64, u64)>, String> {
    let store = Store::connect(&settings.storage.database_url, 1).await.map_err(|error| error.to_string())?;
    let counted = async {
        if !store.migration_status().await?.pending.is_empty() {
            return Ok(None);
        }
        let stored = store.count_stored_files(FileState::Stored).await?;
        Ok(Some((stored, store.count_stored_files(FileState::Owed).await?)))
    };
    let counted = counted.await.map_err(|error: StoreError| error.to_string());
    let _ = store.close().await;
    counted
}

/// Whether it takes an object, gives it back and deletes it.
async fn archive(settings: &Settings) -> Finding {
    let name = "object store";
    // It does not get to know a directory: that is for whoever archives.
    let record = Some(objects::record(&settings.storage.data_dir)).filter(|record| record.exists());
    let store = match objects::open_known_by(settings, record) {
        Ok(Some(store)) => store,
        Ok(None) => {
            let detail = "ADE_OBJECT_STORE is unset: logs stay in the data directory".to_owned();
            return Finding { name: name.to_owned(), state: State::Unused, detail };
        }
        Err(error) => return Finding::of(name, Err(error.to_string())),
    };
    let probed = blocking(move || Ok(probe(&*store))).await;
    let probed = probed.unwrap_or_else(|error| Err(error.to_string()));
    Finding::of(name, probed.map(|()| "an object was put, read and deleted".to_owned()))
}

fn probe(store: &dyn ObjectStore) -> Result<(), String> {
    const CONTENT: &[u8] = b"ade doctor";
    let (name, go_on): (_, Stop) = (format!("ade-doctor-{}", ulid::Ulid::generate()), &|| false);
    let mut read = |_| Ok(Bytes::from_static(CONTENT));
    let content = Content { bytes: CONTENT.len() as u64, read: &mut read };
    store.put(&name, content, go_on).map_err(|error| format!("nothing can be put there: {error}"))?;
    let mut found = Vec::new();
    let mut keep = |piece: &[u8]| {
        found.extend_from_slice(piece);
        Ok(())
    };
    let got = store.get(&name, &mut keep, go_on);
    store.delete(&name, go_on).map_err(|error| format!("{name} cannot be deleted again: {error}"))?;
    got.map_err(|error| format!("what was put there cannot be read: {error}"))?;
    if found == CONTENT { Ok(()) } else { Err("what was put there reads as something else".to_owned()) }
}

async fn isolation(work: &WorkContext, settings: &Settings, file: &Path) -> Vec<Finding> {
    let found = match work.try_protections(file).await {
        Ok(found) => found,
        Err(error) => return vec![Finding::of("isolation", Err(error.to_string()))],
    };
    let no_users = users(&settings.isolation).and_then(Result::err).map(|why| unusable(&why)).or(barred(&found));
    let finding = |(protection, verdict)| {
        let (state, detail) = match no_users.clone().filter(|_| protection == Protection::Users) {
            Some(why) => (State::Failed, why),
            None => judged(protection, verdict, &settings.isolation),
        };
        Finding { name: format!("isolation: {}", protection.name()), state, detail }
    };
    found.verdicts.into_iter().map(finding).collect()
}

fn judged(protection: Protection, verdict: Verdict, settings: &IsolationSettings) -> (State, String) {
    let (claim, is_off) = (protection.claim(), settings.level == Isolation::Off);
    if is_wanted(protection, settings) {
        return match verdict {
            Verdict::Refused => (State::Ok, claim.to_owned()),
            Verdict::Succeeded => (State::Failed, format!("it is not so that {claim}")),
            Verdict::Unclear => (State::Failed, format!("it is not known that {claim}")),
        };
    }
    let why = match (protection, verdict) {
        (Protection::Users, _) => "ADE_ISOLATION_UIDS is unset".to_owned(),
        (_, Verdict::Refused) if is_off => format!("ADE_ISOLATION is off, or else {claim}"),
        _ if is_off => "ADE_ISOLATION is off".to_owned(),
        _ => "ADE_ENGINE_NETWORK is on".to_owned(),
    };
    (State::Unused, why)
}

/// A file that children are not given: the lock of the data directory, where there is one.
pub fn own_file(settings: &Settings) -> io::Result<PathBuf> {
    let lock = settings.storage.data_dir.join(super::lock::FILE);
    lock.metadata().map(|_| lock)
}

#[cfg(test)]
mod tests {
    use super::probe;
    use crate::objects::memory::{Faults, MemoryStore};

    #[test]
    fn a_store_is_probed_by_what_is_done_with_it_and_nothing_stays_there() {
        let store = MemoryStore::default();
        assert_eq!((probe(&store), store.names().len()), (Ok(()), 0));
        let refuses = Faults { refuses: true, ..Faults::default() };
        for faults in [refuses, Faults { corrupt: true, ..Faults::default() }] {
            store.inject(faults);
            assert!(probe(&store).is_err(), "{faults:?}");
        }
    }
}
