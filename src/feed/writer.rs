//! The one task that appends to a feed: what is waiting is appended together, and nothing is appended twice.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::entry::{DeliveredIndex, Entry};
use crate::domain::StreamId;
use crate::stream::{AppendError, StreamHandle};

/// The most origins that wait for the feed; each waits for its answer before it continues.
pub const INBOX: usize = 256;

/// What the task is asked to do.
pub enum Command {
    /// Append these events of an origin, in this order.
    Record { origin: StreamId, entries: Arc<[Entry]>, done: oneshot::Sender<Result<(), AppendError>> },
    /// The terminal event of the origin is in the feed, and it is no longer pending.
    Forget(StreamId),
    /// Stop after what was sent before.
    Close(oneshot::Sender<()>),
}

pub struct Writer {
    pub stream: StreamHandle,
    pub index: DeliveredIndex,
    pub inbox: mpsc::Receiver<Command>,
}

impl Writer {
    /// Stops when it is closed, or when an append fails: then only the log says what the feed holds, and it has to be opened
    /// again.
    pub async fn run(mut self) {
        let mut waiting = Vec::new();
        while self.inbox.recv_many(&mut waiting, INBOX).await > 0 {
            let (mut drafts, mut answers, mut closing) = (Vec::new(), Vec::new(), None);
            for command in waiting.drain(..) {
                match command {
                    Command::Record { origin, entries, done } => {
                        let new = entries.iter().filter(|entry| self.index.take(origin, entry.sequence));
                        drafts.extend(new.map(|entry| entry.draft.clone()));
                        answers.push(done);
                    }
                    Command::Forget(origin) => self.index.forget(origin),
                    Command::Close(done) => closing = Some(done),
                }
            }
            let recorded = self.append(drafts).await;
            for done in answers {
                // A caller that has gone has lost nothing: its successor starts over, and the index knows what is there.
                let _ = done.send(recorded.clone());
            }
            if let Some(done) = closing {
                let _ = done.send(());
                return;
            }
            if recorded.is_err() {
                return;
            }
        }
    }

    async fn append(&self, drafts: Vec<crate::event::Draft>) -> Result<(), AppendError> {
        if drafts.is_empty() {
            return Ok(());
        }
        self.stream.append(drafts.into()).await.map(|_| ())
    }
}
