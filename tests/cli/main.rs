//! The program as a person uses it, with its own engine and its default configuration.

#[path = "../faults/support/mod.rs"]
mod support;

mod commands;
mod exec;
mod keys;
mod maintenance;
mod operations;
mod output;
mod readme;
mod run;
mod verify;
mod workbook;
mod workflows;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::server::{Settings, ade};

/// The program with the engine that it ships.
fn program(data_dir: &Path) -> Command {
    ade(data_dir, &Settings::from([("ADE_CANCEL_GRACE", "1s".to_owned())]))
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Exit code, standard output and standard error.
fn outcome(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn done(command: &mut Command) -> (Option<i32>, String, String) {
    outcome(&command.output().expect("the program starts"))
}
