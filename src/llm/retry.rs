//! The retry policy of calls: whether and when to retry. Pure: randomness comes in as a number.

use std::time::Duration;

use super::ProviderError;
use crate::backoff::Backoff;

/// How often a call is retried, and after which pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Calls in total; 1 means no retry.
    pub max_attempts: u32,
    /// The longest pause before the second call; it doubles with every further one.
    pub delay: Duration,
    /// The longest pause. A provider that asks for a longer one is not called again.
    pub max_delay: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { max_attempts: 4, delay: Duration::from_secs(1), max_delay: Duration::from_secs(60) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Again { after: Duration },
    GiveUp,
}

impl Policy {
    /// What to do after the failure of call `attempt`, counted from 1. `random` is in 0..1.
    ///
    /// The pause is between a half and the whole of a time that doubles, so that clients that failed together do not
    /// retry together. It is never shorter than what the provider asked for.
    pub fn decide(&self, error: &ProviderError, attempt: u32, random: f64) -> Decision {
        if !is_passing(error) || attempt >= self.max_attempts {
            return Decision::GiveUp;
        }
        let asked = asked_for(error).unwrap_or_default();
        if asked > self.max_delay {
            return Decision::GiveUp;
        }
        let backoff = Backoff { first: self.delay, longest: self.max_delay };
        let pause = backoff.pause(attempt).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        // Spread here too: every client was given the same time.
        let spread = (asked + self.delay.mul_f64(random.clamp(0.0, 1.0) / 2.0)).min(self.max_delay).max(asked);
        Decision::Again { after: if asked.is_zero() { pause } else { pause.max(spread) } }
    }
}

/// The same call may succeed later.
fn is_passing(error: &ProviderError) -> bool {
    match error {
        ProviderError::RateLimited { .. }
        | ProviderError::Server { .. }
        | ProviderError::Timeout { .. }
        | ProviderError::Transport { .. } => true,
        ProviderError::Malformed { .. }
        | ProviderError::TooLarge { .. }
        | ProviderError::Refused { .. }
        | ProviderError::Authentication { .. }
        | ProviderError::Unanswerable { .. } => false,
    }
}

fn asked_for(error: &ProviderError) -> Option<Duration> {
    match error {
        ProviderError::RateLimited { retry_after, .. } | ProviderError::Server { retry_after, .. } => *retry_after,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::llm::Wait;

    const POLICY: Policy =
        Policy { max_attempts: 5, delay: Duration::from_secs(1), max_delay: Duration::from_secs(10) };

    fn limited(seconds: Option<u64>) -> ProviderError {
        ProviderError::RateLimited { retry_after: seconds.map(Duration::from_secs), message: String::new() }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let text = String::new;
        let total = Duration::ZERO;
        for (error, again) in [
            (limited(None), true),
            (ProviderError::Server { status: 500, retry_after: None, message: text() }, true),
            (ProviderError::Server { status: 529, retry_after: None, message: text() }, true),
            (ProviderError::Timeout { wait: Wait::Idle, limit: total }, true),
            (ProviderError::Timeout { wait: Wait::Total, limit: total }, true),
            (ProviderError::Transport { reason: text() }, true),
            (ProviderError::Malformed { reason: text() }, false),
            (ProviderError::TooLarge { limit: 1 }, false),
            (ProviderError::Refused { status: 400, message: text() }, false),
            (ProviderError::Authentication { status: 401, message: text() }, false),
            (ProviderError::Unanswerable { reason: text() }, false),
        ] {
            assert_eq!(POLICY.decide(&error, 1, 0.0) != Decision::GiveUp, again, "{error}");
        }
    }

    #[test]
    fn the_pause_doubles_up_to_its_bound() {
        for (attempt, random, expected) in [
            (1, 0.0, Some(500)),
            (1, 1.0, Some(1_000)),
            (2, 0.0, Some(1_000)),
            (2, 0.5, Some(1_500)),
            (3, 1.0, Some(4_000)),
            (4, 1.0, Some(8_000)),
            (5, 0.0, None),
            (6, 0.0, None),
        ] {
            let expected = expected.map_or(Decision::GiveUp, |ms| Decision::Again { after: Duration::from_millis(ms) });
            assert_eq!(POLICY.decide(&limited(None), attempt, random), expected, "{attempt} {random}");
        }
        let patient = Policy { max_attempts: u32::MAX, ..POLICY };
        assert_eq!(patient.decide(&limited(None), 4_000_000, 1.0), Decision::Again { after: POLICY.max_delay });
    }

    #[test]
    fn what_the_provider_asks_for_is_kept_or_not_tried() {
        for (asked, random, expected) in [
            (0, 0.0, Some(500)),
            (3, 0.0, Some(3_000)),
            (3, 1.0, Some(3_500)),
            (10, 1.0, Some(10_000)),
            (11, 0.0, None),
            (u64::MAX, 0.0, None),
        ] {
            let expected = expected.map_or(Decision::GiveUp, |ms| Decision::Again { after: Duration::from_millis(ms) });
            assert_eq!(POLICY.decide(&limited(Some(asked)), 1, random), expected, "{asked} {random}");
        }
    }

    proptest! {
        #[test]
        fn no_pause_is_shorter_than_asked_or_longer_than_allowed(asked in 0_u64..20, attempt in 1_u32..5, random in 0.0_f64..1.0) {
            match POLICY.decide(&limited(Some(asked)), attempt, random) {
                Decision::Again { after } => {
                    prop_assert!(after >= Duration::from_secs(asked) && after <= POLICY.max_delay);
                }
                Decision::GiveUp => prop_assert!(asked > 10),
            }
        }
    }
}
