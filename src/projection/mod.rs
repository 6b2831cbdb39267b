//! Rows follow logs: one task per stream folds its events and writes the row.
//!
//! Invariant (L6): a row contains nothing that its log does not. After a crash a projection may be repeated from the
//! start of the log; the store rejects state that is older than what it has, so a late write cannot move a row back.
//!
//! A database outage is retried by the projection alone: it reads at its own pace, so neither
//! the stream nor its readers notice.

mod kinds;

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;

use crate::backoff::Backoff;
use crate::domain::WorkspaceId;
use crate::domain::sequence::Start;
use crate::event::codec::{self, raw_type};
use crate::store::{Store, StoreError, StoredWork};
use crate::stream::{Chunk, End, Follow, Item, StreamHandle, SubscribeError};
use crate::summary::Fact;
use crate::supervision::{Policy, supervise};

#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] io::Error),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
}

/// Work whose row follows its log.
pub trait Projected: StoredWork {
    type Fold: Fold<Self>;

    /// A fold of nothing yet.
    fn fold(&self) -> Self::Fold;
}

/// What a log adds up to.
pub trait Fold<W: StoredWork>: 'static {
    /// Whether events of this type are taken in at all.
    fn is_relevant(kind: &[u8]) -> bool;

    /// Whether the row is written after an event of this type.
    fn changes_status(_kind: &[u8]) -> bool {
        true
    }

    fn apply(&mut self, fact: Fact<'_>);

    fn state(&self) -> Cow<'_, W::State>;

    /// Rows that must be there before the state is.
    fn save_first(&mut self, _store: &Store) -> impl Future<Output = Result<(), StoreError>> {
        std::future::ready(Ok(()))
    }
}

/// A fold and the row it belongs to.
pub struct Target<W: Projected> {
    workspace_id: WorkspaceId,
    id: W::Id,
    fold: W::Fold,
}

impl<W: Projected> Target<W> {
    pub fn new(of: &W) -> Self {
        Self { workspace_id: of.workspace_id(), id: of.id(), fold: of.fold() }
    }

    /// Takes in a chunk; true when the row should be written.
    fn apply(&mut self, chunk: &Chunk) -> bool {
        let mut changed = false;
        chunk.for_each(|_, line| {
            let kind = raw_type(line);
            if !W::Fold::is_relevant(kind) {
                return;
            }
            if let Ok(event) = codec::decode(line) {
                self.fold.apply(Fact::from(&event));
                changed |= W::Fold::changes_status(kind);
            }
        });
        changed
    }

    async fn save(&mut self, store: &Store, last_sequence: u64) -> Result<(), StoreError> {
        self.fold.save_first(store).await?;
        store.save_state::<W>(self.workspace_id, self.id, &self.fold.state(), last_sequence).await.map(drop)
    }
}

/// How often a failed database write is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    retries: u32,
}

impl RetryPolicy {
    pub const NONE: Self = Self { retries: 0 };
    /// Some five minutes: a restart of the database, or of the network before it.
    pub const LONG: Self = Self { retries: 36 };

    const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(10) };

    /// The pause before each further try.
    fn delays(self) -> impl Iterator<Item = Duration> {
        (1..=self.retries).map(|attempt| Self::BACKOFF.pause(attempt))
    }
}

/// Follows a live stream to its end. The answer turns true when the row is final.
pub fn spawn<W: Projected>(store: Store, stream: StreamHandle, of: &W) -> watch::Receiver<bool> {
    let (done, projected) = watch::channel(false);
    let of = of.clone();
    actix::spawn(async move {
        let policy = Policy::Retry { times: 3, within: Duration::from_secs(60) };
        let verdict = supervise(policy, |_, guard| {
            let (store, follow, target) = (store.clone(), stream.follow_inside(Start::default()), Target::new(&of));
            async move {
                let task = actix::spawn(async move {
                    let _guard = guard;
                    project(&store, follow?, target, RetryPolicy::LONG).await
                });
                task.await.unwrap_or(Ok(()))
            }
        })
        .await;
        if let crate::supervision::Verdict::NotStarted(error) = &verdict {
            tracing::error!(stream = %stream.key(), error = %error, "row stays behind its log until the next start");
        }
        done.send_replace(true);
    });
    projected
}

/// Folds a stream to its end, or to where it halts, and writes the row on the way.
pub async fn project<W: Projected>(
    store: &Store,
    mut follow: Follow,
    mut target: Target<W>,
    retry: RetryPolicy,
) -> Result<(), ProjectionError> {
    loop {
        let Taken { is_due, is_finished } = take_in(&mut follow, &mut target).await?;
        if is_due || is_finished {
            save(store, &mut target, follow.position(), retry).await?;
        }
        if is_finished {
            return Ok(());
        }
    }
}

struct Taken {
    /// The row should be written.
    is_due: bool,
    is_finished: bool,
}

/// Takes in what comes next, and with it what is there behind it already: who falls behind writes less often.
async fn take_in<W: Projected>(follow: &mut Follow, target: &mut Target<W>) -> io::Result<Taken> {
    let mut is_due = false;
    let mut next = Some(follow.next().await);
    while let Some(item) = next {
        match item? {
            Item::Chunk(chunk) => is_due |= target.apply(&chunk),
            Item::Heartbeat => {}
            Item::End(End::Closed | End::Halted(_)) => return Ok(Taken { is_due, is_finished: true }),
        }
        next = follow.next().now_or_never();
    }
    Ok(Taken { is_due, is_finished: false })
}

async fn save<W: Projected>(
    store: &Store,
    target: &mut Target<W>,
    last_sequence: u64,
    retry: RetryPolicy,
) -> Result<(), StoreError> {
    for delay in retry.delays() {
        match target.save(store, last_sequence).await {
            Err(StoreError::Database(error)) => {
                tracing::warn!(error = %error, delay_ms = delay.as_millis(), "failed to save the row, retrying");
            }
            settled => return settled,
        }
        tokio::time::sleep(delay).await;
    }
    target.save(store, last_sequence).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit_and_ends() {
        let delays: Vec<_> = RetryPolicy::LONG.delays().collect();
        assert_eq!(delays[..3], [50, 100, 200].map(Duration::from_millis));
        assert!(delays.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(delays.last(), Some(&Duration::from_secs(10)));
        let whole: Duration = delays.iter().sum();
        assert!((280..320).contains(&whole.as_secs()), "{whole:?}");
        assert_eq!(RetryPolicy::NONE.delays().count(), 0);
    }
}
