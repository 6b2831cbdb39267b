//! Archiving, and deleting what is archived, cut short at every step of the disk and at every request of the store: the log
//! is whole, here or there, until it is to be gone; and nothing stays in the store that nobody knows of.

use std::sync::Arc;
use std::time::Duration;

use ade::domain::{RunId, StreamKey, WorkspaceId};
use ade::log::{ArchiveError, ArchiveOptions, DeleteError, LogRoot, OpenLogError, OpenReaderError};
use ade::objects::memory::{self, MemoryStore};
use bytes::Bytes;

use super::retention::{every_step, lines, open, seeds};
use super::sim_disk::{Faults, SimDisk};

/// A log that has ended and is compressed, and a store.
struct World {
    disk: SimDisk,
    store: MemoryStore,
    root: LogRoot,
    key: StreamKey,
    lines: Bytes,
}

fn attached(disk: &SimDisk, store: &MemoryStore) -> LogRoot {
    let root = open(disk);
    let store = Arc::new(store.clone());
    root.attach_archive(ArchiveOptions { store, cache_bytes: 1 << 20, min_free: 0, pause: Duration::ZERO }).unwrap();
    root
}

impl World {
    fn new(seed: u64, lying_disk: bool) -> Self {
        let (disk, store) = (SimDisk::new(seed, lying_disk), MemoryStore::default());
        let key = StreamKey::of(WorkspaceId::generate(), RunId::generate());
        let (root, lines) = (attached(&disk, &store), lines(key, 60));
        let (mut writer, _) = root.writer(key, None).unwrap();
        writer.commit(lines.clone(), true).wait().unwrap();
        drop(writer);
        root.compress(key, &|| false).unwrap();
        Self { disk, store, root, key, lines }
    }

    fn next_life(self, power_was_gone: bool) -> Self {
        let Self { disk, store, root, key, lines } = self;
        drop(root);
        store.inject(memory::Faults::default());
        let disk = if power_was_gone { disk.after_power_cut() } else { disk.after_kill() };
        Self { root: attached(&disk, &store), disk, store, key, lines }
    }

    fn archive(&self) -> Result<u64, ArchiveError> {
        self.root.archive(self.key, &|| false)
    }

    fn delete(&self) -> Result<u64, DeleteError> {
        self.root.deletable(self.key)?.delete(&|| false)
    }

    /// All the lines; none if there is no log.
    fn content(&self) -> Result<Option<Vec<u8>>, OpenReaderError> {
        let reader = match self.root.reader(self.key) {
            Err(OpenReaderError::NotFound) => return Ok(None),
            opened => opened?,
        };
        let mut bytes = vec![0; reader.size().map_err(OpenReaderError::Io)? as usize];
        reader.read_exact_at(&mut bytes, 0).map_err(OpenReaderError::Io)?;
        Ok(Some(bytes))
    }

    fn check_whole(&self, when: &str) -> Result<(), String> {
        match self.content() {
            Ok(Some(bytes)) if bytes == self.lines => Ok(()),
            Ok(Some(bytes)) => Err(format!("{when}: {} of {} bytes", bytes.len(), self.lines.len())),
            Ok(None) => Err(format!("{when}: the log is gone")),
            Err(error) => Err(format!("{when}: {error}")),
        }
    }

    fn is_on_the_disk(&self) -> bool {
        let path = std::path::Path::new("/data").join(self.key.log_path());
        self.disk.content(&path.with_added_extension("zst")).is_some()
    }

    /// There is one whole log, it is in the archive, and no writer gets an empty one in its place.
    fn check_archived(&self, when: &str) -> Result<(), String> {
        self.check_whole(when)?;
        if self.is_on_the_disk() || self.store.names().len() != 1 {
            return Err(format!("{when}: on the disk {}, {:?}", self.is_on_the_disk(), self.store.names()));
        }
        match self.root.writer(self.key, None) {
            Err(OpenLogError::Archived) => Ok(()),
            Err(error) => Err(format!("{when}: {error}")),
            Ok(_) => Err(format!("{when}: it is open for writing")),
        }
    }
}

/// Archives with these faults, then lives on. False when none struck: there are no more steps.
fn archive_with(seed: u64, faults: Faults, of_store: memory::Faults, power_was_gone: bool) -> Result<bool, String> {
    let when = format!("seed {seed}, {faults:?}, {of_store:?}, power {power_was_gone}");
    let world = World::new(seed, false);
    world.disk.inject(faults);
    world.store.inject(of_store);
    let archived = world.archive();
    if !world.disk.is_off() {
        world.disk.inject(Faults::default());
        world.store.inject(memory::Faults::default());
        world.check_whole(&when)?;
    }
    let world = world.next_life(power_was_gone);
    world.check_whole(&when)?;
    world.archive().map_err(|error| format!("{when}, again: {error}"))?;
    world.check_archived(&when)?;
    let world = world.next_life(true);
    world.check_archived(&format!("{when}, after one more cut"))?;
    Ok(archived.is_err())
}

