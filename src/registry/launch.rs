//! Starting work whose row is stored (stream, projection, worker, in that order), and ending it properly when its
//! session dies.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;

use super::core::Core;
use super::error::LaunchError;
use super::kind::{Assignment, Cause, WorkKind};
use super::slot::Entry;
use crate::domain::StreamKey;
use crate::domain::idempotency::Claim;
use crate::domain::principal::Scope;
use crate::domain::work::Status as _;
use crate::event::payload::Caller;
use crate::projection;
use crate::store::{InsertError, StoredWork};
use crate::stream::window::Halt;
use crate::stream::{self, StreamHandle};
use crate::supervision::{Supervised, Verdict};
use crate::trace::{Origin, WorkSpan};
use crate::worker::actor::{Control, Outcome, WorkActor};
use crate::worker::stage::Stage;
use crate::worker::stop::Stopper;

/// Stores work that is about to be launched, with the key of its request if that has one.
pub async fn insert<W: StoredWork>(core: &Core, work: &W, claim: Option<&Claim>) -> Result<(), InsertError> {
    core.services.feeds.expect(work.stream_key()).await?;
    core.services.store.insert(work, claim).await
}

/// Removes what [`insert`] has stored of work that could not be launched: its caller hears that nothing was started, so
/// nothing may be left for the next start of the service to take up.
pub async fn roll_back<W: StoredWork>(core: &Core, work: &W) {
    if let Err(error) = core.services.store.delete::<W>(work.workspace_id(), work.id()).await {
        tracing::error!(kind = W::KIND.as_str(), id = %work.id(), %error, "work that could not be started stays stored");
        return;
    }
    // A log without a row would have no owner.
    remove_directory(core, work.stream_key()).await;
}

async fn remove_directory(core: &Core, key: StreamKey) {
    let work = &core.services.work;
    work.trash.discard_soon(work.data_dir.join(key.directory())).await;
}

/// Starts work, or goes on with work that was started before. Must be called on a worker thread.
pub async fn launch<W: WorkKind>(
    core: &Core,
    work: W,
    start: W::Start,
    by: Option<Caller>,
    origin: Origin,
) -> Result<Entry, LaunchError> {
    let stream = open(core, &work).await?;
    if stream.tail().sequence == 0
        && let Some(opening) = work.opening(by.as_ref())
    {
        stream.append_one(opening).await?;
    }
    let span = WorkSpan::begin(W::KIND.as_str(), &work.id(), &work.workspace_id(), origin);
    let joinable = work.joinable(&stream, &start);
    let (stopper, signal) = Stopper::new();
    let control = Control { stopper, stage: Stage::default(), outcome: Rc::new(Cell::new(Outcome::Ended)) };
    let stage = control.stage.clone();
    let assignment = Assignment { work: work.clone(), stream: stream.clone(), signal, stage, by, span: span.clone() };
    let mut sessions = W::sessions(core, assignment, start);
    let outcome = control.outcome.clone();
    let meters = core.services.meters.clone();
    let (worker, supervision) = Supervised::start(W::RESTARTS, move |generation, guard| {
        if let Some(meters) = meters.of(W::KIND).filter(|_| generation > 1) {
            meters.restarts.add(1);
        }
        let address = WorkActor::launch(&mut sessions, control.clone(), generation, guard);
        async { Ok::<_, Infallible>(address) }
    });
    let entry = enter(core, &work, stream, Some(worker));
    core.services.feeds.follow(entry.stream.clone());
    core.register(entry.clone(), joinable).await;
    let (core, attended) = (core.clone(), entry.clone());
    actix::spawn(async move {
        if supervision.await == Verdict::GaveUp {
            let message = format!("the {}'s worker died", W::KIND.as_str());
            work.conclude(&core, &attended.stream, Cause::Orchestration, &message).await;
        }
        match outcome.get() {
            Outcome::Suspended => {
                span.end("suspended", None);
                suspend(&core, &attended).await;
            }
            Outcome::Ended => {
                settle(&core, &work, &attended).await;
                note_end(&core, &work, &span).await;
                work.finished(&core).await;
                core.deregister(attended.key()).await;
            }
        }
    });
    Ok(entry)
}

/// By the final row, which is the only place that knows every kind's end. Without a database nothing is counted.
async fn note_end<W: WorkKind>(core: &Core, work: &W, span: &WorkSpan) {
    let scope = Scope::Only(vec![work.workspace_id()]);
    let Ok(Some(ended)) = core.services.store.find::<W>(&scope, work.id()).await else {
        return span.end("unknown", None);
    };
    if let Some(meters) = core.services.meters.of(W::KIND) {
        meters.count_end(&ended);
    }
    let failure = ended.failure_code().filter(|_| ended.status() != W::Status::CANCELLED);
    span.end(ended.status().as_str(), failure.as_deref());
}

/// Opens the stream of work, creating its log if that is new.
pub async fn open<W: WorkKind>(core: &Core, work: &W) -> Result<StreamHandle, LaunchError> {
    let services = &core.services;
    let (options, arbiter) = (services.stream_options(), services.arbiters.stream());
    Ok(stream::open(services.log.clone(), work.identity(), work.log().durable_bytes, options, arbiter).await?)
}

/// An entry for work whose row follows its stream from now on.
pub fn enter<W: WorkKind>(core: &Core, work: &W, stream: StreamHandle, worker: Option<Supervised<WorkActor>>) -> Entry {
    let projected = projection::spawn(core.services.store.clone(), stream.clone(), work);
    Entry { stream, worker, projected }
}

/// Lets go of work that the next start takes up again: its readers are asked to come back.
async fn suspend(core: &Core, entry: &Entry) {
    entry.stream.hub().set_halt(Halt::Draining);
    entry.settled().await;
    core.deregister(entry.key()).await;
}

/// Waits until stream and row are final. The entry stays until then, so that a reader that comes meanwhile finds the live
/// stream.
pub async fn settle<W: WorkKind>(core: &Core, work: &W, entry: &Entry) {
    entry.stream.ended().await;
    entry.settled().await;
    if entry.stream.hub().halt() == Some(Halt::Degraded) && !core.is_log_unknown() {
        mark_degraded(core, work, entry).await;
    }
}

async fn mark_degraded<W: WorkKind>(core: &Core, work: &W, entry: &Entry) {
    let bytes = entry.stream.tail().bytes;
    let marked = core.services.store.set_degraded::<W>(work.workspace_id(), work.id(), Some(bytes)).await;
    if let Err(error) = marked {
        tracing::error!(stream = %entry.key(), %error, "failed to record that the log is degraded");
    }
}
