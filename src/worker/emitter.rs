//! How a worker writes its stream: in order, bounded, and without waiting for each line.
//!
//! Invariant: drafts enter the stream in the order in which they were given. What is given while an append
//! is in flight joins the next one; when too much waits, giving waits too, and with it the child process.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::event::Draft;
use crate::stream::{AppendError, Appended, StreamHandle};

/// Batches that may wait for the append in flight.
const WAITING_BATCHES: usize = 8;
/// Events of one batch; what is given as more is several. The shortest lines become the most events of a read, and an
/// event takes a hundred times the room of the shortest line.
const BATCH: usize = 4 * 1024;
/// Events that one append takes at most.
const MAX_APPEND: usize = 16 * 1024;

type Ack = oneshot::Sender<Result<Appended, AppendError>>;

struct Post {
    drafts: Vec<Draft>,
    ack: Option<Ack>,
}

/// The writing end of one producer of a stream.
#[derive(Clone)]
pub struct Emitter {
    posts: mpsc::Sender<Post>,
}

impl Emitter {
    /// Must be called on the thread of an arbiter, where its pump will run until the emitter is dropped.
    pub fn new(stream: StreamHandle) -> Self {
        let (posts, waiting) = mpsc::channel(WAITING_BATCHES);
        actix::spawn(pump(stream, waiting));
        Self { posts }
    }

    /// Gives drafts to the stream; returns as soon as there is room. A log that has failed takes nothing
    /// and says so where an acknowledgement is awaited: the work itself goes on.
    pub async fn post(&self, drafts: Vec<Draft>) {
        let mut drafts = drafts.into_iter();
        while drafts.len() > 0 {
            let batch = drafts.by_ref().take(BATCH).collect();
            let _ = self.posts.send(Post { drafts: batch, ack: None }).await;
        }
    }

    /// Gives one draft and waits until it, and all before it, is durable.
    pub async fn emit(&self, draft: Draft) -> Result<Appended, AppendError> {
        let (ack, outcome) = oneshot::channel();
        let _ = self.posts.send(Post { drafts: vec![draft], ack: Some(ack) }).await;
        outcome.await.unwrap_or(Err(AppendError::Gone))
    }
}

async fn pump(stream: StreamHandle, mut waiting: mpsc::Receiver<Post>) {
    while let Some(Post { mut drafts, ack }) = waiting.recv().await {
        let mut acks = Vec::from_iter(ack);
        while drafts.len() < MAX_APPEND {
            let Ok(more) = waiting.try_recv() else { break };
            drafts.extend(more.drafts);
            acks.extend(more.ack);
        }
        let outcome = stream.append(Arc::from(drafts)).await;
        for ack in acks {
            let _ = ack.send(outcome.clone());
        }
    }
}
