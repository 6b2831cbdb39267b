//! Rows follow logs: one task per stream folds its events and writes the row.
//!
//! Law (L6): a row says nothing that its log does not. A projection may be run again from the beginning
//! at any time; the store takes no state that is older than the one it has.
//!
//! A database that is away for a while is tried again, by the projection alone: it reads at its own pace, so neither
//! the stream nor its readers notice.

use std::io;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;

use crate::domain::execution::ExecutionState;
use crate::domain::sequence::Start;
use crate::domain::status::BuildStatus;
use crate::domain::{BuildId, ExecutionId, RunId, StreamKey, WorkspaceId};
use crate::event::codec::{self, raw_type};
use crate::store::{Store, StoreError};
use crate::stream::{Chunk, End, Follow, Item, StreamHandle, SubscribeError};
use crate::summary::{BuildFold, ExecutionFold, Fact, LedgerFold, RunFold};
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

/// A fold and the row it belongs to.
pub enum Target {
    Run { workspace_id: WorkspaceId, id: RunId, fold: Box<RunFold> },
    Build { workspace_id: WorkspaceId, id: BuildId, fold: BuildFold },
    Execution { workspace_id: WorkspaceId, id: ExecutionId, fold: Box<ExecutionFold>, ledger: LedgerFold },
}

impl Target {
    /// # Panics
    /// Of a feed and of an execution: neither is made with a configuration.
    pub fn new(key: StreamKey, configuration_id: crate::domain::ConfigurationId) -> Self {
        match key {
            StreamKey::Run { workspace_id, id } => {
                Self::Run { workspace_id, id, fold: Box::new(RunFold::new(id, workspace_id, configuration_id)) }
            }
            StreamKey::Build { workspace_id, id } => Self::Build { workspace_id, id, fold: BuildFold::default() },
            StreamKey::Execution { .. } | StreamKey::Feed { .. } => {
                unreachable!("only runs and builds have configurations")
            }
        }
    }

    pub fn execution(workspace_id: WorkspaceId, id: ExecutionId) -> Self {
        Self::Execution { workspace_id, id, fold: Box::default(), ledger: LedgerFold::new(workspace_id, id) }
    }

    /// Whose row it is.
    pub fn key(&self) -> StreamKey {
        match self {
            Self::Run { workspace_id, id, .. } => StreamKey::run(*workspace_id, *id),
            Self::Build { workspace_id, id, .. } => StreamKey::build(*workspace_id, *id),
            Self::Execution { workspace_id, id, .. } => StreamKey::execution(*workspace_id, *id),
        }
    }

    /// Takes in a chunk; true when the row should be written.
    fn apply(&mut self, chunk: &Chunk) -> bool {
        let mut changed = false;
        chunk.for_each(|_, line| {
            let kind = raw_type(line);
            if !self.minds(kind) {
                return;
            }
            if let Ok(event) = codec::decode(line) {
                self.apply_fact(Fact::from(&event));
                changed |= self.changes_status(kind);
            }
        });
        changed
    }

    fn minds(&self, kind: &[u8]) -> bool {
        match self {
            Self::Run { .. } => RunFold::minds(kind),
            Self::Build { .. } => BuildFold::minds(kind),
            Self::Execution { .. } => ExecutionFold::minds(kind),
        }
    }

    fn changes_status(&self, kind: &[u8]) -> bool {
        match self {
            Self::Run { .. } => RunFold::changes_status(kind),
            Self::Build { .. } | Self::Execution { .. } => true,
        }
    }

    fn apply_fact(&mut self, fact: Fact<'_>) {
        match self {
            Self::Run { fold, .. } => fold.apply(fact),
            Self::Build { fold, .. } => fold.apply(fact),
            Self::Execution { fold, ledger, .. } => {
                fold.apply(fact);
                ledger.apply(fact);
            }
        }
    }

    /// A build that has become active has just written its venv.
    fn venv_present(&self) -> Option<bool> {
        match self {
            Self::Build { fold, .. } if fold.state().status.is_terminal() => {
                Some(fold.state().status == BuildStatus::Active)
            }
            _ => None,
        }
    }

