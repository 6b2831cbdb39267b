//! How many spans wait to be sent, and what became of those that were not.
//!
//! Law: no more than [`Backlog::MOST`] spans are kept. Where there is no room, and where the collector does not take a
//! batch, spans are lost: counted, and told in the log when it begins and when it is over.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Shared by those who end spans, and by the thread that sends them.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: AtomicUsize,
    lost: AtomicU64,
    /// It has been told that spans are lost, and not yet that this is over.
    is_losing: AtomicBool,
}

impl Backlog {
    /// A span has some hundred bytes.
    pub const MOST: usize = 4096;

    /// Whether there is room for one more, which takes it.
    pub fn enter(&self) -> bool {
        let entered = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < Self::MOST).then_some(waiting + 1)
        });
        if entered.is_err() {
            self.lose(1, "too many wait for the collector");
        }
        entered.is_ok()
    }

    /// Spans have been taken out, to be sent.
    pub fn leave(&self, count: usize) {
        let less = |waiting: usize| Some(waiting.saturating_sub(count));
        // Such an update never fails.
        let _ = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    pub fn lose(&self, count: usize, why: &str) {
        self.lost.fetch_add(count as u64, Ordering::Relaxed);
        if !self.is_losing.swap(true, Ordering::Relaxed) {
            tracing::warn!(reason = why, "spans are lost; this is told again when the collector takes them");
        }
    }

    /// The collector has taken a batch.
    pub fn deliver(&self) {
        if self.is_losing.swap(false, Ordering::Relaxed) {
            tracing::info!(lost = self.lost(), "the collector takes spans again");
        }
    }

    /// Since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_what_is_lost_is_counted() {
        let backlog = Backlog::default();
        assert_eq!((0..Backlog::MOST + 10).filter(|_| backlog.enter()).count(), Backlog::MOST);
        assert_eq!(backlog.lost(), 10);
        backlog.leave(3);
        assert_eq!((0..10).filter(|_| backlog.enter()).count(), 3);
        backlog.lose(5, "refused");
        assert_eq!(backlog.lost(), 22);
    }
}
