//! `ade replay`: folds a log file and prints its summary.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::exec;
use super::exit::{CommandError, Exit};
use super::output::print_line;
use super::report::Report;
use crate::event::codec;
use crate::log::LogReader;
use crate::summary::{ExecutionFold, Fact};

/// Bytes per read.
const CHUNK: usize = 1 << 20;

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// An `events.ndjson` or `events.ndjson.zst`.
    file: PathBuf,
}

pub fn replay(arguments: &ReplayArgs) -> Result<Exit, CommandError> {
    let Folded { report, execution } = fold(&arguments.file)?;
    print_line(&format!("{} events", report.events));
    if execution.progress().started_at.is_some() {
        print_line(&exec::table(execution.progress()));
        return Ok(Exit::Succeeded);
    }
    print_line(&report.to_table());
    if let Some(failure) = &report.failure {
        print_line(&format!("{}: {}", failure.code, failure.message));
    }
    Ok(Exit::Succeeded)
}

/// The summary of a log, of a run, a build or an execution.
#[derive(Default)]
struct Folded {
    report: Report,
    execution: ExecutionFold,
}

fn fold(path: &Path) -> Result<Folded, CommandError> {
    let wrong = |reason: String| CommandError::failed(format!("{}: {reason}", path.display()));
    let reader = LogReader::open(path).map_err(|error| wrong(error.to_string()))?;
    let end = reader.size().map_err(|error| wrong(error.to_string()))?;
    let (mut folded, mut offset, mut number) = (Folded::default(), 0, 0);
    while offset < end {
        let chunk = reader.read(offset, end, CHUNK).map_err(|error| wrong(format!("line {}: {error}", number + 1)))?;
        offset = chunk.next_offset;
        for line in chunk.lines.split_inclusive(|byte| *byte == b'\n') {
            number += 1;
            let decoded = codec::decode(line);
            let event = match (serde_json::from_slice::<Value>(line), &decoded) {
                (Ok(event), _) => event,
                // A payload that is nested too deeply to parse has nothing that is summed.
                (Err(_), Ok(event)) => json!({"type": event.kind}),
                (Err(error), Err(_)) => return Err(wrong(format!("line {number}: {error}"))),
            };
            folded.report.apply(&event);
            if let Ok(event) = &decoded {
                folded.execution.apply(Fact::from(event));
            }
        }
    }
    Ok(folded)
}
