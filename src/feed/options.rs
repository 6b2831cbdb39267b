//! How feeds behave; the same for the whole service.

use chrono::TimeDelta;

use crate::stream::StreamOptions;

#[derive(Debug, Clone)]
pub struct FeedOptions {
    pub stream: StreamOptions,
    /// A new file is started when the current one has this size,
    pub segment_bytes: u64,
    /// or this age.
    pub segment_age: TimeDelta,
}

impl From<StreamOptions> for FeedOptions {
    fn from(stream: StreamOptions) -> Self {
        Self { stream, segment_bytes: 8 << 20, segment_age: TimeDelta::hours(24) }
    }
}
