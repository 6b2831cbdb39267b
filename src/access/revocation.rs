//! The end of what somebody was let in by, for everything that goes on under it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Told once; whoever asks or waits hears of it. Asking costs a load.
#[derive(Debug, Clone, Default)]
pub struct Revocation(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_revoked: AtomicBool,
    told: Arc<Notify>,
}

impl Revocation {
    pub fn revoke(&self) {
        self.0.is_revoked.store(true, Ordering::SeqCst);
        self.0.told.notify_waiters();
    }

    pub fn is_revoked(&self) -> bool {
        self.0.is_revoked.load(Ordering::SeqCst)
    }

    /// Wakes whoever polls it when this is revoked after that; who is woken asks again.
    pub fn told(&self) -> OwnedNotified {
        self.0.told.clone().notified_owned()
    }

    pub async fn revoked(&self) {
        let mut told = std::pin::pin!(self.told());
        // Listens before it asks, so that nothing is missed in between.
        told.as_mut().enable();
        if !self.is_revoked() {
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_and_who_asks_later_hear_of_it() {
        let revocation = Revocation::default();
        let waiting = tokio::spawn({
            let revocation = revocation.clone();
            async move { revocation.revoked().await }
        });
        tokio::task::yield_now().await;
        assert!(!revocation.is_revoked() && !waiting.is_finished());
        revocation.revoke();
        waiting.await.unwrap();
        assert!(revocation.is_revoked());
        revocation.revoked().await;
    }
}
