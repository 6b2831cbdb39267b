//! Locks by key: of two who come with one key, the second waits for the first.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Keys share a fixed number of locks: two that meet only wait a little longer.
const LOCKS: usize = 64;

/// Holds within this service. Between services on one database the database decides.
#[derive(Debug, Clone)]
pub struct KeyedLocks {
    locks: Arc<[Arc<Mutex<()>>]>,
    hasher: RandomState,
}

impl Default for KeyedLocks {
    fn default() -> Self {
        Self { locks: (0..LOCKS).map(|_| Arc::default()).collect(), hasher: RandomState::new() }
    }
}

impl KeyedLocks {
    pub async fn lock(&self, key: impl Hash) -> OwnedMutexGuard<()> {
        let number = self.hasher.hash_one(key) as usize % LOCKS;
        self.locks[number].clone().lock_owned().await
    }
}
