//! What an execution's worker needs from outside, given to it as ports.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::backoff::Backoff;
use crate::domain::execution::{Execution, ExecutionState};
use crate::domain::progress::DocumentRef;
use crate::domain::workflow_document::{Chain, DocumentDraft, StepAttempt, WorkflowDocument};
use crate::stream::Tail;

/// The storage does not answer; the message is for people.
#[derive(Debug, Clone, thiserror::Error)]
#[error("documents cannot be reached: {0}")]
pub struct Unavailable(pub String);

pub type Answer<T> = LocalBoxFuture<'static, Result<T, Unavailable>>;

/// A reply that is on this disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReply {
    /// Below the data directory.
    pub path: PathBuf,
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

pub trait ExecutionPorts: Send + Sync + 'static {
    /// Whether replies are kept elsewhere than on this disk too, where another node finds them. Otherwise nothing of that is asked.
    fn shares_replies(&self) -> bool;

    /// Keeps a reply there too. What fails is told by the service's log, and made up for later.
    fn share_reply(&self, of: &Execution, reply: KeptReply) -> LocalBoxFuture<'static, ()>;

    /// The names of the files that are kept there, below a directory.
    fn shared_replies(&self, directory: PathBuf) -> Answer<Vec<String>>;

    /// Brings a file of that path to its place on this disk; false when it is not kept there, or not as it was.
    fn fetch_reply(&self, path: PathBuf) -> Answer<bool>;

    /// The latest version in a scope.
    fn latest(&self, chain: Chain) -> Answer<Option<WorkflowDocument>>;

    /// A version that is known.
    fn version(&self, of: &Execution, document: &DocumentRef) -> Answer<Option<WorkflowDocument>>;

    /// The version that an attempt has made; made once, however often it is stored.
    fn store(&self, chain: Chain, draft: DocumentDraft, attempt: StepAttempt) -> Answer<WorkflowDocument>;

    /// A person has accepted this version.
    fn accept(&self, of: &Execution, document: &DocumentRef) -> Answer<()>;

    /// The log failed after `log`: records that in the row, with the end of the execution, since no terminal event can
    /// be written.
    fn record_end(&self, execution: &Execution, state: ExecutionState, log: Tail) -> LocalBoxFuture<'static, ()>;
}

/// Retries storage that is unavailable, for about half a minute in all.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(10) };
const RETRIES: u32 = 10;

/// Repeats `ask` until it succeeds or the attempts are used up.
pub async fn with_retries<T>(ask: impl Fn() -> Answer<T>) -> Result<T, Unavailable> {
    for attempt in 1..=RETRIES {
        let delay = BACKOFF.pause(attempt);
        match ask().await {
            Err(error) => {
                tracing::warn!(error = %error, delay_ms = delay.as_millis(), "storage unavailable, retrying")
            }
            answer => return answer,
        }
        tokio::time::sleep(delay).await;
    }
    ask().await
}
