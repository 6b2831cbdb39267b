//! The journal of a node as a stream of JetStream: three servers have a round on their disks before it counts.
//!
//! Law: one message is one round, and there is one in flight. It is stored only behind the message that this process knows
//! to be the last, so nothing of this process is stored behind the fence of a later one; having seen such a fence, it is
//! halted for ever. What is not answered is asked for until it is known. A log is never made durable past the stream: a
//! stream that does not answer stops whoever waits for it, and nobody else.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::disk::Disk;
use super::super::journal::{Appender, Item, Journal, JournalState};
use super::super::record::{Round, RoundHeader};
use super::super::stream_file::StreamFile;
use super::super::threads::{in_parallel, lock};
use super::answer::{Last, Verdict, verdict};
use super::cut::rounds;
use super::link::{Link, LinkError, Stored};
use super::marker::Marker;
use super::options::ROUND_BYTES;
use super::state::{Halt, State};

/// Between two tries to store a round; doubles up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A stream that has not been heard of for so long is asked whether it is there.
const QUIET: Duration = Duration::from_secs(2);
/// For rounds that are on their way when the service stops.
const LAST_ROUNDS: Duration = Duration::from_secs(5);

pub struct JetStreamJournal {
    pub(super) link: Link,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: PathBuf,
    /// As it was when this process took the node over.
    pub(super) marker: Marker,
    pub(super) epoch: u64,
    pub(super) keep_bytes: u64,
    pub(super) segment_bytes: u64,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    pub(super) rounds: AtomicU64,
    pub(super) retries: AtomicU64,
}

enum Task {
    Checkpoint,
    Ask,
    End(bool),
}

/// What the last message is to this round.
pub(super) fn last_of(found: Option<&Stored>, round: &[u8]) -> Last {
    let Some(found) = found else { return Last::default() };
    let epoch = found.payload.first_chunk().and_then(RoundHeader::epoch_of);
    Last { sequence: found.sequence, epoch, is_same: found.payload == round }
}

/// The last message of the stream. One that was emptied from outside still says how far it had come.
pub(super) fn look(link: &Link, round: &[u8]) -> Result<Last, LinkError> {
    if let Some(found) = link.last()? {
        return Ok(last_of(Some(&found), round));
    }
    let info = link.info()?.ok_or_else(|| LinkError::Unreachable("the stream is gone".to_owned()))?;
    Ok(Last { sequence: info.state.last_seq, ..Last::default() })
}

