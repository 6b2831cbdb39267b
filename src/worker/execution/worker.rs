//! The actor of one execution: it starts the session and stops when that has ended.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use tokio::sync::{Mutex, watch};

use super::desk::Orders;
use super::ports::ExecutionPorts;
use super::session;
use crate::domain::execution::Execution;
use crate::event::payload::Caller;
use crate::event::payload::execution::Kept;
use crate::llm::Models;
use crate::stream::StreamHandle;
use crate::supervision::ExitGuard;
use crate::worker::WorkContext;
use crate::worker::stop::StopSignal;
use crate::workflow::Workflow;

/// An execution to be done, or to be gone on with, and all it takes.
#[derive(Clone)]
pub struct ExecutionJob {
    pub execution: Arc<Execution>,
    pub workflow: Arc<Workflow>,
    pub stream: StreamHandle,
    pub signal: StopSignal,
    /// True when nothing new is to be begun: the service goes down.
    pub closing: watch::Receiver<bool>,
    /// Outlives a session that panics.
    pub orders: Arc<Mutex<Orders>>,
    pub ports: Arc<dyn ExecutionPorts>,
    pub models: Models,
    pub context: Arc<WorkContext>,
    pub started_by: Option<Caller>,
    /// What the execution that this one repeats has completed.
    pub kept: Arc<[Kept]>,
    /// Set by a session that leaves its execution to the next start.
    pub suspended: Arc<AtomicBool>,
}

pub struct ExecutionWorker {
    job: Option<ExecutionJob>,
    _guard: ExitGuard,
}

impl ExecutionWorker {
    pub fn new(job: ExecutionJob, guard: ExitGuard) -> Self {
        Self { job: Some(job), _guard: guard }
    }
}

impl Actor for ExecutionWorker {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let job = self.job.take().expect("an actor is started once");
        context.spawn(session::drive(job).into_actor(self).map(|(), _, context| context.stop()));
    }
}
