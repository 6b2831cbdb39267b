//! How the journal of a node that is lost is closed by another: with a fence behind its last message.
//!
//! Law: from the fence on nothing of the lost node's process is stored. The journal stays that node's: its directory, whose
//! logs are all in front of the fence, goes on with it when it is started again. Of several who try, one has put it there.

use super::super::error::OpenClusterError;
use super::super::record::{Record, RoundHeader, parse_body};
use super::link::{Link, Stored};
use super::open::{patiently, store_fence};
use super::options::ClusterOptions;
use super::sources::is_whole;
use super::stop::Stop;
use super::takers::{fence_of_taker, taker};

const TRIES: usize = 100;

/// A fence that was put into the journal of a lost node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FencedOff {
    /// The stream of the journal.
    pub journal: String,
    /// Everything in front of it counts, and there is nothing of that node behind it.
    pub sequence: u64,
    pub epoch: u64,
    /// Who has put it there: the caller, or somebody who was faster.
    pub by: String,
}

/// Closes the journal that `options` name, for the node `by`; none if it has never been written. Blocks.
pub fn fence_off(options: &ClusterOptions, by: &str, stop: &Stop) -> Result<Option<FencedOff>, OpenClusterError> {
    let begun = std::time::Instant::now();
    let link = patiently(stop, begun, || Link::connect(options, stop))?;
    let id = fence_of_taker(by);
    if patiently(stop, begun, || link.info())?.is_none() {
        return Ok(None);
    }
    for _ in 0..TRIES {
        let Some(last) = patiently(stop, begun, || link.last())? else { return Ok(None) };
        let end = Last::of(&last)?;
        if let Some(by) = end.taker {
            let journal = options.stream();
            return Ok(Some(FencedOff { journal, sequence: last.sequence, epoch: end.epoch, by }));
        }
        let epoch = end.epoch.checked_add(1).ok_or(OpenClusterError::Exhausted)?;
        // Whether it is there, or somebody was faster, the last message says.
        store_fence(&link, last.sequence, epoch, &id)?;
    }
    Err(OpenClusterError::Unreachable("the journal of a node that is taken for lost is still being written".into()))
}

/// What the last message of a journal says.
struct Last {
    epoch: u64,
    /// Who has put it there, if it is the fence of a takeover.
    taker: Option<String>,
}

impl Last {
    fn of(message: &Stored) -> Result<Self, OpenClusterError> {
        let sequence = message.sequence;
        let unreadable = || OpenClusterError::Unreadable { sequence, why: "it is damaged, or no round" };
        let (header, body) = message.payload.split_first_chunk().ok_or_else(unreadable)?;
        let epoch = RoundHeader::epoch_of(header).filter(|_| is_whole(&message.payload)).ok_or_else(unreadable)?;
        let taker = parse_body(body).ok_or_else(unreadable)?.into_iter().find_map(|record| match record {
            Record::Fence { by, .. } => taker(by).map(str::to_owned),
            _ => None,
        });
        Ok(Self { epoch, taker })
    }
}
