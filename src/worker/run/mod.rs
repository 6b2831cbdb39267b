//! Runs: the engine's command, what the engine says, and what of it is passed on.

pub mod engine;
pub mod tail;
pub mod parse;
pub mod rewrite;
pub mod report;
pub mod phase;
