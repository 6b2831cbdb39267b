//! Work that is running.

use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{oneshot, watch};
use utoipa::ToSchema;

use crate::domain::build::Build;
use crate::domain::{BuildId, StreamKey};
use crate::stream::StreamHandle;
use crate::supervision::{Gone, Supervised};
use crate::worker::actor::{Cancel, Interrupt, Observe, WorkActor, WorkState};
use crate::worker::inbox::{Answer, AnswerError};

/// For an actor to say what it is doing.
const OBSERVE: Duration = Duration::from_secs(1);

/// What others may do with it: follow its stream, reach its actor, wait until its row is final.
#[derive(Clone)]
pub struct Entry {
    pub stream: StreamHandle,
    /// None where nothing works on it: a build that only records a reuse, or a failed log that is given its end.
    pub worker: Option<Supervised<WorkActor>>,
    /// True once the row says what the log says, for good.
    pub projected: watch::Receiver<bool>,
}

impl Entry {
    pub fn key(&self) -> StreamKey {
        self.stream.key()
    }

    /// Waits until the row is final.
    pub async fn settled(&self) {
        let _ = self.projected.clone().wait_for(|done| *done).await;
    }

    /// True when this was the first request to end it.
    pub async fn cancel(&self, cancel: &Cancel) -> Result<bool, Gone> {
        self.worker.as_ref().ok_or(Gone)?.send(|| cancel.clone()).await
    }

    /// Hands an answer of a person to the session. One that panics before it has taken it up leaves it to the next.
    pub async fn answer(&self, answer: &Answer) -> Result<(), AnswerError> {
        let worker = self.worker.as_ref().ok_or(AnswerError::Gone)?;
        let is_lost = |outcome: &Result<_, _>| matches!(outcome, Err(AnswerError::Gone));
        worker.send_unless(|| answer.clone(), is_lost).await.unwrap_or(Err(AnswerError::Gone))
    }

    pub async fn interrupt(&self) {
        if let Some(worker) = &self.worker {
            // One that is gone has ended already.
            let _ = worker.send(|| Interrupt).await;
        }
    }

    pub async fn observe(&self) -> ActorState {
        let work = match &self.worker {
            // A thread that hangs must not keep anybody from seeing that it does.
            Some(worker) => tokio::time::timeout(OBSERVE, worker.send(|| Observe)).await.ok().and_then(Result::ok),
            None => None,
        };
        let (tail, subscribers) = (self.stream.tail(), self.stream.hub().subscribers());
        let stream = StreamState { sequence: tail.sequence, bytes: tail.bytes, is_closed: tail.closed, subscribers };
        ActorState { kind: self.key().kind().as_str(), id: self.key().id().to_string(), work, stream }
    }
}

/// The observable state of the actors of one piece of work: its session's, and its stream's.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ActorState {
    pub kind: &'static str,
    pub id: String,
    /// Null when the session has ended and only the row is waited for, and when the actor does not answer.
    pub work: Option<WorkState>,
    pub stream: StreamState,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StreamState {
    pub sequence: u64,
    pub bytes: u64,
    pub is_closed: bool,
    pub subscribers: usize,
}

/// A build that others may join.
#[derive(Clone)]
pub struct InFlight {
    pub build: Build,
    pub stream: StreamHandle,
    pub interest: Weak<BuildInterest>,
}

impl InFlight {
    pub fn id(&self) -> BuildId {
        self.build.id
    }
}

/// Held by every caller that waits for a build. When the last one lets go, the build is cancelled.
pub struct BuildInterest(#[allow(dead_code, reason = "its drop is the news")] oneshot::Sender<Infallible>);

/// Resolves when nothing is interested in a build any more.
pub type InterestLost = oneshot::Receiver<Infallible>;

impl BuildInterest {
    pub fn new() -> (Arc<Self>, InterestLost) {
        let (held, lost) = oneshot::channel();
        (Arc::new(Self(held)), lost)
    }
}
