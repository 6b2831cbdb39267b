//! The journal, as a trait: what makes the small batches of all streams durable together, whatever it is made of.
//!
//! Laws, kept by every implementation and checked by one suite (`tests/durability/contract.rs`):
//! [`Appender::append`] returns success only when every item of the round is durable; a round counts whole or not at
//! all, so a crash in the middle of one leaves nothing of it; rounds are replayed in the order of their appends; and a
//! record is given up only when the log's own file is durable without it ([`Appender::settled`], then
//! [`StreamFile::sync`]).
//!
//! Types that use a journal are generic over it, so that a round costs no virtual call. They default to
//! [`LocalJournal`](super::LocalJournal), and code that only uses logs need not know that there is another.

use std::io;
use std::sync::Arc;

use super::record::Round;
use super::replay::ReplayReport;
use super::stream_file::StreamFile;

/// The side of a journal that is shared by all threads of the log.
pub trait Journal: Send + Sync + 'static {
    type Appender: Appender;

    /// A round could not be made durable. There will be no other in this process: each log syncs its own file instead.
    fn has_failed(&self) -> bool;

    /// Whether a log may be made durable in its own file instead: large batches, and all once the journal has failed.
    fn allows_direct(&self) -> bool {
        true
    }

    /// What others know it by, where they can follow it.
    fn stream(&self) -> Option<&str> {
        None
    }

    /// The bytes that one round may hold.
    fn round_limit(&self) -> u64;

    /// Where the records that would be replayed after a crash now end for this log; 0 if there are none.
    fn end_of(&self, path: &str) -> u64;

    /// How many logs are kept open until they are synced by a checkpoint.
    fn held_files(&self) -> usize;

    /// Syncs a log that has no writer any more, so that its file need not stay open until the checkpoint.
    fn release(&self, stream: &Arc<StreamFile>);

    /// Makes room for new records by syncing the logs that the old ones speak of. Runs on a thread of its own until
    /// [`Journal::end`].
    fn checkpoint_loop(&self);

    /// No more is queued. A round that is on its way to something that does not answer is given up within a bound.
    fn closing(&self) {}

    /// For those who ask whether anything can be appended.
    fn state(&self) -> JournalState {
        JournalState::default()
    }

    /// Called when the appender is gone. With `checkpoint`, every log is synced and the journal left empty.
    fn end(&self, checkpoint: bool);
}

/// What is known of a journal from outside. By default it is a local one, in which nothing is in the way of a round.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalState {
    /// Other machines keep it.
    pub is_replicated: bool,
    /// Of this process, where others keep it.
    pub epoch: u64,
    /// It does not answer: producers wait. Why.
    pub unreachable: Option<String>,
    /// It takes nothing more from this process. Why.
    pub halted: Option<String>,
    /// It is halted, or was given up at a stop: what it has of any log is not known here any more.
    pub is_over: bool,
    /// Rounds that other machines have stored, and tries beyond the first of each.
    pub rounds: u64,
    pub retries: u64,
}

impl JournalState {
    /// Why nothing can be recorded at the moment, or ever.
    pub fn trouble(self) -> Option<String> {
        self.halted.or(self.unreachable)
    }
}

/// The writing side of a journal, owned by the one thread that makes rounds.
pub trait Appender: Send + 'static {
    /// Makes the items durable with one sync; after an error nothing is known about them, and the journal has failed.
    fn append(&mut self, round: &[Item<'_>]) -> io::Result<()>;

    /// Notes that what follows goes on with logs of another journal. Only journals that others follow have a use for it.
    fn adopt(&mut self, _journal: &str, _sequence: u64) -> io::Result<()> {
        Ok(())
    }

    /// Every item of the last round is in its log's file now, or its log has failed. Until then the journal must not give
    /// the round up, even if it syncs every file.
    fn settled(&mut self);
}

/// A journal that has been opened and replayed. Until its first append it is empty.
pub struct Opened<J: Journal> {
    pub journal: Arc<J>,
    pub appender: J::Appender,
    pub replayed: ReplayReport,
}

/// What a round is made of.
pub enum Item<'a> {
    /// These bytes stand at this offset of the log.
    Bytes { stream: &'a Arc<StreamFile>, offset: u64, bytes: &'a [u8] },
    /// The log was cut to this length: a replay must not bring back what earlier records say of bytes beyond it.
    Cut { stream: &'a Arc<StreamFile>, length: u64 },
}

impl Item<'_> {
    pub fn stream(&self) -> &Arc<StreamFile> {
        match self {
            Self::Bytes { stream, .. } | Self::Cut { stream, .. } => stream,
        }
    }

    /// Where the log ends with it.
    pub fn end(&self) -> u64 {
        match self {
            Self::Bytes { offset, bytes, .. } => offset + bytes.len() as u64,
            Self::Cut { length, .. } => *length,
        }
    }

    pub(super) fn record_in(&self, round: &mut Round) {
        match self {
            Self::Bytes { stream, offset, bytes } => round.push_bytes(&stream.path, *offset, bytes),
            Self::Cut { stream, length } => round.push_cut(&stream.path, *length),
        }
    }
}