#[test]
fn a_crash_at_any_step_of_archiving_leaves_the_log_whole_and_the_next_pass_finishes() {
    for seed in seeds() {
        for power_was_gone in [true, false] {
            let (steps, broken) = every_step(|step| {
                let faults = Faults { power_cut: Some(step), ..Faults::default() };
                archive_with(seed, faults, memory::Faults::default(), power_was_gone)
            });
            assert_eq!(broken, [""; 0]);
            // Make, empty, write and sync the note, sync; rename it, sync; remove, sync.
            assert_eq!(steps, 9);
            for after in [true, false] {
                let (requests, broken) = every_step(|step| {
                    let dies = Some(step);
                    let faults = match after {
                        true => memory::Faults { dies_after: dies, ..Default::default() },
                        false => memory::Faults { dies_before: dies, ..Default::default() },
                    };
                    archive_with(seed, Faults::default(), faults, power_was_gone)
                });
                // Is it there? Put it, and read it back. Of one that is not there, nothing comes after the answer.
                assert_eq!((requests, broken), (3 - u64::from(after), vec![]));
            }
        }
    }
}

#[test]
fn a_failing_disk_leaves_the_log_intact_and_the_next_pass_archives_it() {
    for seed in seeds() {
        for power_was_gone in [true, false] {
            let run = |faults| archive_with(seed, faults, memory::Faults::default(), power_was_gone);
            let (syncs, broken) = every_step(|n| run(Faults { failed_sync: Some(n), ..Faults::default() }));
            assert_eq!((syncs, broken), (4, vec![]));
            let (writes, broken) = every_step(|n| run(Faults { short_write: Some(n), ..Faults::default() }));
            assert_eq!((writes, broken), (1, vec![]));
        }
    }
}

/// The proof that the tests above can fail.
#[test]
fn a_store_that_loses_what_it_was_given_keeps_the_log_on_the_disk() {
    for faults in [
        memory::Faults { loses: true, ..Default::default() },
        memory::Faults { corrupt: true, ..Default::default() },
        memory::Faults { truncated: true, ..Default::default() },
        memory::Faults { away: true, ..Default::default() },
    ] {
        let world = World::new(0, false);
        world.store.inject(faults);
        let refused = world.archive();
        let is_away = matches!(refused, Err(ArchiveError::Unavailable(_)));
        assert!(matches!(refused, Err(ArchiveError::Mismatch)) || faults.away && is_away, "{faults:?}: {refused:?}");
        assert!(world.is_on_the_disk());
        world.check_whole("with faults").unwrap();
        world.store.inject(memory::Faults::default());
        world.archive().unwrap();
        world.check_archived("without").unwrap();
    }
}

/// Archived; with a pointer and the file beside it, as a crash leaves them; put, and not pointed to yet.
fn in_form(seed: u64, form: u32) -> World {
    let world = World::new(seed, false);
    let cut_at = [None, Some(8), Some(6)][form as usize];
    let Some(step) = cut_at else {
        world.archive().unwrap();
        return world;
    };
    world.disk.inject(Faults { power_cut: Some(step), ..Faults::default() });
    assert!(world.archive().is_err());
    let world = world.next_life(false);
    assert_eq!(world.store.names().len(), 1, "form {form}");
    world
}

#[test]
fn a_crash_at_any_step_of_deleting_leaves_no_part_of_the_log_and_no_object_behind() {
    for seed in seeds() {
        for form in 0..3 {
            let run = |faults: Faults, of_store: memory::Faults| {
                let when = format!("seed {seed}, form {form}, {faults:?}, {of_store:?}");
                let world = in_form(seed, form);
                world.disk.inject(faults);
                world.store.inject(of_store);
                let deleted = world.delete();
                let world = world.next_life(true);
                match world.content() {
                    Ok(None) => {}
                    Ok(Some(bytes)) if deleted.is_err() && bytes == world.lines => {}
                    // The row says that it goes, so nobody asks.
                    Err(OpenReaderError::ArchiveDamaged(_)) if deleted.is_err() => {}
                    other => return Err(format!("{when}: {other:?}, {deleted:?}")),
                }
                world.delete().map_err(|error| format!("{when}, again: {error}"))?;
                let world = world.next_life(true);
                match (world.content(), world.store.names()) {
                    (Ok(None), names) if names.is_empty() => Ok(deleted.is_err()),
                    (content, names) => Err(format!("{when}: {content:?}, {names:?}")),
                }
            };
            let cut = |step| run(Faults { power_cut: Some(step), ..Faults::default() }, memory::Faults::default());
            let (steps, broken) = every_step(cut);
            assert_eq!(broken, [""; 0]);
            assert!(steps >= 2, "{steps}");
            let died = |step| run(Faults::default(), memory::Faults { dies_before: Some(step), ..Default::default() });
            assert_eq!(every_step(died), (1, vec![]), "form {form}");
            let died = |step| run(Faults::default(), memory::Faults { dies_after: Some(step), ..Default::default() });
            assert_eq!(every_step(died), (1, vec![]), "form {form}");
        }
    }
}
