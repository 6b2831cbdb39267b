//! The time of one log.
//!
//! Law: it is set from the system's clock once, when the log is opened, and from then on follows the monotonic clock,
//! whatever the system's clock is set to. So times in a log never go backwards, and the difference of two that the same
//! process wrote is how long it took. A log that is opened again continues from its last event, or from the system's
//! clock if that is later.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use nix::time::{ClockId, clock_gettime};

use crate::domain::time::{Timestamp, micros};

#[derive(Debug, Clone, Copy)]
pub struct LogClock {
    opened: Timestamp,
    at: Duration,
}

impl LogClock {
    /// Of a log whose last event has this time.
    pub fn resume(last: Option<Timestamp>) -> Self {
        Self::starting(last, Utc::now(), since_boot())
    }

    pub fn now(&self) -> Timestamp {
        self.after(since_boot())
    }

    fn starting(last: Option<Timestamp>, wall: Timestamp, at: Duration) -> Self {
        Self { opened: micros(last.map_or(wall, |last| last.max(wall))), at }
    }

    fn after(&self, now: Duration) -> Timestamp {
        let elapsed = TimeDelta::from_std(now.saturating_sub(self.at)).unwrap_or(TimeDelta::MAX);
        micros(self.opened.checked_add_signed(elapsed).unwrap_or(self.opened))
    }
}

/// Also counts while the machine sleeps, and cannot be set.
fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_log_goes_on_after_its_last_event_wherever_the_clock_is() {
        let boot = Duration::from_secs(50);
        for (last, wall, first) in [(None, 100, 100), (Some(90), 100, 100), (Some(500), 100, 500)] {
            let clock = LogClock::starting(last.map(at), at(wall), boot);
            assert_eq!(clock.after(boot), at(first));
            assert_eq!(clock.after(boot + Duration::from_secs(7)), at(first + 7));
            assert_eq!(clock.after(Duration::ZERO), at(first), "never before its beginning");
        }
    }

    #[test]
    fn it_is_the_systems_time_to_begin_with() {
        let (before, clock) = (Utc::now(), LogClock::resume(None));
        let (first, second) = (clock.now(), clock.now());
        assert!(first >= micros(before) && first <= second && second <= Utc::now() + TimeDelta::seconds(1));
    }
}
