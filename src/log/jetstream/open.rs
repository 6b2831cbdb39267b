//! How a process comes to own the journal of its node: it sees whose it is, reads what is there, puts its fence behind it, and
//! brings into the logs what this disk does not have for certain.
//!
//! Law: nothing is appended before everything in front of the fence is in the logs, and nothing of an earlier process is
//! stored behind it. A directory that has had the node takes it from none that has had it since, nor from one that it is
//! a copy of. What the stream does not have any more and this disk does not have for certain is told, and never passed over.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use bytes::Bytes;

use super::super::disk::Disk;
use super::super::error::{OpenClusterError, OpenRootError};
use super::super::journal::Opened;
use super::super::record::Round;
use super::super::replay::ReplayReport;
use super::answer::{Verdict, verdict};
use super::journal::{JetStreamAppender, JetStreamJournal, look};
use super::link::{Link, LinkError};
use super::marker::{Fence, MOST_CLAIMS, Marker, Right};
use super::options::{ClusterOptions, ROUND_BYTES};
use super::ping;
use super::protocol::{NO_REPLICAS, StreamConfig, StreamInfo};
use super::reading::{PATIENCE, PAUSE, Reading, fence_of};
use super::retained::Retained;
use super::sources::Sources;
use super::state::State;
use super::stop::Stop;

/// Another process may be at work until it is fenced; each time it is faster, what it wrote is read first.
const FENCE_TRIES: usize = 5000;
/// Headers of a message, beside the round.
const MESSAGE_HEADERS: usize = 1024;

impl JetStreamJournal {
    /// Makes this process the one that writes the journal of its node, unless it is asked to stop before. Blocks; not to be
    /// called on a thread that drives asynchronous tasks.
    pub fn open(
        disk: &Arc<dyn Disk>,
        data_dir: &Path,
        options: &ClusterOptions,
        segment_bytes: u64,
        stop: &Stop,
    ) -> Result<Opened<Self>, OpenRootError> {
        let place = Place::of(disk, data_dir)?;
        let (link, info) = reach(options, stop)?;
        let taken = place.take_over(&link, &info, options)?;
        let Taken { fence, marker, retained, replayed } = taken;
        tracing::info!(stream = options.stream(), epoch = marker.epoch(), "the journal of this node is in the cluster");
        link.meanwhile(ping::answer(link.nats().clone(), options.stream()));
        let journal = Arc::new(Self {
            link,
            disk: disk.clone(),
            folder: place.folder,
            epoch: marker.epoch(),
            marker,
            keep_bytes: options.keep_bytes,
            segment_bytes,
            state: Mutex::new(State::new(retained, fence)),
            changed: Condvar::new(),
            rounds: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        });
        Ok(Opened { appender: JetStreamAppender::new(journal.clone(), fence), journal, replayed })
    }

    /// Before the logs of this directory are written without its stream. Refused where the last process that wrote them
    /// with it did not stop cleanly: what it acknowledged may be there alone.
    pub fn leave(disk: &dyn Disk, data_dir: &Path) -> Result<(), OpenRootError> {
        let folder = data_dir.join("journal");
        match Marker::read(disk, &folder).map_err(OpenRootError::Journal)? {
            Some(marker) if marker.is_open => Err(OpenClusterError::LeftInCluster.into()),
            Some(marker) if !marker.is_left => marker.leaving().write(disk, &folder).map_err(OpenRootError::Reset),
            _ => Ok(()),
        }
    }
}

/// Connects, and makes the stream if there is none.
fn reach(options: &ClusterOptions, stop: &Stop) -> Result<(Link, StreamInfo), OpenClusterError> {
    let begun = Instant::now();
    let link = patiently(stop, begun, || Link::connect(options, stop))?;
    if link.largest_message() < ROUND_BYTES + MESSAGE_HEADERS {
        return Err(OpenClusterError::SmallMessages { bytes: link.largest_message() });
    }
    let info = patiently(stop, begun, || match link.info()? {
        Some(info) => Ok(info),
        None => link.create(&StreamConfig::of(options)),
    })?;
    Ok((link, info))
}

