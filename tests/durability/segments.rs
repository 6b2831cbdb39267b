//! A log in segments across power cuts at any moment: while it is appended to, sealed, expired or opened.

use std::sync::Arc;

use ade::domain::{EventId, StreamKey, WorkspaceId, time};
use ade::event::{Draft, Identity, Source, codec};
use ade::log::{LogOptions, LogRoot};
use serde_json::json;
use ulid::Ulid;

use super::from_environment;
use super::sim_disk::{Faults, SimDisk};
use ade_test_support::random::Random;

/// What is known of the log from the outside.
struct Feed {
    key: StreamKey,
    /// The last sequence that was acknowledged.
    acknowledged: u64,
    /// The first that may still be there.
    first: u64,
    seals: u64,
    expired: u64,
    cuts: u64,
}

impl Feed {
    fn lines(&self, from: u64, count: u64, random: &mut Random) -> Vec<u8> {
        let identity = Identity::of_feed(self.key.workspace_id());
        let mut lines = Vec::new();
        for sequence in from..from + count {
            let event_id = EventId::from_ulid(Ulid::from_parts(sequence, 0));
            let stamp = codec::Stamp { sequence, event_id, created_at: time::micros(chrono::DateTime::UNIX_EPOCH) };
            let draft = Draft::new("run.queued", Source::Api, &json!({"text": "x".repeat(random.below(700) as usize)}));
            codec::encode(&mut lines, &identity, stamp, &draft);
        }
        lines
    }

    /// Some work until it fails or has had its time.
    fn live(&mut self, root: &LogRoot, random: &mut Random) -> Result<(), String> {
        for _ in 0..random.below(6) {
            let Ok((mut writer, recovered)) = root.writer(self.key, None) else { return Ok(()) };
            if recovered.last_sequence < self.acknowledged {
                return Err(format!("{} was acknowledged, {} is left", self.acknowledged, recovered.last_sequence));
            }
            self.acknowledged = recovered.last_sequence;
            self.check(root)?;
            for _ in 0..random.below(4) {
                let (from, count) = (self.acknowledged + 1, 1 + random.below(5));
                if writer.commit(self.lines(from, count, random).into(), true).wait().is_err() {
                    return Ok(());
                }
                self.acknowledged = from + count - 1;
            }
            drop(writer);
            if random.chance(60) {
                self.seals += u64::from(root.seal(self.key).is_ok());
            }
            if random.chance(20) {
                let all = chrono::Utc::now();
                self.expired += root.expire(self.key, all).map_or(0, |expired| expired.segments);
            }
        }
        Ok(())
    }

    /// Every event from the first one that is there to the last, each once.
    fn check(&mut self, root: &LogRoot) -> Result<(), String> {
        let reader = root.reader(self.key).map_err(|error| error.to_string())?;
        let tail = reader.tail().map_err(|error| error.to_string())?;
        let (mut offset, mut expected) = (0, reader.first_sequence());
        if expected < self.first {
            return Err(format!("{expected} has come back, {} was the first", self.first));
        }
        self.first = expected;
        while offset < tail.bytes {
            let chunk = reader.read(offset, tail.bytes, 3000).map_err(|error| error.to_string())?;
            for line in chunk.lines.split_inclusive(|byte| *byte == b'\n') {
                let found = codec::decode(line).map_err(|error| error.to_string())?.sequence;
                if found != expected {
                    return Err(format!("{found} stands where {expected} belongs"));
                }
                expected += 1;
            }
            offset = chunk.next_offset;
        }
        if expected != tail.last_sequence + 1 { Err(format!("{expected} is not behind {tail:?}")) } else { Ok(()) }
    }
}

fn live(seed: u64) -> Result<Feed, String> {
    let mut random = Random::new(seed);
    let key = StreamKey::feed(WorkspaceId::from_ulid(Ulid::from_parts(1, seed.into())));
    let mut feed = Feed { key, acknowledged: 0, first: 1, seals: 0, expired: 0, cuts: 0 };
    let mut disk = SimDisk::new(seed, false);
    for _ in 0..8 {
        disk.inject(Faults { power_cut: Some(1 + random.below(160)), ..Faults::default() });
        let options = LogOptions { segment_bytes: 64 << 10, ..LogOptions::default() };
        let lived = match LogRoot::open("/data".as_ref(), Arc::new(disk.clone()), options) {
            Ok((root, _)) => feed.live(&root, &mut random),
            Err(_) => Ok(()),
        };
        lived.map_err(|broken| format!("seed {seed}: {broken}"))?;
        feed.cuts += u64::from(disk.is_off());
        disk = if random.chance(70) { disk.after_power_cut() } else { disk.after_kill() };
    }
    Ok(feed)
}

#[test]
fn segments_lose_nothing_and_number_nothing_twice() {
    let (first, count) = (from_environment("ADE_FIRST_SEED", 0), from_environment("ADE_SEEDS", 400));
    let lived: Vec<_> = (first..first + count).map(live).collect();
    let broken: Vec<_> = lived.iter().filter_map(|lived| lived.as_ref().err()).collect();
    assert!(broken.is_empty(), "{} of {count}: {broken:?}", broken.len());
    let sum = |of: fn(&Feed) -> u64| lived.iter().flatten().map(of).sum::<u64>();
    let seen = [sum(|feed| feed.acknowledged), sum(|feed| feed.seals), sum(|feed| feed.expired), sum(|feed| feed.cuts)];
    println!("{seen:?}");
    assert!(count < 100 || seen.iter().all(|count| *count > 0), "something never happens: {seen:?}");
}
