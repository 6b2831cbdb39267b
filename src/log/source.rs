//! The store of the archive, asked with patience: one that has just not answered is left alone for a while, so that what it
//! costs to find that out is paid now and then, and not by everyone.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::pointer::Pointer;
use super::receive::{Write, receive};
use super::threads::lock;
use crate::objects::{Content, ObjectError, ObjectStore, Stop};

pub(super) struct Source {
    store: Arc<dyn ObjectStore>,
    pause: Duration,
    away_until: Mutex<Option<Instant>>,
}

impl Source {
    pub(super) fn new(store: Arc<dyn ObjectStore>, pause: Duration) -> Self {
        Self { store, pause, away_until: Mutex::default() }
    }

    fn ask<T>(&self, request: impl FnOnce(&dyn ObjectStore) -> Result<T, ObjectError>) -> Result<T, ObjectError> {
        if lock(&self.away_until).is_some_and(|until| Instant::now() < until) {
            return Err(ObjectError::Unavailable("it has not answered a moment ago".into()));
        }
        let answer = request(&*self.store);
        match answer {
            Err(ObjectError::Unavailable(_)) => *lock(&self.away_until) = Some(Instant::now() + self.pause),
            Ok(_) | Err(ObjectError::NotFound | ObjectError::Refused(_)) => *lock(&self.away_until) = None,
            // Nothing of the store.
            Err(ObjectError::Stopped | ObjectError::Local(_)) => {}
        }
        answer
    }

    pub(super) fn put(&self, name: &str, content: Content, stop: Stop) -> Result<(), ObjectError> {
        self.ask(|store| store.put(name, content, stop))
    }

    /// As [`receive`].
    pub(super) fn receive(&self, pointer: &Pointer, write: Write, stop: Stop) -> Result<bool, ObjectError> {
        self.ask(|store| receive(store, pointer, write, stop))
    }

    pub(super) fn size(&self, name: &str, stop: Stop) -> Result<u64, ObjectError> {
        self.ask(|store| store.size(name, stop))
    }

    pub(super) fn delete(&self, name: &str, stop: Stop) -> Result<(), ObjectError> {
        self.ask(|store| store.delete(name, stop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::memory::{Faults, MemoryStore};

    #[test]
    fn only_a_store_that_does_not_answer_is_left_alone() {
        let store = MemoryStore::default();
        let source = Source::new(Arc::new(store.clone()), Duration::from_secs(3600));
        let size = || source.size("x", &|| false);
        store.inject(Faults { refuses: true, ..Faults::default() });
        assert!(matches!(size(), Err(ObjectError::Refused(_))));
        store.inject(Faults { away: true, ..Faults::default() });
        assert!(matches!(size(), Err(ObjectError::Unavailable(_))), "it was asked");
        store.inject(Faults::default());
        assert!(matches!(size(), Err(ObjectError::Unavailable(_))), "it is left alone");
    }
}
