//! Language models: one trait, three providers (Anthropic, OpenAI-compatible servers, and one inside the binary).
//!
//! Invariant: a call is a stream, and dropping it ends it. Nothing of it outlives the stream: no task is spawned, no
//! connection is kept, and memory is bounded by [`Limits`]. A call is made once; [`retry`] decides whether it is retried,
//! and the caller does that and records every attempt.

pub mod builtin;
mod anthropic;
mod body;
mod call;
mod counts;
mod error;
mod fault;
mod http;
mod members;
pub mod meters;
mod openai;
mod parameters;
pub mod pricing;
mod providers;
pub mod retry;
mod text;
#[cfg(any(test, fuzzing))]
pub mod fuzz;

pub use call::{
    Call, Context, Limits, Message, Part, Provider, ProviderName, REPLY_BYTES, Reply, Request, Role, StopReason, Usage,
    complete, estimated_tokens,
};
pub use error::{ErrorKind, ProviderError, Wait};
pub use parameters::{Fixed, TokenLimit};
pub use providers::{Endpoint, Models, ModelsError, NoProvider, Options, Providers};
