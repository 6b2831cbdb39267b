//! Streams: one actor owns a stream's sequence, its log and its live window.
//!
//! Laws. One live actor per stream assigns sequences (L1), dense across restarts since the next one
//! is read from the log (L2). Nothing is acknowledged or shown before its line is durable (L3).
//! After the terminal event nothing is admitted (L4). A reader holds a position, never a queue, so
//! it cannot delay an append and its lag costs nothing (L5).
//!
//! An append goes [`handle`] -> [`actor`] -> [`sequencer`] -> log, and comes back as a published
//! [`window::Batch`] and an acknowledgement. A reader is a [`follow::Follow`]: file until the tail,
//! then live, back to the file when behind. Subscribers are not the actor's: they live in the
//! [`Hub`], which outlives it (docs/adr/0006).

pub mod clock;
pub mod meters;
pub mod sequencer;
pub mod window;
pub mod follow;
pub mod replica;
pub mod message;
pub mod actor;
pub mod handle;
pub mod error;

pub use error::{AppendError, OpenStreamError, SubscribeError};
pub use follow::{Chunk, End, Follow, Item};
pub use handle::{StreamHandle, StreamOptions, open};
pub use message::Appended;
pub use meters::{MetersByKind, StreamMeters};
pub use replica::{OpenReplicaError, Replicas};
pub use window::{Hub, Tail};
