//! The real service as a child process, a plain client of it, and an engine that does what its input says.
#![allow(dead_code, unused_imports, reason = "several test programs share this, and none uses all of it")]

pub mod embedded;
pub mod nodes;
pub mod server;
pub mod streams;
pub mod tools;
pub mod work;

pub use ade_test_support::{
    NEVER, TIMEOUT, definitions, eventually, http, laws, log, metrics, model, process, random, sse, within,
};
