//! The actor of one build: it starts the session and stops when that has ended.

use std::sync::Arc;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::engine::EngineId;
use super::ports::BuildPorts;
use super::session;
use super::turn::Place;
use crate::domain::build::Build;
use crate::stream::StreamHandle;
use crate::supervision::ExitGuard;
use crate::worker::WorkContext;
use crate::worker::gate::Gate;
use crate::worker::stop::StopSignal;

/// A build to be done, and all it takes.
pub struct BuildJob {
    pub build: Build,
    /// As it was when the build was asked for.
    pub engine: EngineId,
    pub stream: StreamHandle,
    pub signal: StopSignal,
    /// Among the builds of its configuration.
    pub place: Place,
    /// Passed before the build begins.
    pub gate: Gate,
    pub ports: Arc<dyn BuildPorts>,
    pub context: Arc<WorkContext>,
}

pub struct BuildWorker {
    job: Option<BuildJob>,
    _guard: ExitGuard,
}

impl BuildWorker {
    pub fn new(job: BuildJob, guard: ExitGuard) -> Self {
        Self { job: Some(job), _guard: guard }
    }
}

impl Actor for BuildWorker {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let job = self.job.take().expect("an actor is started once");
        context.spawn(session::drive(job).into_actor(self).map(|(), _, context| context.stop()));
    }
}
