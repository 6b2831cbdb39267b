//! What differs between the kinds of work. Creation, retry, cancellation, launch and recovery are written once, in terms
//! of this; reading, retention and projection in terms of the traits that it is made of.

use std::future::Future;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use super::core::Core;
use super::error::{CreateError, LaunchError};
use super::slot::InFlight;
use crate::domain::DocumentId;
use crate::domain::id::NodeId;
use crate::domain::principal::Principal;
use crate::event::payload::Caller;
use crate::event::{Draft, Identity};
use crate::projection::Projected;
use crate::stream::StreamHandle;
use crate::supervision::Policy;
use crate::trace::WorkSpan;
use crate::worker::actor::Session;
use crate::worker::inbox::Submitted;
use crate::worker::stage::Stage;
use crate::worker::stop::StopSignal;

/// Makes a session of a piece of work, each time its actor is started.
pub type Sessions = Box<dyn FnMut(mpsc::Receiver<Submitted>) -> Session>;

/// What every session is given.
pub struct Assignment<W> {
    pub work: W,
    pub stream: StreamHandle,
    pub signal: StopSignal,
    pub stage: Stage,
    /// Who asked for it; none when it is taken up again after a crash.
    pub by: Option<Caller>,
    pub span: WorkSpan,
}

/// Why work is ended by something other than its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its session panicked too often, or what it needs is lost.
    Orchestration,
    /// The service ended while it was running.
    Interrupted,
}

/// What a start of the service does with work that has not ended.
pub enum Next<Start> {
    GoOn(Start),
    End { cause: Cause, message: &'static str },
}

/// A kind of work: its worker, its terminal event, its recovery rule; its row is the type itself.
pub trait WorkKind: Projected {
    /// What its sessions need beyond the row.
    type Start: 'static;
    /// What it keeps among others while the service recovers, as a place in a queue.
    type Place;

    /// Whether a session that panics is started again.
    const RESTARTS: Policy;
    /// How long a caller that cancels waits for the end; with none, being asked to end is enough.
    const CANCEL_WAIT: Option<Duration> = None;

    fn identity(&self) -> Identity;

    /// The first event of its stream, unless its sessions write that.
    fn opening(&self, by: Option<&Caller>) -> Option<Draft>;

    fn sessions(core: &Core, assignment: Assignment<Self>, start: Self::Start) -> Sessions;

    /// For others that want the same.
    fn joinable(&self, _stream: &StreamHandle, _start: &Self::Start) -> Option<InFlight> {
        None
    }

    /// Ends work that has no session any more. Answers the state that it ends with.
    fn conclude(
        &self,
        core: &Core,
        stream: &StreamHandle,
        cause: Cause,
        message: &str,
    ) -> impl Future<Output = Self::State>;

    /// The terminal event of work that ended while its log had failed: what its row says.
    fn terminal_event(&self, stream: &StreamHandle) -> impl Future<Output = Draft>;

    /// Called in the order in which work was created, before any of it is recovered.
    fn enlist_again(&self, core: &Core) -> Self::Place;

    /// The recovery rule, by the last line of its log if that has any.
    fn after_crash(
        &self,
        core: &Core,
        last_line: Option<&[u8]>,
        place: Self::Place,
    ) -> impl Future<Output = Result<Next<Self::Start>, LaunchError>>;

    /// Whom its events name when it is taken up again after a crash.
    fn resumed_by(&self) -> Option<Caller> {
        None
    }

    /// Called once the stream of work that was launched has ended and its row is final.
    fn finished(&self, _core: &Core) -> impl Future<Output = ()> {
        std::future::ready(())
    }
}

/// A kind of work that callers create and retry, under an idempotency key if they give one.
pub trait Creatable: WorkKind {
    /// What callers ask for.
    type New: Send + 'static;
    /// Why it is refused to them, beyond what refuses any work.
    type Refusal: std::error::Error + Send + 'static;
    /// Why work that has ended cannot be retried.
    type RetryRefusal: std::error::Error + Send + 'static;
    /// Work before it has an id.
    type Wanted: 'static;
    /// What was found out while it was checked, and is needed to start it.
    type Checked: 'static;

    /// With the request as it counts for an idempotency key: by what is to be done, not by how its answer is wanted.
    fn wanted(
        core: &Core,
        principal: &Principal,
        new: Self::New,
    ) -> impl Future<Output = Result<(Self::Wanted, Value), CreateError<Self::Refusal>>>;

    /// As [`Creatable::wanted`], of work that has ended.
    fn wanted_again(self, core: &Core) -> impl Future<Output = Result<Self::Wanted, Self::RetryRefusal>>;

    /// Everything that can refuse it and does not depend on what else is running.
    fn check(
        core: &Core,
        wanted: &Self::Wanted,
    ) -> impl Future<Output = Result<Self::Checked, CreateError<Self::Refusal>>>;

    /// Everything that can refuse it because of what else is running.
    fn reserve(core: &Core, wanted: &Self::Wanted, checked: Self::Checked) -> Result<Self::Start, Self::Refusal>;

    fn made(wanted: Self::Wanted, by: &Principal, node_id: NodeId) -> Self;

    /// What it is made from was deleted between its check and its storing: a document, or something else.
    fn origin_gone(document: Option<DocumentId>) -> Self::Refusal;

    /// As it was when it had just been created, however far it has come since.
    fn into_created(self) -> Self;
}
