//! Workflows: what a definition means, what an execution does next, what a model is asked, and what its reply is.
//!
//! Invariant: everything here is a decision. The same definition, the same log and the same facts give the same answer;
//! there is no clock, no disk, no network and no waiting. The code that does the work asks here what the work is.

pub mod clarification;
pub mod definition;
pub mod item;
mod outline;
pub mod user_input;
pub mod plan;
pub mod prompt;
pub mod reply;
mod parse;
mod rules;
pub mod schema;
pub mod step;
pub mod written;
#[cfg(test)]
mod simulation;
#[cfg(any(test, fuzzing))]
pub mod fuzz;

pub use definition::{Fault, Step, Workflow};
