//! How a process comes to own the journal of its node: it reads what is there, puts its fence behind it, and brings into the
//! logs what this disk does not have for certain.
//!
//! Law: nothing is appended before everything in front of the fence is in the logs, and nothing of an earlier process is
//! stored behind it. What the stream does not have any more and this disk does not have for certain is told, and never
//! passed over.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::disk::{Disk, DiskFile, Mode};
use super::super::error::{OpenClusterError, OpenRootError};
use super::super::journal::Opened;
use super::super::record::{Record, Round, RoundHeader, parse_body};
use super::super::replay::{Replay, ReplayReport};
use super::answer::{Verdict, verdict};
use super::journal::{JetStreamAppender, JetStreamJournal, look};
use super::link::{Link, LinkError, Stored};
use super::marker::Marker;
use super::options::{ClusterOptions, ROUND_BYTES};
use super::protocol::{NO_REPLICAS, StreamConfig, StreamInfo};
use super::retained::Retained;
use super::sources::{Sources, is_whole};
use super::state::State;

/// For servers that are starting too, and elect a leader.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);
/// Another process may be at work until it is fenced; each time it is faster, what it wrote is read first.
const FENCE_TRIES: usize = 1000;
/// Headers of a message, beside the round.
const MESSAGE_HEADERS: usize = 1024;

const SPOOL: &str = "replay.spool";

impl JetStreamJournal {
    /// Makes this process the one that writes the journal of its node. Blocks; not to be called on a thread that drives
    /// asynchronous tasks.
    pub fn open(
        disk: &Arc<dyn Disk>,
        data_dir: &Path,
        options: &ClusterOptions,
        segment_bytes: u64,
    ) -> Result<Opened<Self>, OpenRootError> {
        let folder = data_dir.join("journal");
        make_folder(&**disk, &folder).map_err(OpenRootError::Journal)?;
        let marker = Marker::read(&**disk, &folder).map_err(OpenRootError::Journal)?;
        let (link, info) = reach(options)?;
        check(&info, marker.as_ref())?;
        let mut reading = Reading::new(&**disk, folder.clone(), marker.as_ref(), &info)?;
        let (epoch, fence) = take_over(&link, &mut reading, options)?;
        let (retained, replayed) = reading.restore(&**disk, data_dir)?;
        let open = Marker::new(&options.stream(), &info.created, fence, true);
        open.write(&**disk, &folder).map_err(OpenRootError::Reset)?;
        tracing::info!(stream = options.stream(), epoch, "the journal of this node is in the cluster");
        let journal = Arc::new(Self {
            link,
            disk: disk.clone(),
            folder,
            stream: options.stream(),
            created: info.created,
            epoch,
            keep_bytes: options.keep_bytes,
            segment_bytes,
            state: Mutex::new(State::new(retained, fence)),
            changed: Condvar::new(),
            rounds: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        });
        Ok(Opened { appender: JetStreamAppender::new(journal.clone(), fence), journal, replayed })
    }

    /// Whether the last process that wrote these logs kept its journal in a stream and did not stop cleanly: what it
    /// acknowledged may be there alone.
    pub fn is_needed(disk: &dyn Disk, data_dir: &Path) -> Result<bool, OpenRootError> {
        let marker = Marker::read(disk, &data_dir.join("journal")).map_err(OpenRootError::Journal)?;
        Ok(marker.is_some_and(|marker| marker.is_open))
    }
}

fn make_folder(disk: &dyn Disk, folder: &Path) -> std::io::Result<()> {
    disk.create_dir(folder)?;
    disk.sync_dir(folder.parent().unwrap_or(folder))
}

/// Connects, and makes the stream if there is none.
fn reach(options: &ClusterOptions) -> Result<(Link, StreamInfo), OpenClusterError> {
    let begun = Instant::now();
    let link = patiently(begun, || Link::connect(options))?;
    if link.largest_message() < ROUND_BYTES + MESSAGE_HEADERS {
        return Err(OpenClusterError::SmallMessages { bytes: link.largest_message() });
    }
    let info = patiently(begun, || match link.info()? {
        Some(info) => Ok(info),
        None => link.create(&StreamConfig::of(options)),
    })?;
    Ok((link, info))
}

