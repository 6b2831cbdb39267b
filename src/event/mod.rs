//! Events: what a producer drafts, and what a stream makes of it.
//!
//! Invariant: a [`Draft`] carries no number, no id and no time of admission; only a stream gives those.
//! [`codec`] is the only place where an event becomes a line or a line becomes an event.

pub mod envelope;
pub mod codec;
pub mod payload;

pub use codec::{EventRef, Identity};
pub use envelope::{Draft, EventType, Source, Subject};
