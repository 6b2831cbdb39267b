//! One build to be done, and everything its session needs.

use std::sync::Arc;

use super::engine::EngineId;
use super::ports::BuildPorts;
use super::queue::QueuePlace;
use crate::domain::build::Build;
use crate::stream::StreamHandle;
use crate::trace::WorkSpan;
use crate::worker::WorkContext;
use crate::worker::gate::Gate;
use crate::worker::stage::Stage;
use crate::worker::stop::StopSignal;

/// A build to be done, and all it takes.
pub struct BuildJob {
    pub build: Build,
    /// As it was when the build was asked for.
    pub engine: EngineId,
    pub stream: StreamHandle,
    pub signal: StopSignal,
    pub stage: Stage,
    pub span: WorkSpan,
    /// Among the builds of its configuration.
    pub place: QueuePlace,
    /// Passed before the build begins.
    pub gate: Gate,
    pub ports: Arc<dyn BuildPorts>,
    pub context: Arc<WorkContext>,
}
