//! Runs: from a venv to a normalized workbook.
//!
//! Invariant: a run has one session, a session one end, and only that end is written as `run.completed`. What an
//! engine says is passed on in its order; what it says about its own end is judged together with its exit.

pub mod queue;
pub mod capacity;
pub mod ports;
pub mod job;
pub mod early;
pub mod session;
pub mod environment;
pub mod inputs;
pub mod engine_run;
pub mod ending;
pub mod engine;
pub mod tail;
pub mod parse;
pub mod rewrite;
pub mod console;
pub mod engine_error;
pub mod report;
pub mod phase;
pub mod stderr_tail;
pub mod resource_limits;
pub mod drive;

pub use capacity::{Capacity, Place};
pub use drive::drive;
pub use ending::{conclude_run, end_of_run};
pub use job::RunJob;
pub use ports::{EnsuredBuild, OpenDocumentError, Progress, RunPorts, Unavailable};
