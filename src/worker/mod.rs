//! The work itself: child processes, and what runs and builds make of them.
//!
//! Law: a worker changes nothing but its own folder, and tells what it does only as event drafts.

pub mod process;
pub mod environment;
pub mod run;
pub mod build;