impl JetStreamJournal {
    /// Publishes until the round is known to be stored behind `expected`, or the journal is over.
    fn store(&self, expected: u64, round: &Bytes) -> io::Result<()> {
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.link.publish(expected, round.clone());
            if answer.stores_behind(expected) {
                break;
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
            let stuck = match look(&self.link, round) {
                Err(error) => Some(error.to_string()),
                Ok(last) => match verdict(self.epoch, expected, last) {
                    Verdict::Stored => break,
                    Verdict::Again => (!answer.is_wrong_sequence()).then(|| answer.why()),
                    Verdict::Behind => Some("the stream ends before what it has acknowledged".to_owned()),
                    Verdict::Fenced { epoch } => return Err(self.halt(Halt::Fenced { epoch })),
                    Verdict::Foreign => return Err(self.halt(Halt::Foreign)),
                },
            };
            self.stuck(stuck);
            self.rest(pause)?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.rounds.fetch_add(1, Ordering::Relaxed);
        let mut state = self.lock();
        if state.stuck.is_some() {
            tracing::info!("the journal answers again");
        }
        state.hear(Instant::now());
        state.stored = expected + 1;
        Ok(())
    }

    fn stuck(&self, why: Option<String>) {
        let mut state = self.lock();
        if let (None, Some(why)) = (&state.stuck, &why) {
            tracing::warn!(%why, "the journal does not take a round; producers wait");
        }
        state.stuck = why;
    }

    /// Waits before the next try; an error once there is none.
    fn rest(&self, pause: Duration) -> io::Result<()> {
        let begun = Instant::now();
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if let Some(why) = state.over(now) {
                return Err(io::Error::other(why));
            }
            let Some(left) = pause.checked_sub(now - begun).filter(|left| !left.is_zero()) else { return Ok(()) };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn halt(&self, why: Halt) -> io::Error {
        tracing::error!(%why, "nothing more is acknowledged");
        let mut state = self.lock();
        state.halt(why.clone());
        self.changed.notify_all();
        drop(state);
        io::Error::other(why)
    }

    /// Waits while too much of the stream is not yet durable in its logs, which a start would have to read.
    fn wait_for_room(&self) -> io::Result<()> {
        let mut state = self.lock();
        loop {
            if let Some(why) = &state.halt {
                return Err(io::Error::other(why.clone()));
            }
            // Without a checkpoint that is due or being made, nobody would end the wait: a batch may be larger than the room.
            let is_due = state.settled_bytes >= self.segment_bytes;
            if !is_due || state.retained.fresh_bytes() <= 2 * self.segment_bytes {
                return Ok(());
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn next_task(&self) -> Task {
        let mut state = self.lock();
        loop {
            if let Some(checkpoint) = state.ended {
                return Task::End(checkpoint);
            }
            if state.settled_bytes >= self.segment_bytes && state.halt.is_none() {
                return Task::Checkpoint;
            }
            let quiet = state.heard.elapsed();
            if quiet >= QUIET && state.halt.is_none() {
                return Task::Ask;
            }
            let wait = QUIET.saturating_sub(quiet).max(FIRST_PAUSE);
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Is it there, and is it still this process's? So that an idle process learns both.
    fn ask(&self) {
        let found = look(&self.link, &[]);
        let mut state = self.lock();
        state.heard = Instant::now();
        match found {
            Ok(Last { epoch: Some(epoch), .. }) if epoch > self.epoch => {
                drop(state);
                let _ = self.halt(Halt::Fenced { epoch });
            }
            Ok(_) => state.silent = None,
            Err(error) => state.silent = Some(error.to_string()),
        }
    }

    /// Syncs the logs, notes how far they are durable here, and lets go of what the stream need not keep.
    fn checkpoint(&self, is_last: bool) -> io::Result<()> {
        let (last, bytes, files) = {
            let state = self.lock();
            (state.settled, state.settled_bytes, state.retained.unsynced())
        };
        in_parallel(&files, |stream| stream.sync())?;
        self.marker.at(last, !is_last).write(&*self.disk, &self.folder)?;
        let mut state = self.lock();
        state.settled_bytes -= bytes;
        state.retained.synced(last, bytes);
        let surplus = state.retained.surplus(self.keep_bytes).filter(|_| state.halt.is_none());
        self.changed.notify_all();
        drop(state);
        match surplus.map(|last| (last, self.link.purge(last))) {
            None => {}
            Some((last, Ok(()))) => self.lock().retained.purged(last),
            // The next checkpoint tries again.
            Some((_, Err(error))) => tracing::debug!(%error, "the stream was not purged"),
        }
        Ok(())
    }

    fn finish(&self, checkpoint: bool) {
        if !checkpoint {
            return;
        }
        let is_whole = self.lock().halt.is_none();
        if let Err(error) = self.checkpoint(is_whole) {
            tracing::error!(%error, "the last checkpoint has failed; the next start replays more");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Journal for JetStreamJournal {
    type Appender = JetStreamAppender;

    /// Never: a log that syncs its own file instead would acknowledge what the other machines do not have.
    fn has_failed(&self) -> bool {
        false
    }

    fn allows_direct(&self) -> bool {
        false
    }

    fn stream(&self) -> Option<&str> {
        Some(self.link.stream())
    }

    fn round_limit(&self) -> u64 {
        2 * ROUND_BYTES as u64
    }

    fn end_of(&self, path: &str) -> u64 {
        self.lock().retained.end_of(path)
    }

    fn held_files(&self) -> usize {
        self.lock().retained.held_files()
    }

    fn release(&self, stream: &Arc<StreamFile>) {
        // Its writer is gone and was idle, so the sync covers everything that was written to it.
        if stream.is_idle() && self.lock().retained.holds(stream) && stream.sync().is_ok() {
            self.lock().retained.let_go(stream);
        }
    }

    fn checkpoint_loop(&self) {
        let _halts_on_panic = HaltOnDrop(self);
        loop {
            match self.next_task() {
                Task::Ask => self.ask(),
                Task::End(checkpoint) => return self.finish(checkpoint),
                Task::Checkpoint => {
                    if let Err(error) = self.checkpoint(false) {
                        self.halt(Halt::Disk(error.to_string()));
                    }
                }
            }
        }
    }

    fn closing(&self) {
        self.lock().give_up.get_or_insert_with(|| Instant::now() + LAST_ROUNDS);
        self.changed.notify_all();
    }

    fn end(&self, checkpoint: bool) {
        self.lock().ended.get_or_insert(checkpoint);
        self.changed.notify_all();
    }

    fn state(&self) -> JournalState {
        let is_connected = self.link.is_connected();
        let state = self.lock();
        // A stop is no reason for anybody to act.
        let halted = state.halt.as_ref().filter(|why| **why != Halt::Stopped).map(ToString::to_string);
        let away = (!is_connected).then(|| "no server is connected".to_owned());
        JournalState {
            is_replicated: true,
            epoch: self.epoch,
            unreachable: away.or_else(|| state.stuck.clone()).or_else(|| state.silent.clone()),
            halted,
            is_over: state.halt.is_some(),
            rounds: self.rounds.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
        }
    }
}

struct HaltOnDrop<'a>(&'a JetStreamJournal);

/// Without checkpoints the appender would wait for room for ever.
impl Drop for HaltOnDrop<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.halt(Halt::Disk("the checkpoints have stopped".to_owned()));
        }
    }
}

/// The writing side, owned by the committer.
pub struct JetStreamAppender {
    journal: Arc<JetStreamJournal>,
    /// The last message of the stream.
    last: u64,
    round: Round,
}

impl JetStreamAppender {
    pub(super) fn new(journal: Arc<JetStreamJournal>, last: u64) -> Self {
        Self { journal, last, round: Round::new() }
    }

    /// Stores what is in the round.
    fn publish(&mut self) -> io::Result<u64> {
        let round = Bytes::copy_from_slice(self.round.seal(self.journal.epoch));
        self.journal.store(self.last, &round)?;
        self.last += 1;
        Ok(round.len() as u64)
    }

    fn store(&mut self, items: &[Item<'_>]) -> io::Result<()> {
        self.journal.wait_for_room()?;
        self.round.clear();
        items.iter().for_each(|item| item.record_in(&mut self.round));
        // Before it is published: should it be stored without an answer, it must be counted all the same.
        self.journal.lock().retained.enter(self.last + 1, items);
        let size = self.publish()?;
        self.journal.lock().retained.entered(items, size);
        Ok(())
    }
}

impl Appender for JetStreamAppender {
    fn append(&mut self, items: &[Item<'_>]) -> io::Result<()> {
        rounds(items, ROUND_BYTES).iter().try_for_each(|round| self.store(round))
    }

    fn adopt(&mut self, journal: &str, sequence: u64) -> io::Result<()> {
        self.round.clear();
        self.round.push_adopted(journal, sequence);
        let size = self.publish()?;
        self.journal.lock().retained.add_bytes(size);
        self.settled();
        Ok(())
    }

    fn settled(&mut self) {
        let mut state = self.journal.lock();
        state.settled = self.last;
        state.settled_bytes = state.retained.fresh_bytes();
        if state.settled_bytes >= self.journal.segment_bytes {
            self.journal.changed.notify_all();
        }
    }
}
