//! The other nodes of the cluster, as far as their logs are copied here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::id::NodeId;
use crate::log::{JournalFollower, Progress};

/// Their followers; clones share them. Empty on a node that is alone.
#[derive(Clone, Default)]
pub struct Followers(Arc<Mutex<HashMap<NodeId, Followed>>>);

struct Followed {
    journal: String,
    follower: Arc<JournalFollower>,
}

impl Followers {
    /// From now on this follower is that of the node.
    pub fn enter(&self, node_id: NodeId, journal: &str, follower: Arc<JournalFollower>) {
        self.lock().insert(node_id, Followed { journal: journal.to_owned(), follower });
    }

    /// The follower of a journal, whichever node it was begun for: one that has lost its disk comes back under another id.
    pub fn of_journal(&self, journal: &str) -> Option<Arc<JournalFollower>> {
        self.lock().values().find(|followed| followed.journal == journal).map(|followed| followed.follower.clone())
    }

    pub fn is_followed(&self, node_id: NodeId) -> bool {
        self.lock().contains_key(&node_id)
    }

    pub fn follower(&self, node_id: NodeId) -> Option<Arc<JournalFollower>> {
        self.lock().get(&node_id).map(|followed| followed.follower.clone())
    }

    /// How far each is copied.
    pub fn progress(&self) -> Vec<(NodeId, Progress)> {
        self.lock().iter().map(|(node_id, followed)| (*node_id, followed.follower.progress())).collect()
    }

    /// Whether the copies of a node's logs are what they were a moment ago.
    pub fn is_current(&self, node_id: NodeId) -> bool {
        let progress = self.follower(node_id).map(|follower| follower.progress());
        progress.is_some_and(|progress| progress.is_caught_up && progress.trouble.is_none())
    }

    /// Ends all followers. Blocks until what they have copied is synced.
    pub fn stop(&self) {
        let followers = std::mem::take(&mut *self.lock());
        // All of them first: each ends in its own time.
        followers.values().for_each(|followed| followed.follower.stop());
        drop(followers);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Followed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
