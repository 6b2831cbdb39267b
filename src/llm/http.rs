//! One call over HTTP: sent, read, and folded into a reply.
//!
//! Invariant: a call has a connection of its own, inside its stream: dropping the stream closes it. Nothing that a server does
//! makes a call take longer, or hold more, than its limits say.

use std::collections::VecDeque;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use hyper::Method;
use hyper::header::{self, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use super::body::{Body, Ending, Event};
use super::error::sentence;
use super::fault;
use super::text::{Joiner, Text};
use super::{Call, Limits, Part, ProviderError, Reply, StopReason, Usage, Wait};
use crate::outbound::{self, Answer, CertificatesError, Outgoing, tls};
use crate::sse::TooLong;

/// The body of a refusal is read up to this.
const REFUSAL_BYTES: usize = 64 << 10;
/// What surrounds the content of one event.
const EVENT_BYTES: usize = 64 << 10;
/// What surrounds all of it: more than this for each byte of the largest content is no reply.
const OVERHEAD: u64 = 64;

/// What a provider's events say; one for each call, and pure.
pub(super) trait WireFormat: 'static {
    /// An event; or a whole document, where the server does not stream.
    fn apply(&mut self, name: &str, data: &str) -> Result<Vec<Signal>, ProviderError>;

    /// The reply is whole, though the end was not announced.
    fn is_whole(&self) -> bool;

    /// Some of the reply has arrived.
    fn has_started(&self) -> bool;

    fn usage(&self) -> Option<Usage>;

    /// Why the model stopped, if the server has said so.
    fn stop(&self) -> StopReason;

    /// The body of another request that avoids the reason of a refusal. It is called a bounded number of times.
    fn alternative(&mut self, refusal: &str) -> Option<String> {
        let _ = refusal;
        None
    }
}

pub(super) enum Signal {
    Text(Text),
    Usage,
    End,
}

/// Makes calls over HTTP.
#[derive(Clone)]
pub(super) struct Client {
    pub tls: Arc<rustls::ClientConfig>,
    pub limits: Limits,
}

impl Client {
    pub fn new(limits: Limits, ca_file: Option<&Path>) -> Result<Self, CertificatesError> {
        Ok(Self { tls: tls::trusting(ca_file)?, limits })
    }

    /// A call; `timeout` shortens the limit of the whole.
    pub fn call(
        &self,
        outgoing: Outgoing,
        wire: impl WireFormat,
        timeout: Option<Duration>,
        key: Option<SecretString>,
    ) -> Call {
        let mut client = self.clone();
        client.limits.total = timeout.map_or(client.limits.total, |timeout| timeout.min(client.limits.total));
        let exchange = Exchange {
            body: client.body(),
            client,
            wire,
            outgoing,
            stage: Stage::Unsent,
            started: None,
            received: 0,
            joiner: Joiner::default(),
            content: String::new(),
            parts: VecDeque::new(),
        };
        let parts = stream::try_unfold(exchange, Exchange::next);
        parts.map_err(move |error| error.redacted(key.as_ref().map(|key| key.expose_secret()))).boxed_local()
    }

    fn body(&self) -> Body {
        Body::new(self.limits.reply_bytes + EVENT_BYTES)
    }
}

enum Stage {
    Unsent,
    Reading(Answer),
    /// It has failed, which is reported after everything that arrived before.
    Failed(ProviderError),
    Over,
}

struct Exchange<W> {
    client: Client,
    wire: W,
    outgoing: Outgoing,
    stage: Stage,
    started: Option<Instant>,
    body: Body,
    received: u64,
    joiner: Joiner,
    content: String,
    parts: VecDeque<Part>,
}