/// Until there is an answer; a refusal is one.
pub(super) fn patiently<T>(
    stop: &Stop,
    begun: Instant,
    ask: impl Fn() -> Result<T, LinkError>,
) -> Result<T, OpenClusterError> {
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(_) if stop.is_asked() => return Err(OpenClusterError::Stopped),
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

/// The data directory that is to have the node.
struct Place<'a> {
    disk: &'a dyn Disk,
    data_dir: &'a Path,
    folder: PathBuf,
    /// What it knows of the stream; none if it has nothing, or nothing that counts.
    marker: Option<Marker>,
}

/// What it has the node by.
struct Taken {
    /// Where its fence is.
    fence: u64,
    marker: Marker,
    retained: Retained,
    replayed: ReplayReport,
}

impl<'a> Place<'a> {
    fn of(disk: &'a Arc<dyn Disk>, data_dir: &'a Path) -> Result<Self, OpenRootError> {
        let folder = data_dir.join("journal");
        disk.create_dir(&folder).and_then(|()| disk.sync_dir(data_dir)).map_err(OpenRootError::Journal)?;
        let marker = Marker::read(&**disk, &folder).map_err(OpenRootError::Journal)?;
        Ok(Self { disk: &**disk, data_dir, folder, marker })
    }

    fn take_over(&self, link: &Link, info: &StreamInfo, options: &ClusterOptions) -> Result<Taken, OpenRootError> {
        self.check(link, info, options)?;
        let mut reading = Reading::new(self.disk, self.folder.clone(), self.marker.as_ref(), info)?;
        let (fence, sequence) = self.fence(link, &mut reading, options)?;
        let (mut retained, replayed) = reading.restore(self.disk, self.data_dir)?;
        if self.marker.as_ref().is_some_and(|marker| marker.is_left) {
            void_before(sequence, link, &mut retained)?;
        }
        let marker = Marker::new(&options.stream(), &info.created, sequence, fence);
        marker.write(self.disk, &self.folder).map_err(OpenRootError::Reset)?;
        Ok(Taken { fence: sequence, marker, retained, replayed })
    }

    /// Whether the stream is one to rely on, the one that this directory knows, and its own.
    fn check(&self, link: &Link, info: &StreamInfo, options: &ClusterOptions) -> Result<(), OpenClusterError> {
        let unfit = info.config.unfit();
        if !unfit.is_empty() {
            return Err(OpenClusterError::Unfit(unfit.join("; ")));
        }
        let (first, last) = (info.state.first_seq, info.state.last_seq);
        if !options.may_begin {
            self.check_at_rest(last)?;
        }
        let Some(marker) = &self.marker else { return Ok(()) };
        if marker.stream != info.config.name() || marker.created != info.created || last < marker.synced {
            return Err(OpenClusterError::Another { stream: marker.stream.clone(), synced: marker.synced });
        }
        // Before anything else is said: who has the node now may have purged what is not here, and this is not to be mended.
        let newest = patiently(link.stop(), Instant::now(), || link.last())?;
        own(Some(marker), &newest.map(|message| fence_of(&message.payload)).unwrap_or_default(), last)?;
        // An empty stream says that its first message will be the one behind the last.
        let from = after(marker.synced)?;
        if first > from && !marker.is_left {
            return Err(OpenClusterError::Missing { from, to: first - 1 });
        }
        Ok(())
    }

    /// Where it is not certain that this directory has the node, only a start of the service may find out.
    fn check_at_rest(&self, last: u64) -> Result<(), OpenClusterError> {
        match &self.marker {
            None if last == 0 => Ok(()),
            None => Err(OpenClusterError::NeverBegun),
            Some(marker) if marker.is_of_earlier_release() => Err(OpenClusterError::NeverBegun),
            // Also of one that was stopped cleanly: that one would not get its node back.
            Some(marker) if marker.is_copy => Err(OpenClusterError::Copied),
            Some(_) => Ok(()),
        }
    }

