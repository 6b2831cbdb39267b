//! The messages of a stream as they are stored, in their order: what a follower reads.
//!
//! Law: a batch goes on where the one before ended, or says by its sequences that it does not. Only what a majority has is
//! delivered. The follower asks for each batch, so that one that is slow is not flooded.

use std::time::{Duration, Instant};

use async_nats::{Message, StatusCode, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use ulid::Ulid;

use super::link::{Link, LinkError, Stored};
use super::protocol::{CreateConsumer, Pull, delivered_sequence};

const PULL: Pull = Pull { batch: 256, max_bytes: 8 << 20, expires: 5_000_000_000, idle_heartbeat: 1_000_000_000 };
/// A consumer that says nothing for so long is gone, with the server that had it.
const SILENCE: Duration = Duration::from_secs(3);
/// To hand a request over to the connection.
const SENDING: Duration = Duration::from_secs(2);

pub(super) struct Consumer<'a> {
    link: &'a Link,
    name: String,
    inbox: Subscriber,
    reply: String,
    /// Messages that were asked for and may still come.
    outstanding: u32,
    heard: Instant,
}

impl<'a> Consumer<'a> {
    /// Begins at this message.
    pub(super) fn start(link: &'a Link, from: u64) -> Result<Self, LinkError> {
        let name = format!("follow-{}", Ulid::generate());
        let subject = format!("$JS.API.CONSUMER.CREATE.{}.{name}", link.stream());
        let _made: serde_json::Value = link.ask_at(subject, &CreateConsumer::new(link.stream(), &name, from))?;
        let reply = link.nats().new_inbox();
        let subscribed = link.within(SENDING, link.nats().subscribe(reply.clone()));
        let inbox = subscribed.ok_or_else(gone)?.map_err(|error| LinkError::Unreachable(error.to_string()))?;
        Ok(Self { link, name, inbox, reply, outstanding: 0, heard: Instant::now() })
    }

    /// What has come, waiting for it no longer than this; nothing if nothing has.
    pub(super) fn next(&mut self, wait: Duration) -> Result<Vec<Stored>, LinkError> {
        if self.outstanding == 0 {
            self.pull()?;
        }
        let first = self.link.within(wait, self.inbox.next());
        let mut found = Vec::new();
        let mut message = match first {
            Some(message) => message,
            None if self.heard.elapsed() > SILENCE => return Err(gone()),
            None => return Ok(found),
        };
        loop {
            self.heard = Instant::now();
            found.extend(self.take(message.ok_or_else(gone)?)?);
            message = match self.inbox.next().now_or_never() {
                Some(message) if self.outstanding > 0 => message,
                Some(message) => {
                    found.extend(self.take(message.ok_or_else(gone)?)?);
                    return Ok(found);
                }
                None => return Ok(found),
            };
        }
    }

    fn pull(&mut self) -> Result<(), LinkError> {
        let unreachable = |error: &dyn std::fmt::Display| LinkError::Unreachable(error.to_string());
        let request = serde_json::to_vec(&PULL).map_err(|error| unreachable(&error))?;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.link.stream(), self.name);
        let sent = self.link.nats().publish_with_reply(subject, self.reply.clone(), request.into());
        self.link.within(SENDING, sent).ok_or_else(gone)?.map_err(|error| unreachable(&error))?;
        self.outstanding = PULL.batch;
        Ok(())
    }

    /// A message, or what the server says of the request.
    fn take(&mut self, message: Message) -> Result<Option<Stored>, LinkError> {
        let Some(status) = message.status else {
            self.outstanding = self.outstanding.saturating_sub(1);
            let sequence = message.reply.as_deref().and_then(delivered_sequence);
            let sequence = sequence.ok_or_else(|| LinkError::Unreachable("a message without its sequence".into()))?;
            return Ok(Some(Stored { sequence, payload: message.payload }));
        };
        let said = message.description.unwrap_or_default();
        match status {
            StatusCode::IDLE_HEARTBEAT => {}
            // The request has ended, and asks for no more than it got.
            StatusCode::TIMEOUT | StatusCode::NOT_FOUND => self.outstanding = 0,
            _ if said.contains("MaxBytes") || said.contains("Completed") => self.outstanding = 0,
            _ => return Err(LinkError::Unreachable(format!("the stream is not followed any more: {said} ({status})"))),
        }
        Ok(None)
    }
}

fn gone() -> LinkError {
    LinkError::Unreachable("whoever delivers the stream says nothing any more".to_owned())
}
