//! Logs: one append-only file of events per stream, and the only code that writes them.
//!
//! Laws: a batch is acknowledged only when it is durable under the policy, so no crash takes back what was acknowledged.
//! A log is never rewritten: opening it cuts a torn end off, and that is all; once it has ended it may be compressed,
//! which changes none of its bytes for a reader, archived in an object store, and deleted. After a failed write or sync the log accepts nothing until
//! it is opened again, cut to what was durable. A reader never delays a writer.
//!
//! ```text
//! LogWriter::commit --small--> committer --one sync for all--> journal
//!        |                         '------------------------> the log's file --checkpoint--> synced
//!        '---large---> direct writer --own syncs------------> the log's file
//! ```
//!
//! What is in the journal and not yet in a synced file is replayed by [`LogRoot::open`], before any log is opened.
//!
//! Two things can be exchanged: the journal ([`journal::Journal`]) and the disk ([`disk::Disk`]). Files below are in the
//! order of their imports: each uses only those above it.

pub mod disk;
mod error;
mod options;
mod threads;
mod queue;
mod counters;
mod record;
mod stream_file;
mod append;
mod replay;
pub mod journal;
mod local_journal;
pub mod jetstream;
mod node_journal;
pub mod memory;
mod direct;
mod commit;
mod lines;
mod seek;
mod scan;
mod frames;
mod compressed;
mod segments;
mod pointer;
pub mod reader;
mod ended;
mod at_rest;
mod cache;
mod fetch;
mod archive;
mod recovery;
pub mod verify;
mod shared;
mod copies;
mod writer;
mod root;
mod retention;
mod archiving;
#[cfg(test)]
mod sample;

pub use archive::{ArchiveOptions, Arrived, Fetch, Opening};
pub use archiving::ArchiveError;
pub use at_rest::{AtRest, Moment};
pub use counters::{LogDistributions, LogMetrics};
pub use disk::RealDisk;
pub use error::{CommitError, OpenClusterError, OpenLogError, OpenReaderError, OpenRootError};
pub use jetstream::{
    ClusterOptions, CopyObserver, FencedOff, JournalFollower, NatsCredentials, Progress, Stop, answers, fence_off,
};
pub use journal::{Journal, JournalState};
pub use lines::Chunk;
pub use local_journal::LocalJournal;
pub use node_journal::NodeJournal;
pub use options::{Durability, LogOptions};
pub use pointer::{Pointer, PointerError};
pub use reader::{LogReader, Tail};
pub use recovery::Recovered;
pub use replay::ReplayReport;
pub use retention::{CompressError, Deletable, DeleteError, Shrunk};
pub use root::{Expired, LogRoot};
pub use writer::{Commit, LogWriter};
