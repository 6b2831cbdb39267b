//! What a node does about the work of another one that is lost.
//!
//! Law: nothing of it is touched before a fence stands behind the lost node's last event and everything in front of the
//! fence is here, durably. A piece of work is taken over by one node, and by none once the lost one has started again: its
//! row says whose it is, and changes hands in one transaction with that question. Work whose log is not whole here stays as
//! it is, and is told. Whoever dies in between leaves the rest to the next.

use std::io;
use std::time::Duration;

use chrono::{TimeDelta, Utc};

use super::core::Core;
use super::feeds;
use super::kind::WorkKind;
use super::recovery::{self, Report};
use crate::blocking::blocking;
use crate::domain::id::NodeId;
use crate::domain::work::each_kind;
use crate::domain::{StreamKey, WorkspaceId};
use crate::log::{FencedOff, OpenReaderError};
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
    Log(#[from] io::Error),
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
    if !blocking(move || Ok::<_, io::Error>(follower.has_synced(sequence, SYNCED))).await? {
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

/// Work that was just created may not be in the registry yet; its log could not be opened twice all the same.
const JUST_CREATED: TimeDelta = TimeDelta::seconds(30);

/// Work became this node's, and then could not be taken up: the database, or the journal, did not answer. Must be called on a
/// worker thread.
pub async fn take_up_strays(core: &Core) -> Result<(), StoreError> {
    let mut report = Report::default();
    each_kind!(W => take_up_strays_of::<W>(core, &mut report).await?);
    if report != Report::default() {
        tracing::warn!(?report, "work that nothing worked on was taken up");
    }
    Ok(())
}

async fn take_up_strays_of<W: WorkKind>(core: &Core, report: &mut Report) -> Result<(), StoreError> {
    for work in core.services.store.unfinished::<W>(core.services.node_id).await? {
        let is_new = Utc::now().signed_duration_since(work.created_at()) < JUST_CREATED;
        // What a drain lets go of is for the next start, or another node.
        if !is_new && !core.services.admission.is_closed() && !core.is_live(work.stream_key()).await {
            recovery::recover_alone(core, &work, report).await;
        }
    }
    Ok(())
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

    async fn take_feeds(&mut self) -> Result<(), TakeOverError> {
        let services = &self.core.services;
        let owed = services.store.feed_origins(self.from).await?;
        let feeds = services.store.feeds_of(self.from).await?;
        let mut whole = Vec::new();
        for feed in feeds {
            match self.has_feed(feed).await {
                true => whole.push(feed),
                false => {
                    tracing::error!(workspace = %feed, "its feed is left to its node: what is here is not whole");
                    self.done.left += 1;
                }
            }
        }
        if !whole.is_empty()
            && let Some(fence) = self.unnoted.take()
        {
            self.note(fence).await?;
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
            if !self.has_log(work.stream_key(), work.log().last_sequence).await {
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
            if let Some(meters) = services.meters.of(W::KIND) {
                meters.taken_over.add(1);
            }
            recovery::recover_alone(self.core, &work, &mut self.done.work).await;
        }
        Ok(())
    }
}

/// What is here of a log.
enum Here {
    Whole { last_sequence: u64 },
    Part,
    Nothing,
}

impl Takeover<'_> {
    /// Whether the feed of a workspace can go on here. No row says how far one has come.
    async fn has_feed(&self, workspace_id: WorkspaceId) -> bool {
        match self.here(StreamKey::feed(workspace_id)).await {
            Here::Whole { .. } => true,
            Here::Nothing => !self.begins_late(),
            Here::Part => false,
        }
    }

    /// Whether everything that anybody has been shown of a log is here.
    async fn has_log(&self, key: StreamKey, shown: u64) -> bool {
        match self.here(key).await {
            Here::Whole { last_sequence } => last_sequence >= shown,
            // Its first event was never stored.
            Here::Nothing => shown == 0 && !self.begins_late(),
            Here::Part => false,
        }
    }

    /// A log that is not here may have been written before its node was followed.
    fn begins_late(&self) -> bool {
        let follower = self.core.services.followers.follower(self.from);
        follower.is_some_and(|follower| follower.progress().begins_late)
    }

    async fn here(&self, key: StreamKey) -> Here {
        let services = &self.core.services;
        let follower = services.followers.follower(self.from);
        // A log that has been written in a hole alone looks whole.
        if follower.is_some_and(|follower| follower.progress().has_holes) || services.log.is_partial(key) {
            return Here::Part;
        }
        let log = services.log.clone();
        let tail = blocking(move || match log.reader(key) {
            Err(OpenReaderError::NotFound) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
            Ok(reader) => reader.tail().map(Some),
        });
        match tail.await {
            Ok(Some(tail)) => Here::Whole { last_sequence: tail.last_sequence },
            Ok(None) => Here::Nothing,
            Err(_) => Here::Part,
        }
    }
}
