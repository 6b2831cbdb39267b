//! A call of a language model: what is asked, what is answered, and who answers.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::LocalBoxStream;
use serde_json::Value;

use super::error::ProviderError;
use crate::domain::status::text_enum;

text_enum! {
    #[derive(PartialOrd, Ord)]
    ProviderName { Builtin = "builtin", Anthropic = "anthropic", OpenAi = "openai" }
}

/// A service that answers calls.
pub trait Provider: Send + Sync {
    fn name(&self) -> ProviderName;

    /// Makes one call. Nothing happens before the stream is polled. It ends with a [`Part::Reply`] or an error.
    fn call(&self, request: Request) -> Call;
}

/// A call in progress. Dropping it aborts it and closes the connection.
pub type Call = LocalBoxStream<'static, Result<Part, ProviderError>>;

/// What a model is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub system: String,
    pub messages: Vec<Message>,
    pub model: String,
    /// The most that the model may write, its thinking included.
    pub max_tokens: u32,
    /// Sent only when there is one: newer models refuse it.
    pub temperature: Option<f64>,
    /// A limit for this call that is shorter than the provider's.
    pub timeout: Option<Duration>,
    pub context: Context,
}

/// What the messages say in prose, as data. Only the builtin provider uses it.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// The text of the task alone. Inputs cannot smuggle directives into it.
    pub task: String,
    /// The schema of the document that is wanted.
    pub schema: Option<Value>,
    /// The messages contain answers to a clarification.
    pub answered: bool,
    /// From 1: incremented when a reply was unusable.
    pub step_attempt: u32,
    /// From 1: incremented when a call has failed; restarts with every attempt of the step.
    pub call_attempt: u32,
}

impl Default for Context {
    fn default() -> Self {
        Self { task: String::new(), schema: None, answered: false, step_attempt: 1, call_attempt: 1 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub text: String,
}

impl Message {
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, text: text.into() }
    }

    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, text: text.into() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    User,
    Assistant,
}

impl Role {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A piece of an answer, in the order in which it arrives.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// More of the content.
    Delta(String),
    /// The cost of the call so far, as reported by the provider. Later ones replace earlier ones; the last one is what is
    /// known of a call that is aborted.
    Usage(Usage),
    /// The end.
    Reply(Reply),
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// All deltas, joined.
    pub content: String,
    /// None when the provider has not reported any.
    pub usage: Option<Usage>,
    pub latency: Duration,
    pub stop: StopReason,
}

/// Tokens by kind. The kinds are disjoint: what was read from a cache, or written to one, is not in `input`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
}

impl Usage {
    /// Everything that was sent, cached or not.
    pub fn prompt(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }

    /// Adds what another call took.
    pub fn add(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
    }
}

/// Why the model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// It was finished.
    End,
    /// It ran into `max_tokens`, or the end of its context.
    Length,
    /// It declined.
    Refusal,
    /// The provider's own reason.
    Other(String),
}

impl StopReason {
    pub fn as_str(&self) -> &str {
        match self {
            Self::End => "end",
            Self::Length => "length",
            Self::Refusal => "refusal",
            Self::Other(word) => word,
        }
    }
}

/// How long a call may take, and how large its reply may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The whole call.
    pub total: Duration,
    /// Between two chunks.
    pub idle: Duration,
    /// The content of a reply.
    pub reply_bytes: usize,
}

/// The largest content of a reply.
pub const REPLY_BYTES: usize = 8 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self { total: Duration::from_secs(600), idle: Duration::from_secs(180), reply_bytes: REPLY_BYTES }
    }
}

/// Drives a call to its end and returns its reply; `delta` is called with every delta.
pub async fn complete(mut call: Call, mut delta: impl FnMut(&str)) -> Result<Reply, ProviderError> {
    while let Some(part) = call.next().await {
        match part? {
            Part::Delta(text) => delta(&text),
            Part::Usage(_) => {}
            Part::Reply(reply) => return Ok(reply),
        }
    }
    Err(ProviderError::Malformed { reason: "the call ended without a reply".to_owned() })
}

/// An estimate of the tokens of a text: a quarter of its characters, rounded up.
pub fn estimated_tokens(text: &str) -> u64 {
    u64::try_from(text.chars().count().div_ceil(4)).unwrap_or(u64::MAX)
}
