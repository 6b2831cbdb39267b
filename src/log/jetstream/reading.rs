//! The messages of a stream, on their way into the logs.
//!
//! Law: every message up to an end is taken in, or told to be gone; each once, and in order. One that nobody has is passed
//! over only where this disk does not need it, or has nothing at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::disk::{Disk, DiskFile, Mode};
use super::super::error::{OpenClusterError, OpenRootError};
use super::super::record::{Record, RoundHeader, parse_body};
use super::super::replay::{Replay, ReplayReport};
use super::link::{Link, LinkError, Stored};
use super::marker::{Fence, Marker};
use super::protocol::StreamInfo;
use super::retained::Retained;
use super::sources::{Sources, is_whole};
use super::takers::taker;

/// For servers that are starting too, and elect a leader.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const PAUSE: Duration = Duration::from_millis(250);

const SPOOL: &str = "replay.spool";

/// Why there was no answer: the start is to end, or nobody gave one.
pub(super) fn unanswered(link: &Link, error: &LinkError) -> OpenClusterError {
    if link.stop().is_asked() { OpenClusterError::Stopped } else { OpenClusterError::Unreachable(error.to_string()) }
}

/// A fence by which the node's work was taken over is no process's that writes the journal: whose that is, it does not say.
fn is_takeover(records: &[Record<'_>]) -> bool {
    records.iter().any(|record| matches!(record, Record::Fence { by, .. } if taker(by).is_some()))
}

fn see(newest: &mut Fence, epoch: u64, records: &[Record<'_>]) {
    if is_takeover(records) {
        return;
    }
    newest.see(epoch, None);
    for record in records {
        if let Record::Fence { epoch, by } = record {
            newest.see(*epoch, Some(by));
        }
    }
}

/// Who had the journal when this message was stored; nobody, if it is not whole.
pub(super) fn fence_of(payload: &[u8]) -> Fence {
    let mut fence = Fence::default();
    if is_whole(payload)
        && let Some((header, body)) = payload.split_first_chunk()
        && let Some(epoch) = RoundHeader::epoch_of(header)
    {
        see(&mut fence, epoch, &parse_body(body).unwrap_or_default());
    }
    fence
}

/// The messages of a stream, on their way into the logs.
pub(super) struct Reading {
    retained: Retained,
    replay: Replay,
    /// What this disk has for certain goes no further; to the end where what the stream has is void.
    synced: u64,
    /// There is nothing on this disk: messages that were purged are no surprise.
    is_blank: bool,
    next: u64,
    /// The newest of those seen.
    newest: Fence,
    /// The first message that was seen of it: the fence itself, where that is there.
    newest_at: u64,
    /// The newest epoch of a fence by which the node's work was taken over.
    fenced_off: u64,
    /// The rounds to be replayed, one behind the other; a journal may be larger than the memory.
    spool: Arc<dyn DiskFile>,
    spooled: u64,
    folder: PathBuf,
    holes: u64,
}

impl Reading {
    pub(super) fn new(
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
            synced: marker.map_or(0, |marker| if marker.is_left { u64::MAX } else { marker.synced }),
            is_blank: marker.is_none(),
            next: info.state.first_seq.max(1),
            newest: Fence::default(),
            newest_at: 0,
            fenced_off: 0,
            spool,
            spooled: 0,
            folder,
            holes: 0,
        })
    }

    /// Who had the journal last, of what was read.
    pub(super) fn newest(&self) -> &Fence {
        &self.newest
    }

    /// The newest epoch under which nobody writes: another node has taken the work over.
    pub(super) fn fenced_off(&self) -> u64 {
        self.fenced_off
    }

    /// Where its fence is.
    pub(super) fn newest_at(&self) -> u64 {
        self.newest_at
    }

    /// Takes in every message up to `end`, which there is.
    pub(super) fn read_to(&mut self, link: &Link, sources: &mut Sources<'_>, end: u64) -> Result<(), OpenRootError> {
        let mut heard = Instant::now();
        while self.next <= end {
            if link.stop().is_asked() {
                return Err(OpenClusterError::Stopped.into());
            }
            let found = self.ask(link, sources, heard)?;
            if found.is_empty() && heard.elapsed() < PATIENCE {
                std::thread::sleep(PAUSE);
                continue;
            }
            self.take_in(&found, sources, end)?;
            heard = Instant::now();
        }
        Ok(())
    }

    /// Some messages from the next one on. None where nobody has answered, and may still.
    fn ask(&self, link: &Link, sources: &mut Sources<'_>, heard: Instant) -> Result<Vec<Stored>, OpenClusterError> {
        match link.read(self.next) {
            Ok(found) if !found.is_empty() => Ok(found),
            // A member that is not up to date yet, or has damaged what comes next.
            Ok(_) => Ok(sources.first(self.next).map_err(|error| unanswered(link, &error))?.into_iter().collect()),
            Err(_) if heard.elapsed() < PATIENCE => Ok(Vec::new()),
            Err(error) => Err(unanswered(link, &error)),
        }
    }

    fn take_in(&mut self, found: &[Stored], sources: &mut Sources<'_>, end: u64) -> Result<(), OpenRootError> {
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
        Ok(())
    }

    /// Takes in what stands before `last` and was not read, or read damaged, from whoever has it.
    fn search(&mut self, sources: &mut Sources<'_>, last: u64) -> Result<(), OpenRootError> {
        while self.next <= last {
            let found = sources.first(self.next).map_err(|error| unanswered(sources.leader(), &error))?;
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
        records.iter().for_each(|record| self.retained.found(sequence, record));
        if is_takeover(&records) {
            self.fenced_off = self.fenced_off.max(epoch);
        }
        let before = self.newest.clone();
        see(&mut self.newest, epoch, &records);
        if self.newest != before {
            self.newest_at = sequence;
        }
        self.retained.add_bytes(payload.len() as u64);
        self.next = sequence + 1;
        let is_fence = records.iter().all(|record| matches!(record, Record::Fence { .. } | Record::Adopted { .. }));
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
    pub(super) fn restore(self, disk: &dyn Disk, data_dir: &Path) -> Result<(Retained, ReplayReport), OpenRootError> {
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
