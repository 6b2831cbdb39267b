//! Real child processes, on the single-threaded runtime that actors use.

mod build;
mod tail;
mod zoo;
