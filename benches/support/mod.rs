//! What the measuring programs share.
//!
//! Laws: every wait is bounded; what a program started and where it wrote is gone when it ends, also when it fails;
//! a figure is the median of several runs, and each of its runs was checked for completeness.

#![allow(dead_code, reason = "each program uses a part of this")]

pub mod bench;
pub mod report;
pub mod child;
pub mod http;
pub mod service;
pub mod records;
pub mod load;
pub mod memory;
pub mod nginx;
pub mod rival;

pub use bench::{Bench, Outcome, run};
