//! Real child processes, on the single-threaded runtime that actors use.

mod tail;
mod zoo;
