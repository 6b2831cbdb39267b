//! The actor of one build: it starts the session and stops when that has ended.

use std::sync::Arc;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use tokio::sync::Mutex;

use super::ports::BuildPorts;
use super::session;
use crate::domain::build::Build;
use crate::stream::StreamHandle;
use crate::supervision::ExitGuard;
use crate::worker::WorkContext;
use crate::worker::gate::Gate;
use crate::worker::stop::StopSignal;

/// A build to be done, and all it takes.
#[derive(Clone)]
pub struct BuildJob {
    pub build: Build,
    pub stream: StreamHandle,
    pub signal: StopSignal,
    /// Held while building: one build of a configuration at a time, in the order they were asked for.
    pub turn: Arc<Mutex<()>>,
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
