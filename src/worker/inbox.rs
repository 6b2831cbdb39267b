//! What people say to running work, on its way from the work's actor to its session.
//!
//! Invariant: a caller that hears that an answer counts hears it when the answer is durable.

use actix::Message;
use tokio::sync::{mpsc, oneshot};

use crate::domain::principal::Principal;
use crate::workflow::user_input::{Refusal, StepRef, UserInput};

/// So many answers wait to be taken up; the callers of more wait with their requests.
const CAPACITY: usize = 16;

/// An answer or a decision of a person. Submitting it twice does no harm: the second is found to be known.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), AnswerError>")]
pub struct Answer {
    pub to: StepRef,
    pub input: UserInput,
    pub by: Principal,
}

/// An answer does not count.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AnswerError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is neither known nor lost: a caller that repeats it learns more.
    #[error("the session has ended")]
    Gone,
}

/// An answer, and where to report what came of it.
pub struct Submitted {
    pub answer: Answer,
    pub reply: oneshot::Sender<Result<(), AnswerError>>,
}

#[derive(Debug, Clone)]
pub struct Inbox(mpsc::Sender<Submitted>);

impl Inbox {
    pub fn new() -> (Self, mpsc::Receiver<Submitted>) {
        let (sender, submitted) = mpsc::channel(CAPACITY);
        (Self(sender), submitted)
    }

    pub async fn submit(self, answer: Answer) -> Result<(), AnswerError> {
        let (reply, outcome) = oneshot::channel();
        self.0.send(Submitted { answer, reply }).await.map_err(|_| AnswerError::Gone)?;
        outcome.await.unwrap_or(Err(AnswerError::Gone))
    }

    pub fn waiting(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }
}
