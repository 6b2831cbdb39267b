//! What is pending in a workspace's feed: the streams that it has not repeated to their end.

use super::StreamKey;
use super::id::NodeId;

/// A stream whose lifecycle the feed repeats, until it has repeated the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedOrigin {
    pub key: StreamKey,
    pub node_id: NodeId,
    /// What the feed has of it is behind this position of the feed.
    pub after: u64,
}
