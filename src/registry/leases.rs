//! Who keeps which venv from being pruned.
//!
//! Law: a lease is taken while the decision about its configuration is being made, and pruning decides under the same
//! lock. So there is no moment between learning of a venv and holding it at which it could be removed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::BuildId;

#[derive(Debug, Clone, Default)]
pub struct Leases(Arc<Mutex<HashMap<BuildId, usize>>>);

/// As long as this is held, the venv stays.
#[derive(Debug)]
pub struct Lease {
    build_id: BuildId,
    leases: Leases,
}

impl Leases {
    pub fn take(&self, build_id: BuildId) -> Lease {
        *self.lock().entry(build_id).or_default() += 1;
        Lease { build_id, leases: self.clone() }
    }

    pub fn is_held(&self, build_id: BuildId) -> bool {
        self.lock().contains_key(&build_id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BuildId, usize>> {
        // A count is changed in one step, so it is right even after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut counts = self.leases.lock();
        if let Some(count) = counts.get_mut(&self.build_id) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.build_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_venv_is_held_until_the_last_one_lets_go() {
        let leases = Leases::default();
        let (build, other) = (BuildId::generate(), BuildId::generate());
        let [first, second] = [leases.take(build), leases.take(build)];
        drop(first);
        assert!(leases.is_held(build) && !leases.is_held(other));
        drop(second);
        assert!(!leases.is_held(build));
        assert!(leases.lock().is_empty(), "nothing is kept of what is not held");
    }
}
