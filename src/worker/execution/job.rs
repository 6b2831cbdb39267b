//! One execution to be done, and everything its session needs.

use std::sync::Arc;

use tokio::sync::watch;

use super::ports::ExecutionPorts;
use crate::domain::execution::Execution;
use crate::event::payload::Caller;
use crate::event::payload::execution::Kept;
use crate::llm::Models;
use crate::stream::StreamHandle;
use crate::trace::WorkSpan;
use crate::worker::WorkContext;
use crate::worker::stage::Stage;
use crate::worker::stop::StopSignal;
use crate::workflow::Workflow;

/// An execution to be done, or to be gone on with, and all it takes.
#[derive(Clone)]
pub struct ExecutionJob {
    pub execution: Arc<Execution>,
    pub workflow: Arc<Workflow>,
    pub stream: StreamHandle,
    pub signal: StopSignal,
    pub stage: Stage,
    pub span: WorkSpan,
    /// True when nothing new is to be started: the service goes down.
    pub closing: watch::Receiver<bool>,
    pub ports: Arc<dyn ExecutionPorts>,
    pub models: Models,
    pub context: Arc<WorkContext>,
    pub started_by: Option<Caller>,
    /// What the execution that this one repeats has completed.
    pub kept: Arc<[Kept]>,
}
