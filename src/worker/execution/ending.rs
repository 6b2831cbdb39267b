//! How an execution ends, also when its worker cannot write it.

use std::sync::Arc;

use super::event_writer::fold_so_far;
use super::job::ExecutionJob;
use crate::domain::execution::{Execution, ExecutionState};
use crate::domain::progress::{ExecutionFailure, ExecutionFailureCode, Product, Progress, Totals};
use crate::domain::status::ExecutionStatus;
use crate::domain::time::{Timestamp, duration_ms};
use crate::event::payload::execution::{COMPLETE, Complete};
use crate::event::{Draft, Source};
use crate::stream::{AppendError, StreamHandle};
use crate::summary::{ExecutionFold, Fact};
use crate::workflow::plan::Ending;

/// `complete` of an execution that has come this far.
pub fn complete(progress: &Progress, Ending { status, failure }: Ending, now: Timestamp) -> Complete {
    let duration_ms = progress.started_at.map_or(0, |from| duration_ms(from, now));
    let totals = Totals { duration_ms, ..progress.totals };
    Complete { status, failure, totals, documents: progress.products().cloned().collect() }
}

pub fn failed(code: ExecutionFailureCode, message: &str) -> Ending {
    let failure = ExecutionFailure { code, step_id: None, item: None, message: message.to_owned() };
    Ending { status: ExecutionStatus::Failed, failure: Some(failure) }
}

/// An execution is its log: when that fails, the row is marked as failed.
pub async fn without_log(job: &ExecutionJob) {
    let mut fold = fold_so_far(&job.stream).await.unwrap_or_default();
    let now = job.stream.now();
    let ending = failed(ExecutionFailureCode::LogUnavailable, "the log is closed");
    let complete = complete(fold.progress(), ending, now);
    end(&mut fold, &complete, now);
    let state = ExecutionState::from(fold.progress());
    job.ports.record_end(&job.execution, state, job.stream.tail()).await;
}

fn end(fold: &mut ExecutionFold, complete: &Complete, now: Timestamp) {
    fold.apply(Fact::of_draft(&Draft::new(COMPLETE, Source::Executor, complete), now));
}

/// Ends an execution that has no session any more. Answers the state that it ends with.
pub async fn conclude_execution(stream: &StreamHandle, code: ExecutionFailureCode, message: &str) -> ExecutionState {
    let mut fold = fold_so_far(stream).await.unwrap_or_default();
    let now = stream.now();
    let complete = complete(fold.progress(), failed(code, message), now);
    match stream.append(Arc::from([Draft::new(COMPLETE, Source::Executor, &complete)])).await {
        Ok(_) => {}
        Err(AppendError::Closed) => return ExecutionState::from(fold.progress()),
        Err(error) => tracing::error!(stream = %stream.key(), error = %error, "failed to append `complete`"),
    }
    end(&mut fold, &complete, now);
    ExecutionState::from(fold.progress())
}

/// `complete` of an execution that ended while its log took nothing: what its row says, and what its log has.
pub fn end_of_execution(execution: &Execution, so_far: &ExecutionFold) -> Draft {
    let state = &execution.state;
    let failure = state.failure.clone().and_then(|failure| serde_json::from_value(failure).ok());
    let totals = serde_json::from_value(state.totals.clone()).unwrap_or(so_far.progress().totals);
    let documents: Vec<Product> = so_far.progress().products().cloned().collect();
    Draft::new(COMPLETE, Source::Executor, &Complete { status: state.status, failure, totals, documents })
}