impl<W: WireFormat> Exchange<W> {
    async fn next(mut self) -> Result<Option<(Part, Self)>, ProviderError> {
        loop {
            if let Some(part) = self.parts.pop_front() {
                return Ok(Some((part, self)));
            }
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Unsent => self.stage = self.open().await?,
                Stage::Reading(answer) => {
                    if let Err(error) = self.read(answer).await {
                        self.stage = Stage::Failed(error);
                    }
                }
                Stage::Failed(error) => return Err(error),
                Stage::Over => return Ok(None),
            }
        }
    }

    async fn open(&mut self) -> Result<Stage, ProviderError> {
        self.started.get_or_insert_with(Instant::now);
        let sent = self.within(outbound::send(&self.client.tls, &self.outgoing)).await?;
        let mut answer = sent.map_err(|reason| ProviderError::Transport { reason })?;
        if answer.status.is_success() {
            return match unreadable(&answer.headers) {
                None => Ok(Stage::Reading(answer)),
                Some(what) => Err(self.no_reply(&what, answer).await),
            };
        }
        let text = self.beginning(&mut answer).await;
        let retry_after = retry_after(&answer.headers, chrono::Utc::now());
        let error = fault::of_answer(answer.status.as_u16(), retry_after, &text);
        self.around(error, &String::from_utf8_lossy(&text)).map(|()| Stage::Unsent)
    }

    /// `Ok` if there is another request that avoids the reason of the refusal.
    fn around(&mut self, error: ProviderError, said: &str) -> Result<(), ProviderError> {
        let may_be_gone_around = matches!(error, ProviderError::Refused { .. } | ProviderError::Server { .. });
        if !may_be_gone_around || !self.content.is_empty() {
            return Err(error);
        }
        self.outgoing.body = self.wire.alternative(said).ok_or(error)?.into();
        self.body = self.client.body();
        Ok(())
    }

    async fn no_reply(&self, what: &str, mut answer: Answer) -> ProviderError {
        let text = self.beginning(&mut answer).await;
        ProviderError::Malformed { reason: format!("it is {what}: {}", sentence(&String::from_utf8_lossy(&text))) }
    }

    /// The beginning is enough.
    async fn beginning(&self, answer: &mut Answer) -> Vec<u8> {
        let mut text = Vec::new();
        while text.len() < REFUSAL_BYTES
            && let Ok(Some(Ok(bytes))) = self.within(answer.chunk()).await
        {
            text.extend_from_slice(&bytes);
        }
        text.truncate(REFUSAL_BYTES);
        text
    }

    async fn read(&mut self, mut answer: Answer) -> Result<(), ProviderError> {
        let bytes = match self.within(answer.chunk()).await? {
            Some(Ok(bytes)) => bytes,
            Some(Err(error)) => return self.cut(error),
            None => return self.cut("it was closed before the reply was complete".to_owned()),
        };
        self.received += bytes.len() as u64;
        if self.received > (self.client.limits.reply_bytes + EVENT_BYTES) as u64 * OVERHEAD {
            return Err(self.too_large());
        }
        let events = self.body.feed(&bytes).map_err(|TooLong| self.too_large())?;
        for event in events {
            match self.take(&event) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    self.around(error, &event.data)?;
                    self.stage = Stage::Unsent;
                    return Ok(());
                }
            }
        }
        self.stage = Stage::Reading(answer);
        Ok(())
    }

    /// Whether the event is the end.
    fn take(&mut self, event: &Event) -> Result<bool, ProviderError> {
        for signal in self.wire.apply(&event.name, &event.data)? {
            match signal {
                Signal::Text(text) => {
                    let text = self.joiner.join(text);
                    self.more(text)?;
                }
                Signal::Usage => self.parts.extend(self.wire.usage().map(Part::Usage)),
                Signal::End => return self.end().map(|()| true),
            }
        }
        Ok(false)
    }

    fn more(&mut self, text: String) -> Result<(), ProviderError> {
        if self.content.len() + text.len() > self.client.limits.reply_bytes {
            return Err(self.too_large());
        }
        self.content.push_str(&text);
        if !text.is_empty() {
            self.parts.push_back(Part::Delta(text));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), ProviderError> {
        let rest = self.joiner.finish();
        self.more(rest)?;
        let latency = self.started.map(|started| started.elapsed()).unwrap_or_default();
        let (content, usage) = (std::mem::take(&mut self.content), self.wire.usage());
        self.parts.push_back(Part::Reply(Reply { content, usage, latency, stop: self.wire.stop() }));
        Ok(())
    }

    /// Nothing more comes, which matters only if something was still to come.
    fn cut(&mut self, reason: String) -> Result<(), ProviderError> {
        let cut = ProviderError::Transport { reason };
        match self.body.finish() {
            Some(Ending::Document(text)) => return self.document(text, cut),
            Some(Ending::Event(event)) => match self.take(&event) {
                Ok(true) => return Ok(()),
                // Half an event does not count.
                Ok(false) | Err(ProviderError::Malformed { .. }) => {}
                Err(error) => return Err(error),
            },
            None => {}
        }
        if self.wire.is_whole() { self.end() } else { Err(cut) }
    }

    fn document(&mut self, text: String, cut: ProviderError) -> Result<(), ProviderError> {
        if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_err() {
            return Err(cut);
        }
        let event = Event { name: String::new(), data: text };
        match self.take(&event) {
            Ok(_) if self.wire.has_started() => self.end(),
            Err(error) if !matches!(error, ProviderError::Malformed { .. }) => {
                self.around(error, &event.data)?;
                self.stage = Stage::Unsent;
                Ok(())
            }
            _ => Err(ProviderError::Malformed { reason: format!("it is not a completion: {}", sentence(&event.data)) }),
        }
    }

    fn too_large(&self) -> ProviderError {
        ProviderError::TooLarge { limit: self.client.limits.reply_bytes }
    }

    /// Waits for the next chunk, but not beyond the total limit.
    async fn within<T>(&self, sign: impl Future<Output = T>) -> Result<T, ProviderError> {
        let limits = &self.client.limits;
        let gone = self.started.map(|started| started.elapsed()).unwrap_or_default();
        let left = limits.total.saturating_sub(gone);
        let (wait, limit) = if left <= limits.idle { (Wait::Total, limits.total) } else { (Wait::Idle, limits.idle) };
        let timeout = ProviderError::Timeout { wait, limit };
        // A server that never pauses would never be seen to be late.
        if left.is_zero() {
            return Err(timeout);
        }
        tokio::time::timeout(left.min(limits.idle), sign).await.map_err(|_| timeout)
    }
}

