//! The only writer of an execution's stream, which folds what it has written.
//!
//! Invariant: what is written is folded in the order in which it is written, so that the fold is that of the log.

use std::cell::{Ref, RefCell};
use std::io;

use serde::Serialize;

use crate::domain::progress::{Progress, StepKey, StepState};
use crate::domain::sequence::Start;
use crate::domain::time::Timestamp;
use crate::event::payload::execution::{ProgressKind, STEP_PROGRESS, StepProgress};
use crate::event::{Draft, Source, codec};
use crate::stream::{Follow, Item, StreamHandle};
use crate::summary::{ExecutionFold, Fact};
use crate::worker::emitter::Emitter;

/// The log has failed and accepts no more events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log is closed")]
pub struct LogFailed;

pub struct EventWriter {
    stream: StreamHandle,
    emitter: Emitter,
    fold: RefCell<ExecutionFold>,
}

impl EventWriter {
    /// Reads what is written already. Must be called on the thread of an arbiter.
    pub async fn open(stream: StreamHandle) -> Result<Self, LogFailed> {
        let fold = fold_so_far(&stream).await.map_err(|error| {
            tracing::error!(stream = %stream.key(), error = %error, "failed to read the log");
            LogFailed
        })?;
        Ok(Self { emitter: Emitter::new(stream.clone()), stream, fold: RefCell::new(fold) })
    }

    /// The current time by the clock of the execution's log.
    pub fn now(&self) -> Timestamp {
        self.stream.now()
    }

    /// Not to be held while something is written.
    pub fn progress(&self) -> Ref<'_, Progress> {
        Ref::map(self.fold.borrow(), ExecutionFold::progress)
    }

    pub fn step(&self, key: &StepKey) -> StepState {
        self.progress().step(key).cloned().unwrap_or_default()
    }

    /// Writes an event of the execution, or of a step of it; it is durable when this returns.
    pub async fn write(
        &self,
        kind: &'static str,
        of: Option<&StepKey>,
        payload: &impl Serialize,
    ) -> Result<(), LogFailed> {
        let mut draft = Draft::new(kind, Source::Executor, payload);
        draft.step = of.cloned().map(Box::new);
        self.fold.borrow_mut().apply(Fact::of_draft(&draft, self.now()));
        self.emitter.emit(draft).await.map(drop).map_err(|error| {
            tracing::error!(error = %error, kind, "failed to append an event");
            LogFailed
        })
    }

    /// Posts text that a step produces, without waiting until it is durable.
    pub async fn post_text(&self, of: &StepKey, text: String) {
        let progress = StepProgress { kind: ProgressKind::TextDelta, text };
        self.emitter.post(vec![Draft::new(STEP_PROGRESS, Source::Executor, &progress).of_step(of.clone())]).await;
    }
}

/// What a stream says up to now.
pub async fn fold_so_far(stream: &StreamHandle) -> io::Result<ExecutionFold> {
    fold(stream.follow_inside(Start::default()).map_err(io::Error::other)?).await
}

/// What is there to be read now, from where the reader stands.
pub async fn fold(mut follow: Follow) -> io::Result<ExecutionFold> {
    let mut fold = ExecutionFold::default();
    while follow.position() < follow.hub().tail().sequence {
        let Item::Chunk(chunk) = follow.next().await? else { break };
        chunk.for_each(|_, line| {
            if ExecutionFold::is_relevant(codec::raw_type(line))
                && let Ok(event) = codec::decode(line)
            {
                fold.apply(Fact::from(&event));
            }
        });
    }
    Ok(fold)
}
