//! A thread that copies what another node writes, from the stream of its journal into the logs of this disk.
//!
//! Law: rounds are applied whole and in their order, so a copy is always what its log was at some time. A round that goes on
//! with logs of a third node is applied when everything of that one's journal is, durably ([`Record::Adopted`]): the two
//! have no order otherwise. Having seen a fence, the follower lets go of all copies: whoever has put it there may go on with
//! the logs.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::copies::{Copied, Copies};
use super::super::journal::Journal;
use super::super::record::{Record, RoundHeader, parse_body};
use super::super::segments::has_segments;
use super::super::shared::Shared;
use super::super::threads::spawn;
use super::consumer::Consumer;
use super::followed::{FollowState, Progress};
use super::link::{Link, LinkError, Stored};
use super::options::ClusterOptions;
use super::position::Position;
use super::sources::{Sources, is_whole};
use super::stop::Stop;
use crate::domain::StreamKey;

/// What is written to copies is synced after so many bytes, or so long.
const SYNC_BYTES: u64 = 32 << 20;
const SYNC_AFTER: Duration = Duration::from_secs(2);
/// Between two tries to reach the stream.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a round that goes on with another's logs waits for that one's journal. Longer ago, nobody follows it here.
const ADOPTION: Duration = Duration::from_secs(30);

/// Learns what becomes of copies, on the follower's thread.
pub trait CopyObserver: Send + Sync + 'static {
    /// These bytes have been put at the end of the copy, which ended at this offset.
    fn appended(&self, key: StreamKey, offset: u64, bytes: &[u8]);
    /// Something else has become of the copy.
    fn changed(&self, key: StreamKey);
    /// Bytes are missing here: nothing more comes to the copy.
    fn given_up(&self, key: StreamKey);
}

