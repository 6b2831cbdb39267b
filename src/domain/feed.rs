//! What a workspace's feed still owes: the streams that it has not told to their end.

use super::StreamKey;
use super::id::NodeId;

/// A stream whose lifecycle the feed tells, until it has told the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedOrigin {
    pub key: StreamKey,
    pub node_id: NodeId,
    /// What the feed tells of it stands behind this position of the feed.
    pub after: u64,
}
