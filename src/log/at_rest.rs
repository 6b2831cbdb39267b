//! Logs that nothing appends to, and where they end; those that have ended are remembered, open.
//!
//! Law: what is remembered is the log as it is. Whoever may change a log claims it first, and then it is forgotten; what was
//! opened before a claim ends, or as much as begins, is not remembered behind it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use super::ended::is_terminal;
use super::reader::{LogReader, Tail};
use super::threads::lock;
use crate::domain::StreamKey;

/// Each has a file open.
const MOST: usize = 64;
/// The last event of most logs is much shorter.
const LARGEST_END: usize = 16 << 10;

/// A log, and where it ended when it was opened.
#[derive(Clone)]
pub struct AtRest {
    pub reader: LogReader,
    pub tail: Tail,
    /// Its last event is the terminal one.
    pub has_ended: bool,
}

impl AtRest {
    /// With `limit`, as if there were at most so many bytes.
    pub(super) fn of(reader: LogReader, key: StreamKey, limit: Option<u64>) -> io::Result<Self> {
        let tail = reader.tail_within(limit.unwrap_or(u64::MAX))?;
        let has_ended = is_terminal(&tail, key);
        let reader = if has_ended && limit.is_none() { reader.ending_with(tail.clone()) } else { reader };
        Ok(Self { reader, tail, has_ended })
    }
}

/// Logs that have ended, the one that was asked for last in front.
#[derive(Default)]
pub(super) struct EndedLogs(Mutex<State>);

#[derive(Default)]
struct State {
    /// How often something was to be forgotten.
    forgotten: u64,
    logs: VecDeque<(StreamKey, Arc<AtRest>)>,
}

/// Before anything was asked about a log that is about to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(u64);

impl EndedLogs {
    pub(super) fn find(&self, key: StreamKey) -> Option<Arc<AtRest>> {
        let mut state = lock(&self.0);
        let at = state.logs.iter().position(|(known, _)| *known == key)?;
        let found = state.logs.remove(at)?;
        let log = found.1.clone();
        state.logs.push_front(found);
        Some(log)
    }

    /// To be noted before the log is found at rest, and that before anybody is asked about it, and it is opened.
    pub(super) fn now(&self) -> Moment {
        Moment(lock(&self.0).forgotten)
    }

    /// A log that was at rest at that moment.
    pub(super) fn remember(&self, key: StreamKey, log: &AtRest, opened: Moment) {
        let is_small = log.tail.last_line.as_ref().is_some_and(|line| line.len() <= LARGEST_END);
        let mut state = lock(&self.0);
        // What is open keeps its place on the disk, and copies of what is in the archive have a bound.
        let is_kept = log.has_ended && is_small && !log.reader.is_fetched();
        if !is_kept || state.forgotten != opened.0 {
            return;
        }
        state.logs.retain(|(known, _)| *known != key);
        state.logs.push_front((key, Arc::new(log.clone())));
        state.logs.truncate(MOST);
    }

    /// Somebody has claimed it.
    pub(super) fn forget(&self, key: StreamKey) {
        let mut state = lock(&self.0);
        state.forgotten += 1;
        state.logs.retain(|(known, _)| *known != key);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    /// A log that has ended, open; with its last line as long as this.
    fn ended(padding: usize) -> (Sample, AtRest) {
        let sample = Sample::new();
        let lines = [sample.lines(3, 10), sample.event("run.completed", 4, padding)].concat();
        let log = AtRest::of(sample.reader(&lines), sample.key, None).unwrap();
        (sample, log)
    }

    #[test]
    fn what_has_ended_is_remembered_until_somebody_claims_it() {
        let (logs, (sample, log)) = (EndedLogs::default(), ended(0));
        logs.remember(sample.key, &log, logs.now());
        let found = logs.find(sample.key).unwrap();
        assert_eq!((found.tail.last_sequence, found.has_ended), (4, true));
        assert_eq!(found.reader.known_tail(), Some(&log.tail));
        logs.forget(sample.key);
        assert!(logs.find(sample.key).is_none());
    }

    #[test]
    fn what_was_opened_before_a_claim_is_not_remembered_behind_it() {
        let (logs, (sample, log)) = (EndedLogs::default(), ended(0));
        let opened = logs.now();
        logs.forget(sample.key);
        logs.remember(sample.key, &log, opened);
        assert!(logs.find(sample.key).is_none());
    }

    #[test]
    fn what_has_not_ended_or_ends_in_a_large_event_is_opened_each_time() {
        let logs = EndedLogs::default();
        let (sample, large) = ended(LARGEST_END);
        logs.remember(sample.key, &large, logs.now());
        assert!(logs.find(sample.key).is_none());
        let (sample, log) = ended(0);
        let first = log.reader.seek(1, log.tail.bytes).unwrap();
        let cut = AtRest::of(log.reader.clone(), sample.key, Some(first)).unwrap();
        assert_eq!((cut.tail.last_sequence, cut.has_ended), (1, false));
        logs.remember(sample.key, &cut, logs.now());
        assert!(logs.find(sample.key).is_none());
    }

    #[test]
    fn those_asked_for_last_are_kept() {
        let logs = EndedLogs::default();
        let all: Vec<_> = (0..=MOST).map(|_| ended(0)).collect();
        for (sample, log) in &all {
            logs.remember(sample.key, log, logs.now());
            assert!(logs.find(all[0].0.key).is_some());
        }
        assert!(logs.find(all[1].0.key).is_none());
        assert!(logs.find(all[MOST].0.key).is_some());
    }
}
