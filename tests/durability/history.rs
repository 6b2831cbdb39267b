//! One seeded history: several streams, batches of all sizes, faults, a power cut or a kill at any moment, a restart,
//! a few times over; and what must hold whatever happens.

use std::path::Path;
use std::sync::Arc;

use ade::domain::{ConfigurationId, EventId, RunId, StreamKey, WorkspaceId, time};
use ade::event::{Draft, Identity, Source, codec};
use ade::log::{Commit, Durability, LogOptions, LogRoot, LogWriter, OpenLogError, Recovered, ReplayReport};
use bytes::Bytes;
use serde_json::json;
use ulid::Ulid;

use super::sim_disk::{Faults, SimDisk};
use ade_test_support::random::Random;

const DATA: &str = "/data";

/// What a history has been through, so that a test can say that all of it happens.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen {
    pub acknowledged: u64,
    pub failed: u64,
    pub power_cuts: u64,
    pub cut_while_opening: u64,
    pub replayed_bytes: u64,
    pub torn_tails: u64,
    pub journal_failures: u64,
    pub direct_batches: u64,
    pub unavailable: u64,
    pub survivors: u64,
}

impl Seen {
    pub fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.failed += other.failed;
        self.power_cuts += other.power_cuts;
        self.cut_while_opening += other.cut_while_opening;
        self.replayed_bytes += other.replayed_bytes;
        self.torn_tails += other.torn_tails;
        self.journal_failures += other.journal_failures;
        self.direct_batches += other.direct_batches;
        self.unavailable += other.unavailable;
        self.survivors += other.survivors;
    }
}

/// What is known of one stream from the outside.
struct Stream {
    key: StreamKey,
    identity: Identity,
    /// Acknowledged, or taken over when the log was opened: what a reader may have seen.
    acknowledged: Vec<u8>,
    /// Of these, what must survive a power cut.
    synced: usize,
    last_sequence: u64,
    /// Submitted after the acknowledged bytes, with no acknowledgement.
    pending: Vec<u8>,
    /// A batch has failed in this life, with the writer still there to say so.
    failed: bool,
    /// One had failed in the life before, and its owner has noted what was durable: it is cut to that.
    degraded: bool,
    /// The host went down under the policy that does not cover it.
    unsound: bool,
    /// Opening it failed, maybe when it was synced: if the process is killed now, the next one reads what the disk may
    /// not hold, and cannot know. Likewise a batch whose failure nobody heard of.
    doubtful: bool,
    writer: Option<LogWriter>,
}

impl Stream {
    fn new(random: &mut Random) -> Self {
        let mut ulid = || Ulid::from_parts(1, u128::from(random.number()));
        let key = StreamKey::of(WorkspaceId::from_ulid(ulid()), RunId::from_ulid(ulid()));
        Self {
            key,
            identity: Identity::new(key, ConfigurationId::from_ulid(ulid())),
            acknowledged: Vec::new(),
            synced: 0,
            last_sequence: 0,
            pending: Vec::new(),
            failed: false,
            degraded: false,
            unsound: false,
            doubtful: false,
            writer: None,
        }
    }

    fn batch(&self, random: &mut Random) -> Vec<u8> {
        let lines = if random.chance(20) { 4 + random.below(12) } else { 1 + random.below(3) };
        let mut batch = Vec::new();
        for sequence in (self.last_sequence + 1..).take(lines as usize) {
            let event_id = EventId::from_ulid(Ulid::from_parts(sequence, u128::from(random.number())));
            let padding = "x".repeat(random.below(900) as usize);
            let stamp = codec::Stamp { sequence, event_id, created_at: time::micros(chrono::DateTime::UNIX_EPOCH) };
            let draft = Draft::new("console.line", Source::Engine, &json!({ "message": padding }));
            codec::encode(&mut batch, &self.identity, stamp, &draft);
        }
        batch
    }

    /// Compares what is in the file after it was opened with what must be, then takes it over.
    fn check(&mut self, disk: &SimDisk, recovered: &Recovered, limit: Option<u64>) -> Result<bool, String> {
        let content = disk.content(&Path::new(DATA).join(self.key.log_path())).ok_or("the log is gone")?;
        let safe = if self.unsound { self.synced } else { self.acknowledged.len() };
        if content.len() as u64 != recovered.bytes {
            return Err(format!("{} bytes, said to be {}", content.len(), recovered.bytes));
        }
        if content.len() < safe || content[..safe] != self.acknowledged[..safe] {
            return Err(format!("lost: {safe} bytes were acknowledged, {} are there", content.len()));
        }
        if !self.unsound {
            let rest = &content[safe..];
            let exact = self.failed || limit == Some(safe as u64);
            if !self.pending.starts_with(rest) || (exact && !rest.is_empty()) {
                return Err(format!("{} bytes that do not belong there follow {safe}", rest.len()));
            }
            check_lines(&content, recovered)?;
        }
        let survivor = content.len() > self.acknowledged.len();
        self.synced = content.len();
        self.acknowledged = content;
        self.last_sequence = recovered.last_sequence;
        self.pending.clear();
        self.failed = false;
        self.degraded = false;
        self.doubtful = false;
        Ok(survivor)
    }
}

