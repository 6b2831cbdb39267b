//! The actor of one run: it starts the session and stops when that has ended.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::capacity::{Capacity, Place};
use super::ports::RunPorts;
use super::session;
use crate::domain::run::Run;
use crate::files::Location;
use crate::stream::StreamHandle;
use crate::supervision::ExitGuard;
use crate::worker::WorkContext;
use crate::worker::stop::StopSignal;

/// A run to be done, and all it takes.
#[derive(Clone)]
pub struct RunJob {
    pub run: Run,
    pub stream: StreamHandle,
    pub signal: StopSignal,
    pub ports: Arc<dyn RunPorts>,
    pub capacity: Capacity,
    /// Among the queued since the run was admitted.
    pub place: Arc<Place>,
    pub context: Arc<WorkContext>,
    /// Set by a session that leaves its run queued for the next start.
    pub suspended: Arc<AtomicBool>,
}

impl RunJob {
    /// The run's own folder.
    pub fn folder(&self) -> Location {
        self.context.location(self.run.stream_key().folder())
    }
}

pub struct RunWorker {
    job: Option<RunJob>,
    _guard: ExitGuard,
}

impl RunWorker {
    pub fn new(job: RunJob, guard: ExitGuard) -> Self {
        Self { job: Some(job), _guard: guard }
    }
}

impl Actor for RunWorker {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let job = self.job.take().expect("an actor is started once");
        context.spawn(session::drive(job).into_actor(self).map(|(), _, context| context.stop()));
    }
}
