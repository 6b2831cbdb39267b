//! Numbers: which sequence and id an event gets, and whether it is admitted at all. Pure.

use ulid::Ulid;

use crate::domain::time::Timestamp;
use crate::domain::{EventId, StreamKey, StreamKind};
use crate::event::codec::{EventRef, Stamp};

/// The stream has its terminal event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// Knows the last event of a stream, and so the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequencer {
    kind: StreamKind,
    last: u64,
    last_id: Ulid,
    closed: bool,
}

impl Sequencer {
    /// Continues after the last event of a log, or begins at 1 when there is none.
    pub fn resume(key: StreamKey, last: Option<&EventRef<'_>>) -> Self {
        Self {
            kind: key.kind(),
            last: last.map_or(0, |event| event.sequence),
            last_id: last.map_or(Ulid::nil(), |event| event.event_id.ulid()),
            closed: last.is_some_and(|event| event.is_terminal(key)),
        }
    }

    pub fn last(&self) -> u64 {
        self.last
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Admits one event. `fresh` is an id of about now; ids ascend even when the clock does not.
    pub fn admit(&mut self, kind: &str, now: Timestamp, fresh: EventId) -> Result<Stamp, Closed> {
        if self.closed {
            return Err(Closed);
        }
        self.closed = self.kind.is_terminal(kind.as_bytes());
        self.last += 1;
        self.last_id = fresh.ulid().max(successor(self.last_id));
        Ok(Stamp { sequence: self.last, event_id: EventId::from_ulid(self.last_id), created_at: now })
    }
}

fn successor(id: Ulid) -> Ulid {
    // The 80 random bits overflow about never; then the id moves to the next millisecond.
    id.increment().unwrap_or_else(|_| Ulid::from_parts(id.timestamp_ms() + 1, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RunId, WorkspaceId};
    use proptest::prelude::*;

    fn new() -> Sequencer {
        Sequencer::resume(StreamKey::of(WorkspaceId::generate(), RunId::generate()), None)
    }

    #[test]
    fn nothing_is_admitted_after_the_end() {
        let mut sequencer = new();
        let now = chrono::Utc::now();
        let fresh = EventId::generate();
        assert_eq!(sequencer.admit("build.completed", now, fresh).unwrap().sequence, 1);
        assert_eq!(sequencer.admit("run.completed", now, fresh).unwrap().sequence, 2);
        assert_eq!(sequencer.admit("console.line", now, fresh).unwrap_err(), Closed);
        assert_eq!(sequencer.last(), 2);
    }

    proptest! {
        #[test]
        fn sequences_are_dense_and_ids_ascend_whatever_the_clock_does(times in prop::collection::vec(0u64..1000, 1..100)) {
            let mut sequencer = new();
            let mut last: Option<EventId> = None;
            for (index, ms) in times.into_iter().enumerate() {
                let fresh = EventId::from_ulid(Ulid::from_parts(ms, u128::MAX >> 48));
                let stamp = sequencer.admit("x", chrono::Utc::now(), fresh).unwrap();
                prop_assert_eq!(stamp.sequence, index as u64 + 1);
                prop_assert!(last.is_none_or(|last| last < stamp.event_id));
                last = Some(stamp.event_id);
            }
        }
    }
}
