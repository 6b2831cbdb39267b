//! The messages of a stream actor.

use std::sync::Arc;

use actix::Message;

use super::error::AppendError;
use crate::domain::time::Timestamp;
use crate::event::Draft;

/// Number these drafts, make them durable, publish them. All of them or none.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Appended, AppendError>")]
pub struct Append(pub Arc<[Draft]>);

/// The events are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub first: u64,
    pub last: u64,
    pub created_at: Timestamp,
}

/// Stop once everything that was appended before is durable; the stream can be opened again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Retire;

/// For tests: the actor panics while it handles this.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Panic;
