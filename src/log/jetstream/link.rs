//! The connection to the servers, as blocking calls that each end within a bound.
//!
//! Nothing is decided here: an answer, or why there is none. A start that is asked to end gets none any more.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, HeaderMap, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::answer::{Answer, ApiError};
use super::options::{ClusterOptions, NatsCredentials};
use super::protocol::{
    Batch, EXPECTED_SEQUENCE, EXPECTED_STREAM, Envelope, LastOf, NO_MESSAGE, NextOf, OneMessage, PurgeBelow, Purged,
    SEQUENCE, STREAM_NOT_FOUND, StreamConfig, StreamInfo,
};
use super::stop::Stop;

/// For a server to accept a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// For any answer. A stream that has lost its leader does not answer at all.
const PATIENCE: Duration = Duration::from_secs(2);
/// A connection that is dead without a word is noticed after two of these.
const PING: Duration = Duration::from_secs(2);
/// Commands that wait for a connection: a few, so that rounds do not heap up.
const WAITING: usize = 16;
/// Of one read.
const BATCH: Batch = Batch { seq: 0, batch: 256, max_bytes: 8 << 20 };

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum LinkError {
    #[error("{0}")]
    Unreachable(String),
    #[error("{} ({})", .0.description, .0.err_code)]
    Refused(ApiError),
}

/// A message as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) sequence: u64,
    pub(super) payload: Bytes,
}

/// A stream, reached through any of the servers.
pub(super) struct Link {
    /// Taken by `drop` alone.
    runtime: Option<Runtime>,
    nats: Client,
    stream: String,
    stop: Stop,
}

