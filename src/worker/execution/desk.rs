//! Where people speak to an execution that is at work.
//!
//! Law: who is told that it counts is told so when it is durable.

use tokio::sync::{mpsc, oneshot};

use crate::event::payload::Caller;
use crate::workflow::person::{Address, Refusal, Saying};

/// So many wait to be heard; who comes then waits with the request.
const WAITING: usize = 16;

/// Something said, and who waits for what comes of it.
pub struct Order {
    pub to: Address,
    pub saying: Saying,
    pub by: Caller,
    pub reply: oneshot::Sender<Result<(), SayError>>,
}

/// What was said does not count.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SayError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is neither known nor lost: who repeats it learns more.
    #[error("the execution does not listen now")]
    Gone,
}

#[derive(Debug, Clone)]
pub struct Desk(mpsc::Sender<Order>);

pub type Orders = mpsc::Receiver<Order>;

impl Desk {
    pub fn new() -> (Self, Orders) {
        let (sender, orders) = mpsc::channel(WAITING);
        (Self(sender), orders)
    }

    pub async fn say(&self, to: Address, saying: Saying, by: Caller) -> Result<(), SayError> {
        let (reply, heard) = oneshot::channel();
        self.0.send(Order { to, saying, by, reply }).await.map_err(|_| SayError::Gone)?;
        heard.await.unwrap_or(Err(SayError::Gone))
    }
}