fn check_lines(content: &[u8], recovered: &Recovered) -> Result<(), String> {
    let mut last = 0;
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let event = codec::decode(line).map_err(|error| format!("after {last}: {error}"))?;
        if !line.ends_with(b"\n") || event.sequence != last + 1 {
            return Err(format!("{} follows {last}", event.sequence));
        }
        last += 1;
    }
    if last != recovered.last_sequence {
        return Err(format!("last is {last}, said to be {}", recovered.last_sequence));
    }
    Ok(())
}

struct History {
    random: Random,
    disk: SimDisk,
    options: LogOptions,
    streams: Vec<Stream>,
    seen: Seen,
}

/// Lives through the history of a seed. An error is a broken promise.
pub fn live(seed: u64, lying_disk: bool) -> Result<Seen, String> {
    let mut random = Random::new(seed);
    let options = LogOptions {
        durability: if random.chance(20) { Durability::Write } else { Durability::Fsync },
        segment_bytes: [16 << 10, 32 << 10, 64 << 10][random.below(3) as usize],
        direct_bytes: [2 << 10, 8 << 10][random.below(2) as usize],
        direct_threads: 1 + random.below(2) as usize,
        idle_files: random.below(4) as usize,
        queue_batches: 64,
    };
    let policy = options.durability;
    let streams = (0..2 + random.below(4)).map(|_| Stream::new(&mut random)).collect();
    let disk = SimDisk::new(random.number(), lying_disk);
    let mut history = History { random, disk, options, streams, seen: Seen::default() };
    for _ in 0..1 + history.random.below(4) {
        history.generation(true).map_err(|broken| format!("seed {seed} {policy:?}: {broken}"))?;
    }
    history.generation(false).map_err(|broken| format!("seed {seed} {policy:?}, last generation: {broken}"))?;
    Ok(history.seen)
}

impl History {
    fn generation(&mut self, faulty: bool) -> Result<(), String> {
        if faulty {
            self.disk.inject(random_faults(&mut self.random));
        }
        match self.open_root() {
            Ok((root, report)) => {
                self.seen.replayed_bytes += report.bytes;
                if report.gaps > 0 {
                    return Err(format!("replay found gaps: {report:?}"));
                }
                let outcome = self.work(&root, faulty);
                self.note_metrics(&root);
                if !faulty {
                    root.close();
                }
                outcome?;
            }
            Err(error) if !self.disk.has_struck() => return Err(format!("cannot open: {error}")),
            Err(_) => self.seen.cut_while_opening += 1,
        }
        self.restart();
        Ok(())
    }

    fn open_root(&self) -> Result<(LogRoot, ReplayReport), ade::log::OpenRootError> {
        LogRoot::open(Path::new(DATA), Arc::new(self.disk.clone()), self.options.clone())
    }

    fn work(&mut self, root: &LogRoot, faulty: bool) -> Result<(), String> {
        for index in 0..self.streams.len() {
            if !faulty || self.random.chance(90) {
                self.open(root, index)?;
            }
        }
        for _ in 0..self.random.below(24) {
            if self.disk.is_off() {
                break;
            }
            self.step(root)?;
        }
        Ok(())
    }

    fn open(&mut self, root: &LogRoot, index: usize) -> Result<(), String> {
        let stream = &mut self.streams[index];
        // A failed sync may have lost what was merely written and acknowledged under the policy that allows it.
        let merely_written = self.options.durability == Durability::Write && !stream.pending.is_empty();
        stream.unsound |= merely_written && self.disk.has_struck();
        let acknowledged = stream.acknowledged.len() as u64;
        let limit = stream.degraded || (!stream.unsound && self.random.chance(25));
        let limit = limit.then_some(acknowledged);
        stream.writer = None;
        match root.writer(stream.key, limit) {
            Ok((writer, recovered)) => {
                if stream.check(&self.disk, &recovered, limit)? {
                    self.seen.survivors += 1;
                }
                if stream.unsound {
                    // There may be holes from now on, so nothing more can be said; another takes its place.
                    *stream = Stream::new(&mut self.random);
                    return Ok(());
                }
                stream.writer = Some(writer);
                read_back(root, stream)
            }
            Err(_) if self.disk.has_struck() => {
                stream.doubtful = true;
                self.seen.unavailable += 1;
                Ok(())
            }
            Err(OpenLogError::Unavailable) => Err("a log is unavailable although nothing went wrong".into()),
            Err(error) => Err(format!("cannot open a log: {error}")),
        }
    }