impl Link {
    /// Blocks until a server has accepted; not to be called on a thread that drives asynchronous tasks, as nothing here is.
    pub(super) fn connect(options: &ClusterOptions, stop: &Stop) -> Result<Self, LinkError> {
        let unreachable = |error: &dyn std::fmt::Display| LinkError::Unreachable(error.to_string());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("log-cluster")
            .enable_all()
            .build()
            .map_err(|error| unreachable(&error))?;
        let connected = runtime.block_on(async {
            tokio::select! {
                connected = client(options) => connected.map_err(|error| unreachable(&*error)),
                () = stop.asked() => Err(unreachable(&"the start is to end")),
            }
        });
        match connected {
            Ok(nats) => Ok(Self { runtime: Some(runtime), nats, stream: options.stream(), stop: stop.clone() }),
            Err(error) => {
                // A name that is being looked up would be waited for.
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// By which a start is asked to end.
    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    pub(super) fn is_connected(&self) -> bool {
        self.nats.connection_state() == State::Connected
    }

    /// How many bytes a message may have.
    pub(super) fn largest_message(&self) -> usize {
        self.nats.max_payload()
    }

    /// Does this for as long as the connection lives.
    pub(super) fn meanwhile(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            drop(runtime.spawn(work));
        }
    }

    /// Publishes a round that is stored only if the stream ends with `expected`.
    pub(super) fn publish(&self, expected: u64, round: Bytes) -> Answer {
        // Without a connection the client would keep it and send it later, once for every try.
        if !self.is_connected() {
            return Answer::Silence("no server is connected".to_owned());
        }
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_SEQUENCE, expected.to_string());
        headers.insert(EXPECTED_STREAM, self.stream.as_str());
        match self.send(self.stream.clone(), Request::new().headers(headers).payload(round)) {
            Ok(payload) => Answer::parse(&payload),
            Err(why) => Answer::Silence(why),
        }
    }

    /// The last message, as the leader of the stream has it; none if it has none.
    pub(super) fn last(&self) -> Result<Option<Stored>, LinkError> {
        self.one(&LastOf { last_by_subj: &self.stream })
    }

    /// The first message from this one on, as the leader of the stream has it; none if it has none.
    pub(super) fn next(&self, from: u64) -> Result<Option<Stored>, LinkError> {
        self.one(&NextOf { seq: from, next_by_subj: &self.stream })
    }

    fn one(&self, which: &impl Serialize) -> Result<Option<Stored>, LinkError> {
        let message = match self.ask::<OneMessage>("STREAM.MSG.GET", which) {
            Err(LinkError::Refused(error)) if error.err_code == NO_MESSAGE => return Ok(None),
            answer => answer?.message,
        };
        let payload = STANDARD.decode(&message.data).map_err(|error| LinkError::Unreachable(error.to_string()))?;
        Ok(Some(Stored { sequence: message.seq, payload: payload.into() }))
    }

    /// None if there is no such stream.
    pub(super) fn info(&self) -> Result<Option<StreamInfo>, LinkError> {
        match self.ask("STREAM.INFO", &serde_json::Map::new()) {
            Err(LinkError::Refused(error)) if error.err_code == STREAM_NOT_FOUND => Ok(None),
            info => info.map(Some),
        }
    }

    pub(super) fn create(&self, config: &StreamConfig) -> Result<StreamInfo, LinkError> {
        self.ask("STREAM.CREATE", config)
    }

    /// Messages up to `last` may go.
    pub(super) fn purge(&self, last: u64) -> Result<(), LinkError> {
        let purged: Purged = self.ask("STREAM.PURGE", &PurgeBelow { seq: last + 1 })?;
        if purged.success { Ok(()) } else { Err(LinkError::Unreachable("nothing was purged".to_owned())) }
    }

    /// Some messages from this one on, in their order. Any member answers, also one that is not up to date.
    pub(super) fn read(&self, from: u64) -> Result<Vec<Stored>, LinkError> {
        let unreachable = |error: &dyn std::fmt::Display| LinkError::Unreachable(error.to_string());
        let request = serde_json::to_vec(&Batch { seq: from, ..BATCH }).map_err(|error| unreachable(&error))?;
        let read = async {
            let inbox = self.nats.new_inbox();
            let mut answers = self.nats.subscribe(inbox.clone()).await.map_err(|error| unreachable(&error))?;
            let subject = format!("$JS.API.DIRECT.GET.{}", self.stream);
            let sent = self.nats.publish_with_reply(subject, inbox, request.into()).await;
            sent.map_err(|error| unreachable(&error))?;
            let mut found = Vec::new();
            while let Some(message) = answers.next().await {
                match message.status {
                    None => found.push(stored(message).ok_or_else(|| unreachable(&"a message without its sequence"))?),
                    Some(StatusCode::NO_RESPONDERS) => return Err(unreachable(&"the stream does not answer")),
                    // The end of the batch, or nothing there.
                    Some(_) => return Ok(found),
                }
            }
            Err(unreachable(&"the connection was lost"))
        };
        self.within(5 * PATIENCE, read).unwrap_or_else(|| Err(unreachable(&"the stream does not answer")))
    }

    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    pub(super) fn nats(&self) -> &Client {
        &self.nats
    }

    fn ask<T: DeserializeOwned>(&self, what: &str, request: &impl Serialize) -> Result<T, LinkError> {
        self.ask_at(format!("$JS.API.{what}.{}", self.stream), request)
    }

    pub(super) fn ask_at<T: DeserializeOwned>(
        &self,
        subject: String,
        request: &impl Serialize,
    ) -> Result<T, LinkError> {
        let unreachable = |error: &dyn std::fmt::Display| LinkError::Unreachable(error.to_string());
        let payload = serde_json::to_vec(request).map_err(|error| unreachable(&error))?;
        let answer = self.send(subject, Request::new().payload(payload.into())).map_err(LinkError::Unreachable)?;
        let envelope: Envelope<T> = serde_json::from_slice(&answer).map_err(|error| unreachable(&error))?;
        match (envelope.error, envelope.content) {
            (Some(error), _) => Err(LinkError::Refused(error)),
            (None, Some(content)) => Ok(content),
            (None, None) => Err(unreachable(&"an answer of another form")),
        }
    }

    fn send(&self, subject: String, request: Request) -> Result<Bytes, String> {
        if !self.is_connected() {
            return Err("no server is connected".to_owned());
        }
        let send = self.nats.send_request(subject, request.timeout(Some(PATIENCE)));
        // Handing it over waits too, where too many are waiting.
        match self.within(2 * PATIENCE, send) {
            Some(Ok(message)) => Ok(message.payload),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("no answer".to_owned()),
        }
    }

    /// None if it takes longer, or whoever waits is to end.
    pub(super) fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let runtime = self.runtime.as_ref().expect("there until it is dropped");
        runtime.block_on(async {
            tokio::select! {
                done = tokio::time::timeout(limit, work) => done.ok(),
                () = self.stop.asked() => None,
            }
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Whoever drops it may be on a thread that must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn stored(message: async_nats::Message) -> Option<Stored> {
    let sequence = message.headers.as_ref()?.get(SEQUENCE)?.as_str().parse().ok()?;
    Some(Stored { sequence, payload: message.payload })
}

async fn client(options: &ClusterOptions) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    Ok(connect_options(options).await?.connect(&options.servers).await?)
}

async fn connect_options(options: &ClusterOptions) -> std::io::Result<ConnectOptions> {
    let mut connect = ConnectOptions::new()
        .name(format!("ade {}", options.node))
        .connection_timeout(CONNECT)
        .ping_interval(PING)
        .client_capacity(WAITING)
        .reconnect_delay_callback(|attempts| Duration::from_millis(100 << attempts.min(4)));
    connect = match &options.credentials {
        NatsCredentials::None => connect,
        NatsCredentials::Password { user, password } => {
            connect.user_and_password(user.clone(), password.expose_secret().to_owned())
        }
        NatsCredentials::Token(token) => connect.token(token.expose_secret().to_owned()),
        NatsCredentials::File(path) => connect.credentials_file(path).await?,
    };
    if let Some(path) = &options.ca_file {
        connect = connect.add_root_certificates(path.clone()).require_tls(true);
    }
    if let Some((certificate, key)) = &options.certificate {
        connect = connect.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
    }
    Ok(connect)
}
