//! One call over HTTP: sent, read as server-sent events, and folded into a reply.
//!
//! Law: a call has a client and a connection of its own, both inside its stream. Dropping the stream drops them, which
//! closes the connection; a pool would only save a handshake out of seconds.

use std::collections::VecDeque;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use awc::error::PayloadError;
use awc::http::header::{self, HeaderMap, HeaderValue};
use bytes::Bytes;
use futures_util::stream::{self, LocalBoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use super::error::sentence;
use super::sse;
use super::{Call, Limits, ModelsError, Part, ProviderError, Reply, StopReason, Usage, Wait};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The body of a refusal is read up to this.
const REFUSAL_BYTES: usize = 64 << 10;
/// What surrounds the content of one event.
const EVENT_BYTES: usize = 64 << 10;

/// A request, ready to be sent.
pub(super) struct Outgoing {
    pub url: String,
    pub headers: Vec<(&'static str, HeaderValue)>,
    pub body: Vec<u8>,
}

/// What a provider's events say; one for each call, and pure.
pub(super) trait Wire: 'static {
    fn hear(&mut self, data: &str) -> Result<Vec<Heard>, ProviderError>;

    /// The reply is whole, though the end was not announced.
    fn is_whole(&self) -> bool;

    fn usage(&self) -> Option<Usage>;

    /// Why the model stopped, once it has said so.
    fn stop(&self) -> Option<StopReason>;
}

pub(super) enum Heard {
    Text(String),
    Usage,
    End,
}

/// How calls are made.
#[derive(Clone)]
pub(super) struct Line {
    pub tls: Arc<rustls::ClientConfig>,
    pub limits: Limits,
}

impl Line {
    pub fn new(limits: Limits, ca_file: Option<&Path>) -> Result<Self, ModelsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = ca_file {
            trust(&mut roots, file).map_err(|reason| ModelsError::Certificates { path: file.to_owned(), reason })?;
        }
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls), limits })
    }

    /// A call; `timeout` shortens the limit of the whole.
    pub fn call(
        &self,
        outgoing: Outgoing,
        wire: impl Wire,
        timeout: Option<Duration>,
        key: Option<SecretString>,
    ) -> Call {
        let mut line = self.clone();
        line.limits.total = timeout.map_or(line.limits.total, |timeout| timeout.min(line.limits.total));
        let events = sse::Parser::new(line.limits.reply_bytes + EVENT_BYTES);
        let exchange = Exchange {
            line,
            wire,
            stage: Stage::Unsent(outgoing),
            started: None,
            events,
            content: String::new(),
            parts: VecDeque::new(),
        };
        let parts = stream::try_unfold(exchange, Exchange::next);
        parts.map_err(move |error| error.told(key.as_ref().map(|key| key.expose_secret()))).boxed_local()
    }

    fn client(&self) -> awc::Client {
        let connector = awc::Connector::new().timeout(CONNECT_TIMEOUT).handshake_timeout(CONNECT_TIMEOUT);
        let connector = connector.rustls_0_23(self.tls.clone());
        // A redirect would take the key to somebody else.
        awc::Client::builder().connector(connector).disable_timeout().disable_redirects().finish()
    }
}

fn trust(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
    let mut count = 0;
    for certificate in certificates {
        roots.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        count += 1;
    }
    if count == 0 { Err("there is none in the file".to_owned()) } else { Ok(()) }
}

type Body = LocalBoxStream<'static, Result<Bytes, PayloadError>>;

enum Stage {
    Unsent(Outgoing),
    Reading(Body),
    /// It has failed, which is told after everything that was heard before.
    Failed(ProviderError),
    Over,
}

struct Exchange<W> {
    line: Line,
    wire: W,
    stage: Stage,
    started: Option<Instant>,
    events: sse::Parser,
    content: String,
    parts: VecDeque<Part>,
}

