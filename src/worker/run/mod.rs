//! Runs: the engine's command, and what it says.

pub mod engine;
pub mod parse;
pub mod phase;
pub mod tail;
