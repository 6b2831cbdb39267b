//! The kinds of work, a file each: what each of them needs beyond what all have in common.

pub mod run;
pub mod build;
pub mod execution;
#[cfg(test)]
pub mod probe;

use super::core::Core;

/// What workers reach of the registry, and of storage.
pub struct Ports(pub Core);

/// Why work that a crash has cut short is ended.
const INTERRUPTED: &str = "the service ended while this was running";