/// Until there is an answer; a refusal is one.
fn patiently<T>(begun: Instant, ask: impl Fn() -> Result<T, LinkError>) -> Result<T, OpenClusterError> {
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if begun.elapsed() < PATIENCE && is_passing(&error) => std::thread::sleep(PAUSE),
            Err(error) => return Err(OpenClusterError::Unreachable(error.to_string())),
        }
    }
}

/// Servers that have just started know of too few others, and have no leader: such errors are those of servers (5xx).
fn is_passing(error: &LinkError) -> bool {
    match error {
        LinkError::Unreachable(_) => true,
        LinkError::Refused(error) => error.code >= 500 && error.err_code != NO_REPLICAS,
    }
}

/// Whether the stream is one to rely on, and the one that this disk knows.
fn check(info: &StreamInfo, marker: Option<&Marker>) -> Result<(), OpenClusterError> {
    let unfit = info.config.unfit();
    if !unfit.is_empty() {
        return Err(OpenClusterError::Unfit(unfit.join("; ")));
    }
    let Some(marker) = marker else { return Ok(()) };
    let (first, last) = (info.state.first_seq, info.state.last_seq);
    if marker.stream != info.config.name() || marker.created != info.created || last < marker.synced {
        return Err(OpenClusterError::Another { stream: marker.stream.clone(), synced: marker.synced });
    }
    // An empty stream says that its first message will be the one behind the last.
    if first > marker.synced + 1 {
        return Err(OpenClusterError::Missing { from: marker.synced + 1, to: first - 1 });
    }
    Ok(())
}

/// Reads to the end and puts the fence there, until nobody is faster.
fn take_over(link: &Link, reading: &mut Reading, options: &ClusterOptions) -> Result<(u64, u64), OpenRootError> {
    let by = format!("{}/{}", options.node, ulid::Ulid::generate());
    let begun = Instant::now();
    let mut sources = Sources::new(link, options);
    for _ in 0..FENCE_TRIES {
        let info = patiently(begun, || link.info()?.ok_or_else(|| LinkError::Unreachable("it is gone".to_owned())))?;
        let end = info.state.last_seq;
        reading.read_to(link, &mut sources, end)?;
        let epoch = reading.epoch + 1;
        let mut round = Round::new();
        round.push_fence(epoch, &by);
        let fence = Bytes::copy_from_slice(round.seal(epoch));
        let answer = link.publish(end, fence.clone());
        if answer.stores_behind(end) {
            return Ok((epoch, end + 1));
        }
        tracing::debug!(why = answer.why(), "the fence was not stored at once");
        let last = patiently(begun, || look(link, &fence))?;
        if verdict(epoch, end, last) == Verdict::Stored {
            return Ok((epoch, end + 1));
        }
        std::thread::sleep(PAUSE / 50);
    }
    Err(OpenClusterError::Unreachable("another process keeps writing the journal of this node".to_owned()).into())
}

fn unreachable(error: LinkError) -> OpenClusterError {
    OpenClusterError::Unreachable(error.to_string())
}

/// The messages of a stream, on their way into the logs.
struct Reading {
    retained: Retained,
    replay: Replay,
    /// What this disk has for certain goes no further.
    synced: u64,
    /// There is nothing on this disk: messages that were purged are no surprise.
    is_blank: bool,
    next: u64,
    /// The newest of those seen.
    epoch: u64,
    /// The rounds to be replayed, one behind the other; a journal may be larger than the memory.
    spool: Arc<dyn DiskFile>,
    spooled: u64,
    folder: PathBuf,
    holes: u64,
}

impl Reading {
    fn new(
        disk: &dyn Disk,
        folder: PathBuf,
        marker: Option<&Marker>,
        info: &StreamInfo,
    ) -> Result<Self, OpenRootError> {
        let spool = disk.open(&folder.join(SPOOL), Mode::Create).map_err(OpenRootError::Replay)?;
        spool.set_len(0).map_err(OpenRootError::Replay)?;
        Ok(Self {
            retained: Retained::default(),
            replay: if marker.is_some() { Replay::default() } else { Replay::of_lost_logs() },
            synced: marker.map_or(0, |marker| marker.synced),
            is_blank: marker.is_none(),
            next: info.state.first_seq.max(1),
            epoch: 0,
            spool,
            spooled: 0,
            folder,
            holes: 0,
        })
    }

