//! Feeds: the lifecycle events of all work in a workspace, re-sequenced in a stream of the workspace's own.
//!
//! Laws. An entry is a lifecycle event of a run, a build or an execution with its `origin` {`stream`, `sequence`}. The
//! entries of one origin are in its order, each at most once, and none is left out: what a crash prevents is derived
//! again from the origin's log. A feed follows its origins and delays none of them. It is a stream like any other, but
//! never ends.
//!
//! `feed_origins` is an outbox: a piece of work is entered before its row is stored ([`Feeds::expect`]), followed while
//! it runs ([`Feeds::follow`]), and removed when its terminal event is in the feed. So a start of the service visits
//! pending origins only, and of a feed's log it reads only what comes after the oldest of these.

mod error;
mod options;
mod entry;
mod writer;
mod owners;
mod slot;
mod handle;

pub use entry::origin;
pub use error::FeedError;
pub use handle::{Feeds, OriginLock};
pub use options::FeedOptions;
