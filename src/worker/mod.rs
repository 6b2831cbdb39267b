//! Workers: one actor per piece of work, which can only write drafts into its stream.
//!
//! Invariant: whatever happens to a worker, its stream gets exactly one terminal event and nothing that it
//! started is left running. Storage is reached only through the ports that a worker is given.

pub mod environment;
pub mod process;
pub mod emitter;
pub mod stop;
pub mod stage;
pub mod inbox;
pub mod actor;
pub mod gate;
pub mod trash;
pub mod users;
pub mod handing;
pub mod context;
pub mod protections;
pub mod venv;
pub mod reach;
pub mod refusals;
pub mod run;
pub mod execution;
#[cfg(any(test, fuzzing))]
pub mod fuzz;

pub use context::WorkContext;
pub use trash::Trash;
