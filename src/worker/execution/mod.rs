//! Executions: from a workflow and its input to documents, by a language model.
//!
//! Invariant: what is next follows from the log alone ([`crate::workflow`] decides it), so a worker that dies is
//! restarted from its log and goes on where that ends. What a step leaves outside of the log is there before the event
//! that reports it: a reply before its `llm_call`, a document before its `step_completed`. A step that has completed
//! never runs again, a call on record is never made again, and only [`session`] writes `complete`.

pub mod ports;
pub mod job;
pub mod work;
pub mod session;
pub mod event_writer;
pub mod step;
pub mod inputs;
pub mod call;
pub mod exchange;
pub mod replies;
pub mod prompts;
pub mod ending;

pub use ending::{conclude_execution, end_of_execution};
pub use job::ExecutionJob;
pub use ports::{ExecutionPorts, Unavailable};
pub use session::drive;
