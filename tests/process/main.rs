//! Real child processes, on the single-threaded runtime that actors use.

use ade::worker::process::{Launcher, Marker};

mod venv;
mod engine;
mod tail;
mod zoo;
mod isolation;

/// The program's own launcher.
fn launcher() -> Launcher {
    Launcher::new(env!("CARGO_BIN_EXE_ade").into(), Marker::node("a test".into()))
}