/// Follows for as long as it lives.
pub struct JournalFollower {
    state: Arc<FollowState>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl JournalFollower {
    pub(in crate::log) fn start<J: Journal>(
        shared: &Arc<Shared<J>>,
        options: ClusterOptions,
        observer: Arc<dyn CopyObserver>,
    ) -> io::Result<Self> {
        let folder = shared.data_dir.join("journal").join("followed");
        for made in [&shared.data_dir.join("journal"), &folder] {
            shared.disk.create_dir(made)?;
            shared.disk.sync_dir(made.parent().unwrap_or(&shared.data_dir))?;
        }
        let (state, stop) = (shared.followed.enter(&options.stream()), Stop::default());
        let path = folder.join(format!("{}.json", options.stream()));
        let follower = Follower {
            shared: shared.clone(),
            options,
            observer,
            stop: stop.clone(),
            state: state.clone(),
            path,
            begun: RefCell::default(),
        };
        let thread = spawn("log-follow", move || follower.run())?;
        state.set_followed(true);
        Ok(Self { state, stop, thread: Some(thread) })
    }

    pub fn progress(&self) -> Progress {
        self.state.read()
    }

    /// Whether everything up to this message is in the copies, durably, and they are let go of; waits so long for it. Blocks.
    pub fn has_synced(&self, sequence: u64, wait: Duration) -> bool {
        self.state.await_synced(sequence, Instant::now() + wait, &self.stop)
    }
}

impl JournalFollower {
    /// It ends soon, and so does whoever waits for it.
    pub fn stop(&self) {
        self.stop.ask();
    }
}

impl Drop for JournalFollower {
    fn drop(&mut self) {
        self.stop.ask();
        self.state.set_followed(false);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Follower<J> {
    shared: Arc<Shared<J>>,
    options: ClusterOptions,
    observer: Arc<dyn CopyObserver>,
    stop: Stop,
    state: Arc<FollowState>,
    /// Where the position is kept.
    path: PathBuf,
    /// Logs with segments of which it has made the first file.
    begun: RefCell<HashSet<StreamKey>>,
}

#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("it does not answer: {0}")]
    Link(#[from] LinkError),
    #[error("copies cannot be written: {0}")]
    Disk(#[from] io::Error),
    #[error("it panicked")]
    Panicked,
    /// Not to be told.
    #[error("it is to stop")]
    Stopped,
    #[error("message {0} is damaged, or has been written by a newer version")]
    Unreadable(u64),
}

impl<J: Journal> Follower<J> {
    fn run(self) {
        while !self.stop.is_asked() {
            // A panic is a fault of this program; without a follower nothing of the other node would be seen any more.
            let followed = catch_unwind(AssertUnwindSafe(|| self.follow())).unwrap_or(Err(FollowError::Panicked));
            if let Err(error) = followed
                && !matches!(error, FollowError::Stopped)
            {
                self.state.trouble(&self.options.stream(), Some(error.to_string()));
            }
            self.rest(PAUSE);
        }
    }

    fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.stop.is_asked() && Instant::now() < until {
            std::thread::sleep(PAUSE / 10);
        }
    }

    /// Until something fails, or it is to stop.
    fn follow(&self) -> Result<(), FollowError> {
        let link = Link::connect(&self.options, &self.stop)?;
        // Its node has never been at work.
        let Some(info) = link.info()? else { return Ok(()) };
        let known = Position::read(&*self.shared.disk, &self.path)?;
        let known =
            known.filter(|position| position.created == info.created && position.sequence <= info.state.last_seq);
        let mut position = known.unwrap_or_else(|| Position::start(&info.created));
        self.state.start(&position, info.state.last_seq);
        let mut consumer = Consumer::start(&link, position.sequence + 1)?;
        let copies = Copies::new(self.shared.clone());
        let reads_all = position.sequence == 0;
        let mut pass = Pass { follower: self, copies, synced_at: Instant::now(), reads_all };
        let mut sources = Sources::new(&link, &self.options);
        while !self.stop.is_asked() {
            for message in consumer.next(SYNC_AFTER / 4)? {
                pass.take(message, &mut position, &mut sources)?;
                if self.stop.is_asked() {
                    break;
                }
            }
            pass.sync_if_due(&position)?;
            self.state.trouble(&self.options.stream(), None);
        }
        pass.sync(&position)
    }
}

/// What is needed as long as nothing fails.
struct Pass<'a, J: Journal> {
    follower: &'a Follower<J>,
    copies: Copies<J>,
    synced_at: Instant,
    /// From the beginning, and not from where an earlier pass has ended.
    reads_all: bool,
}

impl<J: Journal> Pass<'_, J> {
    /// Takes a message in, after those in front of it that were not delivered.
    fn take(&mut self, message: Stored, position: &mut Position, sources: &mut Sources<'_>) -> Result<(), FollowError> {
        let mut message = message;
        while position.sequence + 1 < message.sequence || !is_whole(&message.payload) {
            let next = position.sequence + 1;
            match sources.first(next)? {
                Some(found) if found.sequence <= message.sequence && is_whole(&found.payload) => {
                    self.note_hole(position, found.sequence);
                    let is_last = found.sequence == message.sequence;
                    self.apply(&found, position)?;
                    if is_last {
                        return Ok(());
                    }
                }
                _ if is_whole(&message.payload) => {
                    self.note_hole(position, message.sequence);
                    break;
                }
                _ => return Err(FollowError::Unreadable(message.sequence)),
            }
        }
        if message.sequence > position.sequence {
            message = Stored { sequence: message.sequence, payload: std::mem::take(&mut message.payload) };
            self.apply(&message, position)?;
        }
        Ok(())
    }

    /// Messages in front of this one have gone: nobody has them.
    fn note_hole(&self, position: &mut Position, found: u64) {
        let next = position.sequence + 1;
        // What was stored before this disk was there is no loss of it.
        if next < found && position.sequence > 0 {
            let stream = self.follower.options.stream();
            tracing::warn!(stream, from = next, to = found - 1, "messages had gone before they were followed");
        }
        match position.sequence {
            0 => position.begins_late |= next < found,
            _ => position.has_holes |= next < found,
        }
        position.sequence = position.sequence.max(found - 1);
    }

