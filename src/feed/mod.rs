//! Feeds: what becomes of everything in a workspace, re-sequenced in a stream of the workspace's own.
//!
//! Laws. An entry is a lifecycle event of a run, a build or an execution with its `origin` {`stream`, `sequence`}; of one
//! origin the entries stand in its order, each at most once, and none is left out: what a crash prevents is derived
//! again from the origin's log. A feed follows, and delays nobody. It is a stream like any other, but has no end.
//!
//! A piece of work is noted as owed before its row is stored ([`Feeds::expect`]), followed while it is at work
//! ([`Feeds::follow`]), and struck off when its end is in the feed. So a start visits only what is owed, and reads of
//! a feed only what stands behind the oldest of these.

mod error;
mod options;
mod entry;
mod writer;
mod slot;
mod handle;

pub use entry::origin;
pub use error::FeedError;
pub use handle::Feeds;
pub use options::FeedOptions;
