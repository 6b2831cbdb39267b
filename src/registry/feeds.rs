//! Bringing feeds up to date with streams that no live follower reads for them.

use super::core::Core;
use super::error::ReadError;
use super::reading;
use crate::domain::StreamKey;
use crate::domain::feed::FeedOrigin;
use crate::domain::sequence::Start;
use crate::log::OpenReaderError;
use crate::store::StoreError;
use crate::stream::Follow;

/// What is pending in the feeds of this node's work that is over is read from its log.
pub async fn complete_feeds(core: &Core, pending: Vec<StreamKey>) {
    for key in pending {
        // What is another node's by now is read for the feed all the same, by a later round.
        if let Err(error) = complete_feed(core, key).await.or_else(ReadError::unless_elsewhere) {
            tracing::error!(stream = %key, error = ?error, "feed is behind until the next start");
        }
    }
}

/// What the feeds of this node owe to streams of other nodes is read from their copies, by a task for each. Must be called on
/// a worker thread.
pub async fn follow_others(core: &Core) -> Result<(), StoreError> {
    for FeedOrigin { key, node_id, .. } in core.services.feeds.owed_to_all().await? {
        if node_id == core.services.node_id && core.is_live(key).await {
            continue;
        }
        let core = core.clone();
        actix::spawn(async move {
            // A copy may be on its way; the next round looks again.
            if let Err(error) = complete_feed(&core, key).await.or_else(ReadError::unless_elsewhere) {
                tracing::warn!(stream = %key, error = ?error, "a feed is behind");
            }
        });
    }
    Ok(())
}

async fn complete_feed(core: &Core, key: StreamKey) -> Result<(), ReadError> {
    let feeds = &core.services.feeds;
    let facts = core.services.store.log_facts(key).await?;
    let is_own = facts.is_none_or(|facts| facts.node_id == core.services.node_id);
    if feeds.owner(key.workspace_id()).await? != core.services.node_id {
        // The node that writes the feed reads what there is.
        return Ok(if facts.is_none() {
            feeds.strike_off(key).await?
        });
    }
    let _turn = feeds.turn(key).await;
    if !feeds.owes(key).await? {
        return Ok(());
    }
    let hub = match reading::hub(core, key, 0).await {
        // Its row was never stored, or its log has been deleted.
        Err(ReadError::Open(OpenReaderError::NotFound) | ReadError::Expired) if is_own => {
            return Ok(feeds.strike_off(key).await?);
        }
        hub => hub?,
    };
    Ok(feeds.derive(key, Follow::inside(hub, Start::default())?).await?)
}
