//! `ade replay`: folds a log file and prints what it amounts to.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::progress::say;
use super::report::Report;
use super::{CommandError, Exit};

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// An `events.ndjson`.
    file: PathBuf,
}

pub fn replay(arguments: &ReplayArgs) -> Result<Exit, CommandError> {
    let report = fold(&arguments.file)?;
    say(&format!("{} events", report.events));
    say(&report.to_table());
    if let Some(failure) = &report.failure {
        say(&format!("{}: {}", failure.code, failure.message));
    }
    Ok(Exit::Succeeded)
}

fn fold(path: &PathBuf) -> Result<Report, CommandError> {
    let wrong = |reason: String| CommandError::failed(format!("{}: {reason}", path.display()));
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut report = Report::default();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| wrong(error.to_string()))?;
        let event: Value =
            serde_json::from_str(&line).map_err(|error| wrong(format!("line {}: {error}", number + 1)))?;
        report.apply(&event);
    }
    Ok(report)
}
