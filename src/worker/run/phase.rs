//! Which phase of a run is open. Some engines only announce that one begins; its end is then emitted here.

use crate::domain::time::{Timestamp, duration_ms};
use crate::event::payload::PhaseStatus;
use crate::event::payload::run::PhaseCompleted;

/// The one open phase, if any.
#[derive(Debug, Default)]
pub struct PhaseTracker {
    open: Option<(String, Timestamp)>,
    /// The one that was still open at the end.
    unfinished: Option<String>,
}

impl PhaseTracker {
    /// A phase begins: what was open before has succeeded.
    pub fn started(&mut self, phase: &str, at: Timestamp) -> Option<PhaseCompleted> {
        if self.open.as_ref().is_some_and(|(open, _)| open == phase) {
            return None;
        }
        let closed = self.close(PhaseStatus::Succeeded, at);
        self.open = Some((phase.to_owned(), at));
        self.unfinished = None;
        closed
    }

    /// The engine itself has reported the end of a phase.
    pub fn completed(&mut self, phase: &str) {
        if self.current() == Some(phase) {
            self.open = None;
        }
    }

    /// The run is over, and what is open ends with it.
    pub fn close(&mut self, status: PhaseStatus, at: Timestamp) -> Option<PhaseCompleted> {
        let (phase, since) = self.open.take()?;
        self.unfinished = Some(phase.clone());
        Some(PhaseCompleted { phase, status, duration_ms: duration_ms(since, at), message: None, metrics: None })
    }

    /// The phase that is open, or was when the run ended.
    pub fn last(&self) -> Option<&str> {
        self.current().or(self.unfinished.as_deref())
    }

    pub fn current(&self) -> Option<&str> {
        self.open.as_ref().map(|(phase, _)| phase.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_timestamp_millis(ms).unwrap()
    }

    fn shape(closed: Option<PhaseCompleted>) -> Option<(String, PhaseStatus, u64)> {
        closed.map(|closed| (closed.phase, closed.status, closed.duration_ms))
    }

    #[test]
    fn the_next_start_closes_the_previous_phase() {
        let mut tracker = PhaseTracker::default();
        assert_eq!(tracker.started("extracting", at(0)), None);
        assert_eq!(tracker.started("extracting", at(3)), None, "told twice is told once");
        let closed = tracker.started("mapping", at(5));
        assert_eq!(shape(closed), Some(("extracting".into(), PhaseStatus::Succeeded, 5)));
        assert_eq!(shape(tracker.close(PhaseStatus::Failed, at(9))), Some(("mapping".into(), PhaseStatus::Failed, 4)));
        assert_eq!(tracker.close(PhaseStatus::Failed, at(9)), None);
        assert_eq!(tracker.last(), Some("mapping"));
    }

    #[test]
    fn an_engine_that_tells_ends_is_left_alone() {
        let mut tracker = PhaseTracker::default();
        tracker.started("extracting", at(0));
        tracker.completed("extracting");
        assert_eq!(tracker.started("mapping", at(5)), None);
        tracker.completed("other");
        assert_eq!(tracker.current(), Some("mapping"));
    }
}