/// What is sent to a model, and what may come back.
pub(super) fn outgoing(url: String, body: &Value) -> Outgoing {
    let accepted = HeaderValue::from_static("text/event-stream, application/json");
    let headers =
        vec![(header::ACCEPT, accepted), (header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Outgoing { method: Method::POST, url, headers, body: body.to_string().into() }
}

/// A header whose value is not shown when the request is.
pub(super) fn secret_header(key: &SecretString, prefix: &str) -> HeaderValue {
    let text = format!("{prefix}{}", key.expose_secret());
    let mut value = HeaderValue::from_str(&text).expect("a key is made of visible ASCII characters");
    value.set_sensitive(true);
    value
}

/// What a body is that cannot be a reply.
fn unreadable(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let (encoding, content_type) = (text(header::CONTENT_ENCODING), text(header::CONTENT_TYPE));
    match (encoding.trim(), content_type.trim().starts_with("text/html")) {
        ("" | "identity", false) => None,
        ("" | "identity", true) => Some("an HTML page".to_owned()),
        (encoding, _) => Some(format!("encoded as {encoding}, which was not requested")),
    }
}

/// `retry-after-ms`, or `Retry-After` as seconds or as a date.
fn retry_after(headers: &HeaderMap, now: chrono::DateTime<chrono::Utc>) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(milliseconds) = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(milliseconds / 1_000.0).ok();
    }
    let text = text("retry-after")?;
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => {
            let date = chrono::DateTime::parse_from_rfc2822(text).ok()?.to_utc();
            Some((date - now).to_std().unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_every_form() {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let read = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(header::HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            retry_after(&headers, now)
        };
        for (pairs, expected) in [
            (vec![], None),
            (vec![("retry-after", "7")], Some(7_000)),
            (vec![("retry-after", " 1.5 ")], Some(1_500)),
            (vec![("retry-after", "0")], Some(0)),
            (vec![("retry-after", "-3")], None),
            (vec![("retry-after", "soon")], None),
            (vec![("retry-after", "1e300")], None),
            (vec![("retry-after", "Sat, 21 Nov 2026 12:00:30 GMT")], Some(30_000)),
            (vec![("retry-after", "Sat, 21 Nov 2026 11:00:00 GMT")], Some(0)),
            (vec![("retry-after-ms", "250"), ("retry-after", "7")], Some(250)),
        ] {
            assert_eq!(read(&pairs), expected.map(Duration::from_millis), "{pairs:?}");
        }
    }
}
