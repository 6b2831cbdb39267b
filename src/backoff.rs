//! Pauses between attempts. Pure.

use std::time::Duration;

/// A pause that doubles with every attempt, up to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// The pause after failed attempt `attempt`, counted from 1.
    pub fn pause(&self, attempt: u32) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_its_bound() {
        let backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(5) };
        let pauses = [0, 1, 2, 3, 4, 5, u32::MAX].map(|attempt| backoff.pause(attempt).as_millis());
        assert_eq!(pauses, [500, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    }
}
