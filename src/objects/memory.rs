//! A store in memory, for tests: it fails, waits and lies as it is told. Whoever holds a clone sees the same objects.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::store::{Content, ObjectError, ObjectStore, Stop};

/// What goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// It does not answer.
    pub away: bool,
    /// It answers, and refuses everything; or only to say how large something is.
    pub refuses: bool,
    pub hides_sizes: bool,
    /// The answer does not come until this is taken back, or the asker stops.
    pub stuck: bool,
    /// With `stuck`: nor does it notice that the asker stops.
    pub deaf: bool,
    /// One bit of what is read is another.
    pub corrupt: bool,
    /// What is read lacks its last byte.
    pub truncated: bool,
    /// Of what is put, the last byte is dropped.
    pub loses: bool,
    /// The process dies at this request, counted from now; before it has any effect, or after it.
    pub dies_before: Option<u64>,
    pub dies_after: Option<u64>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    faults: Faults,
    gets: u64,
}

#[derive(Clone, Default)]
pub struct MemoryStore(Arc<(Mutex<State>, Condvar)>);

impl MemoryStore {
    pub fn inject(&self, faults: Faults) {
        self.lock().faults = faults;
        self.0.1.notify_all();
    }

    pub fn names(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// How often an object was asked for.
    pub fn gets(&self) -> u64 {
        self.lock().gets
    }

    /// As an operator, or another service, would.
    pub fn remove(&self, name: &str) {
        self.lock().objects.remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until it answers; then the state.
    fn begin(&self, stop: Stop) -> Result<MutexGuard<'_, State>, ObjectError> {
        let mut state = self.lock();
        if strikes(&mut state.faults.dies_before) {
            return Err(gone());
        }
        while state.faults.stuck {
            if stop() && !state.faults.deaf {
                return Err(ObjectError::Stopped);
            }
            let waited = self.0.1.wait_timeout(state, Duration::from_millis(5));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        match state.faults {
            Faults { away: true, .. } => Err(ObjectError::Unavailable("it is away".into())),
            Faults { refuses: true, .. } => Err(ObjectError::Refused("it does not do this".into())),
            _ => Ok(state),
        }
    }
}

fn gone() -> ObjectError {
    ObjectError::Unavailable("the process has died".into())
}

fn strikes(countdown: &mut Option<u64>) -> bool {
    let Some(left) = countdown else { return false };
    *left = left.saturating_sub(1);
    *left == 0
}

fn end(state: &mut State) -> Result<(), ObjectError> {
    if strikes(&mut state.faults.dies_after) { Err(gone()) } else { Ok(()) }
}

impl ObjectStore for MemoryStore {
    fn put(&self, name: &str, content: Content, stop: Stop) -> Result<(), ObjectError> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < content.bytes {
            bytes.extend_from_slice(&(content.read)(content.bytes as usize - bytes.len())?);
        }
        let mut state = self.begin(stop)?;
        if state.faults.loses {
            bytes.pop();
        }
        state.objects.insert(name.to_owned(), bytes);
        end(&mut state)
    }

    fn get(&self, name: &str, write: &mut dyn FnMut(&[u8]) -> io::Result<()>, stop: Stop) -> Result<(), ObjectError> {
        let mut state = self.begin(stop)?;
        state.gets += 1;
        let mut bytes = state.objects.get(name).ok_or(ObjectError::NotFound)?.clone();
        if state.faults.truncated {
            bytes.pop();
        }
        if let (true, Some(byte)) = (state.faults.corrupt, bytes.first_mut()) {
            *byte ^= 1;
        }
        end(&mut state)?;
        drop(state);
        bytes.chunks(1000).try_for_each(write)?;
        Ok(())
    }

    fn size(&self, name: &str, stop: Stop) -> Result<u64, ObjectError> {
        let mut state = self.begin(stop)?;
        if state.faults.hides_sizes {
            return Err(ObjectError::Refused("it does not say".into()));
        }
        let size = state.objects.get(name).ok_or(ObjectError::NotFound)?.len() as u64;
        end(&mut state)?;
        Ok(size)
    }

    fn delete(&self, name: &str, stop: Stop) -> Result<(), ObjectError> {
        let mut state = self.begin(stop)?;
        state.objects.remove(name);
        end(&mut state)
    }
}
