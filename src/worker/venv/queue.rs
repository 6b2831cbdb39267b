//! The order of a configuration's builds.
//!
//! Invariant: builds of one configuration are done one at a time, in the order in which their places were taken,
//! however late one of them comes to ask whether it is its turn.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The queue of a configuration's builds.
#[derive(Debug, Clone, Default)]
pub struct BuildQueue(Arc<Mutex<()>>);

/// A place in the queue; dropping it gives it up.
pub struct QueuePlace(BoxFuture<'static, BuildPermit>);

/// Held while building.
pub type BuildPermit = OwnedMutexGuard<()>;

impl BuildQueue {
    pub fn join(&self) -> QueuePlace {
        let mut turn = self.0.clone().lock_owned().boxed();
        // The lock is fair to those who have asked for it once.
        match (&mut turn).now_or_never() {
            Some(mine) => QueuePlace(ready(mine).boxed()),
            None => QueuePlace(turn),
        }
    }

    /// Whether no place is taken.
    pub fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl QueuePlace {
    pub async fn granted(self) -> BuildPermit {
        self.0.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_keep_their_order_whoever_asks_first() {
        let queue = BuildQueue::default();
        let [first, second, third] = [queue.join(), queue.join(), queue.join()];
        let (mut second, mut third) = (second.granted().boxed(), third.granted().boxed());
        assert!((&mut third).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        let turn = first.granted().await;
        assert!((&mut third).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        drop(turn);
        assert!((&mut third).now_or_never().is_none());
        drop(second.await);
        drop(third.await);
        assert!(queue.is_idle());
    }

    #[tokio::test]
    async fn a_place_that_is_given_up_holds_up_nobody() {
        let queue = BuildQueue::default();
        let [first, second, third] = [queue.join(), queue.join(), queue.join()];
        drop(second);
        assert!(!queue.is_idle());
        drop(first.granted().await);
        drop(third.granted().await);
        drop(queue.join());
        assert!(queue.is_idle());
    }
}
