//! A lock for each file: who puts, fetches, releases or removes one is alone with it, for as long as the store takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Lock, OwnedMutexGuard};

/// Those that nobody holds are forgotten when there are more.
const MOST_IDLE: usize = 64;

#[derive(Default)]
pub struct FileLocks(Mutex<HashMap<String, Weak<Lock<()>>>>);

impl FileLocks {
    pub async fn lock(&self, path: &str) -> OwnedMutexGuard<()> {
        self.of(path).lock_owned().await
    }

    /// None while somebody is at it.
    pub fn try_lock(&self, path: &str) -> Option<OwnedMutexGuard<()>> {
        self.of(path).try_lock_owned().ok()
    }

    fn of(&self, path: &str) -> Arc<Lock<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(path).and_then(Weak::upgrade) {
            return lock;
        }
        if locks.len() >= MOST_IDLE {
            locks.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::new(Lock::new(()));
        locks.insert(path.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_has_one_holder_and_does_not_wait_for_another_file() {
        let locks = FileLocks::default();
        let held = locks.lock("a").await;
        assert!(locks.try_lock("a").is_none());
        let others: Vec<_> = (0..500).map(|number| locks.try_lock(&format!("b{number}")).unwrap()).collect();
        drop(others);
        assert!(locks.try_lock("a").is_none(), "it is not forgotten while it is held");
        drop(held);
        assert!(locks.try_lock("a").is_some());
        locks.lock("c").await;
        assert!(locks.0.lock().unwrap().len() <= MOST_IDLE, "nobody holds them any more");
    }
}
