//! The work budget of one document. Pure.
//!
//! Invariant: schemas are untrusted, so work is charged before it is done. The budget does not depend on time: the same
//! request has the same answer.

use std::cell::Cell;

/// Some tenths of a second, at worst.
const UNITS: u64 = 10_000_000;

/// What is left of it.
pub struct Work(Cell<u64>);

impl Work {
    pub fn new() -> Self {
        Self(Cell::new(UNITS))
    }

    pub fn spend(&self, units: usize) -> Result<(), String> {
        let left = self.0.get().checked_sub(units as u64).ok_or("the schema takes too much work to follow")?;
        self.0.set(left);
        Ok(())
    }
}
