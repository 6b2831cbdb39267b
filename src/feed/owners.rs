//! Whose the feed of a workspace is, where several nodes share a database.
//!
//! Law: the feed of a workspace is written by the node that its row names, and that one has it until it is fenced off: then
//! its process ends. So what is this node's once stays so.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::domain::WorkspaceId;
use crate::domain::id::NodeId;
use crate::store::{Store, StoreError};

pub struct Owners {
    store: Store,
    node_id: NodeId,
    own: Mutex<HashSet<WorkspaceId>>,
}

impl Owners {
    pub fn new(store: Store, node_id: NodeId) -> Self {
        Self { store, node_id, own: Mutex::default() }
    }

    /// A feed that nobody has becomes this node's.
    pub async fn of(&self, workspace_id: WorkspaceId) -> Result<NodeId, StoreError> {
        if self.own().contains(&workspace_id) {
            return Ok(self.node_id);
        }
        let owner = self.store.feed_owner(workspace_id, self.node_id).await?;
        if owner == self.node_id {
            self.own().insert(workspace_id);
        }
        Ok(owner)
    }

    fn own(&self) -> std::sync::MutexGuard<'_, HashSet<WorkspaceId>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