impl<W: Wire> Exchange<W> {
    async fn next(mut self) -> Result<Option<(Part, Self)>, ProviderError> {
        loop {
            if let Some(part) = self.parts.pop_front() {
                return Ok(Some((part, self)));
            }
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Unsent(outgoing) => self.stage = Stage::Reading(self.open(outgoing).await?),
                Stage::Reading(body) => {
                    if let Err(error) = self.read(body).await {
                        self.stage = Stage::Failed(error);
                    }
                }
                Stage::Failed(error) => return Err(error),
                Stage::Over => return Ok(None),
            }
        }
    }

    async fn open(&mut self, outgoing: Outgoing) -> Result<Body, ProviderError> {
        self.started = Some(Instant::now());
        let mut request = self.line.client().post(&outgoing.url).insert_header((header::USER_AGENT, AGENT));
        for header in outgoing.headers {
            request = request.insert_header(header);
        }
        let request = request.insert_header((header::CONTENT_TYPE, "application/json"));
        let response = self.within(request.send_body(outgoing.body)).await?;
        let response = response.map_err(|error| ProviderError::Transport { reason: error.to_string() })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.boxed_local();
        if status.is_success() { Ok(body) } else { Err(self.refusal(status.as_u16(), &headers, body).await) }
    }

    async fn refusal(&self, status: u16, headers: &HeaderMap, mut body: Body) -> ProviderError {
        let mut text = Vec::new();
        // What there is of it will do.
        while let Ok(Some(Ok(bytes))) = self.within(body.next()).await {
            text.extend_from_slice(&bytes);
            if text.len() >= REFUSAL_BYTES {
                break;
            }
        }
        let retry_after = retry_after(headers, chrono::Utc::now());
        match serde_json::from_slice::<Value>(&text) {
            Ok(body) if is_out_of_money(&body) => ProviderError::Refused { status, message: message_of(&body) },
            Ok(body) => ProviderError::of_status(status, retry_after, message_of(&body)),
            Err(_) => ProviderError::of_status(status, retry_after, sentence(&String::from_utf8_lossy(&text))),
        }
    }

    async fn read(&mut self, mut body: Body) -> Result<(), ProviderError> {
        let bytes = match self.within(body.next()).await? {
            Some(Ok(bytes)) => bytes,
            Some(Err(error)) => return self.cut(&error.to_string()),
            None => return self.cut("it was closed before the reply was complete"),
        };
        let events = self.events.feed(&bytes).map_err(|sse::TooLong| self.too_large())?;
        for event in events {
            for heard in self.wire.hear(&event.data)? {
                match heard {
                    Heard::Text(text) => self.more(text)?,
                    Heard::Usage => self.parts.extend(self.wire.usage().map(Part::Usage)),
                    Heard::End => return self.end(),
                }
            }
        }
        self.stage = Stage::Reading(body);
        Ok(())
    }

    fn more(&mut self, text: String) -> Result<(), ProviderError> {
        if self.content.len() + text.len() > self.line.limits.reply_bytes {
            return Err(self.too_large());
        }
        self.content.push_str(&text);
        self.parts.push_back(Part::Delta(text));
        Ok(())
    }

    fn end(&mut self) -> Result<(), ProviderError> {
        let stop = self.wire.stop().ok_or_else(|| ProviderError::Malformed {
            reason: "it ended without saying why the model stopped".to_owned(),
        })?;
        let latency = self.started.map(|started| started.elapsed()).unwrap_or_default();
        let content = std::mem::take(&mut self.content);
        self.parts.push_back(Part::Reply(Reply { content, usage: self.wire.usage(), latency, stop }));
        Ok(())
    }

    /// The connection is gone, which matters only if something was still to come.
    fn cut(&mut self, reason: &str) -> Result<(), ProviderError> {
        if self.wire.is_whole() {
            return self.end();
        }
        Err(ProviderError::Transport { reason: reason.to_owned() })
    }

    fn too_large(&self) -> ProviderError {
        ProviderError::TooLarge { limit: self.line.limits.reply_bytes }
    }

    /// Waits for a sign of life, but not beyond the end of the whole.
    async fn within<T>(&self, sign: impl Future<Output = T>) -> Result<T, ProviderError> {
        let limits = &self.line.limits;
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

const AGENT: &str = concat!("ade/", env!("CARGO_PKG_VERSION"));

/// A header whose value is not shown when the request is.
pub(super) fn secret_header(key: &SecretString, prefix: &str) -> HeaderValue {
    let text = format!("{prefix}{}", key.expose_secret());
    let mut value = HeaderValue::from_str(&text).expect("a key is made of visible ASCII characters");
    value.set_sensitive(true);
    value
}

/// What a body says went wrong: `error.message` with the two providers, and what else servers are known to write.
pub(super) fn message_of(body: &Value) -> String {
    let spots = [&body["error"]["message"], &body["error"], &body["message"], &body["detail"]];
    match spots.into_iter().find_map(Value::as_str) {
        Some(text) => sentence(text),
        None => sentence(&body.to_string()),
    }
}

/// OpenAI says 429 also to those who have no money left, which waiting does not change.
fn is_out_of_money(body: &Value) -> bool {
    [&body["error"]["code"], &body["error"]["type"]].iter().any(|word| **word == "insufficient_quota")
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

    #[test]
    fn a_message_is_found_wherever_servers_put_it() {
        for (body, expected) in [
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "Overloaded"),
            (r#"{"error":{"message":"no such model","code":"model_not_found"}}"#, "no such model"),
            (r#"{"error":"model 'x' not found"}"#, "model 'x' not found"),
            (r#"{"object":"error","message":"too long"}"#, "too long"),
            (r#"{"detail":"Not Found"}"#, "Not Found"),
            (r#"{"unheard":1}"#, r#"{"unheard":1}"#),
        ] {
            assert_eq!(message_of(&serde_json::from_str(body).unwrap()), expected);
        }
    }
}
