//! The order of a configuration's builds.
//!
//! Law: builds of one configuration are done one at a time, in the order in which their places were taken, however
//! late one of them comes to ask whether it is its turn.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The queue of a configuration's builds.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<()>>);

/// A place in the queue; dropping it gives it up.
pub struct Place(BoxFuture<'static, Turn>);

/// Held while building.
pub type Turn = OwnedMutexGuard<()>;

impl Turns {
    pub fn queue(&self) -> Place {
        let mut turn = self.0.clone().lock_owned().boxed();
        // The lock is fair to those who have asked for it once.
        match (&mut turn).now_or_never() {
            Some(mine) => Place(ready(mine).boxed()),
            None => Place(turn),
        }
    }

    /// Whether nobody has a place.
    pub fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Place {
    pub async fn reached(self) -> Turn {
        self.0.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_keep_their_order_whoever_asks_first() {
        let turns = Turns::default();
        let [first, second, third] = [turns.queue(), turns.queue(), turns.queue()];
        let (mut second, mut third) = (second.reached().boxed(), third.reached().boxed());
        assert!((&mut third).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        let turn = first.reached().await;
        assert!((&mut third).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        drop(turn);
        assert!((&mut third).now_or_never().is_none());
        drop(second.await);
        drop(third.await);
        assert!(turns.is_idle());
    }

    #[tokio::test]
    async fn a_place_that_is_given_up_holds_up_nobody() {
        let turns = Turns::default();
        let [first, second, third] = [turns.queue(), turns.queue(), turns.queue()];
        drop(second);
        assert!(!turns.is_idle());
        drop(first.reached().await);
        drop(third.reached().await);
        drop(turns.queue());
        assert!(turns.is_idle());
    }
}
