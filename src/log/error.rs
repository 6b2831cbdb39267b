//! What can go wrong at a log, per operation.

use std::io;
use std::sync::Arc;

use super::pointer::{Pointer, PointerError};
use crate::files::is_absent;

#[derive(Debug, thiserror::Error)]
pub enum OpenRootError {
    #[error("cannot open the journal: {0}")]
    Journal(#[source] io::Error),
    #[error("cannot replay the journal: {0}")]
    Replay(#[source] io::Error),
    #[error("cannot reset the journal: {0}")]
    Reset(#[source] io::Error),
    #[error("cannot start the threads of the log: {0}")]
    Threads(#[source] io::Error),
    #[error("the journal in the cluster: {0}")]
    Cluster(#[from] OpenClusterError),
}

/// Why a node cannot take over its journal, which other machines keep.
#[derive(Debug, thiserror::Error)]
pub enum OpenClusterError {
    #[error("it cannot be used: {0}")]
    Unreachable(String),
    #[error("its stream cannot be relied on: {0}")]
    Unfit(String),
    #[error("the servers take messages of at most {bytes} bytes, and a round may have 512 KiB and its headers")]
    SmallMessages { bytes: usize },
    /// To a node, a stream that was emptied and made again is another one.
    #[error(
        "the stream is not the one that this data directory knows ({stream}, up to message {synced}); to go on with what \
         both have, remove journal/stream.json"
    )]
    Another { stream: String, synced: u64 },
    #[error(
        "messages {from} to {to} are gone, and the logs of this data directory may not have what was in them; to go on \
         with what there is, remove journal/stream.json"
    )]
    Missing { from: u64, to: u64 },
    /// Whose directory this was has moved.
    #[error(
        "another process has taken the journal of this node over (epoch {epoch}, {by}) from this data directory, which does \
         not have what that one has written; to take it back when no other process of the node is at work, remove \
         journal/stream.json"
    )]
    TakenOver { epoch: u64, by: String },
    #[error(
        "this data directory is a copy of one that may be at work; if that one is not, and will not be, start the service in \
         this one, and if that is refused too, remove journal/stream.json before"
    )]
    Copied,
    /// Only a start of the service takes it that a disk was lost.
    #[error(
        "this data directory has never been at work with the journal that is in the cluster; start the service in it first"
    )]
    NeverBegun,
    /// Forgetting one could leave the node to nobody.
    #[error(
        "{claims} starts of this data directory have ended without an answer for the fence that they put into the stream, and \
         each may still be stored there; if none is when the servers are well, remove journal/stream.json"
    )]
    Undecided { claims: usize },
    /// Only what is no process of this service can have counted so far.
    #[error("the stream has come to the last number of an epoch or a message that there is")]
    Exhausted,
    #[error("it was asked to stop")]
    Stopped,
    #[error("message {sequence} cannot be read: {why}")]
    Unreadable { sequence: u64, why: &'static str },
    #[error(
        "the durability write is not that of a cluster, where a batch counts when other machines have it on their disks"
    )]
    Durability,
    #[error(
        "the journal of this data directory is in a cluster and may have what the logs do not; start it once with its \
         cluster_nats, and stop it cleanly"
    )]
    LeftInCluster,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    #[error("the log is already open for writing")]
    InUse,
    /// Its last durable bytes are in the journal only, and are restored at the next start.
    #[error("the log cannot be opened again until the service restarts")]
    Unavailable,
    /// It has ended, and nothing is ever appended to it.
    #[error("the log is compressed")]
    Compressed,
    /// As above, and its lines are in the object store.
    #[error("the log is archived")]
    Archived,
    #[error("cannot open the log: {0}")]
    Io(#[from] io::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum OpenReaderError {
    #[error("log not found")]
    NotFound,
    /// It is in the object store, and who reads without a log root does not ask that.
    #[error("the log is in the archive, as {}", .0.object)]
    Archived(Box<Pointer>),
    #[error("the archive does not give the log: {0}")]
    ArchiveUnavailable(String),
    /// What it gives is not what was put there, or it has lost it.
    #[error("the archive does not have the log any more: {0}")]
    ArchiveDamaged(String),
    #[error("cannot open the log: {0}")]
    Io(#[source] io::Error),
}

impl OpenReaderError {
    pub(super) fn from_io(error: io::Error) -> Self {
        if is_absent(&error) { Self::NotFound } else { Self::Io(error) }
    }
}

impl From<PointerError> for OpenReaderError {
    fn from(error: PointerError) -> Self {
        match error {
            PointerError::Io(error) => Self::Io(error),
            PointerError::Damaged(why) => Self::ArchiveDamaged(why),
        }
    }
}

/// Why a batch is not durable. After any of these but the last two the log accepts no more.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    #[error("cannot write to the log: {0}")]
    Write(Arc<io::Error>),
    #[error("cannot sync the log: {0}")]
    Sync(Arc<io::Error>),
    #[error("the log has failed")]
    Failed,
    /// The service stops, and the machines that keep the journal have not answered.
    #[error("the journal has not answered: {0}")]
    Unanswered(Arc<io::Error>),
    /// The journal takes nothing more from this process, which must not say anything more about this log, not even that it
    /// failed: another process may be writing it.
    #[error("the journal is over: {0}")]
    Halted(Arc<io::Error>),
    #[error("the log is closed")]
    Closed,
    /// The caller's mistake; the log is as it was.
    #[error("a batch of this log is still being written")]
    Busy,
    /// The caller's mistake; the log is as it was.
    #[error("a batch must be made of whole lines")]
    NotWholeLines,
}
