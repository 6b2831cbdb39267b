//! Real child processes, on the single-threaded runtime that actors use.

mod build;
mod engine;
mod tail;
mod zoo;
