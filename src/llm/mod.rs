//! Language models: one trait, three providers (Anthropic, OpenAI-compatible servers, and one inside the binary).
//!
//! Law: a call is a stream, and whoever drops it ends it. Nothing of it lives on elsewhere: no task is spawned, no
//! connection is kept, and what is held in memory is bounded by [`Limits`]. A call is made once; whether it is made
//! again is decided by [`retry`], and done by the caller, who records every attempt.

pub mod builtin;
mod anthropic;
mod body;
mod call;
mod connection;
mod counts;
mod error;
mod fault;
mod http;
mod members;
mod openai;
mod parameters;
pub mod pricing;
mod providers;
pub mod retry;
mod text;

pub use call::{
    Call, Context, Limits, Message, Part, Provider, ProviderName, REPLY_BYTES, Reply, Request, Role, StopReason, Usage,
    complete, estimated_tokens,
};
pub use error::{ErrorKind, ProviderError, Wait};
pub use parameters::{Fixed, TokenLimit};
pub use providers::{Endpoint, Models, ModelsError, NoProvider, Options, Providers};
