//! The journal of this node: one on its own disk, or one that a cluster keeps. Which it is, is decided once, at the start.
//!
//! An enum and no trait object: a match for each round is all that the choice costs.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::Disk;
use super::error::OpenRootError;
use super::jetstream::{ClusterOptions, JetStreamAppender, JetStreamJournal, Stop};
use super::journal::{Appender, Item, Journal, JournalState, Opened};
use super::local_journal::{LocalAppender, LocalJournal};
use super::stream_file::StreamFile;

pub enum NodeJournal {
    Local(Arc<LocalJournal>),
    Cluster(Arc<JetStreamJournal>),
}

pub enum NodeAppender {
    Local(LocalAppender),
    Cluster(JetStreamAppender),
}

impl NodeJournal {
    /// On the disk. Refused where the last process kept its journal in a cluster and may have left something there.
    pub fn open_local(
        disk: &Arc<dyn Disk>,
        data_dir: &Path,
        segment_bytes: u64,
    ) -> Result<Opened<Self>, OpenRootError> {
        JetStreamJournal::leave(&**disk, data_dir)?;
        let Opened { journal, appender, replayed } = LocalJournal::open(disk, data_dir, segment_bytes)?;
        Ok(Opened { journal: Arc::new(Self::Local(journal)), appender: NodeAppender::Local(appender), replayed })
    }

    /// In a cluster. What a journal on the disk was left with is brought into the logs first.
    pub fn open_in_cluster(
        disk: &Arc<dyn Disk>,
        data_dir: &Path,
        options: &ClusterOptions,
        segment_bytes: u64,
        stop: &Stop,
    ) -> Result<Opened<Self>, OpenRootError> {
        LocalJournal::replay_rest(disk, data_dir)?;
        let Opened { journal, appender, replayed } =
            JetStreamJournal::open(disk, data_dir, options, segment_bytes, stop)?;
        Ok(Opened { journal: Arc::new(Self::Cluster(journal)), appender: NodeAppender::Cluster(appender), replayed })
    }
}

/// The same call of whichever it is.
macro_rules! either {
    ($self:ident, $it:ident => $call:expr) => {
        match $self {
            Self::Local($it) => $call,
            Self::Cluster($it) => $call,
        }
    };
}

impl Journal for NodeJournal {
    type Appender = NodeAppender;

    fn has_failed(&self) -> bool {
        either!(self, it => it.has_failed())
    }

    fn allows_direct(&self) -> bool {
        either!(self, it => it.allows_direct())
    }

    fn stream(&self) -> Option<&str> {
        either!(self, it => it.stream())
    }

    fn round_limit(&self) -> u64 {
        either!(self, it => it.round_limit())
    }

    fn end_of(&self, path: &str) -> u64 {
        either!(self, it => it.end_of(path))
    }

    fn held_files(&self) -> usize {
        either!(self, it => it.held_files())
    }

    fn release(&self, stream: &Arc<StreamFile>) {
        either!(self, it => it.release(stream))
    }

    fn checkpoint_loop(&self) {
        either!(self, it => it.checkpoint_loop())
    }

    fn closing(&self) {
        either!(self, it => it.closing())
    }

    fn state(&self) -> JournalState {
        either!(self, it => it.state())
    }

    fn end(&self, checkpoint: bool) {
        either!(self, it => it.end(checkpoint))
    }
}

impl Appender for NodeAppender {
    fn append(&mut self, round: &[Item<'_>]) -> io::Result<()> {
        either!(self, it => it.append(round))
    }

    fn adopt(&mut self, journal: &str, sequence: u64) -> io::Result<()> {
        either!(self, it => it.adopt(journal, sequence))
    }

    fn settled(&mut self) {
        either!(self, it => it.settled())
    }
}
