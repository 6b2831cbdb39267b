//! Spans: what takes time, in plain `tracing`. Whether and where they go is [`crate::telemetry`]'s business; where nobody
//! wants them, a span costs a look at a flag.
//!
//! Laws. A span tells ids, kinds, codes, counts and the names of models: never a text, a path, a query, or anything that a
//! person or a package has said. Spans of work are held as values and never entered, so that no event pays for them. What
//! outlives that which has asked for it is its child by its [`Origin`] alone, and keeps nothing of it open.

mod origin;
mod request;
mod work;

pub use origin::{Given, Origin};
pub use request::{answered, request};
pub use work::{CallSpan, PartSpan, Used, WorkSpan};

/// What all spans of this module have as their target: the log leaves them out, and nothing else goes to a collector.
pub const TARGET: &str = "ade::trace";

/// The status of a span whose work has failed. The name of the field is that of `tracing-opentelemetry`.
const ERROR: &str = "error";
