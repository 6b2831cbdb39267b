//! What every command works with: the services, and the map of running work.

use actix::Addr;

use super::services::Services;
use super::slot::{Entry, InFlight};
use super::slots::{BuildsOf, Deregister, Entries, Find, FindBuilds, Register, Registry};
use crate::domain::{ConfigurationId, StreamKey, WorkspaceId};
use crate::store::StoredWork;
use crate::stream::Tail;

/// The registry does not answer any more: the service is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the service is stopping")]
pub struct Stopping;

#[derive(Clone)]
pub struct Core {
    pub services: Services,
    pub(super) registry: Addr<Registry>,
}

impl Core {
    pub fn new(services: Services, registry: Addr<Registry>) -> Self {
        Self { services, registry }
    }

    pub async fn find(&self, key: StreamKey) -> Option<Entry> {
        self.registry.send(Find(key)).await.ok().flatten()
    }

    /// Whether something works on this, or its row is not yet final.
    pub async fn is_live(&self, key: StreamKey) -> bool {
        // A registry that does not answer is one that is stopping: nothing may be assumed then.
        self.registry.send(Find(key)).await.map_or(true, |entry| entry.is_some())
    }

    pub async fn entries(&self) -> Vec<Entry> {
        self.registry.send(Entries).await.unwrap_or_default()
    }

    pub async fn builds_of(&self, id: ConfigurationId) -> Result<BuildsOf, Stopping> {
        self.registry.send(FindBuilds(id)).await.map_err(|_| Stopping)
    }

    pub async fn register(&self, entry: Entry, joinable: Option<InFlight>) {
        let key = entry.key();
        if let Err(error) = self.registry.send(Register { entry, joinable: joinable.map(Box::new) }).await {
            tracing::error!(stream = %key, error = %error, "failed to register work");
        }
    }

    pub async fn deregister(&self, key: StreamKey) {
        // A registry that is gone has no entries.
        let _ = self.registry.send(Deregister(key)).await;
    }

    /// The journal is over, and may have more of every log than this process knows, or another process may be writing
    /// them: a row that says how far a log is good would have the next owner cut what was acknowledged. As after a crash,
    /// rows stay as they are.
    pub fn is_log_unknown(&self) -> bool {
        self.services.log.journal_state().is_over
    }

    /// Saves the end of work whose log takes nothing more beyond `log`.
    pub async fn record_end<W: StoredWork>(&self, workspace_id: WorkspaceId, id: W::Id, state: W::State, log: Tail) {
        if self.is_log_unknown() {
            return tracing::warn!(kind = W::KIND.as_str(), %id, "the journal is over; the next start ends this work");
        }
        let store = &self.services.store;
        // First what the next start needs to end the log: a row that has ended is not looked at without it.
        let marked = store.set_degraded::<W>(workspace_id, id, Some(log.bytes)).await;
        // One further on than the log, so that no fold of it takes this back.
        let saved = store.save_state::<W>(workspace_id, id, &state, log.sequence + 1).await;
        if let Err(error) = marked.and(saved) {
            tracing::error!(kind = W::KIND.as_str(), %id, %error, "end of work without a log could not be recorded");
        }
    }
}
