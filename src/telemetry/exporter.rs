//! Batches of spans on their way to a collector: OTLP over HTTP, as protobuf.
//!
//! Laws. This runs on the thread that the SDK has for it, and on no other. A batch is sent a bounded number of times, each
//! of them within a time; a batch that is not taken then is lost. What a collector answers is read up to a bound, and
//! nothing of it goes into the log but its status.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message as _;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::backlog::Backlog;
use crate::backoff::Backoff;
use crate::outbound::{self, Outgoing};

/// How often a batch is sent where it is refused in passing.
const ATTEMPTS: u32 = 3;
const PAUSES: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(5) };
/// Of an answer that says which spans were not taken.
const ANSWER_BYTES: usize = 64 << 10;

/// Where batches go, and how.
pub struct Target {
    pub url: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub timeout: Duration,
    pub tls: Arc<rustls::ClientConfig>,
}

/// Sends batches, on a runtime of its own.
pub struct Exporter {
    target: Target,
    backlog: Arc<Backlog>,
    /// True when the service ends: there is no time for pauses.
    is_ending: watch::Receiver<bool>,
    resource: ResourceAttributesWithSchema,
    /// Present until it is dropped.
    runtime: Option<Runtime>,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Transport(String),
    #[error("the collector answers {status}")]
    Status { status: StatusCode, retry_after: Option<Duration> },
}

impl Refusal {
    /// Before the batch is sent again; none where it is not. Which statuses pass, OTLP says. A collector that asks for a
    /// longer pause than others would have to wait for has no room for this batch.
    fn pause(&self, attempt: u32) -> Option<Duration> {
        let asked = match self {
            Self::Timeout(_) | Self::Transport(_) => None,
            Self::Status { status, retry_after } if matches!(status.as_u16(), 429 | 502 | 503 | 504) => *retry_after,
            Self::Status { .. } => return None,
        };
        Some(asked.unwrap_or(PAUSES.pause(attempt))).filter(|pause| *pause <= PAUSES.longest)
    }
}

impl Exporter {
    pub fn new(target: Target, backlog: Arc<Backlog>, is_ending: watch::Receiver<bool>) -> std::io::Result<Self> {
        let runtime = Some(tokio::runtime::Builder::new_current_thread().enable_all().build()?);
        Ok(Self { target, backlog, is_ending, resource: ResourceAttributesWithSchema::default(), runtime })
    }

    async fn send(&self, body: Bytes) -> Result<u64, Refusal> {
        let mut attempt = 1;
        loop {
            let refusal = match self.send_once(body.clone()).await {
                Ok(rejected) => return Ok(rejected),
                Err(refusal) => refusal,
            };
            let may_try = attempt < ATTEMPTS && !*self.is_ending.borrow();
            let Some(pause) = refusal.pause(attempt).filter(|_| may_try) else { return Err(refusal) };
            self.pause(pause).await;
            attempt += 1;
        }
    }

    async fn pause(&self, time: Duration) {
        let mut is_ending = self.is_ending.clone();
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = is_ending.wait_for(|ending| *ending) => {}
        }
    }

    async fn send_once(&self, body: Bytes) -> Result<u64, Refusal> {
        let timeout = self.target.timeout;
        tokio::time::timeout(timeout, self.exchange(body)).await.map_err(|_| Refusal::Timeout(timeout))?
    }

    /// How many spans the collector has not taken, though it has taken the batch.
    async fn exchange(&self, body: Bytes) -> Result<u64, Refusal> {
        let Target { url, headers, tls, .. } = &self.target;
        let outgoing = Outgoing { method: Method::POST, url: url.clone(), headers: headers.clone(), body };
        let mut answer = outbound::send(tls, &outgoing).await.map_err(Refusal::Transport)?;
        if !answer.status.is_success() {
            return Err(Refusal::Status { status: answer.status, retry_after: retry_after(&answer.headers) });
        }
        let mut said = Vec::new();
        while said.len() <= ANSWER_BYTES
            && let Some(chunk) = answer.chunk().await
        {
            said.extend_from_slice(&chunk.map_err(Refusal::Transport)?);
        }
        Ok(rejected(&said))
    }
}

/// An answer that cannot be read says nothing.
fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    answer.partial_success.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.backlog.leave(count);
        let Some(runtime) = &self.runtime else { return Err(OTelSdkError::AlreadyShutdown) };
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec().into();
        match runtime.block_on(self.send(body)) {
            Ok(0) => self.backlog.deliver(),
            Ok(rejected) => {
                let rejected = usize::try_from(rejected).unwrap_or(count).min(count);
                self.backlog.lose(rejected, "the collector has rejected spans");
            }
            Err(refusal) => self.backlog.lose(count, &refusal.to_string()),
        }
        // What went wrong has been told: the SDK has nothing to do about it.
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

/// A look-up of a name that hangs is not waited for.
impl Drop for Exporter {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Without its headers.
impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("url", &self.target.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_sent_again_after_a_pause() {
        let status = |code, retry_after: Option<u64>| Refusal::Status {
            status: StatusCode::from_u16(code).unwrap(),
            retry_after: retry_after.map(Duration::from_secs),
        };
        for (refusal, pause) in [
            (Refusal::Timeout(Duration::from_secs(10)), Some(1)),
            (Refusal::Transport("refused".to_owned()), Some(1)),
            (status(503, None), Some(1)),
            (status(429, Some(0)), Some(0)),
            (status(502, Some(5)), Some(5)),
            (status(504, Some(6)), None),
            (status(400, Some(1)), None),
            (status(500, None), None),
            (status(302, None), None),
        ] {
            assert_eq!(refusal.pause(1), pause.map(Duration::from_secs), "{refusal}");
        }
    }
}