    fn step(&mut self, root: &LogRoot) -> Result<(), String> {
        let index = self.random.below(self.streams.len() as u64) as usize;
        match self.random.below(20) {
            0 => self.open(root, index),
            1 => self.leave_in_flight(index),
            _ => self.commit_some(),
        }
    }

    /// A batch on several streams at once, then all the answers.
    fn commit_some(&mut self) -> Result<(), String> {
        let mut under_way: Vec<(usize, bool, Commit)> = Vec::new();
        for index in 0..self.streams.len() {
            if self.random.chance(60) {
                under_way.extend(self.submit(index).map(|(sync, commit)| (index, sync, commit)));
            }
        }
        for (index, sync, commit) in under_way {
            self.settle(index, sync, commit)?;
        }
        Ok(())
    }

    fn submit(&mut self, index: usize) -> Option<(bool, Commit)> {
        let stream = &mut self.streams[index];
        if stream.failed || stream.writer.is_none() {
            return None;
        }
        stream.pending = stream.batch(&mut self.random);
        let sync = self.random.chance(30);
        let writer = stream.writer.as_mut()?;
        Some((sync, writer.commit(Bytes::from(stream.pending.clone()), sync)))
    }

    fn settle(&mut self, index: usize, sync: bool, commit: Commit) -> Result<(), String> {
        let stream = &mut self.streams[index];
        match commit.wait() {
            Ok(durable) => {
                let added = std::mem::take(&mut stream.pending);
                stream.last_sequence += added.iter().filter(|byte| **byte == b'\n').count() as u64;
                stream.acknowledged.extend(added);
                if durable != stream.acknowledged.len() as u64 {
                    return Err(format!("{durable} bytes acknowledged of {}", stream.acknowledged.len()));
                }
                if sync || self.options.durability == Durability::Fsync {
                    stream.synced = stream.acknowledged.len();
                }
                self.seen.acknowledged += 1;
            }
            Err(error) if !self.disk.has_struck() => return Err(format!("a batch failed: {error}")),
            Err(_) => {
                stream.failed = true;
                self.seen.failed += 1;
            }
        }
        Ok(())
    }

    /// Its owner dies while a batch is under way; nobody hears the answer.
    fn leave_in_flight(&mut self, index: usize) -> Result<(), String> {
        drop(self.submit(index));
        self.streams[index].writer = None;
        Ok(())
    }

    fn note_metrics(&mut self, root: &LogRoot) {
        let metrics = root.metrics();
        self.seen.torn_tails += metrics.torn_tails;
        self.seen.journal_failures += metrics.journal_failures;
        self.seen.direct_batches += metrics.direct_batches;
    }

    /// The process goes, or the host with it.
    fn restart(&mut self) {
        let power_cut = self.disk.is_off() || self.random.chance(50);
        // Under the policy that does not cover the host, what was merely written may be in pieces.
        let uncovered = (power_cut || self.disk.has_struck()) && self.options.durability == Durability::Write;
        for stream in &mut self.streams {
            stream.writer = None;
            stream.degraded |= std::mem::take(&mut stream.failed);
            let unheard = !stream.degraded && !stream.pending.is_empty() && self.disk.has_struck();
            stream.unsound |= (stream.doubtful || unheard) && !power_cut;
            stream.unsound |= uncovered && stream.synced < stream.acknowledged.len() + stream.pending.len();
        }
        self.seen.power_cuts += u64::from(power_cut);
        self.disk = if power_cut { self.disk.after_power_cut() } else { self.disk.after_kill() };
    }
}

fn random_faults(random: &mut Random) -> Faults {
    let span = [20, 80, 400][random.below(3) as usize];
    let mut at = |percent: u64| random.chance(percent).then(|| 1 + random.below(span));
    let (power_cut, failed_sync, short_write) = (at(70), at(20), at(10));
    Faults { power_cut, failed_sync, short_write, space: random.chance(10).then(|| random.below(60_000)) }
}

/// What readers get is what was acknowledged.
fn read_back(root: &LogRoot, stream: &Stream) -> Result<(), String> {
    let Ok(reader) = root.reader(stream.key) else { return Ok(()) };
    let Ok(tail) = reader.tail() else { return Ok(()) };
    if tail.bytes != stream.acknowledged.len() as u64 || tail.last_sequence != stream.last_sequence {
        return Err(format!("a reader finds {} at {}", tail.last_sequence, tail.bytes));
    }
    let after = stream.last_sequence / 2;
    let (Ok(start), true) = (reader.seek(after, tail.bytes), tail.bytes > 0) else { return Ok(()) };
    let Ok(chunk) = reader.read(start, tail.bytes, usize::MAX >> 1) else { return Ok(()) };
    if chunk.lines != stream.acknowledged[start as usize..] {
        return Err("a reader finds other bytes".into());
    }
    Ok(())
}
