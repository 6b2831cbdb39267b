//! What can go wrong at a feed.

use std::io;

use crate::store::StoreError;
use crate::stream::{AppendError, OpenStreamError, SubscribeError};

#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error(transparent)]
    Open(#[from] OpenStreamError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the feed's log cannot be read: {0}")]
    Log(#[from] io::Error),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    #[error("cannot append to the feed: {0}")]
    Append(#[from] AppendError),
    #[error("the threads of the service have stopped")]
    Gone,
}