    fn apply(&mut self, message: &Stored, position: &mut Position) -> Result<(), FollowError> {
        let unreadable = || FollowError::Unreadable(message.sequence);
        let (header, body) = message.payload.split_first_chunk().ok_or_else(unreadable)?;
        let epoch = RoundHeader::epoch_of(header).ok_or_else(unreadable)?;
        let records = parse_body(body).ok_or_else(unreadable)?;
        let is_fence = records.iter().any(|record| matches!(record, Record::Fence { .. }));
        let seals = records.iter().any(is_seal);
        if seals {
            // What is before it must not be applied again behind it, into the next file.
            self.sync(position)?;
        }
        for record in records {
            self.apply_record(record, body)?;
        }
        position.sequence = message.sequence;
        self.follower.state.applied(message.sequence, epoch);
        if is_fence {
            self.copies.close()?;
        }
        if is_fence || seals {
            self.sync(position)?;
        }
        Ok(())
    }

    fn apply_record(&mut self, record: Record<'_>, body: &[u8]) -> Result<(), FollowError> {
        match record {
            Record::Bytes { path, offset, at, size } => {
                let Some(key) = StreamKey::of_log(path) else { return Ok(()) };
                let bytes = &body[at..at + size];
                if self.is_read_again(key, offset)? {
                    return Ok(());
                }
                match self.copies.write(key, offset, bytes)? {
                    Copied::Written => self.follower.observer.appended(key, offset, bytes),
                    Copied::Known | Copied::NotOurs => {}
                    Copied::Gap => self.follower.observer.given_up(key),
                }
            }
            Record::Cut { path, length } => {
                let Some(key) = StreamKey::of_log(path) else { return Ok(()) };
                if self.copies.cut(key, length)? {
                    self.follower.observer.changed(key);
                }
            }
            Record::Fence { .. } => {}
            Record::Adopted { journal, sequence } => self.await_journal(journal, sequence)?,
        }
        Ok(())
    }

    /// A stream is read from its beginning, since it is not known here how far it was read: bytes of an older segment would be
    /// put into a newer one. A log with segments that is here already gets nothing more.
    fn is_read_again(&mut self, key: StreamKey, offset: u64) -> io::Result<bool> {
        if !self.reads_all || !has_segments(key) || self.follower.begun.borrow().contains(&key) {
            return Ok(false);
        }
        if offset == 0 && self.copies.is_missing(key)? {
            self.follower.begun.borrow_mut().insert(key);
            return Ok(false);
        }
        self.copies.give_up(key)?;
        Ok(true)
    }

    /// Rounds behind this go on with logs that the other journal has up to there.
    fn await_journal(&self, journal: &str, sequence: u64) -> Result<(), FollowError> {
        let Follower { shared, stop, state, options, .. } = self.follower;
        // A start has replayed this node's own.
        if shared.journal.stream() == Some(journal) {
            return Ok(());
        }
        let begun = Instant::now();
        while !shared.followed.await_synced(journal, sequence, Instant::now() + SYNC_AFTER, stop) {
            if stop.is_asked() {
                return Err(FollowError::Stopped);
            }
            if begun.elapsed() >= ADOPTION && !shared.followed.is_followed(journal) {
                tracing::error!(journal, sequence, "a journal that another one goes on from is not followed here");
                return Ok(());
            }
            // What is here of this one gets old meanwhile.
            state.trouble(&options.stream(), Some(format!("it goes on from {journal}, which is behind")));
        }
        Ok(())
    }

    fn sync_if_due(&mut self, position: &Position) -> Result<(), FollowError> {
        let is_behind = self.follower.state.read().synced < position.sequence;
        let is_due = self.copies.unsynced() >= SYNC_BYTES || self.synced_at.elapsed() >= SYNC_AFTER;
        if is_behind && is_due { self.sync(position) } else { Ok(()) }
    }

    fn sync(&mut self, position: &Position) -> Result<(), FollowError> {
        self.copies.sync()?;
        position.write(&*self.follower.shared.disk, &self.follower.path)?;
        self.follower.state.synced(position);
        self.synced_at = Instant::now();
        Ok(())
    }
}

/// A log with segments begins a new file.
fn is_seal(record: &Record<'_>) -> bool {
    let Record::Cut { path, length: 0 } = record else { return false };
    StreamKey::of_log(path).is_some_and(has_segments)
}
