//! Maintenance: what has to be done periodically so that a service can run for years.
//!
//! Invariants. What is due is a pure decision from what a row says, what is running, and the time. A round does a
//! bounded amount of work, one thing after the other, and stops between two of them when the service does. Every task
//! may be cut short anywhere and done again: what it had not finished, the next round finds again.
//!
//! A round is made on a schedule, and on request. To add a task, add a line to [`task::TASKS`].

pub mod due;
pub mod round;
pub mod task;
pub mod logs;
pub mod copies;
mod feeds;
mod inputs;
mod files;
pub mod pruning;
pub mod actor;
pub mod handle;

pub use handle::{MaintenanceHandle, NotDone, start};
pub use round::Service;
pub use task::run_once;
