//! A store, asked with patience: one that has just not answered is left alone for a while, so that what it
//! costs to find that out is paid now and then, and not by everyone.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::receive::{Expected, Write, receive};
use super::store::{Content, ObjectError, ObjectStore, Stop};

/// Whoever shares it leaves the store alone together.
pub struct PatientStore {
    store: Arc<dyn ObjectStore>,
    pause: Duration,
    away_until: Mutex<Option<Instant>>,
}

impl PatientStore {
    pub fn new(store: Arc<dyn ObjectStore>, pause: Duration) -> Self {
        Self { store, pause, away_until: Mutex::default() }
    }

    fn away_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.away_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T>(&self, request: impl FnOnce(&dyn ObjectStore) -> Result<T, ObjectError>) -> Result<T, ObjectError> {
        if self.is_left_alone() {
            return Err(ObjectError::Unavailable("it has not answered a moment ago".into()));
        }
        let answer = request(&*self.store);
        match answer {
            Err(ObjectError::Unavailable(_)) => *self.away_until() = Some(Instant::now() + self.pause),
            Ok(_) | Err(ObjectError::NotFound | ObjectError::Refused(_)) => *self.away_until() = None,
            // Nothing of the store.
            Err(ObjectError::Stopped | ObjectError::Local(_)) => {}
        }
        answer
    }

    /// Whether it has not answered a moment ago, and would not be asked.
    pub fn is_left_alone(&self) -> bool {
        self.away_until().is_some_and(|until| Instant::now() < until)
    }

    /// It has taken longer than it may, as only who asked it can tell.
    pub fn leave_alone(&self) {
        *self.away_until() = Some(Instant::now() + self.pause);
    }

    pub fn put(&self, name: &str, content: Content, stop: Stop) -> Result<(), ObjectError> {
        self.ask(|store| store.put(name, content, stop))
    }

    /// As [`receive`].
    pub fn receive(&self, expected: Expected, write: Write, stop: Stop) -> Result<bool, ObjectError> {
        self.ask(|store| receive(store, expected, write, stop))
    }

    pub fn size(&self, name: &str, stop: Stop) -> Result<u64, ObjectError> {
        self.ask(|store| store.size(name, stop))
    }

    pub fn delete(&self, name: &str, stop: Stop) -> Result<(), ObjectError> {
        self.ask(|store| store.delete(name, stop))
    }

    /// Puts an object, unless an earlier attempt has, and reads all of it back. False: it does not read as what was put, and
    /// is deleted, or the next attempt would find it there and never put a better one. `read` gives that many bytes from a
    /// place of what is to be put.
    pub fn put_whole(
        &self,
        expected: Expected,
        read: &mut dyn FnMut(u64, usize) -> io::Result<Bytes>,
        stop: Stop,
    ) -> Result<bool, ObjectError> {
        let is_there = match self.size(expected.name, stop) {
            Ok(size) => size == expected.bytes,
            // A key that may not list the bucket is not told what is missing; whether it may put is found out by putting.
            Err(ObjectError::NotFound | ObjectError::Refused(_)) => false,
            Err(error) => return Err(error),
        };
        if !is_there {
            let mut at = 0;
            let mut next = |size: usize| {
                let bytes = read(at, size)?;
                at += bytes.len() as u64;
                Ok(bytes)
            };
            self.put(expected.name, Content { bytes: expected.bytes, read: &mut next }, stop)?;
        }
        let is_whole = self.receive(expected, &mut |_| Ok(()), stop)?;
        if !is_whole {
            let _ = self.delete(expected.name, stop);
        }
        Ok(is_whole)
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::{Faults, MemoryStore};
    use super::*;

    #[test]
    fn only_a_store_that_does_not_answer_is_left_alone() {
        let store = MemoryStore::default();
        let source = PatientStore::new(Arc::new(store.clone()), Duration::from_secs(3600));
        let size = || source.size("x", &|| false);
        store.inject(Faults { refuses: true, ..Faults::default() });
        assert!(matches!(size(), Err(ObjectError::Refused(_))));
        store.inject(Faults { away: true, ..Faults::default() });
        assert!(matches!(size(), Err(ObjectError::Unavailable(_))), "it was asked");
        store.inject(Faults::default());
        assert!(matches!(size(), Err(ObjectError::Unavailable(_))), "it is left alone");
    }
}
