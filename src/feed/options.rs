//! How feeds behave; the same for all of a service.

use chrono::TimeDelta;

use crate::stream::StreamOptions;

#[derive(Debug, Clone, Copy)]
pub struct FeedOptions {
    pub stream: StreamOptions,
    /// A file is followed by another from this size on,
    pub segment_bytes: u64,
    /// and from this age on.
    pub segment_age: TimeDelta,
}

impl From<StreamOptions> for FeedOptions {
    fn from(stream: StreamOptions) -> Self {
        Self { stream, segment_bytes: 8 << 20, segment_age: TimeDelta::hours(24) }
    }
}
