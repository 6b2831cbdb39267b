//! `ade replay`: folds a log file and prints what it amounts to.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::progress::say;
use super::report::Report;
use super::{CommandError, Exit};
use crate::log::LogReader;

/// Read at once.
const CHUNK: usize = 1 << 20;

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// An `events.ndjson` or `events.ndjson.zst`.
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

fn fold(path: &Path) -> Result<Report, CommandError> {
    let wrong = |reason: String| CommandError::failed(format!("{}: {reason}", path.display()));
    let reader = LogReader::open(path).map_err(|error| wrong(error.to_string()))?;
    let end = reader.size().map_err(|error| wrong(error.to_string()))?;
    let (mut report, mut offset, mut number) = (Report::default(), 0, 0);
    while offset < end {
        let chunk = reader.read(offset, end, CHUNK).map_err(|error| wrong(format!("line {}: {error}", number + 1)))?;
        offset = chunk.next_offset;
        for line in chunk.lines.split_inclusive(|byte| *byte == b'\n') {
            number += 1;
            let event: Value =
                serde_json::from_slice(line).map_err(|error| wrong(format!("line {number}: {error}")))?;
            report.apply(&event);
        }
    }
    Ok(report)
}
