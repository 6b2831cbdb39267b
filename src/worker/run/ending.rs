//! How a run ends: what becomes of its status, its failure and its output.

use std::sync::Arc;

use super::engine::DRY_RUN_OUTPUT;
use super::report::{EngineFailure, PathList};
use crate::blocking::blocking;
use crate::domain::failure::{RunFailure, RunFailureCode, Stage};
use crate::domain::run::{Run, RunState};
use crate::domain::sequence::Start;
use crate::domain::status::RunStatus;
use crate::domain::text::clipped;
use crate::domain::time::{Timestamp, duration_ms};
use crate::domain::work::Work as _;
use crate::event::payload::run::{Artifacts, Completed, Execution, LeftOut, RUN_COMPLETED, RUN_ERROR, RunErrorPayload};
use crate::event::{Draft, Source, codec};
use crate::files::{self, Listing, Location};
use crate::stream::{AppendError, Item, StreamHandle};
use crate::summary::{Fact, RunFold};
use crate::worker::WorkContext;
use crate::worker::process::{Marker, kill_marked};
use crate::worker::stop::StopReason;

/// So many entries of an output directory are looked at.
const OUTPUT_ENTRIES: usize = 50_000;
/// Bytes of JSON of the paths of outputs. With it, `run.completed` is shorter than any event of an engine may be:
/// summary and names are bounded where they are made.
const OUTPUT_PATHS: usize = 256 << 10;
/// Bytes of the name of a phase.
const PHASE: usize = 200;

/// Where the log of a run is, from its directory.
const EVENTS_PATH: &str = "logs/events.ndjson";

/// What is known when a run is over.
pub struct Ending {
    pub status: RunStatus,
    pub failure: Option<RunFailure>,
    pub report: Report,
    /// Told before the end.
    pub error_event: Option<Draft>,
}

/// What the engine left.
#[derive(Debug, Default)]
pub struct Report {
    pub exit_code: Option<i32>,
    pub processed_files: PathList,
    /// Whether the output directory is the run's output.
    pub has_output: bool,
}

pub fn of_failure(found: EngineFailure, phase: Option<&str>, report: Report) -> Ending {
    let EngineFailure { failure, details } = found;
    let error = RunErrorPayload {
        stage: failure.stage.clone(),
        phase: phase.map(|phase| clipped(phase, PHASE)),
        code: failure.code.as_str().into(),
        message: failure.message.clone(),
        details,
    };
    let error_event = Some(Draft::new(RUN_ERROR, Source::Api, &error));
    Ending { status: RunStatus::Failed, failure: Some(failure), report, error_event }
}

pub fn stopped(reason: &StopReason, report: Report) -> Ending {
    let (status, code, message) = match reason {
        StopReason::Cancel { reason, .. } => {
            let message = reason.clone().unwrap_or_else(|| "the run was cancelled".into());
            (RunStatus::Cancelled, RunFailureCode::RunCancelled, message)
        }
        StopReason::Interrupt => (
            RunStatus::Failed,
            RunFailureCode::Interrupted,
            "the service was stopped while the run was in progress".into(),
        ),
    };
    let failure = RunFailure::new(code, Stage::Run, message);
    Ending { status, failure: Some(failure), report, error_event: None }
}

/// When the engine was started and the run was over, by the timestamps of the run's log.
pub struct Time {
    pub started_at: Option<Timestamp>,
    pub completed_at: Timestamp,
}

/// The payload of `run.completed`, but for its summary; `directory` is the run's.
pub async fn completed(
    directory: Location,
    time: Time,
    status: RunStatus,
    failure: Option<RunFailure>,
    report: Report,
) -> Completed {
    let Time { started_at, completed_at } = time;
    let execution = Execution {
        exit_code: report.exit_code,
        started_at,
        completed_at: Some(completed_at),
        duration_ms: started_at.map(|from| duration_ms(from, completed_at)),
    };
    let outputs = if report.has_output { outputs(directory).await } else { Listing::default() };
    let artifacts = artifacts(output_paths(outputs), report.processed_files);
    Completed { status, failure, execution, artifacts, summary: None }
}