    /// Takes in every message up to `end`, which there is.
    fn read_to(&mut self, link: &Link, sources: &mut Sources<'_>, end: u64) -> Result<(), OpenRootError> {
        let mut heard = Instant::now();
        while self.next <= end {
            let found = match link.read(self.next) {
                Ok(found) if !found.is_empty() => found,
                // A member that is not up to date yet, or has damaged what comes next.
                Ok(_) => sources.first(self.next).map_err(unreachable)?.into_iter().collect(),
                Err(_) if heard.elapsed() < PATIENCE => Vec::new(),
                Err(error) => return Err(unreachable(error).into()),
            };
            if found.is_empty() && heard.elapsed() < PATIENCE {
                std::thread::sleep(PAUSE);
                continue;
            }
            if found.first().is_none_or(|message| message.sequence > end) {
                self.search(sources, end)?;
            }
            for message in found.iter().filter(|message| message.sequence <= end) {
                self.search(sources, message.sequence - 1)?;
                match is_whole(&message.payload) {
                    true => self.take(message)?,
                    false => self.search(sources, message.sequence)?,
                }
            }
            heard = Instant::now();
        }
        Ok(())
    }

    /// Takes in what stands before `last` and was not read, or read damaged, from whoever has it.
    fn search(&mut self, sources: &mut Sources<'_>, last: u64) -> Result<(), OpenRootError> {
        while self.next <= last {
            let found = sources.first(self.next).map_err(unreachable)?;
            match found.filter(|message| message.sequence <= last) {
                Some(message) => self.take(&message)?,
                None => {
                    self.miss(last)?;
                    self.next = last + 1;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, message: &Stored) -> Result<(), OpenRootError> {
        let (sequence, payload) = (message.sequence, &message.payload);
        if sequence > self.next {
            self.miss(sequence - 1)?;
        }
        let unreadable = |why| OpenClusterError::Unreadable { sequence, why };
        let (header, body) = payload.split_first_chunk().ok_or(unreadable("it is no round"))?;
        let epoch = RoundHeader::epoch_of(header).ok_or(unreadable("it is no round of a known format"))?;
        if !is_whole(payload) {
            return Err(unreadable("it is damaged").into());
        }
        let newer = unreadable("it has a record of a kind that a newer version has made");
        let records = parse_body(body).ok_or(newer)?;
        for record in &records {
            self.retained.found(sequence, record);
            if let Record::Fence { epoch, .. } = record {
                self.epoch = self.epoch.max(*epoch);
            }
        }
        self.epoch = self.epoch.max(epoch);
        self.retained.add_bytes(payload.len() as u64);
        self.next = sequence + 1;
        let is_fence = records.iter().all(|record| matches!(record, Record::Fence { .. }));
        if sequence > self.synced && !is_fence {
            self.spool(body)?;
        }
        Ok(())
    }

    fn spool(&mut self, body: &[u8]) -> Result<(), OpenRootError> {
        self.spool.write_all_at(body, self.spooled).map_err(OpenRootError::Replay)?;
        self.replay.add(0, self.spooled, body);
        self.spooled += body.len() as u64;
        Ok(())
    }

    /// Messages in the middle are not there. Only a disk that has all of them for certain can do without.
    fn miss(&mut self, last: u64) -> Result<(), OpenRootError> {
        let missing = OpenClusterError::Missing { from: self.next, to: last };
        if !self.is_blank && last > self.synced {
            return Err(missing.into());
        }
        tracing::error!(%missing, "messages of the journal are gone");
        self.holes += 1;
        Ok(())
    }

    /// Writes and syncs what this disk does not have for certain.
    fn restore(self, disk: &dyn Disk, data_dir: &Path) -> Result<(Retained, ReplayReport), OpenRootError> {
        let Self { mut retained, replay, spool, folder, holes, next, .. } = self;
        let mut replayed = replay.apply(disk, data_dir, &[&*spool]).map_err(OpenRootError::Replay)?;
        replayed.gaps += holes;
        drop(spool);
        disk.remove(&folder.join(SPOOL)).map_err(OpenRootError::Replay)?;
        let bytes = retained.fresh_bytes();
        retained.synced(next.saturating_sub(1), bytes);
        Ok((retained, replayed))
    }
}
