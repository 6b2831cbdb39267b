//! Compressing and deleting, cut short at every step: the log is whole in one form or the other, or it was to be gone.

use std::path::Path;
use std::sync::Arc;

use ade::domain::{ConfigurationId, EventId, RunId, StreamKey, WorkspaceId, time};
use ade::event::{Draft, Identity, Source, codec};
use ade::log::{CompressError, DeleteError, LogOptions, LogRoot, OpenLogError, OpenReaderError};
use bytes::Bytes;
use serde_json::json;

use super::sim_disk::{Faults, SimDisk};

/// What becomes of unsynced bytes and names is the seed's choice. `ADE_RETENTION_SEEDS=500` for a long hunt.
pub fn seeds() -> std::ops::Range<u64> {
    0..super::from_environment("ADE_RETENTION_SEEDS", 8)
}

pub fn open(disk: &SimDisk) -> LogRoot {
    let options = LogOptions { segment_bytes: 128 << 10, direct_threads: 1, ..LogOptions::default() };
    LogRoot::open(Path::new("/data"), Arc::new(disk.clone()), options).unwrap().0
}

pub fn lines(key: StreamKey, count: u64) -> Bytes {
    let identity = Identity::new(key, ConfigurationId::generate());
    let mut batch = Vec::new();
    for sequence in 1..=count {
        let event_id = EventId::from_ulid(ulid::Ulid::from_parts(sequence, 0));
        let stamp = codec::Stamp { sequence, event_id, created_at: time::micros(chrono::Utc::now()) };
        let kind = if sequence == count { "run.completed" } else { "console.line" };
        let message: String = (0..500).map(|n| char::from(b'a' + ((n * sequence * 7919) % 26) as u8)).collect();
        codec::encode(&mut batch, &identity, stamp, &Draft::new(kind, Source::Engine, &json!({ "message": message })));
    }
    batch.into()
}

/// A log that has ended, as its writer has left it.
struct World {
    disk: SimDisk,
    root: LogRoot,
    key: StreamKey,
    lines: Bytes,
}

impl World {
    fn new(seed: u64, lying_disk: bool) -> Self {
        let disk = SimDisk::new(seed, lying_disk);
        let key = StreamKey::of(WorkspaceId::generate(), RunId::generate());
        let (root, lines) = (open(&disk), lines(key, 60));
        let (mut writer, _) = root.writer(key, None).unwrap();
        writer.commit(lines.clone(), true).wait().unwrap();
        Self { disk, root, key, lines }
    }

    /// Nothing is under way any more, and what was is cut off.
    fn next_life(self, power_was_gone: bool) -> Self {
        let Self { disk, root, key, lines } = self;
        drop(root);
        let disk = if power_was_gone { disk.after_power_cut() } else { disk.after_kill() };
        Self { root: open(&disk), disk, key, lines }
    }

    fn compress(&self) -> Result<bool, CompressError> {
        self.root.compress(self.key, &|| false).map(|shrunk| shrunk.after < shrunk.before)
    }

    fn delete(&self) -> Result<u64, DeleteError> {
        self.root.deletable(self.key)?.delete(&|| false)
    }