fn artifacts(output: PathList, processed: PathList) -> Artifacts {
    let truncated = LeftOut { output_paths: output.left_out, processed_files: processed.left_out }.told();
    Artifacts {
        output_paths: output.paths,
        processed_files: processed.paths,
        events_path: EVENTS_PATH.into(),
        truncated,
    }
}

/// Of the outputs, the end of a run names only the first; all of them can be asked for.
fn output_paths(outputs: Listing) -> PathList {
    let paths = outputs.files.into_iter().map(|(path, _)| format!("output/{path}")).collect();
    let mut list = PathList::within(paths, OUTPUT_PATHS);
    list.left_out += outputs.omitted + u64::from(outputs.is_cut);
    list
}

async fn outputs(directory: Location) -> Listing {
    let output = directory.join("output");
    let listed = blocking(move || files::list(&output.open()?, OUTPUT_ENTRIES, OUTPUT_ENTRIES)).await;
    listed.unwrap_or_else(|error| {
        // A run that died before its directories were made has none.
        if error.kind() != std::io::ErrorKind::NotFound {
            tracing::warn!(directory = %directory.path().display(), error = %error, "failed to list outputs");
        }
        Listing::default()
    })
}

/// Ends a run whose worker is gone: its summary is folded from what its log holds. Gives the state that it ends with.
pub async fn conclude_run(
    context: &WorkContext,
    run: &Run,
    stream: &StreamHandle,
    code: RunFailureCode,
    message: &str,
) -> RunState {
    kill_marked(vec![Marker::run(run.id)]).await;
    let mut fold = RunFold::new(run.id, run.workspace_id, run.configuration_id);
    if let Err(error) = fold_so_far(stream, &mut fold).await {
        tracing::error!(run = %run.id, error = %error, "failed to fold the log for the run's summary");
    }
    let directory = context.location(run.stream_key().directory());
    context.trash.discard_soon(directory.join(DRY_RUN_OUTPUT).path()).await;
    context.discard_temporary(&run.id.to_string()).await;
    let failure = RunFailure::new(code, Stage::Run, message);
    let time = Time { started_at: fold.state().started_at, completed_at: stream.now() };
    let build_id = fold.state().build_id;
    let report = Report { has_output: true, ..Report::default() };
    let status = RunStatus::Failed;
    let mut completed = completed(directory, time, status, Some(failure), report).await;
    fold.end(&completed);
    completed.summary = fold.state().summary.clone();
    let mut draft = Draft::new(RUN_COMPLETED, Source::Api, &completed);
    draft.build_id = build_id;
    match stream.append(Arc::from([draft])).await {
        Ok(_) | Err(AppendError::Closed) => {}
        Err(error) => tracing::error!(run = %run.id, error = %error, "failed to record the end of the run"),
    }
    fold.state().clone()
}

/// `run.completed` of a run that ended while its log took nothing: what its row says.
pub fn end_of_run(run: &Run) -> Draft {
    let state = &run.state;
    let execution = Execution {
        exit_code: state.exit_code,
        started_at: state.started_at,
        completed_at: state.completed_at,
        duration_ms: state.started_at.zip(state.completed_at).map(|(from, to)| duration_ms(from, to)),
    };
    let artifacts = Artifacts {
        output_paths: state.output_paths.clone(),
        processed_files: state.processed_files.clone(),
        events_path: EVENTS_PATH.into(),
        truncated: None,
    };
    let (status, failure, summary) = (state.status, state.failure.clone(), state.summary.clone());
    let mut draft =
        Draft::new(RUN_COMPLETED, Source::Api, &Completed { status, failure, execution, artifacts, summary });
    draft.build_id = state.build_id;
    draft
}

async fn fold_so_far(stream: &StreamHandle, fold: &mut RunFold) -> std::io::Result<()> {
    let mut follow = stream.follow_inside(Start::default()).map_err(std::io::Error::other)?;
    while follow.position() < stream.tail().sequence {
        let Item::Chunk(chunk) = follow.next().await? else { break };
        chunk.for_each(|_, line| {
            if RunFold::is_relevant(codec::raw_type(line))
                && let Ok(event) = codec::decode(line)
            {
                fold.apply(Fact::from(&event));
            }
        });
    }
    Ok(())
}
