//! What a node does about the work of another one that is lost.
//!
//! Law: nothing of it is touched before a fence stands behind the lost node's last event and everything in front of the
//! fence is here, durably. A piece of work is taken over by one node, and by none once the lost one has started again: its
//! row says whose it is, and changes hands in one transaction with that question. Work whose log is not whole here stays as
//! it is, and is told. Whoever dies in between leaves the rest to the next.

use std::time::Duration;

use super::core::Core;
use super::feeds;
use super::kind::WorkKind;
use super::recovery::{self, Report};
use crate::blocking::blocking;
use crate::domain::id::NodeId;
use crate::domain::work::each_kind;
use crate::domain::{StreamKey, WorkspaceId};
use crate::log::{FencedOff, LogRoot};
use crate::store::StoreError;

/// For the copies to have everything that is in front of the fence.
const SYNCED: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    #[error("its logs are not copied here")]
    NotFollowed,
    #[error("the copies of its logs are behind")]
    Behind,
    #[error("it cannot be recorded: {0}")]
    Log(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was found and done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct TakenOver {
    pub work: Report,
    /// Left to the node: what is here of their logs is not whole.
    pub left: usize,
    /// Another node was faster, or the lost one is back.
    pub gone: usize,
}

/// Goes on with the unfinished work of `from`, whose journal has been closed by this fence. Must be called on a worker thread.
pub async fn take_over(core: &Core, from: NodeId, fence: FencedOff) -> Result<TakenOver, TakeOverError> {
    let services = &core.services;
    let follower = services.followers.follower(from).ok_or(TakeOverError::NotFollowed)?;
    let sequence = fence.sequence;
    if !blocking(move || Ok::<_, std::io::Error>(follower.has_synced(sequence, SYNCED))).await? {
        return Err(TakeOverError::Behind);
    }
    let epoch = fence.epoch;
    Takeover { core, from, epoch, unnoted: Some(fence), done: TakenOver::default() }.take().await
}

/// As [`take_over`], of the work of an id that this very node had on a disk that is lost: its journal is this node's, and has
/// been brought into the logs.
pub async fn inherit(core: &Core, former: NodeId, epoch: u64) -> Result<TakenOver, TakeOverError> {
    Takeover { core, from: former, epoch, unnoted: None, done: TakenOver::default() }.take().await
}

struct Takeover<'a> {
    core: &'a Core,
    from: NodeId,
    epoch: u64,
    /// As long as the journal of this node does not say that it goes on with logs of the other one.
    unnoted: Option<FencedOff>,
    done: TakenOver,
}

impl Takeover<'_> {
    async fn take(mut self) -> Result<TakenOver, TakeOverError> {
        each_kind!(W => self.take_all::<W>().await?);
        self.take_feeds().await?;
        Ok(self.done)
    }

    async fn take_feeds(&self) -> Result<(), TakeOverError> {
        let services = &self.core.services;
        let owed = services.store.feed_origins(self.from).await?;
        let feeds = services.store.feeds_of(self.from).await?;
        let mut whole = Vec::new();
        for feed in feeds {
            match self.has_feed(feed).await {
                true => whole.push(feed),
                false => tracing::error!(workspace = %feed, "its feed is left to its node: what is here is not whole"),
            }
        }
        services.store.move_feeds(self.from, self.epoch, services.node_id, &whole).await?;
        let core = self.core.clone();
        actix::spawn(async move {
            // What goes on is followed already; the others' feeds learn of their ends.
            let mut over = Vec::new();
            for origin in owed {
                if !core.is_live(origin.key).await {
                    over.push(origin.key);
                }
            }
            feeds::complete_feeds(&core, over).await;
        });
        Ok(())
    }

    /// From here on the journal of this node goes on with logs of the other one.
    async fn note(&self, fence: FencedOff) -> Result<(), TakeOverError> {
        let log = self.core.services.log.clone();
        Ok(blocking(move || log.adopt(&fence.journal, fence.sequence)).await?)
    }

    async fn take_all<W: WorkKind>(&mut self) -> Result<(), TakeOverError> {
        let services = &self.core.services;
        for mut work in services.store.unfinished::<W>(self.from).await? {
            if !is_whole(&services.log, work.stream_key(), work.log().last_sequence).await {
                tracing::error!(stream = %work.stream_key(), "left to its node: what is here of its log is not whole");
                self.done.left += 1;
                continue;
            }
            // Before anything is appended to any of them.
            if let Some(fence) = self.unnoted.take() {
                self.note(fence).await?;
            }
            if !services.store.move_work::<W>(work.id(), self.from, self.epoch, services.node_id).await? {
                self.done.gone += 1;
                continue;
            }
            work.set_node(services.node_id);
            recovery::recover_alone(self.core, &work, &mut self.done.work).await;
        }
        Ok(())
    }
}

impl Takeover<'_> {
    /// Whether the feed of a workspace can go on here. No row says how far one has come: it must have been followed without a
    /// gap.
    async fn has_feed(&self, workspace_id: WorkspaceId) -> bool {
        let services = &self.core.services;
        let Some(follower) = services.followers.follower(self.from) else { return true };
        let (log, progress, key) = (services.log.clone(), follower.progress(), StreamKey::feed(workspace_id));
        let state = blocking(move || Ok::<_, std::io::Error>((log.is_partial(key), log.reader(key).is_ok())));
        match state.await {
            Ok((is_partial, is_here)) => !progress.has_holes && !is_partial && (is_here || !progress.begins_late),
            Err(_) => false,
        }
    }
}

/// Whether everything that anybody has been shown of a log is here.
async fn is_whole(log: &LogRoot, key: StreamKey, last_sequence: u64) -> bool {
    let log = log.clone();
    let tail = blocking(move || {
        let whole = (!log.is_partial(key)).then(|| log.reader(key).ok()).flatten();
        whole.map(|reader| reader.tail()).transpose()
    });
    match tail.await {
        Ok(Some(tail)) => tail.last_sequence >= last_sequence,
        // Its first event was never stored.
        Ok(None) => last_sequence == 0,
        Err(_) => false,
    }
}
