//! The actor of a piece of work, of whatever kind: it runs one session of it, and is how others reach the session.
//!
//! Invariant: a session is asked to end early at most once, and the first reason counts, also for the incarnations
//! after it.

use std::cell::Cell;
use std::rc::Rc;

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture,
};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::inbox::{Answer, AnswerError, Inbox, Submitted};
use super::stage::Stage;
use super::stop::{StopReason, Stopper};
use crate::event::payload::Caller;
use crate::supervision::ExitGuard;

/// How a session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its stream has its terminal event, or its log has failed.
    Ended,
    /// The service is stopping: the next start goes on with it.
    Suspended,
}

pub type Session = LocalBoxFuture<'static, Outcome>;

/// What outlives the incarnations of a piece of work's actor.
#[derive(Clone)]
pub struct Control {
    pub stopper: Stopper,
    pub stage: Stage,
    pub outcome: Rc<Cell<Outcome>>,
}

pub struct WorkActor {
    session: Option<Session>,
    inbox: Inbox,
    control: Control,
    generation: u64,
    _guard: ExitGuard,
}

impl WorkActor {
    /// Starts an incarnation on this thread; `session` is made with what people say to the work.
    pub fn launch(
        session: impl FnOnce(mpsc::Receiver<Submitted>) -> Session,
        control: Control,
        generation: u64,
        guard: ExitGuard,
    ) -> Addr<Self> {
        let (inbox, answers) = Inbox::new();
        let session = Some(session(answers));
        Self { session, inbox, control, generation, _guard: guard }.start()
    }
}

impl Actor for WorkActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(session) = self.session.take() else { return };
        context.spawn(session.into_actor(self).map(|outcome, work, context| {
            work.control.outcome.set(outcome);
            context.stop();
        }));
    }
}

/// Ask the work to end as cancelled. True when nothing had asked it to end before.
#[derive(Debug, Clone, Message)]
#[rtype(result = "bool")]
pub struct Cancel {
    pub requested_by: Option<Caller>,
    pub reason: Option<String>,
}

/// Ask the work to end now, since the service is stopping. True when nothing had asked it to end before.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "bool")]
pub struct Interrupt;

#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "WorkState")]
pub struct Observe;

/// The observable state of a piece of work.
#[derive(Debug, Clone, Serialize, actix::MessageResponse, ToSchema)]
pub struct WorkState {
    /// What the session is doing.
    pub stage: &'static str,
    /// Counted from 1; more than that after a panic.
    pub generation: u64,
    /// Whether it has been asked to end, and as what.
    pub stopping: Option<&'static str>,
    /// Answers and decisions of people that the session has not taken up yet.
    pub inbox: usize,
}

impl Handler<Cancel> for WorkActor {
    type Result = bool;

    fn handle(&mut self, Cancel { requested_by, reason }: Cancel, _: &mut Self::Context) -> bool {
        let requested_by = requested_by.map(Box::new);
        self.control.stopper.stop(StopReason::Cancel { requested_by, reason })
    }
}

impl Handler<Interrupt> for WorkActor {
    type Result = bool;

    fn handle(&mut self, _: Interrupt, _: &mut Self::Context) -> bool {
        self.control.stopper.stop(StopReason::Interrupt)
    }
}

impl Handler<Answer> for WorkActor {
    type Result = ResponseFuture<Result<(), AnswerError>>;

    fn handle(&mut self, answer: Answer, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.inbox.clone().submit(answer))
    }
}

impl Handler<Observe> for WorkActor {
    type Result = WorkState;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> WorkState {
        let stopping = self.control.stopper.reason().map(|reason| match reason {
            StopReason::Cancel { .. } => "cancelled",
            StopReason::Interrupt => "interrupted",
        });
        let (stage, inbox) = (self.control.stage.current(), self.inbox.waiting());
        WorkState { stage, generation: self.generation, stopping, inbox }
    }
}

/// The planned fault of tests.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Panic;

impl Handler<Panic> for WorkActor {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("planned");
    }
}
