//! The one task that appends to a feed: what waits goes in together, and nothing goes in twice.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::entry::{Book, Entry};
use crate::domain::StreamId;
use crate::stream::{AppendError, StreamHandle};

/// Origins that wait for the feed, at most; each waits for its answer before it goes on.
pub const INBOX: usize = 256;

/// What the task is told.
pub enum Command {
    /// Tell these events of an origin, in this order.
    Record { origin: StreamId, entries: Arc<[Entry]>, done: oneshot::Sender<Result<(), AppendError>> },
    /// The origin is told to its end, and struck off.
    Forget(StreamId),
    /// Come to an end after what was told before.
    Close(oneshot::Sender<()>),
}

pub struct Writer {
    pub stream: StreamHandle,
    pub book: Book,
    pub inbox: mpsc::Receiver<Command>,
}

impl Writer {
    /// Ends when it is closed, or when the feed takes no more: what it holds then is only known from its log.
    pub async fn run(mut self) {
        let mut waiting = Vec::new();
        while self.inbox.recv_many(&mut waiting, INBOX).await > 0 {
            let (mut drafts, mut answers, mut closing) = (Vec::new(), Vec::new(), None);
            for command in waiting.drain(..) {
                match command {
                    Command::Record { origin, entries, done } => {
                        let new = entries.iter().filter(|entry| self.book.take(origin, entry.sequence));
                        drafts.extend(new.map(|entry| entry.draft.clone()));
                        answers.push(done);
                    }
                    Command::Forget(origin) => self.book.forget(origin),
                    Command::Close(done) => closing = Some(done),
                }
            }
            let told = self.append(drafts).await;
            for done in answers {
                // Who no longer waits has lost nothing: it begins again, and the book knows what is told.
                let _ = done.send(told.clone());
            }
            if let Some(done) = closing {
                let _ = done.send(());
                return;
            }
            if told.is_err() {
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