    /// All the lines; none if there is no log.
    fn content(&self) -> Result<Option<Vec<u8>>, String> {
        let reader = match self.root.reader(self.key) {
            Err(OpenReaderError::NotFound) => return Ok(None),
            opened => opened.map_err(|error| error.to_string())?,
        };
        let mut bytes = vec![0; reader.size().map_err(|error| error.to_string())? as usize];
        reader.read_exact_at(&mut bytes, 0).map_err(|error| error.to_string())?;
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
}

/// Compresses with this fault, then lives on. False when the fault never struck: there are no more steps.
fn compress_with(seed: u64, faults: Faults, power_was_gone: bool, lying: bool) -> Result<bool, String> {
    let when = format!("seed {seed}, {faults:?}, power {power_was_gone}");
    let world = World::new(seed, lying);
    world.disk.inject(faults);
    let compressed = world.compress();
    let struck = world.disk.has_struck();
    if compressed.is_ok() == struck {
        return Err(format!("{when}: {compressed:?}"));
    }
    if !world.disk.is_off() {
        world.check_whole(&when)?;
    }
    let world = world.next_life(power_was_gone);
    world.check_whole(&when)?;
    world.compress().map_err(|error| format!("{when}, again: {error}"))?;
    world.check_whole(&when)?;
    if !matches!(world.root.writer(world.key, None), Err(OpenLogError::Compressed)) {
        return Err(format!("{when}: it is open for writing"));
    }
    let world = world.next_life(true);
    world.check_whole(&format!("{when}, after one more cut"))?;
    Ok(struck)
}

/// Every step in turn, until there are no more.
pub fn every_step(run: impl Fn(u64) -> Result<bool, String>) -> (u64, Vec<String>) {
    let mut broken = Vec::new();
    for step in 1..100 {
        match run(step) {
            Ok(true) => {}
            Ok(false) => return (step - 1, broken),
            Err(error) => broken.push(error),
        }
    }
    panic!("the steps do not end: {broken:?}");
}

#[test]
fn a_crash_at_any_step_of_compressing_leaves_the_log_whole() {
    for seed in seeds() {
        for power_was_gone in [true, false] {
            let (steps, broken) = every_step(|step| {
                compress_with(seed, Faults { power_cut: Some(step), ..Faults::default() }, power_was_gone, false)
            });
            assert_eq!(broken, [""; 0]);
            // Make, empty, frames, index, sync; rename, sync; sync what goes, remove, sync.
            assert_eq!(steps, 10);
        }
    }
}

#[test]
fn a_failing_disk_leaves_the_log_intact_and_the_next_pass_compresses_it() {
    for seed in seeds() {
        for power_was_gone in [true, false] {
            let run = |faults| compress_with(seed, faults, power_was_gone, false);
            let (syncs, broken) = every_step(|n| run(Faults { failed_sync: Some(n), ..Faults::default() }));
            assert_eq!((syncs, broken), (4, vec![]));
            let (writes, broken) = every_step(|n| run(Faults { short_write: Some(n), ..Faults::default() }));
            assert_eq!((writes, broken), (2, vec![]));
        }
    }
}

/// The proof that the tests above can fail.
#[test]
fn a_disk_that_lies_about_syncs_is_detected() {
    let broken = (0..40).map(|seed| {
        let faults = Faults { power_cut: Some(10), ..Faults::default() };
        compress_with(seed, faults, true, true).is_err()
    });
    assert!(broken.filter(|broken| *broken).count() > 0);
}

/// A log in one form, the other, or both; as a crash between rename and remove leaves it.
fn in_form(seed: u64, form: u32) -> World {
    let world = World::new(seed, false);
    match form {
        0 => world,
        1 => {
            world.compress().unwrap();
            world
        }
        _ => {
            world.disk.inject(Faults { power_cut: Some(8), ..Faults::default() });
            assert!(world.compress().is_err());
            world.next_life(false)
        }
    }
}

#[test]
fn a_crash_at_any_step_of_deleting_leaves_all_of_the_log_or_nothing() {
    for seed in seeds() {
        for form in 0..3 {
            let (steps, broken) = every_step(|step| {
                let when = format!("seed {seed}, form {form}, step {step}");
                let world = in_form(seed, form);
                world.disk.inject(Faults { power_cut: Some(step), ..Faults::default() });
                let deleted = world.delete();
                let struck = world.disk.is_off();
                let world = world.next_life(true);
                match world.content()? {
                    None => {}
                    Some(bytes) if deleted.is_err() && bytes == world.lines => {}
                    Some(bytes) => return Err(format!("{when}: {} bytes, {deleted:?}", bytes.len())),
                }
                world.delete().map_err(|error| format!("{when}, again: {error}"))?;
                let world = world.next_life(true);
                if world.content() != Ok(None) {
                    return Err(format!("{when}: it came back"));
                }
                Ok(struck)
            });
            assert_eq!(broken, [""; 0]);
            assert_eq!(steps, [3, 2, 4][form as usize], "form {form}");
        }
    }
}
