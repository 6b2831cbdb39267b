//! Bringing feeds up to date with streams that no live follower reads for them.

use super::core::Core;
use super::error::ReadError;
use super::reading;
use crate::domain::StreamKey;
use crate::domain::feed::FeedOrigin;
use crate::domain::sequence::Start;
use crate::feed::OriginLock;
use crate::log::OpenReaderError;
use crate::store::StoreError;
use crate::stream::Follow;

/// What is pending in the feeds of this node's work that is over is read from its log. Nothing creates any of it any more.
pub async fn complete_feeds(core: &Core, pending: Vec<StreamKey>) {
    for key in pending {
        // What is another node's by now is read for the feed all the same, by a later round.
        if let Err(error) = complete_feed(core, key).await.or_else(ReadError::unless_elsewhere) {
            tracing::error!(stream = %key, error = ?error, "feed is behind until the next start");
        }
    }
}

/// What the feeds of this node owe to streams that no task follows for them, most of them of other nodes, is read by a task for
/// each. Must be called on a worker thread.
pub async fn follow_others(core: &Core) -> Result<(), StoreError> {
    for FeedOrigin { key, .. } in core.services.feeds.owed_to_all().await? {
        let Some(turn) = core.services.feeds.try_turn(key) else { continue };
        let core = core.clone();
        actix::spawn(async move {
            // A copy may be on its way, or the work just being created; the next round looks again.
            match derive(&core, key, turn).await.or_else(ReadError::unless_elsewhere) {
                Ok(()) | Err(ReadError::Open(OpenReaderError::NotFound)) => {}
                Err(error) => tracing::warn!(stream = %key, error = ?error, "a feed is behind"),
            }
        });
    }
    Ok(())
}

async fn complete_feed(core: &Core, key: StreamKey) -> Result<(), ReadError> {
    let feeds = &core.services.feeds;
    let is_without_work = core.services.store.log_facts(key).await?.is_none();
    if feeds.owner(key.workspace_id()).await? != core.services.node_id {
        // The node that writes the feed reads what there is.
        if is_without_work {
            feeds.strike_off(key).await?;
        }
        return Ok(());
    }
    match derive(core, key, feeds.turn(key).await).await {
        // Its row was never stored, or its log is gone.
        Err(ReadError::Open(OpenReaderError::NotFound)) => Ok(feeds.strike_off(key).await?),
        derived => derived,
    }
}

async fn derive(core: &Core, key: StreamKey, turn: OriginLock) -> Result<(), ReadError> {
    let feeds = &core.services.feeds;
    if !feeds.owes(key).await? {
        return Ok(());
    }
    let hub = match reading::hub(core, key, 0).await {
        Err(ReadError::Expired) => return Ok(feeds.strike_off(key).await?),
        hub => hub?,
    };
    feeds.derive(key, Follow::inside(hub, Start::default())?).await?;
    drop(turn);
    Ok(())
}
