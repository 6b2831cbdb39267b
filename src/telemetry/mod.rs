//! What the service says of itself: its log, and, where it is built and set up for that, traces to a collector.
//!
//! Law: nothing of the service waits for a collector. What it does not take is dropped, counted, and told in the log once.

#[cfg(feature = "otel")]
mod backlog;
#[cfg(feature = "otel")]
mod collector;
#[cfg(feature = "otel")]
mod exporter;
mod log;
mod traces;

pub use log::{TelemetryError, init, subscriber};
pub use traces::{Traces, init_service};
