//! The actor that runs maintenance passes: one at a time, on a schedule and on request.
//!
//! Invariant: who asks gets the report of a round that began after the question, however many ask at once.

use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, MessageResult, ResponseFuture,
    WrapFuture,
};
use tokio::sync::{oneshot, watch};

use super::due::{first_wait, next_wait};
use super::round::Service;
use super::task::round;
use crate::domain::maintenance::{MaintenanceReport, MaintenanceState};
use crate::supervision::ExitGuard;

/// Make a round now. None when the service stops before there is one.
#[derive(Message)]
#[rtype(result = "Option<MaintenanceReport>")]
pub struct RunNow;

/// End what is in progress, and do no more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Finish;

pub struct MaintenanceActor {
    service: Service,
    interval: Duration,
    stop: watch::Receiver<bool>,
    /// Who waits for the next round.
    waiting: Vec<oneshot::Sender<MaintenanceReport>>,
    working: bool,
    generation: u64,
    /// Last field: its drop is the exit report, after everything else is gone.
    _guard: ExitGuard,
}

impl MaintenanceActor {
    pub fn new(service: Service, stop: watch::Receiver<bool>, generation: u64, guard: ExitGuard) -> Self {
        let interval = service.services.settings.maintenance.interval;
        Self { service, interval, stop, waiting: Vec::new(), working: false, generation, _guard: guard }
    }

    fn schedule(&self, context: &mut Context<Self>, wait: Duration) {
        context.run_later(wait, |actor, context| {
            actor.begin(context);
            actor.schedule(context, next_wait(actor.interval, random()));
        });
    }

    fn begin(&mut self, context: &mut Context<Self>) {
        if self.working || *self.stop.borrow() {
            return;
        }
        self.working = true;
        let asked = std::mem::take(&mut self.waiting);
        let round = round(self.service.clone(), self.stop.clone()).into_actor(self);
        context.spawn(round.map(|report, actor, context| {
            asked.into_iter().for_each(|asked| drop(asked.send(report.clone())));
            actor.working = false;
            actor.go_on(context);
        }));
    }

    fn go_on(&mut self, context: &mut Context<Self>) {
        if *self.stop.borrow() {
            context.stop();
        } else if !self.waiting.is_empty() {
            self.begin(context);
        }
    }
}

impl Actor for MaintenanceActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        // Those who ask wait for their answer, so this bounds them.
        context.set_mailbox_capacity(64);
        self.schedule(context, first_wait(self.interval, random()));
    }
}

impl Handler<RunNow> for MaintenanceActor {
    type Result = ResponseFuture<Option<MaintenanceReport>>;

    fn handle(&mut self, _: RunNow, context: &mut Self::Context) -> Self::Result {
        let (answer, report) = oneshot::channel();
        self.waiting.push(answer);
        self.begin(context);
        Box::pin(async move { report.await.ok() })
    }
}

impl Handler<Finish> for MaintenanceActor {
    type Result = ();

    fn handle(&mut self, _: Finish, context: &mut Self::Context) {
        if !self.working {
            context.stop();
        }
    }
}

#[derive(Message)]
#[rtype(result = "MaintenanceState")]
pub struct Observe;

impl Handler<Observe> for MaintenanceActor {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        let Self { generation, working, .. } = *self;
        MessageResult(MaintenanceState { generation, working, waiting: self.waiting.len() })
    }
}

/// The planned fault of tests.
#[cfg(test)]
#[derive(Message)]
#[rtype(result = "()")]
pub struct Panic;

#[cfg(test)]
impl Handler<Panic> for MaintenanceActor {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("planned fault of the maintenance actor");
    }
}

fn random() -> u64 {
    ulid::Ulid::generate().random() as u64
}
