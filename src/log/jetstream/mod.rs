//! The journal of a node, kept by a cluster of NATS servers: `docs/CLUSTER.md` and `docs/adr/0019-journal-in-a-cluster.md`.
//!
//! ```text
//! open: whose is it --> read the stream --> fence --> logs        append: cut --> publish --> (resolve) --> acknowledged
//! ```
//!
//! Decisions are in `answer`, `cut`, `retained` and `marker`, which know neither the network nor a clock; `link` is the
//! connection; `sources` asks all servers for what one lacks, and `reading` takes it in; `journal` and `open` put them together. Files are in the
//! order of their imports.

mod options;
mod answer;
mod protocol;
mod stop;
mod link;
mod sources;
mod cut;
mod ping;
mod retained;
mod marker;
mod state;
mod journal;
mod takers;
mod reading;
mod open;
mod takeover;
mod position;
mod followed;
mod consumer;
mod follower;

pub use followed::{Followed, Progress};
pub use follower::{CopyObserver, JournalFollower};
pub use journal::{JetStreamAppender, JetStreamJournal};
pub use options::{ClusterOptions, NatsCredentials};
pub use ping::answers;
pub use stop::Stop;
pub use takeover::{FencedOff, fence_off};
