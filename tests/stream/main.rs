//! The promises of streams, on real files: one owner, dense sequences, nothing shown before it is durable, one end,
//! readers that cost and delay nothing, rows that follow their logs.

mod cutover;
mod durable;
mod ending;
mod feed;
mod gated_disk;
mod interleavings;
mod projection;
mod readers;
mod recovery;
mod supervision;
mod support;
mod unanswered;