    /// Reads to the end and puts the fence there, until nobody is faster, or it is found there: what was looked for in vain
    /// may be stored all the same.
    fn fence(
        &self,
        link: &Link,
        reading: &mut Reading,
        options: &ClusterOptions,
    ) -> Result<(Fence, u64), OpenRootError> {
        let mut by = format!("{}/{}", options.node, ulid::Ulid::generate());
        let (mut marker, mut sources) = (self.marker.clone(), Sources::new(link, options));
        for _ in 0..FENCE_TRIES {
            let end = end_of(link)?;
            reading.read_to(link, &mut sources, end)?;
            let newest = reading.newest();
            if newest.by.as_ref() == Some(&by) {
                return found(link, reading);
            }
            own(marker.as_ref(), newest, end)?;
            // However often a start dies here, while the stream takes nothing, it claims the place once.
            if let Some(claimed) = marker.as_ref().and_then(|marker| marker.claimed_behind(end)) {
                claimed.clone_into(&mut by);
            }
            let epochs = [marker.as_ref().map_or(0, Marker::epoch), newest.epoch, reading.fenced_off()];
            let epoch = after(epochs.into_iter().max().unwrap_or(0))?;
            marker = marker.map(|marker| self.claim(&marker, newest, &by, end)).transpose()?;
            if store_fence(link, end, epoch, &by)? {
                return Ok((Fence { epoch, by: Some(by) }, end + 1));
            }
            std::thread::sleep(PAUSE / 50);
        }
        let busy = "another process keeps writing the journal of this node".to_owned();
        Err(OpenClusterError::Unreachable(busy).into())
    }

    /// Notes the id of the fence that may be stored from now on. A directory without a marker would have nothing to be
    /// told apart by: it takes the node over however often it is started.
    fn claim(&self, marker: &Marker, newest: &Fence, by: &str, end: u64) -> Result<Marker, OpenRootError> {
        let undecided = OpenClusterError::Undecided { claims: MOST_CLAIMS };
        let claiming = marker.claiming(newest, by, end).ok_or(undecided)?;
        claiming.write(self.disk, &self.folder).map_err(OpenRootError::Journal)?;
        Ok(claiming)
    }
}

/// Whether the directory of this marker may follow the process of the newest fence.
fn own(marker: Option<&Marker>, newest: &Fence, last: u64) -> Result<(), OpenClusterError> {
    match marker.map_or(Right::Held, |marker| marker.right(newest, last)) {
        Right::Held => Ok(()),
        Right::Copied => Err(OpenClusterError::Copied),
        Right::Lost => {
            let by = newest.by.clone().unwrap_or_else(|| "its fence is not in the stream any more".to_owned());
            Err(OpenClusterError::TakenOver { epoch: newest.epoch, by })
        }
    }
}

/// The fence of this start, which has been read. From here no stop is heard.
fn found(link: &Link, reading: &Reading) -> Result<(Fence, u64), OpenRootError> {
    match link.stop().pass() {
        true => Ok((reading.newest().clone(), reading.newest_at())),
        false => Err(OpenClusterError::Stopped.into()),
    }
}

/// The number behind this one, which a foreign message or file may say.
fn after(number: u64) -> Result<u64, OpenClusterError> {
    number.checked_add(1).ok_or(OpenClusterError::Exhausted)
}

/// How far the stream goes; there is a number behind.
fn end_of(link: &Link) -> Result<u64, OpenClusterError> {
    let gone = || LinkError::Unreachable("it is gone".to_owned());
    let info = patiently(link.stop(), Instant::now(), || link.info()?.ok_or_else(gone))?;
    after(info.state.last_seq)?;
    Ok(info.state.last_seq)
}

/// Whether the fence is stored behind this message. If so, no stop is heard any more.
pub(super) fn store_fence(link: &Link, end: u64, epoch: u64, by: &str) -> Result<bool, OpenClusterError> {
    let mut round = Round::new();
    round.push_fence(epoch, by);
    let fence = Bytes::copy_from_slice(round.seal(epoch));
    if !link.stop().pass() {
        return Err(OpenClusterError::Stopped);
    }
    let answer = link.publish(end, fence.clone());
    if answer.stores_behind(end) {
        return Ok(true);
    }
    tracing::debug!(why = answer.why(), "the fence was not stored at once");
    let last = patiently(link.stop(), Instant::now(), || look(link, &fence))?;
    let is_stored = verdict(epoch, end, last) == Verdict::Stored;
    if !is_stored {
        link.stop().hear();
    }
    Ok(is_stored)
}

/// The logs have gone on without the stream: on a disk that is lost later, what is in front of the fence would not fit.
fn void_before(fence: u64, link: &Link, retained: &mut Retained) -> Result<(), OpenClusterError> {
    if fence > 1 {
        patiently(link.stop(), Instant::now(), || link.purge(fence - 1))?;
        retained.purged(fence - 1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_has_none_behind_it() {
        assert_eq!(after(u64::MAX - 1).unwrap(), u64::MAX);
        assert!(matches!(after(u64::MAX), Err(OpenClusterError::Exhausted)));
    }
}
