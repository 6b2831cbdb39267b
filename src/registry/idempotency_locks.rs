//! Locks of idempotency keys: of two requests with one key, the second waits for the first.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::domain::idempotency::Claim;

/// Keys share a fixed number of locks: two that meet only wait a little longer.
const LOCKS: usize = 64;

/// A request waits for its twin, so that it finds what that one has created. Between services on one database the
/// database decides.
#[derive(Debug, Clone)]
pub struct IdempotencyLocks {
    locks: Arc<[Arc<Mutex<()>>]>,
    hasher: RandomState,
}

impl Default for IdempotencyLocks {
    fn default() -> Self {
        Self { locks: (0..LOCKS).map(|_| Arc::default()).collect(), hasher: RandomState::new() }
    }
}

impl IdempotencyLocks {
    pub async fn lock(&self, claim: &Claim) -> OwnedMutexGuard<()> {
        let number = self.hasher.hash_one((&claim.caller, &claim.key)) as usize % LOCKS;
        self.locks[number].clone().lock_owned().await
    }
}
