//! What a session is doing, for code that observes its actor.

use std::cell::Cell;
use std::rc::Rc;

/// Shared by a session and its actor, which live on one thread.
#[derive(Debug, Clone)]
pub struct Stage(Rc<Cell<&'static str>>);

impl Default for Stage {
    fn default() -> Self {
        Self(Rc::new(Cell::new("starting")))
    }
}

impl Stage {
    pub fn enter(&self, stage: &'static str) {
        self.0.set(stage);
    }

    pub fn current(&self) -> &'static str {
        self.0.get()
    }
}