    async fn save(&mut self, store: &Store, last_sequence: u64) -> Result<(), StoreError> {
        let venv_present = self.venv_present();
        match self {
            Self::Run { workspace_id, id, fold } => {
                store.save_run_state(*workspace_id, *id, fold.state(), last_sequence).await
            }
            Self::Build { workspace_id, id, fold } => {
                store.save_build_state(*workspace_id, *id, fold.state(), last_sequence, venv_present).await
            }
            Self::Execution { workspace_id, id, fold, ledger } => {
                // First, so that nobody reads of an end whose costs are not there.
                store.insert_llm_calls(ledger.rows()).await?;
                ledger.written();
                let state = ExecutionState::from(fold.progress());
                store.save_execution_state(*workspace_id, *id, &state, last_sequence).await
            }
        }
        .map(|_| ())
    }
}

/// How often a database that fails is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    retries: u32,
}

impl Patience {
    pub const NONE: Self = Self { retries: 0 };
    /// Some five minutes: a restart of the database, or of the network before it.
    pub const LONG: Self = Self { retries: 36 };

    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(10);

    /// What is waited before each further try: twice as long each time, up to a limit.
    fn delays(self) -> impl Iterator<Item = Duration> {
        (0..self.retries).map(|retry| Self::FIRST.saturating_mul(2u32.saturating_pow(retry)).min(Self::LONGEST))
    }
}

/// Follows a live stream to its end. The answer turns true when the row is final.
pub fn spawn(store: Store, stream: StreamHandle, make: impl Fn() -> Target + 'static) -> watch::Receiver<bool> {
    let (done, projected) = watch::channel(false);
    actix::spawn(async move {
        let policy = Policy::Retry { times: 3, within: Duration::from_secs(60) };
        let verdict = supervise(policy, |_, guard| {
            let (store, follow, target) = (store.clone(), stream.follow_inside(Start::default()), make());
            async move {
                let task = actix::spawn(async move {
                    let _guard = guard;
                    project(&store, follow?, target, Patience::LONG).await
                });
                task.await.unwrap_or(Ok(()))
            }
        })
        .await;
        if let crate::supervision::Verdict::NotStarted(error) = &verdict {
            tracing::error!(stream = %stream.key(), error = %error, "row is behind its log until the next start");
        }
        done.send_replace(true);
    });
    projected
}

/// Folds a stream to its end, or to where it halts, and writes the row on the way.
pub async fn project(
    store: &Store,
    mut follow: Follow,
    mut target: Target,
    patience: Patience,
) -> Result<(), ProjectionError> {
    loop {
        let Taken { is_due, is_over } = take_in(&mut follow, &mut target).await?;
        if is_due || is_over {
            save(store, &mut target, follow.position(), patience).await?;
        }
        if is_over {
            return Ok(());
        }
    }
}

struct Taken {
    /// The row should be written.
    is_due: bool,
    is_over: bool,
}

/// Takes in what comes next, and with it what is there behind it already: who falls behind writes less often.
async fn take_in(follow: &mut Follow, target: &mut Target) -> io::Result<Taken> {
    let mut is_due = false;
    let mut next = Some(follow.next().await);
    while let Some(item) = next {
        match item? {
            Item::Chunk(chunk) => is_due |= target.apply(&chunk),
            Item::Heartbeat => {}
            Item::End(End::Closed | End::Halted(_)) => return Ok(Taken { is_due, is_over: true }),
        }
        next = follow.next().now_or_never();
    }
    Ok(Taken { is_due, is_over: false })
}

async fn save(store: &Store, target: &mut Target, last_sequence: u64, patience: Patience) -> Result<(), StoreError> {
    for delay in patience.delays() {
        match target.save(store, last_sequence).await {
            Err(StoreError::Database(error)) => {
                tracing::warn!(error = %error, delay_ms = delay.as_millis(), "row could not be saved, is tried again");
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
    fn patience_grows_to_a_limit_and_ends() {
        let delays: Vec<_> = Patience::LONG.delays().collect();
        assert_eq!(delays[..3], [50, 100, 200].map(Duration::from_millis));
        assert!(delays.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(delays.last(), Some(&Duration::from_secs(10)));
        let whole: Duration = delays.iter().sum();
        assert!((280..320).contains(&whole.as_secs()), "{whole:?}");
        assert_eq!(Patience::NONE.delays().count(), 0);
    }
}
