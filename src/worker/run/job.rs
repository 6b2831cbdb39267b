//! One run to be done, and everything its session needs.

use std::sync::Arc;

use super::capacity::{Capacity, Place};
use super::ports::RunPorts;
use crate::domain::run::Run;
use crate::domain::work::Work as _;
use crate::files::Location;
use crate::stream::StreamHandle;
use crate::trace::WorkSpan;
use crate::worker::WorkContext;
use crate::worker::stage::Stage;
use crate::worker::stop::StopSignal;

/// A run to be done, and all it takes.
#[derive(Clone)]
pub struct RunJob {
    pub run: Run,
    pub stream: StreamHandle,
    pub signal: StopSignal,
    pub stage: Stage,
    pub span: WorkSpan,
    pub ports: Arc<dyn RunPorts>,
    pub capacity: Capacity,
    /// Among the queued since the run was admitted.
    pub place: Arc<Place>,
    pub context: Arc<WorkContext>,
}

impl RunJob {
    /// The run's own directory.
    pub fn directory(&self) -> Location {
        self.context.location(self.run.stream_key().directory())
    }
}
