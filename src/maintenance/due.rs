//! What is due, and when the next round is: decisions without a clock.

use std::time::Duration;

use crate::domain::status::LogState;
use crate::domain::time::Timestamp;
use crate::domain::work::LogFacts;

/// How long logs are kept, and in which form. Their age counts from the end of their work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub compress_after: Duration,
    /// None: never. One that is not compressed yet is that first.
    pub archive_after: Option<Duration>,
    /// None: for ever.
    pub retention: Option<Duration>,
}

/// What is to be done with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Nothing,
    Compress,
    Archive,
    Delete,
}

/// What has ended before this is older than `age`; none if nothing can be that old.
pub fn deadline(now: Timestamp, age: Duration) -> Option<Timestamp> {
    now.checked_sub_signed(chrono::Duration::from_std(age).ok()?)
}

/// A log that is still to change, or that has failed and waits for its end, is never touched.
pub fn due(log: &LogFacts, is_live: bool, policy: Policy, now: Timestamp) -> Due {
    let Some(completed_at) = log.completed_at.filter(|_| log.has_ended && !log.degraded && !is_live) else {
        return Due::Nothing;
    };
    let is_older = |age| deadline(now, age).is_some_and(|deadline| completed_at < deadline);
    match log.state {
        LogState::Deleted => Due::Nothing,
        // Begun, and cut short.
        LogState::Expiring => Due::Delete,
        LogState::Plain | LogState::Compressed | LogState::Archived if policy.retention.is_some_and(is_older) => {
            Due::Delete
        }
        LogState::Plain if is_older(policy.compress_after) => Due::Compress,
        LogState::Compressed if policy.archive_after.is_some_and(is_older) => Due::Archive,
        LogState::Plain | LogState::Compressed | LogState::Archived => Due::Nothing,
    }
}

/// The first round is not long after a start, so that a service that is often restarted has its rounds too.
const SOON: Duration = Duration::from_secs(60);

/// How long until the first round.
pub fn first_wait(interval: Duration, random: u64) -> Duration {
    next_wait(interval.min(SOON), random)
}

/// How long until the next round: the interval, a tenth more or less, so that services started together do not all
/// work at the same moment.
pub fn next_wait(interval: Duration, random: u64) -> Duration {
    let permille = 900 + (random % 201) as u32;
    interval.saturating_mul(permille) / 1000
}

#[cfg(test)]
mod tests {
    use crate::domain::id::NodeId;
    use chrono::{TimeZone, Utc};

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn day(number: i64) -> Timestamp {
        Utc.timestamp_opt(1_767_225_600 + number * 86_400, 0).unwrap()
    }

    /// Of work that ended on day 0.
    fn log(state: LogState) -> LogFacts {
        LogFacts {
            node_id: NodeId::generate(),
            has_ended: true,
            completed_at: Some(day(0)),
            degraded: false,
            durable_bytes: None,
            state,
            last_sequence: 9,
        }
    }

    #[test]
    fn age_and_state_decide() {
        use Due::{Archive, Compress, Delete, Nothing};
        use LogState::{Archived, Compressed, Deleted, Expiring, Plain};
        let kept = Policy { compress_after: 7 * DAY, archive_after: None, retention: None };
        let deleted = Policy { retention: Some(30 * DAY), ..kept };
        let archived = Policy { archive_after: Some(20 * DAY), ..deleted };
        let at_once = Policy { compress_after: Duration::ZERO, retention: Some(Duration::ZERO), ..kept };
        let never = Policy {
            compress_after: Duration::MAX,
            archive_after: Some(Duration::MAX),
            retention: Some(Duration::MAX),
        };
        for (state, policy, today, expected) in [
            (Plain, kept, 6, Nothing),
            (Plain, kept, 7, Nothing),
            (Plain, kept, 8, Compress),
            (Plain, kept, 3000, Compress),
            (Compressed, kept, 3000, Nothing),
            (Deleted, kept, 3000, Nothing),
            (Expiring, kept, 1, Delete),
            (Plain, deleted, 8, Compress),
            (Plain, deleted, 30, Compress),
            (Plain, deleted, 31, Delete),
            (Compressed, deleted, 30, Nothing),
            (Compressed, deleted, 31, Delete),
            (Deleted, deleted, 31, Nothing),
            (Plain, at_once, 1, Delete),
            (Plain, at_once, 0, Nothing),
            (Plain, archived, 21, Compress),
            (Compressed, archived, 20, Nothing),
            (Compressed, archived, 21, Archive),
            (Compressed, kept, 21, Nothing),
            (Archived, archived, 30, Nothing),
            (Archived, archived, 31, Delete),
            (Archived, kept, 3000, Nothing),
            (Compressed, never, 300_000, Nothing),
            (Plain, never, 300_000, Nothing),
            // A clock that went back.
            (Plain, deleted, -5, Nothing),
        ] {
            assert_eq!(due(&log(state), false, policy, day(today)), expected, "{state} on day {today} with {policy:?}");
        }
    }

    #[test]
    fn what_has_not_ended_or_has_failed_or_is_live_is_never_touched() {
        let none = Duration::ZERO;
        let policy = Policy { compress_after: none, archive_after: Some(none), retention: Some(none) };
        for &state in LogState::ALL {
            let log = log(state);
            let untouchable = [
                (LogFacts { has_ended: false, ..log }, false),
                (LogFacts { completed_at: None, ..log }, false),
                (LogFacts { degraded: true, ..log }, false),
                (log, true),
            ];
            for (log, is_live) in untouchable {
                assert_eq!(due(&log, is_live, policy, day(9999)), Due::Nothing, "{log:?} {is_live}");
            }
        }
    }

    #[test]
    fn rounds_are_about_an_interval_apart_and_the_first_is_soon() {
        let hour = Duration::from_secs(3600);
        for random in [0, 1, 100, 200, 201, u64::MAX] {
            let wait = next_wait(hour, random);
            assert!(wait >= hour * 9 / 10 && wait <= hour * 11 / 10, "{wait:?}");
            assert!(first_wait(hour, random) <= SOON * 11 / 10);
            assert!(first_wait(Duration::from_secs(5), random) <= Duration::from_millis(5500));
            assert!(next_wait(Duration::MAX, random) > hour);
        }
        assert_ne!(next_wait(hour, 3), next_wait(hour, 90));
    }
}
