//! The commands of the registry's actor.
//!
//! Law: a command is carried out on a worker's thread, detached from its message: the mailbox never waits for a database
//! or a disk, and a caller that goes away un-sends nothing.

use std::collections::BTreeMap;
use std::future::{Future, ready};

use actix::{AsyncContext, Context, Handler, Message, ResponseFuture};
use serde::Serialize;

use super::builds::{self, BuildRequest};
use super::cancelling;
use super::core::Core;
use super::creation::{self, Created, RetryError};
use super::error::{AnswerExecutionError, CancelError, CreateError, EnsureBuildError, ReadError};
use super::kind::{Creatable, WorkKind};
use super::kinds::execution;
use super::reading;
use super::slot::ActorState;
use super::slots::Registry;
use crate::domain::build::Build;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::principal::{Principal, Scope};
use crate::domain::sequence::Start;
use crate::domain::work::kinds;
use crate::domain::{ExecutionId, StreamKey, StreamKind};
use crate::stream;
use crate::trace::Origin;
use crate::worker::actor as work;
use crate::worker::inbox::Answer;

impl Registry {
    /// Starts a command; the future only waits for its answer.
    fn detached<F, Fut>(&self, context: &Context<Self>, command: F) -> ResponseFuture<Fut::Output>
    where
        F: FnOnce(Core) -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        let core = Core::new(self.services.clone(), context.address());
        Box::pin(async move {
            let arbiters = core.services.arbiters.clone();
            arbiters.run(move || command(core)).await
        })
    }
}

/// Create work of a kind, under a key if there is one.
pub struct Create<W: Creatable> {
    pub principal: Principal,
    pub new: W::New,
    pub key: Option<IdempotencyKey>,
    pub origin: Origin,
}

impl<W: Creatable> Message for Create<W> {
    type Result = Result<Created<W>, CreateError<W::Refusal>>;
}

impl<W: Creatable> Handler<Create<W>> for Registry {
    type Result = ResponseFuture<<Create<W> as Message>::Result>;

    fn handle(&mut self, create: Create<W>, context: &mut Self::Context) -> Self::Result {
        let Create { principal, new, key, origin } = create;
        self.detached(context, move |core| creation::create(core, principal, new, key, origin))
    }
}

/// Create new work with the options of work that has ended.
pub struct Retry<W: Creatable> {
    pub principal: Principal,
    pub id: W::Id,
    pub key: Option<IdempotencyKey>,
    pub origin: Origin,
}

impl<W: Creatable> Message for Retry<W> {
    type Result = Result<Created<W>, RetryError<W>>;
}

impl<W: Creatable> Handler<Retry<W>> for Registry {
    type Result = ResponseFuture<<Retry<W> as Message>::Result>;

    fn handle(&mut self, retry: Retry<W>, context: &mut Self::Context) -> Self::Result {
        let Retry { principal, id, key, origin } = retry;
        self.detached(context, move |core| creation::retry(core, principal, id, key, origin))
    }
}

/// Make sure that a configuration has a venv. The build answered is the one that the caller may watch.
#[derive(Message)]
#[rtype(result = "Result<Build, EnsureBuildError>")]
pub struct EnsureBuild(pub BuildRequest);

impl Handler<EnsureBuild> for Registry {
    type Result = ResponseFuture<Result<Build, EnsureBuildError>>;

    fn handle(&mut self, EnsureBuild(request): EnsureBuild, context: &mut Self::Context) -> Self::Result {
        self.detached(context, |core| async move { Ok(builds::ensure(&core, request).await?.build) })
    }
}

/// Read a stream from a position: what is there, then what comes. The caller has found its row, and so may see it.
#[derive(Message)]
#[rtype(result = "Result<stream::Follow, ReadError>")]
pub struct Follow {
    pub key: StreamKey,
    pub start: Start,
}

impl Handler<Follow> for Registry {
    type Result = ResponseFuture<Result<stream::Follow, ReadError>>;

    fn handle(&mut self, Follow { key, start }: Follow, context: &mut Self::Context) -> Self::Result {
        // No command: a reader that goes away wants nothing.
        if let Some(entry) = self.slots.get(&key) {
            return Box::pin(ready(reading::from(&self.services, entry.stream.hub().clone(), start)));
        }
        let core = Core::new(self.services.clone(), context.address());
        Box::pin(async move { reading::follow(&core, key, start).await })
    }
}

/// Cancel work of a kind. True when this made it end; false when it was cancelled or being cancelled already.
pub struct Cancel<W: WorkKind> {
    pub scope: Scope,
    pub id: W::Id,
    pub cancel: work::Cancel,
}

impl<W: WorkKind> Message for Cancel<W> {
    type Result = Result<bool, CancelError<W::Status>>;
}

impl<W: WorkKind> Handler<Cancel<W>> for Registry {
    type Result = ResponseFuture<<Cancel<W> as Message>::Result>;

    fn handle(&mut self, Cancel { scope, id, cancel }: Cancel<W>, context: &mut Self::Context) -> Self::Result {
        self.detached(context, move |core| cancelling::cancel::<W>(core, scope, id, cancel))
    }
}

/// Answer or decide what an execution waits for; durable when it is answered.
#[derive(Message)]
#[rtype(result = "Result<(), AnswerExecutionError>")]
pub struct Say {
    pub scope: Scope,
    pub id: ExecutionId,
    pub answer: Answer,
}

impl Handler<Say> for Registry {
    type Result = ResponseFuture<Result<(), AnswerExecutionError>>;

    fn handle(&mut self, Say { scope, id, answer }: Say, context: &mut Self::Context) -> Self::Result {
        self.detached(context, move |core| execution::answer(core, scope, id, answer))
    }
}

/// Answer, to show that the mailbox is served.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ping;

impl Handler<Ping> for Registry {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

#[derive(Message)]
#[rtype(result = "Observed")]
pub struct Observe;

/// The registry's observable state: what is running, and the state of each of its actors.
#[derive(Debug, Clone, Serialize)]
pub struct Observed {
    /// How much of each kind: `runs`, `builds`, `executions`.
    #[serde(flatten)]
    pub work: BTreeMap<&'static str, usize>,
    pub actors: Vec<ActorState>,
}

impl Handler<Observe> for Registry {
    type Result = ResponseFuture<Observed>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        let count = |kind: StreamKind| self.slots.keys().filter(|key| key.kind() == kind).count();
        let work = kinds().into_iter().map(|kind| (kind.facts().collection, count(kind))).collect();
        let entries: Vec<_> = self.slots.values().cloned().collect();
        Box::pin(async move {
            let mut actors = futures_util::future::join_all(entries.iter().map(|entry| entry.observe())).await;
            actors.sort_by(|a, b| a.id.cmp(&b.id));
            Observed { work, actors }
        })
    }
}

/// Any other command of the service itself.
pub(super) struct Perform<F>(pub F);

impl<F, Fut> Message for Perform<F>
where
    F: FnOnce(Core) -> Fut + Send + 'static,
    Fut: Future + 'static,
    Fut::Output: Send + 'static,
{
    type Result = Fut::Output;
}

impl<F, Fut> Handler<Perform<F>> for Registry
where
    F: FnOnce(Core) -> Fut + Send + 'static,
    Fut: Future + 'static,
    Fut::Output: Send + 'static,
{
    type Result = ResponseFuture<Fut::Output>;

    fn handle(&mut self, Perform(command): Perform<F>, context: &mut Self::Context) -> Self::Result {
        self.detached(context, command)
    }
}
