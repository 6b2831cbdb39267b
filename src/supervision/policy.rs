//! Whether a child that panicked is restarted: a pure decision over a restart budget.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a panic of a child means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Its work has failed; its owner ends it properly.
    Never,
    /// It is restarted, at most this often within the time.
    Retry { times: usize, within: Duration },
}

/// Counts the restarts of one child against its policy.
#[derive(Debug)]
pub struct Budget {
    policy: Policy,
    restarts: VecDeque<Instant>,
}

impl Budget {
    pub fn new(policy: Policy) -> Self {
        Self { policy, restarts: VecDeque::new() }
    }

    /// Takes one restart from the budget; false when none is left.
    pub fn take(&mut self, now: Instant) -> bool {
        let Policy::Retry { times, within } = self.policy else { return false };
        while self.restarts.front().is_some_and(|&at| now.duration_since(at) > within) {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= times {
            return false;
        }
        self.restarts.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_refills_with_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut budget = Budget::new(Policy::Retry { times: 2, within: Duration::from_secs(10) });
        assert!(budget.take(at(0)) && budget.take(at(1)));
        assert!(!budget.take(at(9)));
        assert!(budget.take(at(11)), "the first restart is forgotten");
        assert!(!Budget::new(Policy::Never).take(start));
    }
}
